// What the tests let sequence models learn: a training on a small task, and how well the task is done then. It tests nothing itself.

import type { SequenceModel } from '../bench/baselines/index.ts';
import type { Task } from '../bench/tasks/index.ts';
import { at, need } from '../engine/errors.ts';
import * as ops from '../engine/node.ts';
import { theDevice } from './on-adapter.ts';

/** A task, as far as a training needs it. */
export type Lesson = Pick<Task, 'input' | 'scores' | 'scored' | 'steps' | 'target' | 'batch' | 'measures'>;

/** How it is learned. */
export interface Training {
  /** The task's. */
  readonly setting: number;
  readonly batch: number;
  readonly steps: number;
  readonly learningRate: number;
  readonly seed: number;
  /** Standard deviation with which embeddings of symbols begin; 1 where left out. */
  readonly embedding?: number;
}

/** Trains with Adam; gives the mean figures of 4 test batches. @param make a model for an input size; symbols are embedded in 16 numbers */
export async function learn(
  make: (inputSize: number) => SequenceModel,
  lesson: Lesson,
  { setting, batch, steps, learningRate, seed, embedding = 1 }: Training,
): Promise<Readonly<Record<string, number>>> {
  const { input, scores: count, scored } = lesson;
  const T = lesson.steps(setting);
  const symbols = input.kind === 'symbols';
  const size = symbols ? 16 : input.size;
  const model = make(size);
  const x = symbols ? ops.input('x', [T, batch], 'u32') : ops.input('x', [T, batch, size]);
  const { shape, dtype } = lesson.target(setting, batch);
  const y = ops.input('y', shape, dtype);
  const weight = ops.initialisers.normal(embedding);
  const embed = symbols ? ops.embedding({ tokens: input.tokens, size }, { seed, weight }) : undefined;
  const readout = ops.linear({ from: model.outputSize, to: count }, { seed });
  const { hidden } = model(embed === undefined ? x : embed(x));
  const last = ops.reshape(ops.slice(hidden, 0, T - 1, 1), [batch, model.outputSize]);
  const { loss, figures } = lesson.measures(readout(scored === 'every step' ? hidden : last), y, setting);

  const weights = [...(embed?.variables ?? []), ...model.variables, ...readout.variables];
  const updates = ops.adam(ops.grad(loss, weights), { learningRate, clipNorm: 1 });
  const train = await ops.compile(theDevice(), {}, updates);
  const measure = await ops.compile(theDevice(), figures);
  const request = { setting, batch, seed };
  for (let index = 0; index < steps; index++) await train.run(lesson.batch({ ...request, split: 'train', index }));
  const sums = new Map(Object.keys(figures).map((name) => [name, 0]));
  for (let index = 0; index < 4; index++) {
    await measure.run(lesson.batch({ ...request, split: 'test', index }));
    for (const name of sums.keys()) sums.set(name, need(sums.get(name), name) + at(await measure.read(name), 0) / 4);
  }
  for (const each of [train, measure, ...weights, ...updates.variables]) each.dispose();
  return Object.fromEntries(sums);
}
