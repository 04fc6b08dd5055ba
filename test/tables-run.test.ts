// Tables that are trained: what is finished is never trained again, what was killed goes on from its checkpoint, the lines of --list in
// other processes and the folders of two machines come to the bytes of one table, and no cell is trained twice at once.
import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readRun, readRunCheckpoint } from '../bench/runs.ts';
import { type Cell, cellsOf } from '../bench/tables/definition.ts';
import { hold, holderOf } from '../bench/tables/hold.ts';
import { DEFINITIONS } from '../bench/tables/index.ts';
import { readRecord } from '../bench/tables/records.ts';
import { type TrainJob, trainJob } from '../bench/train.ts';
import { readProgress } from '../bench/training-state.ts';
import { at, need } from '../engine/errors.ts';
import { tableFile, tableJob, writeCell } from './table-cells.ts';

const rimgrad = fileURLToPath(new URL('../bench/rimgrad.js', import.meta.url));
const rows = ['--scale', 'tiny', '--rows', 'rim-6-4,lstm-half'];
const table = ['copying', ...rows, '--seeds', '1,2'];
const cells = cellsOf(DEFINITIONS.copying, { scale: 'tiny', rows: ['rim-6-4', 'lstm-half'], seeds: [1, 2] });
const folder = mkdtempSync(join(tmpdir(), 'rimgrad-tables-'));
const one = join(folder, 'one');

test.after(() => rmSync(folder, { recursive: true, force: true }));

/** A trainer that counts the steps of each cell that it carries out. */
function counting(): { readonly train: TrainJob; readonly steps: Map<string, number[]> } {
  const steps = new Map<string, number[]>();
  const train: TrainJob = (options, events, from) => {
    const own: number[] = [];
    steps.set(options.name ?? '', own);
    const onStep: typeof events.onStep = (step) => {
      own.push(step.step);
      events.onStep(step);
    };
    return trainJob(options, { ...events, onStep }, from);
  };
  return { train, steps };
}

/** Runs the command in a process of its own. */
function spawned(args: readonly string[], begun: (child: ChildProcess) => void = () => {}): Promise<number | null> {
  const child = spawn(process.execPath, [rimgrad, ...args], { stdio: 'ignore' });
  begun(child);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code));
  });
}

function bytes(out: string, { name }: Cell): string {
  return readFileSync(join(out, name, 'metrics.jsonl'), 'utf8');
}

test('all cells are trained once, with an estimate before and a line for each, and never again', async () => {
  const { train, steps } = counting();
  const first = await tableJob([...table, '--out', one], train);
  assert.equal([first.code, first.stderr], [0, '']);
  assert.equal([...steps.keys()].sort(), cells.map(({ name }) => name).sort());
  assert.match(first.stdout, /4 of 4 cells to train\nEstimated time: \d+:\d\d \(/);
  for (const [i, { name }] of cells.entries()) {
    assert.match(first.stdout, new RegExp(`^${i + 1}/4 ${name}: finished in \\d+:\\d\\d`, 'm'));
  }
  assert.match(first.stdout, /RIM 6\/4, 24 units +[\d.]+ ± [\d.e-]+ \(2\) +\[0\.00\]/);
  assert.match(first.stdout, /Page: .*table\.html\n$/);
  const before = cells.map((cell) => bytes(one, cell));
  const again = counting();
  const second = await tableJob([...table, '--out', one], again.train);
  assert.equal([second.code, again.steps.size], [0, 0]);
  assert.not.match(second.stdout, /Estimated/);
  assert.equal(
    cells.map((cell) => bytes(one, cell)),
    before,
  );
  for (const cell of cells) {
    const { metrics } = readRun(join(one, cell.name));
    const usage = metrics.flatMap((metric) => (metric.kind === 'activation' ? (metric.usage ?? []) : []));
    assert.is(usage.length, cell.row.model === 'rim' ? 4 : 0, 'by part and by input, at two settings');
  }
});

test('the folders of two machines, and the lines of --list, come to the same table', async () => {
  const [left, right] = [join(folder, 'left'), join(folder, 'right')];
  const list = await tableJob([...table, '--out', left, '--list']);
  const lines = list.stdout.trim().split('\n');
  assert.is(lines.length, cells.length);
  assert.equal(
    lines.map((line) => /--cell (\S+)/.exec(line)?.[1]),
    cells.map(({ name }) => name),
  );
  assert.is((await tableJob([...table, '--out', left, '--list'])).stdout, list.stdout, 'the same every time');
  const words = lines.map((line) => line.replace(/^.*? table /, 'table ').split(' '));
  // The first half here, by the lines in processes of their own, out of order; the other half there.
  assert.equal(await Promise.all([spawned(at(words, 1)), spawned(at(words, 0))]), [0, 0]);
  const there = ['copying', ...rows, '--seeds', '2', '--out', right];
  assert.is((await tableJob(there)).code, 0);
  const merged = await tableJob([...table, '--out', left, '--merge', right, '--show']);
  assert.is(merged.code, 0, merged.stderr);
  for (const file of ['table.json', 'table.html'] as const) {
    assert.ok(tableFile(left, 'copying-tiny', file) === tableFile(one, 'copying-tiny', file), `another ${file}`);
  }
  const { train, steps } = counting();
  assert.is((await tableJob([...table, '--out', left, '--merge', right], train)).code, 0);
  assert.is(steps.size, 0, 'what is finished elsewhere is not trained here');
});

if (process.platform !== 'win32') {
  test('a table that was killed repeats no cell that is finished, and no step that a checkpoint holds', async () => {
    const out = join(folder, 'killed');
    const [first, second] = [at(cells, 0), at(cells, 1)];
    const code = await spawned(['table', ...table, '--out', out], (child) => {
      const looking = setInterval(() => {
        if (existsSync(join(out, second.name, 'checkpoint.safetensors'))) child.kill('SIGKILL');
      }, 2);
      child.on('close', () => clearInterval(looking));
    });
    assert.is(code, null, 'it was not killed');
    assert.is(readRecord(first, [out]).state, 'finished');
    const state = readRecord(second, [out]).state;
    const done = at(readProgress(need(readRunCheckpoint(join(out, second.name)), 'a checkpoint')).models, 0).step;
    const before = bytes(out, first);
    const { train, steps } = counting();
    const { code: after, stderr } = await tableJob([...table, '--out', out], train);
    assert.equal([after, stderr], [0, '']);
    assert.is(bytes(out, first), before, 'the finished cell was touched');
    assert.not(steps.has(first.name));
    if (state === 'begun')
      assert.ok(
        (steps.get(second.name) ?? []).every((step) => step > done),
        `steps from ${done} again`,
      );
    assert.ok(
      tableFile(out, 'copying-tiny', 'table.json') === tableFile(one, 'copying-tiny', 'table.json'),
      'another table',
    );
  });
}

test('a signal stops between two steps, and what there is stands in the table', async () => {
  const out = join(folder, 'stopped');
  const controller = new AbortController();
  const stopping: TrainJob = (options, events, from) =>
    trainJob(
      options,
      {
        ...events,
        onStep: (step) => {
          events.onStep(step);
          if (options.name === at(cells, 1).name) controller.abort();
        },
      },
      from,
    );
  const { code, stdout } = await tableJob([...table, '--out', out], stopping, controller.signal);
  assert.is(code, 130);
  assert.match(stdout, /^Stopped\. The same command goes on from here$/m);
  assert.match(stdout, /1 of 4 cells finished/);
  const begun = readRecord(at(cells, 1), [out]);
  assert.equal([begun.state, begun.step], ['begun', 1], 'the checkpoint of the signal');
  const again = await tableJob([...table, '--out', out], stopping, controller.signal);
  assert.is(again.code, 130);
  assert.not.match(again.stdout, /Estimated/, 'it was stopped before the estimate');
  assert.not(
    readdirSync(out).some((name) => name.endsWith('.held')),
    'a cell is still held',
  );
});

test('a cell that fails ends no other, and the exit code tells of it', async () => {
  const out = join(folder, 'failing');
  const failing: TrainJob = (options, events, from) =>
    trainJob(
      options,
      {
        ...events,
        onStep: (step) => {
          if (options.name === at(cells, 0).name) throw new Error('out of luck');
          events.onStep(step);
        },
      },
      from,
    );
  const { code, stdout, stderr } = await tableJob([...table, '--out', out], failing);
  assert.is(code, 1);
  assert.match(stderr, new RegExp(`^rimgrad: ${at(cells, 0).name}: .*out of luck\n$`));
  assert.match(stdout, /3 of 4 cells finished/);
  assert.is(readRecord(at(cells, 0), [out]).state, 'failed');
  assert.match(tableFile(out, 'copying-tiny', 'table.html'), /1 failed<[\s\S]*seed1: .*out of luck</);
  const shown = await tableJob([...table, '--out', out, '--show']);
  assert.match(shown.stderr, new RegExp(`^rimgrad: ${at(cells, 0).name} failed: .*out of luck\n$`));
  assert.is((await tableJob([...table, '--out', out])).code, 0, 'it goes on');
});

test('a cell whose end cannot be written has failed, and comes to its end the next time', async () => {
  const out = join(folder, 'unwritten');
  const cell = at(cells, 0);
  const blocking: TrainJob = (options, events, from) => {
    const onStart: typeof events.onStart = (start) => {
      events.onStart(start);
      mkdirSync(join(out, cell.name, 'report.html'));
    };
    return trainJob(options, { ...events, onStart }, from);
  };
  const args = ['copying', ...rows, '--cell', cell.name, '--out', out];
  const { code, stderr } = await tableJob(args, blocking);
  assert.is(code, 1);
  assert.match(
    stderr,
    new RegExp(`^rimgrad: ${cell.name}: .*report\\.html: a folder is in the way of a file; move it away\n$`),
  );
  assert.is(readRecord(cell, [out]).state, 'failed');
  rmSync(join(out, cell.name, 'report.html'), { recursive: true });
  const { train, steps } = counting();
  assert.equal([(await tableJob(args, train)).code, steps.get(cell.name)], [0, []], 'all of its steps were done');
  assert.is(bytes(out, cell).replaceAll(/"seconds":[^,}]*/g, ''), bytes(one, cell).replaceAll(/"seconds":[^,}]*/g, ''));
});

if (process.platform === 'linux') {
  test('where no folder can be made the table says so', async () => {
    const { code, stderr } = await tableJob([...table, '--out', '/proc/x/y']);
    assert.is(code, 1);
    assert.match(stderr, /^rimgrad: \/proc\/x: no folder can be made there; give another one with --out\n$/);
  });
}

test('a run of other options is told and not counted; --force makes it anew', async () => {
  const out = join(folder, 'other');
  const cell = at(cells, 0);
  await writeCell(out, { ...cell, args: [...cell.args, '--learning-rate', '0.5'] });
  const { code, stderr } = await tableJob(['copying', ...rows, '--cell', cell.name, '--out', out]);
  assert.is(code, 1);
  assert.match(
    stderr,
    /made with --learning-rate 0\.5, and the table asks for --learning-rate 0\.003; train it anew with --cell \S+ --force/,
  );
  const forced = await tableJob(['copying', '--scale', 'tiny', '--cell', cell.name, '--out', out, '--force']);
  assert.equal([forced.code, forced.stderr], [0, '']);
  assert.is(readRecord(cell, [out]).state, 'finished');
});

test('what lies in the way of a cell is told, and --force does not remove it', async () => {
  const out = join(folder, 'way');
  const { name } = at(cells, 0);
  mkdirSync(join(out, name), { recursive: true });
  writeFileSync(join(out, name, 'mine.txt'), 'mine');
  const args = ['copying', '--scale', 'tiny', '--cell', name, '--out', out];
  for (const more of [[], ['--force']]) {
    const { code, stdout, stderr } = await tableJob([...args, ...more]);
    assert.is(code, 1);
    assert.match(stdout, /1\/1 \S+: not counted\n/);
    assert.match(stderr, /^rimgrad: [^\n]*: there is no config\.json in it, so it is no run; move it away\n$/);
  }
  assert.is(readFileSync(join(out, name, 'mine.txt'), 'utf8'), 'mine');
  assert.is((await tableJob(['copying', '--scale', 'tiny', '--out', out, '--show'])).code, 1);
  assert.match(tableFile(out, 'copying-tiny', 'table.html'), /1 not counted/);
  rmSync(join(out, name), { recursive: true });
  const trained = await tableJob(args);
  assert.equal([trained.code, trained.stderr], [0, '']);
  assert.match(trained.stdout, /\nThe table of all cells that are there: npx rimgrad table copying .*--show\n$/);
  assert.throws(() => readRun(join(out, 'copying-tiny')), `such as ${join(out, name)}`);
});

test('of folders that are merged the finished cell counts, whatever the others have', async () => {
  const [out, bad, good] = (['', '-bad', '-good'] as const).map((end) => join(folder, `merging${end}`));
  if (out === undefined || bad === undefined || good === undefined) throw new Error('three folders');
  const cell = at(cells, 0);
  await writeCell(bad, { ...cell, args: [...cell.args, '--learning-rate', '0.5'] });
  await writeCell(good, cell);
  assert.is(readRecord(cell, [out, bad]).state, 'refused');
  assert.is(readRecord(cell, [out, bad, good]).state, 'finished');
  const args = ['copying', '--scale', 'tiny', '--cell', cell.name, '--out', out, '--merge'];
  const { code, stderr } = await tableJob([...args, bad]);
  assert.equal([code, stderr, readRecord(cell, [out]).state], [0, '', 'finished'], 'it may be trained here');
  const none = await tableJob([...args, bad, join(folder, 'nowhere')]);
  assert.is(none.code, 1);
  assert.match(none.stderr, /--merge .*nowhere: there is no such folder/);
  const list = await tableJob(['copying', '--list', '--out', out, '--force', '--merge', bad, good]);
  assert.ok(list.stdout.split('\n')[0]?.endsWith(`--out ${out} --force --merge ${bad} ${good}`), list.stdout);
});

test('a figure that there is not is refused before anything is trained', async () => {
  const { train, steps } = counting();
  const { code, stderr } = await tableJob([...table, '--out', join(folder, 'none'), '--metric', 'acuracy'], train);
  assert.equal([code, steps.size], [2, 0]);
  assert.match(stderr, /--metric acuracy: there is crossEntropy/);
});

test('a cell is held by one process: of this machine while it lives, of another while it renews', async () => {
  const out = join(folder, 'held');
  mkdirSync(out);
  const cell = at(cells, 0);
  const file = join(out, `.${cell.name}.held`);
  const own = need(hold(out, cell.name), 'a hold');
  assert.is(holderOf(out, cell.name), undefined, 'it is this process');
  own.release();
  own.release();
  assert.not(existsSync(file));
  const late = need(hold(out, cell.name), 'a hold');
  writeFileSync(file, JSON.stringify({ pid: 1, host: 'another-machine' }));
  late.release();
  assert.ok(existsSync(file), 'another took it after a long sleep of this one');
  rmSync(file);
  const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 600000)'], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.on('close', resolve));
  writeFileSync(file, JSON.stringify({ pid: child.pid, host: hostname() }));
  assert.is(hold(out, cell.name), undefined);
  const { train, steps } = counting();
  const args = ['copying', '--scale', 'tiny', '--cell', cell.name, '--out', out];
  const { code, stdout } = await tableJob(args, train);
  assert.equal([code, steps.size], [0, 0]);
  assert.match(stdout, new RegExp(`left to process ${child.pid}\n1 left to other processes`));
  child.kill('SIGKILL');
  await ended;
  hold(out, cell.name)?.release();
  assert.not(existsSync(file), 'its process is gone');
  writeFileSync(file, JSON.stringify({ pid: 1, host: 'another-machine' }));
  assert.is(hold(out, cell.name), undefined);
  const long = new Date(Date.now() - 3_600_000);
  utimesSync(file, long, long);
  assert.ok(hold(out, cell.name), 'it was not renewed for an hour');
});

test.run();
