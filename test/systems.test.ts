// `npm run bench -- --systems` at tiny sizes: every system of the registry runs, its calls are told, and one that cannot run is a line
// with the reason. Times are told, not judged.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { systems } from '../bench/models.ts';
import { measureSystems, SYSTEMS, systemsTable } from '../bench/speed/systems.ts';
import { at, OptionError } from '../engine/errors.ts';
import { onAdapter, theDevice } from './on-adapter.ts';

onAdapter(test);

test('what --models trains is timed', () => {
  const named = Object.keys(SYSTEMS).map((name) => name.replace(/,.*/, ''));
  assert.equal(
    named.sort(),
    Object.values(systems)
      .map(({ system }) => system)
      .sort(),
  );
});

test('every system is timed beside the first, and a broken one is a line', async () => {
  const sizes = { T: 3, B: 2, H: 16 };
  const plan = { rounds: 1, roundMilliseconds: 1, budgetMilliseconds: 1 };
  const broken = (): never => {
    throw new OptionError('no such thing');
  };
  const all = { ...SYSTEMS, broken };
  const costs = await measureSystems(theDevice(), all, sizes, plan, new AbortController().signal);
  assert.equal(
    costs.map(({ name }) => name),
    Object.keys(all),
  );
  for (const cost of costs.slice(0, -1)) {
    assert.ok('facts' in cost && cost.facts.dispatches > 0 && cost.step.count > 0, cost.name);
  }
  const lines = systemsTable(costs, sizes).split('\n');
  assert.match(lines[0] ?? '', 'hidden size 16, T 3, B 2');
  assert.match(at(lines, 2), /^ {2}RIM .* 1\.00$/);
  assert.match(at(lines, lines.length - 1), /^ {2}broken +no such thing$/);
});

test.run();
