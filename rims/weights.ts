// The weights of a cell: names, shapes and initial values, in one table. Every matrix acts as y = x w.

import { initialisers, Variable } from '../engine/core.ts';
import type { CellOptions } from './options.ts';

/** The names of a cell's weights. Which of them there are depends on the options. */
export type WeightName =
  | 'key'
  | 'keyBias'
  | 'value'
  | 'valueBias'
  | 'query'
  | 'inputGates'
  | 'stateGates'
  | 'inputGatesBias'
  | 'stateGatesBias'
  | 'commQuery'
  | 'commKey'
  | 'commValue'
  | 'commOutput'
  | 'commOutputBias'
  | 'commGate'
  | 'commGateBias';

/** The weights of one cell, by name. */
export type Weights = Readonly<Partial<Record<WeightName, Variable>>>;

/** Chunks of a gate matrix: r z n, or i f g o. */
export function gateCount(cell: CellOptions['cell']): 3 | 4 {
  return cell === 'gru' ? 3 : 4;
}

/** A row of the table of weights. */
type WeightRow = readonly [present: boolean, shape: readonly number[], initial: initialisers.Initialiser];

function weightTable(options: CellOptions): Readonly<Record<WeightName, WeightRow>> {
  const { inputSize: D, hiddenSize: H, modules: N, inputRows: R, inputHeads: I, keySize: E, valueSize: V } = options;
  const { commHeads: C, commKeySize: F, commValueSize: W } = options;
  const G = gateCount(options.cell);
  const gateInputs = options.headRule === 'averaged' ? V : I * V;
  const row = options.rowWeights ? [R + 1] : [];
  const own = options.commShared ? [] : [N];
  const attention = options.inputAttention;
  const comm = options.communication;
  const small = initialisers.normal(0.01);
  const fanIn = (size: number): initialisers.Initialiser => initialisers.uniform(1 / Math.sqrt(size));
  const matrix = (size: number): initialisers.Initialiser => (options.initialisation === 'small' ? small : fanIn(size));
  // dido's keys and values are ordinary linear layers, with their default values.
  const rows = options.inputBias ? fanIn(D) : matrix(D);
  const recurrent = fanIn(options.initialisation === 'small' && options.cellBias ? N * H : H);

  return {
    key: [attention, [...row, D, I * E], rows],
    keyBias: [attention && options.inputBias, [I * E], fanIn(D)],
    value: [true, [...row, D, I * V], rows],
    valueBias: [options.inputBias, [I * V], fanIn(D)],
    query: [attention, [N, H, I * E], matrix(H)],
    inputGates: [true, [N, gateInputs, G * H], recurrent],
    stateGates: [true, [N, H, G * H], recurrent],
    inputGatesBias: [options.cellBias, [N, G * H], recurrent],
    stateGatesBias: [options.cellBias, [N, G * H], recurrent],
    commQuery: [comm, [N, H, C * F], matrix(H)],
    commKey: [comm, [N, H, C * F], matrix(H)],
    commValue: [comm, [N, H, C * W], matrix(H)],
    commOutput: [comm, [...own, C * W, H], options.commBias ? fanIn(C * W) : matrix(C * W)],
    commOutputBias: [comm && options.commBias, [...own, H], fanIn(C * W)],
    commGate: [
      comm && options.commOutput === 'gated',
      [...own, C * W, H],
      options.commBias ? fanIn(C * W) : matrix(C * W),
    ],
    commGateBias: [comm && options.commOutput === 'gated' && options.commBias, [...own, H], fanIn(C * W)],
  };
}

/** How many numbers all weights of a cell have together, without making them. */
export function weightCount(options: CellOptions): number {
  return Object.values(weightTable(options)).reduce((sum, [present, shape]) => {
    return sum + (present ? shape.reduce((product, size) => product * size, 1) : 0);
  }, 0);
}

/**
 * Makes the weights of a cell, seeded.
 * @param name the prefix of their names in files
 * @param stream the first stream of random numbers to use; the weights take 16
 */
export function makeWeights(
  options: CellOptions,
  name: string,
  random: { readonly seed: number; readonly stream: number },
): Weights {
  const table = weightTable(options);
  const weights: Partial<Record<WeightName, Variable>> = {};
  (Object.keys(table) as WeightName[]).forEach((weight, i) => {
    const [present, shape, initial] = table[weight];
    if (!present) return;
    const stream = random.stream + i;
    weights[weight] = new Variable(`${name}.${weight}`, shape, initial(shape, { seed: random.seed, stream }));
  });
  return weights;
}
