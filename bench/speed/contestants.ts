// Whoever is timed, in one form: rimgrad on its two paths, and the peers in processes of their own.
//
// Always: a contestant has taken its first steps before it is handed out, and their losses are kept for the check; a step
// ends, as a peer's does, when its loss is on the host. Each of ours has a device of its own, so that its peak memory is its own.
// Not here: the work (work.ts, paper-work.ts), the peers (peers/), the order of the measurements (rounds.ts).

import { at, need, RimgradError } from '../../engine/errors.ts';
import { compile, type Data, type Device, openDevice, type Program, type Variable } from '../../engine/node.ts';
import { paperWork } from './paper-work.ts';
import type { Peer } from './peers/index.ts';
import { benchmarkWork, type Sizes, type Work } from './work.ts';

/** Which training step: the benchmark's function with SGD, or the preset `paper` with Adam. */
export type Task = 'benchmark' | 'paper';

/** A path of the RIM. */
export type Path = 'fused' | 'plain';

/** What is fed at every step. */
export type StepFeeds = Readonly<Record<'x' | 'target', Float32Array>>;

/** One that is timed. */
export interface Contestant {
  readonly name: string;
  readonly task: Task;
  readonly backend: string;
  readonly version: string;
  /** As it names its adapter, where it does. */
  readonly adapter?: string;
  /** The losses of its first steps, from the same parameters as everybody's. */
  readonly losses: readonly number[];
  /** Of the first step, compilation included. */
  readonly firstStepMilliseconds: number;
  /** Takes steps and gives the milliseconds of each. */
  run(steps: number): Promise<number[]>;
  close(): Promise<void>;
}

/** One of ours, which can be looked into. */
export interface OwnContestant extends Contestant {
  readonly path: Path;
  /** T */
  readonly timeSteps: number;
  readonly device: Device;
  readonly program: Program;
  readonly feeds: StepFeeds;
  /** Milliseconds in JavaScript of each step that `run` took, until the step was submitted. */
  readonly encoding: readonly number[];
  /** How far each parameter moved in the first steps, and where it began. */
  readonly moves: readonly Move[];
}

/** A parameter before the first steps, and its change by them. */
export interface Move {
  readonly name: string;
  readonly before: Float32Array;
  readonly change: Float32Array;
}

/** Steps whose losses and changes are compared before anything is timed. */
export const CHECKED_STEPS = 5;

/** The training step of a task, on one path. */
export function workOf(task: Task, sizes: Sizes, path: Path): Work {
  const way = path === 'fused' ? 'auto' : 'plain';
  return task === 'benchmark' ? benchmarkWork(sizes, way) : paperWork(sizes, way);
}

/** Opens a device, compiles a training step on it and takes the steps that are checked. */
export async function startOwn(task: Task, path: Path, sizes: Sizes, feeds: StepFeeds): Promise<OwnContestant> {
  const device = await openDevice();
  try {
    const { rim, loss, updates } = workOf(task, sizes, path);
    const before = await Promise.all(rim.variables.map(async (variable) => floats(variable, await variable.read())));
    const began = performance.now();
    const program = await compile(device, { loss }, updates);
    const losses: number[] = [];
    let firstStepMilliseconds = 0;
    for (let step = 0; step < CHECKED_STEPS; step++) {
      await program.run(feeds);
      losses.push(at(await program.read('loss'), 0));
      if (step === 0) firstStepMilliseconds = performance.now() - began;
    }
    const moves = await Promise.all(
      rim.variables.map(async (variable, i): Promise<Move> => {
        const start = at(before, i);
        const change = floats(variable, await variable.read()).map((value, k) => value - at(start, k));
        return { name: variable.name, before: start, change };
      }),
    );
    const encoding: number[] = [];
    const run = async (steps: number): Promise<number[]> => {
      const times: number[] = [];
      for (let step = 0; step < steps; step++) {
        const start = performance.now();
        const submitting = program.run(feeds); // encodes and submits before it returns: nothing is in flight
        encoding.push(performance.now() - start);
        await submitting;
        await program.read('loss');
        times.push(performance.now() - start);
      }
      return times;
    };
    const name = `rimgrad ${path}`;
    const about = { name, task, path, backend: 'webgpu', version: 'this tree', timeSteps: sizes.T };
    const close = async (): Promise<void> => device.dispose();
    return { ...about, device, program, feeds, encoding, losses, firstStepMilliseconds, moves, run, close };
  } catch (error) {
    device.dispose();
    throw error;
  }
}

/** A peer as a contestant. */
export function asContestant(peer: Peer): Contestant {
  const { name, backend, version, adapter, losses, firstStepMs } = peer;
  return {
    name,
    task: 'benchmark',
    backend,
    version,
    ...(adapter === undefined ? {} : { adapter }),
    losses,
    firstStepMilliseconds: firstStepMs,
    run: (steps) => peer.run(steps),
    close: () => peer.close(),
  };
}

function floats(variable: Variable, data: Data): Float32Array {
  if (data instanceof Float32Array) return data;
  throw new RimgradError(`${need(variable.name, 'a name')}: not f32`);
}
