// The meaning of engine/ops/random.ts: a dropout mask, bit for bit the numbers that engine/random.ts defines for a device.

import { at } from '../../engine/errors.ts';
import { deviceUniform } from '../../engine/random.ts';
import { sizeOf } from '../../engine/tensor.ts';
import { type Meanings, means } from './meaning.ts';

interface Drawing {
  readonly rate: number;
  readonly seed: number;
  readonly stream: number;
}

/** Meanings of random numbers. */
export const randomMeanings: Meanings = {
  dropoutMask: means<Drawing>((inputs, { rate, seed, stream }, { shape }, { training }) => {
    const step = at(at(inputs, 0).data, 0);
    const keep = (i: number): number => (deviceUniform(seed, stream, step, i) >= rate ? 1 / (1 - rate) : 0);
    return { shape, data: Float64Array.from({ length: sizeOf(shape) }, (_, i) => (training ? keep(i) : 1)) };
  }),
};
