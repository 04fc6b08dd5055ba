// How long a table takes, before it starts: what a cell has to do is read off the plans of its programs, which are made without a
// device, and a device's two rates (rates.ts) make seconds of it; what finished cells really took corrects it.
//
// Always: an estimate changes nothing of what is run. Not here: the measuring of a device.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { RandomState, type Tensor, type Update } from '../../engine/core.ts';
import { at } from '../../engine/errors.ts';
import { bytesOf, type Dispatch, isLoop } from '../../engine/plan.ts';
import { planProgram } from '../../engine/planner.ts';
import { batchesOf } from '../evaluation.ts';
import type { Metrics } from '../metrics.ts';
import { taskModel } from '../models.ts';
import type { MainOptions } from '../options.ts';
import { evaluationProgram, trainingProgram } from '../programs.ts';
import type { JobTask } from '../task-facts.ts';
import type { Cell, Group } from './definition.ts';
import type { Rates } from './rates.ts';
import { optionsOf } from './records.ts';

/** What a program has to do: its kernel calls, and their work, operations or bytes that are bound, whichever are more. */
export interface Work {
  readonly calls: number;
  readonly work: number;
}

/** What a program has to do, from its plan. */
export function planned(outputs: Readonly<Record<string, Tensor>>, updates: readonly Update[]): Work {
  const { items } = planProgram(outputs, updates, { training: updates.length > 0, subgroupSize: 0 });
  let [calls, work] = [0, 0];
  const count = (dispatch: Dispatch, times: number): void => {
    calls += times;
    work += times * Math.max(dispatch.operations, bytesOf(dispatch));
  };
  for (const item of items) {
    if (isLoop(item)) for (const dispatch of item.body) count(dispatch, item.steps);
    else count(item, 1);
  }
  return { calls, work };
}

/** What a cell has to do: all of its training, and all of its evaluations. */
export interface CellWork {
  readonly training: Work;
  readonly evaluations: Work;
}

/** What a training with these options has to do. @throws RimgradError for options that make no program */
export function workOf({ task, trained, tested }: JobTask, options: MainOptions): CellWork {
  const { batch, steps, evaluateEvery } = options;
  const model = taskModel(at(options.models, 0), task, options, new RandomState({ seed: options.seed }));
  const step = trainingProgram(model, task, trained, options);
  const times = evaluateEvery === 0 ? 1 : Math.ceil(steps / evaluateEvery);
  const tests = batchesOf(task.sequences('test'), batch, options.testBatches);
  const rounds = times * (tests + batchesOf(task.sequences('validation'), batch, options.validationBatches));
  const measured = tested.map((setting) => evaluationProgram(model, task, setting, batch).outputs);
  return {
    training: scaled(planned(step.outputs, step.updates), steps),
    evaluations: measured.map((outputs) => scaled(planned(outputs, []), rounds)).reduce(sum),
  };
}

/** Seconds of work on a device. */
export function secondsOf({ calls, work }: Work, { secondsACall, secondsAWork }: Rates): number {
  return calls * secondsACall + work * secondsAWork;
}

/** The times of a table's cells, better known with every one that is finished. */
export class Estimates {
  readonly #rates: Rates;
  /** By row: plans differ by row, not by seed. */
  readonly #works: ReadonlyMap<string, CellWork>;
  /** By row: how many times longer than predicted its cells really trained. */
  readonly #factors = new Map<string, number[]>();

  private constructor(rates: Rates, works: ReadonlyMap<string, CellWork>) {
    this.#rates = rates;
    this.#works = works;
  }

  /**
   * Plans the programs of cells that are to be trained.
   * @param job the task of a group
   * @returns undefined where the signal was aborted meanwhile
   * @throws RimgradError for options that make no program
   */
  static async of(
    cells: readonly Cell[],
    rates: Rates,
    job: (group: Group) => Promise<JobTask>,
    signal: AbortSignal,
  ): Promise<Estimates | undefined> {
    const works = new Map<string, CellWork>();
    for (const cell of cells) {
      if (works.has(cell.row.id)) continue;
      await nextTurn(); // a plan may take seconds, and a signal is only heard between two turns
      if (signal.aborted) return undefined;
      works.set(cell.row.id, workOf(await job(cell.group), optionsOf(cell)));
    }
    return new Estimates(rates, works);
  }

  /** Learns from a finished cell; nothing where no cell of its row is to be trained. */
  learn(cell: Cell, { steps }: Metrics): void {
    const work = this.#works.get(cell.row.id);
    if (work === undefined) return;
    const seconds = steps.at(-1)?.seconds ?? 0;
    const predicted = secondsOf(work.training, this.#rates);
    if (seconds <= 0 || predicted <= 0) return;
    const known = this.#factors.get(cell.row.id) ?? [];
    this.#factors.set(cell.row.id, [...known, seconds / predicted]);
  }

  /** Seconds of a cell; none of a row that was not planned. @param done updates of it that need not be made again */
  seconds(cell: Cell, done: number = 0): number {
    const work = this.#works.get(cell.row.id);
    if (work === undefined) return 0;
    const predicted = secondsOf(work.training, this.#rates) + secondsOf(work.evaluations, this.#rates);
    const left = Math.max(0, 1 - done / optionsOf(cell).steps);
    return predicted * left * this.#factor(cell) + OVERHEAD_SECONDS;
  }

  // A row's own, else that of all rows: the mean on a logarithmic axis.
  #factor(cell: Cell): number {
    const factors = this.#factors.get(cell.row.id) ?? [...this.#factors.values()].flat();
    return factors.length === 0 ? 1 : Math.exp(factors.reduce((all, f) => all + Math.log(f), 0) / factors.length);
  }
}

/** Opening a device, compiling, writing the page of a run. */
const OVERHEAD_SECONDS = 2;

function scaled({ calls, work }: Work, times: number): Work {
  return { calls: calls * times, work: work * times };
}

function sum(a: Work, b: Work): Work {
  return { calls: a.calls + b.calls, work: a.work + b.work };
}
