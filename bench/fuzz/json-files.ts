// Files of JSON as a fuzzer needs them: run configurations, a run's options, metrics, tunings and cell options, whole or damaged.
//
// Always: the text is put together here, not by the writers that are tested. Not here: what a file must be (loaders.ts).

import fc from 'fast-check';
import { candidates } from '../../engine/product-kernels.ts';
import { bytesChanges, changeBytes, changeTree, render, type Tree, treeChanges, treeOf } from './damage.ts';
import type { Drawn } from './tensor-files.ts';

const words = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 8 }), fc.constantFrom('__proto__', 'toString', 'RIM'));
const numbers = fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }));
const sizes = fc.integer({ min: 1, max: 8 });
const keyed = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<Readonly<Record<string, T>>> =>
  fc
    .uniqueArray(fc.tuple(words, values), { selector: ([key]) => key, maxLength: 4 })
    .map((all) => Object.fromEntries(all));

const merits = fc.constantFrom('accuracy', 'loss', '__proto__', 'of');

/** What a run was trained on. */
const tasks = fc.nat({ max: 2 }).chain((count) => {
  const each = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
    fc.array(value, { minLength: count, maxLength: count });
  return fc.record(
    {
      name: words,
      setting: words,
      trained: sizes,
      tested: each(sizes),
      figures: fc.array(
        fc.record({
          name: words,
          label: words,
          unit: fc.constantFrom('nats', 'share', ''),
          better: fc.constantFrom('lower', 'higher'),
        }),
        { minLength: 1, maxLength: 2 },
      ),
      loss: words,
      headline: words,
      explanation: words,
      source: words,
      trivial: each(fc.dictionary(merits, numbers, { maxKeys: 2 })),
    },
    { requiredKeys: ['name', 'setting', 'trained', 'tested', 'figures', 'headline', 'explanation', 'trivial'] },
  );
});

/** A config.json. */
export const configs: fc.Arbitrary<unknown> = fc.record(
  {
    format: fc.constant('rimgrad run 2'),
    task: tasks,
    started: fc.constant('2026-01-31T23:59:59.000Z'),
    status: fc.constantFrom('running', 'finished', 'stopped', 'failed'),
    note: words,
    adapter: words,
    runtime: words,
    parameters: keyed(numbers),
    options: keyed(fc.oneof(words, numbers, fc.boolean(), fc.array(numbers, { maxLength: 3 }))),
  },
  { requiredKeys: ['format', 'task', 'started', 'status', 'adapter', 'runtime', 'parameters', 'options'] },
);

/** How modules were used, of two kinds of steps. */
const usages: fc.Arbitrary<unknown> = fc.constantFrom(1, 2).chain((count) => {
  const rows = <T>(row: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(row, { minLength: count, maxLength: count });
  const shares = rows(fc.tuple(numbers, numbers, numbers));
  const by = fc.constantFrom('part', 'input');
  return fc.record({ by, names: rows(words), steps: rows(sizes), active: shares, switched: shares });
});

/** What weights keep of a run: options of the main job. */
export const runOptions: fc.Arbitrary<unknown> = fc.record(
  {
    blank: sizes,
    testBlanks: fc.array(sizes, { minLength: 1, maxLength: 3 }),
    modules: fc.integer({ min: 4, max: 8 }),
    active: fc.integer({ min: 1, max: 4 }),
    cell: fc.constantFrom('lstm', 'gru'),
    preset: fc.constantFrom('paper', 'default-mixture'),
    dropout: fc.double({ min: 0, max: 0.9, noNaN: true }),
    models: fc.constantFrom(['rim'], ['lstm'], ['lstm', 'rim']),
    communication: fc.boolean(),
    select: fc.constantFrom('last', 'validation'),
    paper: fc.boolean(),
    name: words,
  },
  { requiredKeys: [] },
);

const sequences = fc.nat({ max: 4 }).chain((length) => {
  const rows = <T>(row: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(row, { minLength: length, maxLength: length });
  return fc.record(
    {
      kind: fc.constant('activation'),
      model: words,
      setting: sizes,
      inputs: fc.oneof(rows(fc.nat({ max: 9 })), rows(fc.tuple(numbers, numbers))),
      mask: rows(fc.array(fc.nat({ max: 1 }), { minLength: 3, maxLength: 3 })),
      usage: fc.array(usages, { maxLength: 2 }),
    },
    { requiredKeys: ['kind', 'model', 'setting', 'inputs', 'mask'] },
  );
});

/** The lines of a metrics.jsonl. */
export const metrics: fc.Arbitrary<readonly unknown[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('train'),
      model: words,
      step: sizes,
      loss: numbers,
      figures: fc.dictionary(merits, numbers, { maxKeys: 2 }),
      seconds: numbers,
    }),
    fc.record({
      kind: fc.constant('evaluation'),
      model: words,
      step: sizes,
      split: fc.constantFrom('test', 'validation'),
      setting: sizes,
      figures: fc.dictionary(merits, numbers, { maxKeys: 2 }),
    }),
    sequences,
  ),
  { maxLength: 4 },
);

/** What `tune` returns, for a software adapter. */
export const tunings: fc.Arbitrary<unknown> = fc.record({
  format: fc.constant('rimgrad tuning 1'),
  adapter: words,
  software: fc.constant(true),
  choices: keyed(fc.constantFrom(...candidates.keys())),
});

/** What a preset of a RIM takes. */
export const cells: fc.Arbitrary<unknown> = fc.record(
  {
    inputSize: sizes,
    hiddenSize: sizes,
    modules: fc.integer({ min: 4, max: 8 }),
    active: fc.integer({ min: 1, max: 4 }),
    cell: fc.constantFrom('lstm', 'gru'),
    keySize: sizes,
    inputDropout: fc.double({ min: 0, max: 0.9, noNaN: true }),
    sources: fc.constantFrom('kept', 'candidate'),
    communication: fc.boolean(),
  },
  { requiredKeys: ['inputSize', 'hiddenSize', 'modules', 'active'] },
);

/** Files with one of these values, most of them damaged. @param write how the tree of the value becomes the text of a file */
export function jsonFiles(values: fc.Arbitrary<unknown>, write: (tree: Tree) => string = render): fc.Arbitrary<Drawn> {
  const none = fc.constant([]);
  const tree = fc.array(treeChanges, { maxLength: 2 });
  const bytes = fc.array(bytesChanges, { maxLength: 2 });
  // Mostly damage of one sort: broken text hides wrong values.
  return fc
    .oneof(
      { arbitrary: fc.record({ value: values, tree, bytes: none }), weight: 4 },
      { arbitrary: fc.record({ value: values, tree: none, bytes }), weight: 2 },
      { arbitrary: fc.record({ value: values, tree, bytes }), weight: 1 },
    )
    .map(({ value, tree, bytes }) => {
      const changed = tree.reduce(changeTree, treeOf(value));
      const whole = new TextEncoder().encode(write(changed));
      const damaged = bytes.reduce<Uint8Array>((file, change) => changeBytes(file, change, [0, 1, file.length]), whole);
      return { bytes: damaged, damage: [...tree, ...bytes].map(({ what }) => what) };
    });
}

/** A list as a file of a line for each item. */
export function asLines(tree: Tree): string {
  return tree.kind === 'list' ? tree.items.map((item) => `${render(item)}\n`).join('') : render(tree);
}
