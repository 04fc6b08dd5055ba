// Measuring a model on sequences of one split at one setting, in as many parts of a batch as the device needs. It runs in any
// runtime: it is given the device. Not here: the graph of an evaluation (programs.ts).

import { compile, type Device } from '../engine/core.ts';
import { at, need } from '../engine/errors.ts';
import type { TaskModel } from './models.ts';
import { evaluationProgram, inParts, partOf } from './programs.ts';
import type { Split, Task } from './tasks/index.ts';

/** How a model is measured. */
export interface EvaluationOptions {
  readonly task: Task;
  /** The value of the task's setting. */
  readonly setting: number;
  /** B. */
  readonly batch: number;
  readonly seed: number;
}

/** Which sequences, and how many. */
export interface Sequences {
  readonly split: Split;
  /** At most so many batches: a split that is finite ends where it has no whole batch any more. */
  readonly batches: number;
}

/** The measuring of a model at one setting, to be run as often as wanted. */
export interface EvaluationRun {
  /** The task's figures: the same sequences every time. After an abort, one batch must do. */
  run(sequences: Sequences, signal: AbortSignal): Promise<Readonly<Record<string, number>>>;
  dispose(): void;
}

/**
 * Prepares the measuring of a model at one setting.
 * @throws LimitError where even a part of a batch is too large for the device; what `compile` throws
 */
export async function makeEvaluation(
  device: Device,
  model: TaskModel,
  { task, setting, batch, seed }: EvaluationOptions,
): Promise<EvaluationRun> {
  const { made: program, parts } = await inParts(batch, (count) =>
    compile(device, evaluationProgram(model, task, setting, batch / count).outputs),
  );
  const names = task.figures.map(({ name }) => name);
  return {
    run: async ({ split, batches }, signal) => {
      const sums = new Map(names.map((name) => [name, 0]));
      let runs = 0;
      const last = batchesOf(task.sequences(split), batch, batches);
      for (let index = 0; index < last && (index === 0 || !signal.aborted); index++) {
        const whole = task.batch({ split, setting, batch, seed, index });
        for (let part = 0; part < parts; part++) {
          await program.run(partOf(task, setting, whole, batch, parts, part));
          const values = await Promise.all(names.map((name) => program.read(name)));
          names.forEach((name, i) => {
            sums.set(name, need(sums.get(name), name) + at(at(values, i), 0));
          });
          runs++;
        }
      }
      return Object.fromEntries([...sums].map(([name, sum]) => [name, sum / runs]));
    },
    dispose: () => program.dispose(),
  };
}

/** The batches of an evaluation: as many as are wanted, or the whole ones that a finite split of so many sequences has; one at least. */
export function batchesOf(sequences: number | undefined, batch: number, wanted: number): number {
  return sequences === undefined ? wanted : Math.max(1, Math.min(wanted, Math.floor(sequences / batch)));
}
