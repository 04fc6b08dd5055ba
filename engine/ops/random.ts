// Random numbers on the device: dropout, and the state that makes every training run draw its own. Number `index` of a stream
// in run `step` is a pure function of (seed, stream, step, index), `deviceUniform` in ../random.ts, bit for bit: nothing but
// the count of the runs is carried. Inside a scan a mask is drawn for all steps at once, [T, ...shape], each step its own.
// In evaluation programs dropout is the identity and the count stands still. Streams of a state begin at 2^31: in its first
// run a device draws the host's numbers, and weights of the same seed count their streams from 0.

import {
  dropoutMask as dropoutMaskKernel,
  fill as fillKernel,
  increment as incrementKernel,
} from '../../kernels/catalogue.ts';
import { at, checkOptions, OptionError, ShapeError } from '../errors.ts';
import { applyOne, gridOf, type Op } from '../op.ts';
import { seedWords } from '../random.ts';
import { type Node, type Shape, sizeOf, type Tensor } from '../tensor.ts';
import type { Update, UpdateOp } from '../update.ts';
import { Variable } from '../variable.ts';
import { mul } from './elementwise.ts';

const WORKGROUP = 64;

/** The first stream of a state. */
const FIRST_STREAM = 2 ** 31;

/**
 * The random numbers of a model: a seed, the count of its training runs, and streams that keep its uses apart. The same
 * model built in the same order from the same seed draws the same numbers. The counter is part of a checkpoint.
 */
export class RandomState {
  /** An integer from 0 to 2^53 - 1. */
  readonly seed: number;
  /** u32 [1]: training runs done. A run draws with its value, then adds 1. */
  readonly counter: Variable;
  #streams = FIRST_STREAM;

  /**
   * @param options `seed`: an integer from 0 to 2^53 - 1. `name`: of the counter in files, 'random' where left out
   * @throws OptionError for a seed that is none
   */
  constructor(options: { readonly seed: number; readonly name?: string }) {
    checkOptions('RandomState', options, ['seed', 'name']);
    seedWords(options.seed);
    this.seed = options.seed;
    this.counter = new Variable(options.name ?? 'random', [1], new Uint32Array(1));
  }

  /** What a checkpoint must hold. */
  get variables(): readonly Variable[] {
    return [this.counter];
  }

  /** A stream that no earlier use of this state has: 2^31, 2^31 + 1, ... */
  nextStream(): number {
    return this.#streams++;
  }
}

interface DropoutMaskAttrs {
  readonly rate: number;
  readonly seed: number;
  readonly stream: number;
  readonly shape: Shape;
}

/** Input: the counter of the runs, u32 [1]. Output: 0 or 1 / (1 - rate); in evaluation programs 1 everywhere. */
const dropoutMaskOp: Op<DropoutMaskAttrs> = {
  name: 'dropoutMask',
  random: true,
  infer: ([counter], { shape, rate }) => {
    if (counter === undefined || counter.dtype !== 'u32' || counter.size !== 1) {
      throw new ShapeError('dropoutMask: its counter must be u32 [1], that of a RandomState');
    }
    checkRate(rate);
    if (sizeOf(shape) > 2 ** 32) {
      throw new ShapeError(
        `dropoutMask: ${sizeOf(shape)} elements are over the 2^32 numbers of a stream; use fewer time steps`,
      );
    }
    return [{ shape, dtype: 'f32' }];
  },
  plan: (emit, { outputs, attrs: { rate, seed, stream } }) => {
    const count = at(outputs, 0).size;
    const workgroups = gridOf(count, WORKGROUP);
    if (!emit.training) {
      emit.call(fillKernel, { buffers: { output: at(emit.outputs, 0) }, uniforms: { count, value: 1 }, workgroups });
      return;
    }
    const [keyLow, keyHigh] = seedWords(seed);
    emit.call(dropoutMaskKernel, {
      buffers: { step: at(emit.inputs, 0), y: at(emit.outputs, 0) },
      // A number k / 2^24 keeps where it is at least the rate: where k is at least this whole number.
      uniforms: { count, keyLow, keyHigh, stream, threshold: Math.ceil(rate * 2 ** 24), scale: 1 / (1 - rate) },
      workgroups,
      operations: 100 * count,
    });
  },
  overTime: ({ node, steps, attrs }) => [
    applyOne(dropoutMaskOp, [at(node.inputs, 0)], { ...attrs, shape: [steps, ...attrs.shape] }),
  ],
};

/**
 * Dropout (Srivastava et al., JMLR 15, 2014): in training each element is 0 with probability `rate`, else x / (1 - rate);
 * in evaluation programs it is x. Every call has masks of its own, which every training run and every step of a scan draws
 * anew; the gradient passes through the same mask.
 * @param options `rate` from 0 to below 1; `random`: the state that it draws from
 * @throws OptionError for a rate outside of that
 */
export function dropout(x: Tensor, options: { readonly rate: number; readonly random: RandomState }): Tensor {
  checkOptions('dropout', options, ['rate', 'random']);
  const { rate, random } = options;
  checkRate(rate);
  // A rate of 0 takes a stream too, so that the masks of later uses do not depend on it.
  const stream = random.nextStream();
  if (rate === 0) return x;
  return mul(x, applyOne(dropoutMaskOp, [random.counter], { rate, seed: random.seed, stream, shape: x.shape }));
}

/**
 * The factors by which dropout multiplies: in training 0 with probability `rate`, else 1 / (1 - rate); in evaluation 1.
 * Where the first axis is time, they are those that `dropout` of a step draws inside of a scan.
 * @throws OptionError for a rate outside of 0 to below 1
 */
export function dropoutMask(
  shape: Shape,
  { rate, random }: { readonly rate: number; readonly random: RandomState },
): Tensor {
  checkRate(rate);
  return applyOne(dropoutMaskOp, [random.counter], { rate, seed: random.seed, stream: random.nextStream(), shape });
}

/** The counter that a node draws with, where it draws: a program that trains advances it once a run. @internal */
export function counterOf(node: Node): Variable | undefined {
  const [counter] = node.op === dropoutMaskOp ? node.inputs : [];
  return counter instanceof Variable ? counter : undefined;
}

const advanceOp: UpdateOp = {
  name: 'advance',
  plan: (emit) => {
    emit.call(incrementKernel, {
      buffers: { verdict: emit.verdict ?? emit.zero(), counter: at(emit.outputs, 0) },
      uniforms: { by: 1 },
      workgroups: [1, 1, 1],
    });
  },
};

/** Adds 1 to a u32 counter [1], modulo 2^32: the random state of the next run. @throws ShapeError for any other Variable */
export function advance(counter: Variable): Update {
  if (counter.dtype !== 'u32' || counter.size !== 1) {
    throw new ShapeError(`advance: '${counter.name}' must be one u32 number, as the counter of a RandomState is`);
  }
  return { op: advanceOp, variables: [counter], inputs: [], attrs: {} };
}

/** The rows of this file, for tables of all ops. */
export const randomOps: readonly Op[] = [dropoutMaskOp] as readonly Op[];

function checkRate(rate: number): void {
  if (!(rate >= 0 && rate < 1)) {
    throw new OptionError(
      `dropout: the rate is ${rate}; use a number from 0 to below 1, the share of elements that become 0`,
    );
  }
}
