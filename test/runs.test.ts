// Run folders: what is written comes back, nothing is overwritten by accident, nothing half-written stays, and every
// unreadable folder is refused with the file, the line and the mend.

import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { writeAtomically } from '../bench/disk.ts';
import type { Metric } from '../bench/metrics.ts';
import type { RunConfig } from '../bench/run-config.ts';
import { checkRunPlan, defaultRunName, RunFolder, readRun } from '../bench/runs.ts';
import { FileError } from '../engine/errors.ts';
import type { SafetensorsTensor } from '../engine/safetensors.ts';
import { factsFor } from './made-task.ts';

const test = suite('runs', { out: '' });

test.before.each((context) => {
  context.out = mkdtempSync(join(tmpdir(), 'rimgrad-runs-'));
});
test.after.each((context) => {
  rmSync(context.out, { recursive: true, force: true });
});

const config: RunConfig = {
  task: await factsFor('--test-blanks', '20'),
  started: '2026-01-31T23:59:59.000Z',
  status: 'running',
  adapter: 'an adapter',
  runtime: 'Node',
  parameters: { RIM: 12, LSTM: 34 },
  options: { digits: 3, testBlanks: [10, 20], cell: 'lstm', models: ['rim', 'lstm'] },
};
const metrics: readonly Metric[] = [
  { kind: 'train', model: 'RIM', step: 1, loss: 2.5, figures: { accuracy: 0.125 }, seconds: 0.25 },
  {
    kind: 'evaluation',
    model: 'RIM',
    step: 1,
    split: 'test',
    setting: 20,
    figures: { crossEntropy: 2.079, accuracy: 0.1 },
  },
  {
    kind: 'activation',
    model: 'RIM',
    setting: 1,
    inputs: [5, 9, 0],
    mask: [
      [0, 1],
      [1, 0],
      [1, 1],
    ],
  },
];
const weights: ReadonlyMap<string, SafetensorsTensor> = new Map([
  ['w', { dtype: 'F32', shape: [2], data: new Float32Array([1.5, -2]) }],
]);

function makeRun(out: string, name = 'first'): string {
  const folder = RunFolder.create({ out, name }, config);
  for (const metric of metrics) folder.append(metric);
  folder.writeModel(weights, { run: name });
  folder.writeReport('<!doctype html>');
  folder.writeConfig({ ...config, status: 'finished' });
  folder.close();
  folder.close();
  return folder.path;
}

function refused(action: () => unknown, ...words: string[]): void {
  try {
    action();
  } catch (error) {
    assert.instance(error, FileError);
    for (const word of words) assert.ok(String(error).includes(word), `${error} does not say: ${word}`);
    return;
  }
  assert.unreachable(`nothing was refused; expected ${words.join(', ')}`);
}

test('what is written comes back, and nothing else is there', ({ out }) => {
  const path = makeRun(join(out, 'deep', 'er'));
  const run = readRun(path);
  assert.is(run.name, 'first');
  assert.equal(run.config, { ...config, status: 'finished' });
  assert.equal(run.metrics, metrics);
  assert.equal(run.model?.tensors.get('w')?.data, new Float32Array([1.5, -2]));
  assert.equal(readdirSync(path).sort(), ['config.json', 'metrics.jsonl', 'model.safetensors', 'report.html']);
});

test('metrics are whole lines of JSON, on the disk after a flush', ({ out }) => {
  const folder = RunFolder.create({ out, name: 'a' }, config);
  for (const metric of metrics) folder.append(metric);
  folder.flush();
  const lines = readFileSync(join(folder.path, 'metrics.jsonl'), 'utf8').split('\n');
  assert.is(lines.length, 4);
  assert.equal(JSON.parse(lines[1] ?? ''), metrics[1]);
  assert.is(lines[3], '');
  folder.close();
});

test('a run that ended early has no model and reads well', ({ out }) => {
  const folder = RunFolder.create({ out, name: 'a' }, { ...config, note: 'stopped at step 7' });
  folder.close();
  const run = readRun(folder.path);
  assert.is(run.model, undefined);
  assert.is(run.config.note, 'stopped at step 7');
  assert.equal(run.metrics, []);
});

test('a run is replaced only when asked to, and then wholly', ({ out }) => {
  const path = makeRun(out);
  refused(() => RunFolder.create({ out, name: 'first' }, config), path, '--force');
  assert.is(readRun(path).metrics.length, 3, 'the old run is whole');
  RunFolder.create({ out, name: 'first', force: true }, config).close();
  assert.equal(readdirSync(path).sort(), ['config.json', 'metrics.jsonl']);
});

test('a folder that is no run is never replaced', ({ out }) => {
  mkdirSync(join(out, 'mine'));
  writeFileSync(join(out, 'mine', 'thesis.txt'), 'years of work');
  refused(() => RunFolder.create({ out, name: 'mine', force: true }, config), 'other things than a run', '--name');
  assert.is(readFileSync(join(out, 'mine', 'thesis.txt'), 'utf8'), 'years of work');
  writeFileSync(join(out, 'file'), '');
  refused(() => checkRunPlan({ out, name: 'file' }), 'in the way', '--name');
});

test('a place that cannot be written is refused before anything is made', ({ out }) => {
  writeFileSync(join(out, 'file'), '');
  refused(() => checkRunPlan({ out: join(out, 'file', 'runs'), name: 'a' }), 'not a folder', '--out');
  refused(() => RunFolder.create({ out: join(out, 'file'), name: 'a' }, config), 'not a folder', '--out');
  checkRunPlan({ out: join(out, 'new'), name: 'a' });
  assert.not(existsSync(join(out, 'new')));
});

test('default names are the date, the time and the seed, and free', ({ out }) => {
  const date = new Date('2026-01-31T23:59:59.123Z');
  assert.is(defaultRunName('copying', out, date, 4), 'copying-20260131-235959-seed4');
  makeRun(out, 'copying-20260131-235959-seed4');
  assert.is(defaultRunName('copying', out, date, 4), 'copying-20260131-235959-seed4-2');
});

test('a write that fails leaves the old file and nothing beside it', ({ out }) => {
  mkdirSync(join(out, 'taken'));
  writeFileSync(join(out, 'taken', 'x'), '');
  refused(() => writeAtomically(join(out, 'taken'), 'text'), 'taken');
  refused(() => writeAtomically(join(out, 'none', 'x'), 'text'), 'no such');
  assert.equal(readdirSync(out), ['taken']);
  writeAtomically(join(out, 'file'), 'old');
  writeAtomically(join(out, 'file'), 'new');
  assert.is(readFileSync(join(out, 'file'), 'utf8'), 'new');
  assert.equal(readdirSync(out).sort(), ['file', 'taken']);
});

test('unreadable, cut off and foreign folders are refused by name', ({ out }) => {
  refused(() => readRun(join(out, 'none')), 'no such folder');
  refused(() => readRun(out), 'no config.json', 'no run folder');
  const broken = (file: string, content: string | Uint8Array, ...words: string[]): void => {
    const path = makeRun(out, 'broken');
    writeFileSync(join(path, file), content);
    refused(() => readRun(path), file, ...words);
    rmSync(path, { recursive: true });
  };
  broken('config.json', '{"format": "rimgrad ru', 'not valid JSON');
  broken('config.json', '[]', 'a JSON object was expected');
  broken('config.json', '{"name": "an npm package"}', "'format'", 'another program');
  broken('config.json', JSON.stringify({ format: 'rimgrad run 2', ...config, status: 'odd' }), "'status'");
  broken(
    'config.json',
    JSON.stringify({ format: 'rimgrad run 1', ...config }),
    "'format'",
    'another program or version',
  );
  broken('config.json', JSON.stringify({ format: 'rimgrad run 2', ...config, adapter: 4 }), "'adapter' must be text");
  const { task } = config;
  for (const [damaged, said] of [
    ['copying', "'task' must be an object"],
    [{ ...task, setting: 4 }, "'task.setting' must be text"],
    [{ ...task, figures: [] }, "'task.figures' must be a list of one figure at least"],
    [{ ...task, figures: [{ ...task.figures[0], better: 'left' }] }, "'task.figures' must be figures"],
    [{ ...task, trivial: [] }, "'task.trivial' must be of 2 entries"],
  ] as const) {
    broken('config.json', JSON.stringify({ format: 'rimgrad run 2', ...config, task: damaged }), said);
  }
  broken('config.json', new Uint8Array([0xff, 0xfe, 0x00]), 'not text');
  broken('metrics.jsonl', '{"kind":"train","model":"RIM","st', 'line 1 is cut off', 'remove that line');
  broken('metrics.jsonl', `${JSON.stringify(metrics[0])}\n{"kind":"tra`, 'line 2 is cut off');
  broken('metrics.jsonl', '{"kind":"train","model":"RIM"}\n', 'line 1', "'step' must be a number");
  broken('metrics.jsonl', '{"kind":"other","model":"RIM"}\n', "'other' is no kind of metric");
  broken('metrics.jsonl', 'step,loss\n', 'line 1', 'not valid JSON');
  broken('metrics.jsonl', '{"kind":"activation","model":"R","setting":1,"inputs":[1],"mask":[]}\n', "'mask'");
  broken(
    'metrics.jsonl',
    '{"kind":"activation","model":"R","setting":1,"inputs":[[1],[]],"mask":[[1],[1]]}\n',
    '1 channels',
  );
  broken('metrics.jsonl', '{"kind":"evaluation","model":"R","step":1,"split":"train","setting":1}\n', "'split'");
  broken('metrics.jsonl', '{"kind":"train","model":"R","step":1,"loss":1,"figures":{"a":null}}\n', "'figures'");
  broken('model.safetensors', new Uint8Array([1, 2, 3]));
  const path = makeRun(out, 'cut');
  const model = readFileSync(join(path, 'model.safetensors'));
  writeFileSync(join(path, 'model.safetensors'), model.subarray(0, model.length - 1));
  refused(() => readRun(path), 'model.safetensors');
  rmSync(join(path, 'metrics.jsonl'));
  refused(() => readRun(path), 'metrics.jsonl', 'missing');
});

test('lines added by another writer do not break the ones before', ({ out }) => {
  const path = makeRun(out);
  appendFileSync(join(path, 'metrics.jsonl'), `${JSON.stringify(metrics[0])}\n`);
  assert.is(readRun(path).metrics.length, 4);
});

test.run();
