// Trains the cells of a table, one after another, in this process: each is a run of the main job in a folder of its own.
//
// Always: a finished cell is never trained again unless that is asked for; one that was stopped goes on from its checkpoint, to the
// same bytes; a cell that another process holds is left to it; one that fails does not end the others. Not here: what the cells are
// (definition.ts), and what follows from them (result.ts).

import { DeviceError, RimgradError } from '../../engine/errors.ts';
import { type JobEnd, runJob } from '../job.ts';
import { describe } from '../messages.ts';
import type { TrainJob } from '../train.ts';
import type { Cell } from './definition.ts';
import { hold } from './hold.ts';
import { type CellRecord, type CellState, optionsOf, readRecord } from './records.ts';

/** How to train cells. */
export interface RunnerOptions {
  /** The folder of the run folders. */
  readonly out: string;
  /** Folders whose finished cells count too. */
  readonly others: readonly string[];
  /** Whose data the cells are trained on, where their task says so: what was begun on other data is refused. */
  readonly source?: string;
  /** Train again what is finished, damaged or of other options. */
  readonly force: boolean;
  readonly train: TrainJob;
  readonly signal: AbortSignal;
}

/** What is told of the cells. */
export interface RunnerEvents {
  /** A cell is about to be trained. @param goesOn it was begun before */
  onBegin(cell: Cell, goesOn: boolean): void;
  /** After a step whose figures were read. */
  onStep(cell: Cell, step: number): void;
  /** Trouble that its training goes on in spite of, and that it goes on elsewhere than it was begun. */
  onWarning(cell: Cell, line: string): void;
  /** A cell was trained, was not to be trained, or could not be. @param problem why it is not finished, where it failed */
  onEnd(record: CellRecord, trained: boolean, problem?: string): void;
}

/** How many cells came out how. */
export interface RunnerResult {
  readonly failed: number;
  /** Left to other processes. */
  readonly elsewhere: number;
  readonly stopped: boolean;
}

/** Trains what is not finished. */
export async function runCells(
  cells: readonly Cell[],
  options: RunnerOptions,
  events: RunnerEvents,
): Promise<RunnerResult> {
  let [failed, elsewhere] = [0, 0];
  for (const cell of cells) {
    if (options.signal.aborted) break;
    const outcome = await runCell(cell, options, events);
    if (outcome === 'failed') failed++;
    if (outcome === 'elsewhere') elsewhere++;
  }
  return { failed, elsewhere, stopped: options.signal.aborted };
}

/** What a cell is that is to be trained without `--force`. */
const TRAINABLE: readonly CellState[] = ['missing', 'begun', 'failed'];

/** What there is of a cell as a runner sees it: what is refused elsewhere keeps nobody from training it here. */
export function recordToTrain(
  cell: Cell,
  { out, others, source }: Pick<RunnerOptions, 'out' | 'others' | 'source'>,
): CellRecord {
  const found = readRecord(cell, [out, ...others], source);
  return found.state === 'refused' ? readRecord(cell, [out], source) : found;
}

/** Whether a runner trains a cell: never where something else lies in the place of its run folder. */
export function isToTrain({ state, blocked }: CellRecord, force: boolean): boolean {
  return !blocked && (force || TRAINABLE.includes(state));
}

type Outcome = 'done' | 'failed' | 'elsewhere' | 'stopped';

async function runCell(cell: Cell, options: RunnerOptions, events: RunnerEvents): Promise<Outcome> {
  const { out, others, source, force } = options;
  const look = (): CellRecord => readRecord(cell, [out, ...others], source);
  const found = look();
  if (!force && found.state === 'finished') {
    events.onEnd(found, false);
    return 'done';
  }
  const held = hold(out, cell.name);
  if (held === undefined) {
    events.onEnd(look(), false);
    return 'elsewhere';
  }
  try {
    // What was true before the cell was held may have changed meanwhile.
    const before = recordToTrain(cell, options);
    if (!isToTrain(before, force)) {
      events.onEnd(before, false, before.state === 'refused' ? before.note : undefined);
      return before.state === 'refused' ? 'failed' : before.state === 'running' ? 'elsewhere' : 'done';
    }
    const goesOn = before.state !== 'missing' && !force;
    events.onBegin(cell, goesOn);
    const { status, problem } = await train(cell, goesOn, options, events);
    events.onEnd(look(), true, problem);
    return status === 'finished' ? 'done' : status;
  } finally {
    held.release();
  }
}

/** Runs the job of a cell. @returns the problem where it failed */
async function train(
  cell: Cell,
  goesOn: boolean,
  { out, force, train: trainer, signal }: RunnerOptions,
  events: RunnerEvents,
): Promise<{ readonly status: JobEnd['status']; readonly problem?: string }> {
  // What was begun may have been begun where the files lay elsewhere.
  const { mnist } = optionsOf(cell);
  const resume = ['--resume', cell.name, '--out', out, ...(mnist === undefined ? [] : ['--mnist', mnist])];
  const begin = [...cell.args, '--name', cell.name, '--out', out, ...(force ? ['--force'] : [])];
  try {
    const { status, note } = await runJob(
      goesOn ? resume : begin,
      {
        signal,
        onStep: ({ step }) => events.onStep(cell, step),
        onWarning: (line) => events.onWarning(cell, line),
        onNote: (line) => events.onWarning(cell, line),
      },
      trainer,
    );
    return { status, ...(status === 'failed' && note !== undefined && { problem: note }) };
  } catch (error) {
    // Before it began: a folder that cannot be made, a device that is not there.
    if (error instanceof RimgradError && !(error instanceof DeviceError)) {
      return { status: 'failed', problem: describe(error) };
    }
    throw error;
  }
}
