// What the tests of a RIM's laws share: options drawn by fast-check, and a cell made into one program that computes a step and
// its gradients from fed inputs, states and masks, so that many laws are asked of one compiled program. It tests nothing itself.
import fc from 'fast-check';
import { at, need } from '../engine/errors.ts';
import {
  add,
  compile,
  type Data,
  type Device,
  grad,
  input,
  mul,
  type Program,
  type Shape,
  sum,
  type Tensor,
  type Variable,
} from '../engine/node.ts';
import { normalArray } from '../engine/random.ts';
import { sizeOf } from '../engine/tensor.ts';
import { type CellOptions, presetOptions, RIMCell } from '../rims/index.ts';

const small = fc.constantFrom(1, 2, 3, 5);
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 2 });
const rarely = (value: boolean): fc.Arbitrary<boolean> => fc.constantFrom(!value, !value, !value, !value, value);

const drawn = fc.record({
  preset: fc.constantFrom('paper', 'official', 'dido'),
  part: fc.double({ min: 0, max: 1, noNaN: true }),
  commPart: fc.constantFrom(1, 1, 0.5, 0.01),
  attention: rarely(false),
  sizes: fc.record({
    ...{
      inputSize: fc.constantFrom(1, 3, 7),
      hiddenSize: fc.constantFrom(1, 3, 4, 9),
      modules: fc.constantFrom(1, 2, 3, 4, 5, 6, 7),
    },
    ...{ keySize: small, valueSize: small, commKeySize: small, commValueSize: small },
    ...{
      inputRows: fc.constantFrom(1, 1, 2, 3),
      inputHeads: fc.integer({ min: 1, max: 3 }),
      commHeads: fc.integer({ min: 1, max: 3 }),
    },
    ...{ cell: fc.constantFrom<CellOptions['cell']>('lstm', 'gru'), communication: rarely(false) },
  }),
  given: fc.record({
    headRule: maybe(fc.constantFrom('separate', 'averaged')),
    selection: maybe(fc.constantFrom('least-null', 'raw-score', 'across-modules')),
    sources: maybe(fc.constantFrom('kept', 'candidate')),
    inactiveInput: maybe(fc.constantFrom('attended', 'zero')),
    commOutput: maybe(fc.constantFrom('residual', 'gated')),
    commShared: maybe(fc.boolean()),
    commBias: maybe(fc.boolean()),
    cellBias: maybe(fc.boolean()),
    sparseInput: maybe(fc.boolean()),
  }),
});

/** Possible options of a cell: any preset, some of its choices changed, small odd sizes. */
export const drawnOptions: fc.Arbitrary<CellOptions> = drawn.map(
  ({ preset, part, commPart, attention, sizes, given }) => {
    const { modules } = sizes;
    const chosen = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    const options = presetOptions(preset, {
      ...sizes,
      active: attention ? 1 + Math.round(part * (modules - 1)) : modules,
      inputAttention: attention,
      commTopK: Math.max(1, Math.round(commPart * modules)),
      ...(attention ? {} : { inputRows: 1 }),
    });
    const all: CellOptions = { ...options, ...chosen };
    const oneRow = all.inputRows === 1 && all.headRule === 'separate';
    return { ...all, selection: all.selection === 'across-modules' && !oneRow ? options.selection : all.selection };
  },
);

/** B of the drawn laws. */
export const BATCH = 3;

/** The elements of tensors by name. */
export type Numbers = Readonly<Record<string, Float32Array>>;

/** Seeded normal numbers. */
export function normals(shape: Shape, stream: number, std = 1): Float32Array {
  return normalArray(sizeOf(shape), { seed: 23, stream, std });
}

/** Writes seeded numbers into the weights, large enough that scores lie apart. Equal calls write equal numbers. */
export function fillWeights(variables: readonly Variable[]): void {
  variables.forEach((variable, i) => {
    variable.write(normals(variable.shape, 1000 + i, 0.7));
  });
}

/** f32 numbers of a read. */
export function floats(data: Data): Float32Array {
  return Float32Array.from(data);
}

/** True where the same bits stand in [start, start + length) of both. */
export function sameBits(a: Float32Array, b: Float32Array, start = 0, length: number = a.length - start): boolean {
  const bits = (x: Float32Array): Uint32Array => new Uint32Array(x.slice(start, start + length).buffer);
  const [left, right] = [bits(a), bits(b)];
  return a.length === b.length && left.every((word, i) => word === right[i]);
}

/**
 * One cell as one program: a step from fed x, h, c and imposed mask, and the gradients of sum(h' · wh) + sum(c' · wc).
 * Results: h, c, mask, scores and commScores where there are any, dh, dc, and `d.<name>` of every weight.
 */
export class Subject {
  readonly options: CellOptions;
  readonly cell: RIMCell;
  /** What is fed where a run gives nothing else; the mask leaves every choice to the cell. */
  readonly feeds: Numbers;
  readonly #program: Program;
  #base: Promise<Numbers> | undefined;

  static async make(device: Device, options: CellOptions): Promise<Subject> {
    const { modules: N, hiddenSize: H, inputSize: D, inputRows: R } = options;
    const cell = new RIMCell(options, { seed: 1 });
    fillWeights(cell.variables);
    const lstm = options.cell === 'lstm';
    const state = [BATCH, N, H];
    const shapes: Record<string, Shape> = {
      x: [BATCH, R, D],
      h: state,
      mask: [BATCH, N],
      wh: state,
      ...(lstm && { c: state, wc: state }),
    };
    const inputs = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, input(name, shape)]));
    const given = (name: string): Tensor => need(inputs[name], name);
    const before = { h: given('h'), ...(lstm && { c: given('c') }) };
    const { state: after, trace } = cell.step(given('x'), before, { mask: given('mask') });
    const loss = sum(mul(after.h, given('wh')));
    const whole = after.c === undefined ? loss : add(loss, sum(mul(after.c, given('wc'))));
    const wrt: Record<string, Tensor> = { h: given('h'), ...(lstm && { c: given('c') }) };
    const weights = Object.entries(cell.weights);
    const gradients = grad(whole, [...Object.values(wrt), ...cell.variables]);
    const outputs: Record<string, Tensor> = {
      ...{ h: after.h, mask: trace.mask },
      ...(after.c && { c: after.c }),
      ...(trace.scores && { scores: trace.scores }),
      ...(trace.commScores && { commScores: trace.commScores }),
      ...Object.fromEntries(Object.entries(wrt).map(([name, t]) => [`d${name}`, gradients.of(t)])),
      ...Object.fromEntries(weights.map(([name, w]) => [`d.${name}`, gradients.of(w)])),
    };
    const program = await compile(device, outputs);
    const feeds = Object.fromEntries(Object.entries(shapes).map(([name, shape], i) => [name, normals(shape, i)]));
    feeds.mask = new Float32Array(BATCH * N).fill(-1);
    // A zero of either sign, and a number near the smallest, must come through as well.
    need(feeds.h, 'h').set([-0, 1e-30].slice(0, H));
    return new Subject(options, cell, feeds, program);
  }

  private constructor(options: CellOptions, cell: RIMCell, feeds: Numbers, program: Program) {
    this.options = options;
    this.cell = cell;
    this.feeds = feeds;
    this.#program = program;
  }

  /** The step with some feeds replaced. */
  async run(feeds: Numbers = {}): Promise<Numbers> {
    await this.#program.run({ ...this.feeds, ...feeds });
    const names = [...this.#program.plan.outputs.keys()];
    const values = await Promise.all(names.map((name) => this.#program.read(name)));
    return Object.fromEntries(names.map((name, i) => [name, floats(at(values, i))]));
  }

  /** The step with nothing replaced. */
  base(): Promise<Numbers> {
    this.#base ??= this.run();
    return this.#base;
  }

  /** Every (batch row, module). */
  *modules(): Generator<{ readonly place: number; readonly row: number; readonly module: number }> {
    const { modules: N } = this.options;
    for (let place = 0; place < BATCH * N; place++) yield { place, row: Math.floor(place / N), module: place % N };
  }

  dispose(): void {
    this.#program.dispose();
    for (const variable of this.cell.variables) variable.dispose();
  }
}

/** A tensor of a result, or an error where it is missing. */
export function of(numbers: Numbers, name: string): Float32Array {
  return need(numbers[name], name);
}
