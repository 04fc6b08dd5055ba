// Every wrong option of a RIM is an OptionError that says the mend, every wrong shape a ShapeError, and both come before any GPU
// work: no device is opened here. What right options do is in rim-laws.test.ts.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, OptionError, ShapeError } from '../engine/errors.ts';
import { input, RandomState, type Shape, type Tensor } from '../engine/node.ts';
import { makeRIM, presetOptions, RIM, RIMCell } from '../rims/index.ts';

const sizes = { inputSize: 5, hiddenSize: 4, modules: 3, active: 2 };

/** Expects an error of a type whose message contains every part. */
function refused(type: new (message: string) => Error, act: () => unknown, ...parts: readonly string[]): void {
  try {
    act();
  } catch (error) {
    assert.instance(error, type);
    for (const part of parts) assert.ok(String(error).includes(part), `'${part}' is not in: ${String(error)}`);
    return;
  }
  assert.unreachable(`nothing was refused; expected ${parts.join(', ')}`);
}

/** Options as JavaScript would give them, unchecked by types. */
function untyped<T>(good: T, wrong: object): T {
  return Object.assign({}, good, wrong);
}

function wrong(options: object, ...parts: readonly string[]): void {
  refused(OptionError, () => RIM.paper(untyped(sizes, options), { seed: 1 }), 'RIM', ...parts);
}

let inputs = 0;
const tensor = (...shape: Shape): Tensor => input(`x${inputs++}`, shape);

test('the presets take their sizes, for both cells', () => {
  for (const preset of ['paper', 'official', 'dido'] as const) {
    for (const cell of ['lstm', 'gru'] as const) {
      const rim = RIM[preset]({ ...sizes, cell }, { seed: 1 });
      assert.is(rim.cells.length, 1);
      assert.equal(new Set(rim.variables.map(({ name }) => name)).size, rim.variables.length);
    }
  }
});

test('more active modules than there are', () => {
  wrong({ active: 4 }, '4 modules', 'of 3', 'lower active or raise modules');
});

test('unknown options name the near one', () => {
  wrong({ hiddensize: 4 }, "no option 'hiddensize'", "Did you mean 'hiddenSize'?");
  wrong({ heads: 4 }, "no option 'heads'", 'inputHeads', 'commHeads');
  wrong({ layer: 2 }, "no option 'layer'", "Did you mean 'layers'?");
  refused(OptionError, () => presetOptions('paper', untyped(sizes, { layers: 2 })), "no option 'layers'");
  const random = untyped({ seed: 1 }, { dropOut: new RandomState({ seed: 1 }) });
  refused(OptionError, () => RIM.paper(sizes, random), "Did you mean 'dropout'?");
  const sequence = untyped({}, { bidirectionnal: true });
  refused(
    OptionError,
    () => makeRIM(presetOptions('paper', sizes), { seed: 1 }, sequence),
    "Did you mean 'bidirectional'?",
  );
});

test('values that an option cannot take', () => {
  wrong({ cell: 'rnn' }, "cell must be 'lstm' or 'gru'", 'not "rnn"');
  wrong({ headRule: 'mean' }, "headRule must be 'separate' or 'averaged'");
  wrong({ selection: 'null' }, "'least-null' or 'raw-score' or 'across-modules'");
  wrong({ inactiveInput: 'zeros' }, "'attended' or 'zero'");
  wrong({ sources: 'all' }, "'kept' or 'candidate'");
  wrong({ commOutput: 'plain' }, "'residual' or 'gated'");
  wrong({ dropoutOn: 'keys' }, "'values' or 'probabilities'");
  wrong({ initialisation: 'ones' }, "'small' or 'fan-in'");
  wrong({ layerFeed: 'none' }, "layerFeed must be 'all' or 'active'");
  wrong({ initialState: 'random' }, "initialState must be 'zeros' or 'learned' or 'noise'");
  for (const name of [
    'inputAttention',
    'inputBias',
    'rowWeights',
    'sparseInput',
    'cellBias',
    'communication',
    'commShared',
    'commBias',
    'bidirectional',
  ]) {
    wrong({ [name]: 1 }, `${name} must be true or false, not 1`);
  }
});

test('sizes are whole numbers of at least 1', () => {
  for (const name of [
    'inputSize',
    'hiddenSize',
    'modules',
    'active',
    'inputRows',
    'inputHeads',
    'keySize',
    'valueSize',
    'commHeads',
    'commKeySize',
    'commValueSize',
    'commTopK',
    'layers',
  ]) {
    for (const value of [0, -1, 2.5, Number.NaN, '2'])
      wrong({ [name]: value }, `${name} must be a whole number of at least 1`, `not ${value === '2' ? '"2"' : value}`);
  }
  refused(
    OptionError,
    () => RIM.paper(untyped({ ...sizes }, { hiddenSize: undefined }), { seed: 1 }),
    'hiddenSize',
    'not undefined',
  );
  for (const seed of [-1, 0.5, undefined])
    refused(OptionError, () => RIM.paper(sizes, untyped({ seed: 1 }, { seed })), `seed is ${seed}`);
});

test('dropout of 1 or less than 0', () => {
  for (const rate of [1, -0.1, Number.NaN]) {
    wrong({ inputDropout: rate }, `inputDropout must be in [0, 1), not ${rate}`);
    wrong({ commDropout: rate }, `commDropout must be in [0, 1), not ${rate}`);
  }
});

test('options that do not go together', () => {
  wrong({ commTopK: 4 }, 'commTopK 4', '3 modules');
  wrong({ selection: 'across-modules', inputRows: 2 }, "'across-modules'", 'one input row');
  wrong({ selection: 'across-modules', headRule: 'averaged' }, "headRule 'separate'");
  wrong({ inputAttention: false }, 'set active to modules');
  wrong({ inputAttention: false, active: 3, inputRows: 2 }, 'inputRows to 1');
  wrong({ rowWeights: true, inputBias: true }, 'do not go together');
});

test('a sequence of another shape', () => {
  const rim = RIM.paper(sizes, { seed: 1 });
  refused(ShapeError, () => rim(tensor(7, 2, 6)), 'x must be', '[2,6]');
  refused(ShapeError, () => rim(tensor(7, 5)), 'x must be [T,B,5]', '[7,5]');
  refused(ShapeError, () => rim(tensor(7, 2, 2, 5)), '[2,2,5]');
  const rows = RIM.paper({ ...sizes, inputRows: 2 }, { seed: 1 });
  refused(ShapeError, () => rows(tensor(7, 2, 5)), '[2,2,5]');
  refused(ShapeError, () => rows(tensor(7, 3, 10)), '[3,2,5]');
  // Rows and batch exchanged: as many elements, and a last size that fits.
  refused(
    ShapeError,
    () => rows(tensor(7, 2, 3, 5), { state: [{ h: tensor(3, 3, 4), c: tensor(3, 3, 4) }] }),
    '[3,2,5]',
    '[2,3,5]',
  );
});

test('a state, a mask or factors of another shape', () => {
  const rim = RIM.paper(sizes, { seed: 1 });
  const x = tensor(7, 2, 5);
  const h = tensor(2, 3, 4);
  refused(ShapeError, () => rim(x, { state: [{ h: tensor(2, 4, 3), c: h }] }), 'h must be [B,3,4]', '[2,4,3]');
  refused(ShapeError, () => rim(x, { state: [{ h, c: tensor(2, 3, 5) }] }), 'c must be [2,3,4]', '[2,3,5]');
  refused(OptionError, () => rim(x, { state: [{ h }] }), 'needs the state c');
  refused(ShapeError, () => rim(x, { mask: [tensor(7, 2, 1)] }), 'mask must be [2,3]', '[2,1]');
  refused(ShapeError, () => rim(x, { mask: [tensor(6, 2, 3)] }), '6 steps where 7');
  refused(ShapeError, () => rim(x, { mask: [tensor(8, 2, 3)] }), '8 steps where 7');
  refused(ShapeError, () => rim(x, { dropValues: [tensor(7, 2, 3, 1)] }), 'dropValues must be [2,3,16]');
  refused(ShapeError, () => rim(x, { dropProbabilities: [tensor(7, 2, 3, 2)] }), 'dropProbabilities must be [2,3,1,2]');
  refused(OptionError, () => rim(x, { mask: [] }), 'mask has 0 entries for 1 cells');
  refused(OptionError, () => rim(x, untyped({}, { masks: [] })), "Did you mean 'mask'?");
});

test('a cell refuses what a sequence refuses', () => {
  const cell = RIMCell.official(sizes, { seed: 1 });
  const state = { h: tensor(2, 3, 4), c: tensor(2, 3, 4) };
  refused(ShapeError, () => cell.step(tensor(3, 5), state), 'x must be [2,1,5] or [2,5]', '[3,5]');
  refused(ShapeError, () => cell.step(tensor(2, 5), { ...state, h: tensor(2, 12) }), 'h must be [B,3,4]');
  const { trace } = cell.step(tensor(2, 5), state);
  assert.equal(trace.mask.shape, [2, 3]);
  assert.equal(at(cell.variables, 0).name, 'rim.key');
});

test.run();
