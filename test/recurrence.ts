// What the tests of scan stand on: the same recurrence written out step by step, a loss in which everything counts, and a
// small recurrent net. It tests nothing itself.
import { at } from '../engine/errors.ts';
import {
  add,
  concat,
  constant,
  fill,
  matmul,
  mul,
  reshape,
  type Step,
  slice,
  sum,
  type Tensor,
  type TensorRecord,
  type Tensors,
  tanh,
} from '../engine/node.ts';
import { normalArray } from '../engine/random.ts';

let streams = 0;

/** A tensor of normal numbers, another one at each call. */
export function drawn(...shape: number[]): Tensor {
  const size = shape.reduce((product, n) => product * n, 1);
  return constant(normalArray(size, { seed: 7, stream: streams++, std: 0.5 }), shape);
}

export interface Recurrence<X extends TensorRecord, S extends TensorRecord, O extends TensorRecord> {
  readonly cell: (x: Tensors<X>, state: Tensors<S>) => Step<Tensors<S>, O>;
  readonly inputs: X;
  readonly state: S;
  readonly steps?: number;
  readonly reverse?: boolean;
  /** Gradients are taken with respect to these, besides f32 inputs and states. */
  readonly weights?: readonly Tensor[];
}

/** The recurrence without a scan. */
export function unrolled<X extends TensorRecord, S extends TensorRecord, O extends TensorRecord>(
  { cell, inputs, state, reverse = false }: Recurrence<X, S, O>,
  steps: number,
): { outputs: TensorRecord; state: Tensors<S> } {
  const history: O[] = [];
  let now: Tensors<S> = state;
  for (let i = 0; i < steps; i++) {
    const t = reverse ? steps - 1 - i : i;
    const x = mapRecord(inputs, (each) => reshape(slice(each, 0, t, 1), each.shape.slice(1))) as Tensors<X>;
    const step = cell(x, now);
    now = step.state;
    history.push(step.output);
  }
  if (reverse) history.reverse();
  const stack = (name: string): Tensor =>
    concat(
      history.map((output) => {
        const each = named(output, name);
        return reshape(each, [1, ...each.shape]);
      }),
      0,
    );
  return { outputs: Object.fromEntries(Object.keys(at(history, 0)).map((name) => [name, stack(name)])), state: now };
}

/** A loss in which every element of every tensor counts differently. */
export function lossOf(tensors: readonly Tensor[], seed: number): Tensor {
  const terms = tensors
    .filter(({ dtype }) => dtype === 'f32')
    .map((t, stream) => sum(mul(t, constant(normalArray(t.size, { seed, stream }), t.shape))));
  return terms.reduce((total, term) => add(total, term), fill(0, []));
}

function mapRecord(record: TensorRecord, f: (tensor: Tensor) => Tensor): TensorRecord {
  return Object.fromEntries(Object.entries(record).map(([name, tensor]) => [name, f(tensor)]));
}

export function named(record: TensorRecord, name: string): Tensor {
  const tensor = record[name];
  if (tensor === undefined) throw new Error(`no tensor ${name}`);
  return tensor;
}

/** A recurrent net of one layer over random inputs [T,B,D], with H units and their readout. */
export function elman(
  T: number,
  B: number,
  D: number,
  H: number,
): Recurrence<{ x: Tensor }, { h: Tensor }, { y: Tensor }> & { readonly weights: readonly Tensor[] } {
  const [wx, wh, wy] = [drawn(D, H), drawn(H, H), drawn(H, D)];
  return {
    cell: ({ x }, { h }) => {
      const next = tanh(add(matmul(x, wx), matmul(h, wh)));
      return { state: { h: next }, output: { y: matmul(next, wy) } };
    },
    inputs: { x: drawn(T, B, D) },
    state: { h: drawn(B, H) },
    weights: [wx, wh, wy],
  };
}
