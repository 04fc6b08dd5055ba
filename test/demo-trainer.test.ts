// The trainer behind the page, on the adapter of Node: it goes on from a snapshot with the bits of a run that was never broken,
// looks into the RIM with the numbers of an evaluation, keeps modules out, gives weights back, and frees what it took.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { jobTask } from '../bench/job-tasks.ts';
import { systems, taskModel } from '../bench/models.ts';
import { keptOptions, lastingOptions } from '../bench/options.ts';
import { copyingTokens } from '../bench/tasks/index.ts';
import { readPicked } from '../demo/files.ts';
import { defaults, fromQuery, type Settings } from '../demo/settings.ts';
import { pageTask } from '../demo/tasks.ts';
import { Trainer } from '../demo/trainer.ts';
import { at, need, RimgradError } from '../engine/errors.ts';
import { openDevice, RandomState, readSafetensors, saveVariables } from '../engine/node.ts';
import { bits, onAdapter, refused, rejects, theDevice } from './on-adapter.ts';

const settings: Settings = {
  ...defaults,
  digits: 2,
  blank: 3,
  modules: 4,
  active: 2,
  hidden: 8,
  embedding: 8,
  width: 16,
  batch: 8,
  learningRate: 0.02,
  dropout: 0.2,
  testBatches: 1,
};
const quiet = (): void => {};

async function train(trainer: Trainer, count: number): Promise<number[]> {
  for (let i = 0; i < count; i++) await trainer.train();
  return (await trainer.figures()).flatMap(({ loss, figures }) => [loss, ...Object.values(figures)]);
}

onAdapter(test);

test('what goes on from a snapshot, on another device too, gives the bits of an unbroken run', async () => {
  const first = await Trainer.build(theDevice(), settings, quiet);
  await train(first, 4);
  const snapshot = await first.snapshot();
  const unbroken = await train(first, 4);
  const end = await first.snapshot();
  first.dispose();
  const other = await openDevice();
  try {
    const second = await Trainer.build(other, settings, quiet);
    second.restore(snapshot);
    assert.is(second.step, 4);
    assert.equal(await train(second, 4), unbroken);
    const again = await second.snapshot();
    assert.is(again.step, 8);
    again.values.forEach((values, i) => {
      values.forEach((data, k) => {
        assert.equal(bits(data), bits(at(at(end.values, i), k)));
      });
    });
  } finally {
    other.dispose();
  }
});

test('a look agrees with an evaluation, and an imposed module never acts', async () => {
  const trainer = await Trainer.build(theDevice(), settings, quiet);
  try {
    await train(trainer, 30);
    const evaluations = [];
    for await (const each of trainer.evaluate(new AbortController().signal)) evaluations.push(each);
    assert.equal(
      evaluations.map(({ model, split, setting, step }) => [`${model} ${split}`, setting, step]),
      [3, 6, 12].flatMap((blank) => ['RIM', 'LSTM'].map((model) => [`${model} test`, blank, 30])),
    );
    const look = await trainer.look({ setting: 6, index: 0, off: [], each: true });
    const same = need(
      evaluations.find(({ model, setting }) => model === 'RIM' && setting === 6),
      'it',
    ).figures.accuracy;
    assert.is(look.share, same);
    assert.is(look.inputs.length, 10);
    assert.is(look.without?.length, 4);
    for (const row of look.mask)
      assert.is(
        row.reduce((sum, on) => sum + on, 0),
        2,
      );
    for (const answer of look.answers) assert.ok(answer >= 0 && answer < copyingTokens);
    for (const share of need(look.input, 'input attention').flat()) assert.ok(share >= 0 && share <= 1);
    const talk = need(look.talk, 'talk');
    look.mask.forEach((row, t) => {
      row.forEach((on, reader) => {
        const sum = at(at(talk, t), reader).reduce((total, share) => total + share, 0);
        assert.ok(Math.abs(sum - on) < 1e-5, `module ${reader} at ${t} listens ${sum}`);
      });
    });
    const off = at(look.mask, 0).indexOf(1);
    const without = await trainer.look({ setting: 6, index: 0, off: [off], each: false });
    for (const row of without.mask) assert.is(row[off], 0);
    assert.is(without.share, look.without?.[off]);
    assert.is(without.shareAllOn, look.share);
  } finally {
    trainer.dispose();
  }
});

test('the other tasks and models train, are looked into and come back from their files', async () => {
  const small: Partial<Settings> = { slots: 4, slotSize: 4, heads: 1, layers: 1, width: 8, batch: 4, active: 4 };
  const runs = Object.keys(systems)
    .filter((name) => name !== 'rim')
    .map((beside, i): Settings => {
      const task = (['adding', 'smnist', 'copying'] as const)[i % 3] ?? 'copying';
      return { ...settings, ...small, task, beside, length: 6, resolution: 2 };
    });
  for (const each of runs) {
    const trainer = await Trainer.build(theDevice(), each, quiet);
    const what = `${each.task} ${each.beside}`;
    await train(trainer, 2);
    const [rim, other] = await trainer.figures();
    assert.equal([rim?.model, other?.model], ['RIM', systems[each.beside]?.system], what);
    const { task, facts, shown } = pageTask(each);
    assert.equal(
      Object.keys(need(other, what).figures),
      task.figures.map(({ name }) => name),
      what,
    );
    const look = await trainer.look({ setting: facts.trained, index: 0, off: [], each: false });
    assert.is(look.inputs.length, task.steps(facts.trained), what);
    assert.is(look.answers.length, look.wanted.length, what);
    assert.ok(look.share >= 0 && look.share <= 1, what);
    assert.is(shown.unit, 'share', what);
    // What is looked at is the first sequence of the batch that was measured.
    const { y } = task.batch({ split: 'test', setting: facts.trained, batch: each.batch, seed: each.seed, index: 0 });
    assert.is(look.wanted.at(-1), y.at(task.scored === 'every step' ? -each.batch : 0), what);
    const bytes = await trainer.save();
    const again = await Trainer.build(
      theDevice(),
      fromQuery(need(readSafetensors(bytes, what).metadata.settings, what)).settings,
      quiet,
    );
    again.load(bytes, what, 2);
    const { answers, share } = await again.look({ setting: facts.trained, index: 0, off: [], each: false });
    assert.equal([answers, share], [look.answers, look.share], what);
    trainer.dispose();
    again.dispose();
  }
});

test('weights of the command line are taken with their task, models and options', async () => {
  const sizes = { width: 8, embedding: 8, modules: 3, active: 2, hidden: 8, batch: 4 };
  const runs = [
    { task: 'copying', blank: 4, models: ['rim', 'entnet'] },
    { task: 'adding', length: 6, models: ['rim', 'transformer'], layers: 1, heads: 2 },
    { task: 'smnist', resolution: 2, models: ['indrnn'], layers: 3 },
  ];
  for (const given of runs) {
    const options = keptOptions({ ...sizes, ...given }, 'a run');
    const { task, trained } = await jobTask(options);
    const random = new RandomState({ seed: 1 });
    const models = given.models.map((name) => taskModel(name, task, options, random));
    const names = models.map(({ name }) => name);
    const bytes = await saveVariables(
      models.flatMap(({ variables }) => variables),
      {
        task: task.name,
        options: JSON.stringify(lastingOptions(options)),
        steps: JSON.stringify(Object.fromEntries(names.map((name) => [name, 7]))),
      },
    );
    const picked = await readPicked([new File([bytes], 'model.safetensors')]);
    assert.equal([picked.notes, picked.step], [[], 7]);
    const own = need(picked.settings, 'settings');
    const trainer = await Trainer.build(theDevice(), own, quiet);
    assert.equal(trainer.load(bytes, 'model.safetensors', picked.step), names);
    assert.is(pageTask(own).facts.trained, trained);
    trainer.dispose();
    for (const { variables } of models) for (const variable of variables) variable.dispose();
  }
});

test('weights come back from their file, with the settings that made them, and only where they fit', async () => {
  const trainer = await Trainer.build(theDevice(), settings, quiet);
  await train(trainer, 3);
  const bytes = await trainer.save();
  const look = await trainer.look({ setting: 3, index: 0, off: [], each: false });
  trainer.dispose();
  const { metadata } = readSafetensors(bytes, 'saved');
  assert.is(metadata.step, '3');
  assert.equal(fromQuery(need(metadata.settings, 'settings')).settings, settings);
  const other = await Trainer.build(theDevice(), { ...settings, seed: 5 }, quiet);
  assert.equal(other.load(bytes, 'saved', 3), ['RIM', 'LSTM']);
  const file = await other.save();
  for (const [name, { data }] of readSafetensors(bytes, 'a').tensors) {
    assert.equal(data, need(readSafetensors(file, 'b').tensors.get(name), name).data);
  }
  other.dispose();
  assert.is(look.step, 3);
  const larger = await Trainer.build(theDevice(), { ...settings, hidden: 12, beside: 'none' }, quiet);
  await refused(() => larger.load(bytes, 'saved', 3), 'FileError', /saved: does not fit the model.*same options/);
  assert.is(larger.step, 0);
  larger.dispose();
});

test('a loss that is no number any more is told, not shown', async () => {
  const trainer = await Trainer.build(theDevice(), settings, quiet);
  const { step, values } = await trainer.snapshot();
  const broken = values.map((each) =>
    each.map((data) => (data instanceof Float32Array ? data.map(() => Number.NaN) : data)),
  );
  trainer.restore({ step, values: broken });
  await rejects(() => train(trainer, 1), RimgradError);
  trainer.dispose();
});

test('a trainer leaves no memory behind, and tells what it compiles', async () => {
  const device = await openDevice();
  try {
    const told = new Set<string>();
    let last = [0, 0];
    const trainer = await Trainer.build(device, settings, (what, done, total) => {
      told.add(what);
      last = [done, total];
    });
    assert.equal([...told], ['the training of the RIM', 'the training of the LSTM']);
    assert.ok(at(last, 1) > 0 && last[0] === last[1], last.join(' of '));
    await trainer.train();
    await trainer.look({ setting: 3, index: 0, off: [], each: false });
    assert.ok(device.memory().bytes > 0);
    trainer.dispose();
    assert.is(device.memory().variables, 0);
  } finally {
    device.dispose();
  }
});

test.run();
