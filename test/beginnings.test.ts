// How large the weights of the systems begin: the root of their mean square, weight by weight, against what their sources say, as
// formulas of their sizes. What begins as a constant is that constant.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dnc, entnet, gru, indrnn, lstm, ntm, rmc, transformer } from '../bench/baselines/index.ts';
import type { SequenceModel } from '../bench/baselines/sequence-model.ts';
import { at } from '../engine/errors.ts';

/** Names without the system's, and how large what they fit begins, from its shape: drawn numbers, or a constant. */
type Rule = readonly [names: RegExp, size: (shape: readonly number[]) => number, kind?: 'constant'];

const [D, H] = [32, 64];
const zero = (names: RegExp): Rule => [names, () => 0, 'constant'];
const one = (names: RegExp): Rule => [names, () => 1, 'constant'];
/** U(-b, b) */
const within = (bound: number) => (): number => bound / Math.sqrt(3);
/** PyTorch's recurrent layers: U(±1/sqrt(H)). */
const pytorch = within(1 / Math.sqrt(H));
/** Glorot and Bengio's: a variance of 2/(in + out). */
const glorot = (shape: readonly number[]): number =>
  Math.sqrt(2 / (at(shape, shape.length - 2) + at(shape, shape.length - 1)));
/** pytorch-ntm's heads: Glorot and Bengio's with a gain of 1.4, over all parts of a head as one matrix. */
const head = (says: number) => (): number => 1.4 * Math.sqrt(2 / (H + says));
/** He's with the slope 8, a variance of 2 / (1 + 8²) / in. */
const he = ([from = 0]: readonly number[]): number => Math.sqrt(2 / 65 / from);
/** A variance of 1/in. */
const fanIn = ([from = 0]: readonly number[]): number => Math.sqrt(1 / from);
const lstmGates: Rule = [/^(input|read|state)(Gates|Bias)$/, pytorch];

const sized = { inputSize: D, hiddenSize: H };
const systems: readonly (readonly [make: () => SequenceModel, rules: readonly Rule[]])[] = [
  [() => lstm(sized, { seed: 1 }), [lstmGates]],
  [() => gru(sized, { seed: 1 }), [lstmGates]],
  [
    () => indrnn({ ...sized, layers: 2, normalise: true, memory: 50 }, { seed: 1 }),
    [
      [/\.input$/, he],
      [/^layer1\.factors$/, () => 1 / Math.sqrt(3)],
      [/^layer2\.factors$/, () => (1 + 5 ** (-1 / 50)) / 2],
      zero(/\.(bias|normBias)$/),
      one(/\.norm$/),
    ],
  ],
  [
    () => entnet({ inputSize: D, slots: 8, slotSize: H, gateBias: true }, { seed: 1 }),
    [[/^(keys|\w+Weight|gateBias)$/, () => 0.1], [/^projection$/, within(1 / Math.sqrt(D))], one(/^slope$/)],
  ],
  [
    () => rmc({ inputSize: D, slots: 4, heads: 4, headSize: 16 }, { seed: 1 }),
    [
      [/^input$|\.(attention|weight|input|memory)$/, fanIn],
      one(/\.(attentionNorm|norm[12])$|^forgetGate\.bias$/),
      zero(/(Bias|mlp\d\.bias|inputGate\.bias)$/),
    ],
  ],
  [
    () => ntm({ ...sized, slots: 16, slotSize: 20 }, { seed: 1 }),
    // Two heads, each with a key of 20, three shifts, a strength, a gate and a sharpening; one erases and adds 20.
    [lstmGates, [/Bias$/, () => 0.01], [/^\w+s$/, head(2 * (20 + 3 + 3) + 2 * 20)]],
  ],
  [
    () => dnc({ ...sized, slots: 16, slotSize: 16, readHeads: 4 }, { seed: 1 }),
    // Four reading heads, each with a key of 16, a strength, a free gate and three modes; a write key, erase and add of 16, and three scalars.
    [lstmGates, [/Bias$/, () => 0.01], [/^\w+$/, head(4 * (16 + 1 + 1 + 3) + 3 * 16 + 3)]],
  ],
  [
    () => transformer({ inputSize: D, width: H, positions: 'learned', longest: 50, norm: 'pre' }, { seed: 1 }),
    [
      [/^positions$/, () => 1 / Math.sqrt(H)],
      zero(/Bias$/),
      one(/norm\d?$/),
      [/^input$|\.(attention|output|expand|contract)$/, glorot],
    ],
  ],
];

for (const [make, rules] of systems) {
  const model = make();
  test(`${model.system}: every weight begins as large as it should`, async () => {
    const used = new Set<Rule>();
    for (const variable of model.variables) {
      const name = variable.name.slice(model.system.length + 1);
      const rule = rules.find(([names]) => names.test(name));
      if (rule === undefined) throw new Error(`no rule for ${name}`);
      used.add(rule);
      const [, size, kind] = rule;
      const values = [...(await variable.read())];
      const expected = size(variable.shape);
      if (kind === 'constant') {
        assert.ok(
          values.every((value) => value === expected),
          `${name} is not ${expected} everywhere`,
        );
        continue;
      }
      assert.ok(values.length < 2 || new Set(values).size > 1, `${name} is a constant`);
      const found = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
      // The spread of a root mean square of n normal numbers is 1/sqrt(2n) of it; other distributions here have less.
      const error = Math.abs(found / expected - 1) * Math.sqrt(2 * values.length);
      assert.ok(error < 5, `${name} begins at ${found}, and ${expected} is expected: off by ${error} standard errors`);
    }
    assert.is(used.size, rules.length, 'a rule fits nothing');
  });
}

test.run();
