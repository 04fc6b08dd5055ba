// The programs of a training: what a step computes and updates, and what an evaluation measures.
//
// Always: they are graphs only, so that they can be planned without a device. Not here: running them (train.ts, evaluation.ts).

import {
  adam,
  type Data,
  grad,
  input,
  type Shape,
  slice,
  type Tensor,
  type Update,
  type Variable,
} from '../engine/core.ts';
import { at, LimitError } from '../engine/errors.ts';
import type { Forward, TaskModel } from './models.ts';
import type { MainOptions } from './options.ts';
import type { Task, TaskBatch, TaskMeasures } from './tasks/index.ts';

/** What a program computes, and what it changes. */
export interface ProgramParts {
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly updates: readonly Update[];
}

/** What a training step is made from. */
export type StepOptions = Pick<MainOptions, 'batch' | 'learningRate' | 'clip'>;

/** A training step of a model at one setting: the task's loss as `loss`, its figures by their names, and Adam's updates and state. */
export function trainingProgram(
  model: TaskModel,
  task: Task,
  setting: number,
  options: StepOptions,
): ProgramParts & { readonly state: readonly Variable[] } {
  const { loss, figures } = measures(model, task, setting, options.batch);
  const clip = options.clip === 0 ? {} : { clipNorm: options.clip };
  const name = `${model.name.toLowerCase()}.adam`;
  const updates = adam(grad(loss, model.variables), { name, learningRate: options.learningRate, ...clip });
  return { outputs: { ...figures, loss }, updates, state: updates.variables };
}

/** The task's figures at one setting, for so many sequences. */
export function evaluationProgram(model: TaskModel, task: Task, setting: number, batch: number): ProgramParts {
  return { outputs: measures(model, task, setting, batch).figures, updates: [] };
}

/** Every step of so many sequences: the `scores`, and what is in the trace of the model, by its names, [T,B, ...]. */
export function traceProgram(model: TaskModel, task: Task, setting: number, batch: number): ProgramParts {
  const { scores, trace } = model.forward(inputOf(task, setting, batch));
  return { outputs: { ...trace, scores }, updates: [] };
}

/**
 * A look into a RIM at sequences of one setting, with a feed `imposed` f32 [T,B,N] that can switch modules off: the figures over
 * the batch, and of its first sequence `scores` [T,1,O], or [1,O] of the last step alone, `mask` [T,1,N], `inputAttention` [T,1,N,I,S] and `communicationAttention`
 * [T,1,C,N,N], the last two where the options have them.
 */
export function lookProgram(
  model: TaskModel,
  task: Task,
  setting: number,
  { batch, modules }: Pick<MainOptions, 'batch' | 'modules'>,
): ProgramParts {
  const imposed = input('imposed', [task.steps(setting), batch, modules]);
  const { figures, scores, trace } = measures(model, task, setting, batch, imposed);
  const first = (tensor: Tensor): Tensor => slice(tensor, 1, 0, 1);
  const seen = Object.entries(trace).map(([name, tensor]) => [name, first(tensor)] as const);
  const answers = task.scored === 'every step' ? first(scores) : slice(scores, 0, 0, 1);
  return { outputs: { ...figures, ...Object.fromEntries(seen), scores: answers }, updates: [] };
}

/**
 * What `make` makes for a part of a batch: all of it, or half, a quarter, ... where a device cannot hold more at once.
 * @throws LimitError where a batch that cannot be halved is still too large; what else `make` throws
 */
export async function inParts<T>(
  batch: number,
  make: (parts: number) => Promise<T>,
): Promise<{ readonly made: T; readonly parts: number }> {
  for (let parts = 1; ; parts *= 2) {
    try {
      return { made: await make(parts), parts };
    } catch (error) {
      if (!(error instanceof LimitError) || batch % (2 * parts) !== 0) throw error;
    }
  }
}

/** Part number `part` of equal parts of the sequences of a batch. */
export function partOf(
  task: Task,
  setting: number,
  { x, y }: TaskBatch,
  batch: number,
  parts: number,
  part: number,
): TaskBatch {
  if (parts === 1) return { x, y };
  const [whole, piece] = [task.target(setting, batch).shape, task.target(setting, batch / parts).shape];
  const axis = whole.findIndex((size, i) => size !== piece[i]);
  return {
    x: alongAxis(x, inputShape(task, setting, batch), 1, parts, part),
    y: alongAxis(y, whole, axis, parts, part),
  };
}

function alongAxis(data: Data, shape: Shape, axis: number, parts: number, part: number): Data {
  const inner = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  const size = at(shape, axis);
  return data.filter((_, i) => Math.floor(((Math.floor(i / inner) % size) * parts) / size) === part);
}

function measures(model: TaskModel, task: Task, setting: number, batch: number, mask?: Tensor): TaskMeasures & Forward {
  const { shape, dtype } = task.target(setting, batch);
  const x = inputOf(task, setting, batch);
  const y = input('y', shape, dtype);
  const forward = model.forward(x, mask && { mask });
  return { ...forward, ...task.measures(forward.scores, y, setting) };
}

function inputOf(task: Task, setting: number, batch: number): Tensor {
  return input('x', inputShape(task, setting, batch), task.input.kind === 'symbols' ? 'u32' : 'f32');
}

function inputShape({ input: given, steps }: Task, setting: number, batch: number): Shape {
  return given.kind === 'symbols' ? [steps(setting), batch] : [steps(setting), batch, given.size];
}
