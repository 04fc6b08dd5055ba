// Every model trains through every task: all four tables at their tiny scale, every cell once, without a number that is not finite.
// It does not ask what was learned, which is nothing.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { systems } from '../bench/models.ts';
import { readRun } from '../bench/runs.ts';
import { cellsOf, TABLES } from '../bench/tables/definition.ts';
import { DEFINITIONS } from '../bench/tables/index.ts';
import { tableFile, tableJob } from './table-cells.ts';

const out = mkdtempSync(join(tmpdir(), 'rimgrad-tiny-'));
test.after(() => rmSync(out, { recursive: true, force: true }));

/** The models that every task has been trained with. */
const trained = new Map<string, Set<string>>();

/** Fails at a number that is not finite, wherever it stands. */
function finite(value: unknown, where: string): void {
  if (typeof value === 'number') assert.ok(Number.isFinite(value), `${where} is ${value}`);
  else if (typeof value === 'object' && value !== null) {
    for (const [name, each] of Object.entries(value)) finite(each, `${where}.${name}`);
  }
}

for (const name of TABLES) {
  test(`the table ${name}`, async () => {
    const table = DEFINITIONS[name];
    const { code, stdout, stderr } = await tableJob([name, '--scale', 'tiny', '--out', out]);
    assert.equal([code, stderr], [0, ''], stdout);
    for (const cell of cellsOf(table, { scale: 'tiny' })) {
      const run = readRun(join(out, cell.name));
      assert.is(run.config.status, 'finished', cell.name);
      finite(run.metrics, cell.name);
      for (const [tensor, { data }] of run.model?.tensors ?? []) {
        assert.ok(data.every(Number.isFinite), `${cell.name}: ${tensor} is not finite`);
      }
      trained.set(table.task, (trained.get(table.task) ?? new Set()).add(cell.row.model));
    }
    assert.match(tableFile(out, `${name}-tiny`, 'table.html'), '<h2 id="curves">');
  });
}

test('every task has met every model', () => {
  assert.equal([...trained.keys()].sort(), [...new Set(TABLES.map((name) => DEFINITIONS[name].task))].sort());
  for (const [task, models] of trained) assert.equal([...models].sort(), Object.keys(systems).sort(), task);
});

test.run();
