// The LSTM that drives a memory, in the NTM and in the DNC: it sees the input and what was read a step before, and everything that
// it tells the memory is linear in its h.
//
// Always: `[i f g o] = x·inputGates + inputBias + stateBias + reads·readGates + h·stateGates`; the product with x is made for all
// steps at once. Each part of what it says is a product of its own: cut out of one wide product it would cost as many calls forward,
// which are copies, and one more backward. Weights of the LSTM begin as PyTorch's, uniform within 1/sqrt(H); those of
// the parts uniform after Glorot and Bengio with gain 1.4, as one matrix, their biases N(0, 0.01²): so pytorch-ntm (head.py) begins
// the parts of one head.

import { add, initialisers, matmul, reshape, type Shape, type Tensor, type Variable } from '../../engine/core.ts';
import { sizeOf } from '../../engine/tensor.ts';
import { lstmStep } from './lstm-cell.ts';
import { weightMaker } from './weights.ts';

/** Sizes of a controller. */
export interface ControllerOptions<Part extends string> {
  /** D: size of the input. */
  readonly inputSize: number;
  /** H: hidden size. */
  readonly hiddenSize: number;
  /** How many numbers are read from the memory in a step. */
  readonly readSize: number;
  /** The parts of what it says, and the shape of each for one row of the batch. */
  readonly says: Readonly<Record<Part, Shape>>;
}

/** An LSTM that drives a memory. */
export interface Controller<Part extends string> {
  /** All weights, by the names that files have behind the system's. */
  readonly weights: Readonly<Record<string, Variable>>;
  /** The same in their order. */
  readonly variables: readonly Variable[];
  /** h and c [B,H] after a step. @param x [B,D] @param reads [B, ...], as many numbers a row as `readSize` */
  step(x: Tensor, reads: Tensor, state: { readonly h: Tensor; readonly c: Tensor }): { h: Tensor; c: Tensor };
  /** What it says to the memory, [B, ...shape of the part], before any function of it. @param h [B,H] */
  say(part: Part, h: Tensor): Tensor;
}

/** Makes a controller. @param system whose controller it is, and what its weights are named after */
export function makeController<Part extends string>(
  system: string,
  { inputSize: D, hiddenSize: H, readSize, says }: ControllerOptions<Part>,
  { seed }: { readonly seed: number },
): Controller<Part> {
  const make = weightMaker(system, seed);
  const gates = initialisers.uniform(1 / Math.sqrt(H));
  const inputGates = make('inputGates', [D, 4 * H], gates);
  const readGates = make('readGates', [readSize, 4 * H], gates);
  const stateGates = make('stateGates', [H, 4 * H], gates);
  const inputBias = make('inputBias', [4 * H], gates);
  const stateBias = make('stateBias', [4 * H], gates);

  const parts = Object.entries<Shape>(says);
  const fanOut = parts.reduce((sum, [, shape]) => sum + sizeOf(shape), 0);
  const [map, bias] = [initialisers.xavierUniform({ fanOut, gain: 1.4 }), initialisers.normal(0.01)];
  const linear = Object.fromEntries(
    parts.map(([name, shape]) => [
      name,
      { weight: make(name, [H, sizeOf(shape)], map), bias: make(`${name}Bias`, [sizeOf(shape)], bias) },
    ]),
  ) as Readonly<Record<Part, { readonly weight: Variable; readonly bias: Variable }>>;

  return {
    weights: Object.fromEntries(make.variables.map((each) => [each.name.slice(system.length + 1), each])),
    variables: make.variables,
    step: (x, reads, state) => {
      const ofInput = matmul(x, inputGates, add(inputBias, stateBias));
      const ofReads = matmul(reshape(reads, [-1, readSize]), readGates, ofInput);
      return lstmStep(ofReads, state, stateGates).state;
    },
    say: (part, h) => {
      const said = matmul(h, linear[part].weight, linear[part].bias);
      return reshape(said, [-1, ...says[part]]);
    },
  };
}
