// The guard of weights: what keeps a step with gradients that are not finite from ever reaching them. It has a state on the
// device, which the guard's kernel counts and raises (kernels/guard.wgsl), and on the host the feeds of the runs since the last
// look at it, so that the step that raised it can be run again and explained (replay.ts).
//
// Always: weights have at most one guard, whichever optimisers and programs update them; while its state is raised, no program
// that it guards changes any Variable; what is kept of runs is bounded. Not here: when the state is read (program.ts).

import { guard as guardKernel } from '../kernels/catalogue.ts';
import { at, NonFiniteError } from './errors.ts';
import type { Emitter, View } from './op.ts';
import type { Tensor } from './tensor.ts';
import { type Data, Variable } from './variable.ts';

/** The most runs, and bytes of their feeds, that are kept; the last run is kept whatever its size. */
const KEPT_RUNS = 1000;
const KEPT_BYTES = 2 ** 26;

/** A run that can be done again: by its program, with its feeds. */
export interface KeptRun {
  readonly data: readonly Data[];
  /** Finds what was not finite in it. @param step its number */
  explain(step: number): Promise<NonFiniteError>;
  /** False once its program was disposed of. */
  isThere(): boolean;
}

/** The guard of the weights of one or more optimisers. */
export class Guard {
  /** On the device, u32 [4]: the run at which it was raised, or 0; the runs so far; two unused. */
  readonly state: Variable = new Variable('guard', [4], new Uint32Array(4));
  /** Runs that were submitted: the state's count, ahead of the device. */
  #runs = 0;
  readonly #programs = new Set<object>();
  readonly #kept = new Map<number, KeptRun>();
  #bytes = 0;
  #raised: Promise<NonFiniteError> | undefined;
  #clears = 0;

  /** How often it was cleared: a state that was read before that says nothing any more. */
  get clears(): number {
    return this.#clears;
  }

  /** Why no program that it guards may run: set as soon as it is known that the state is raised. */
  get raised(): Promise<NonFiniteError> | undefined {
    return this.#raised;
  }

  /** A program that it guards was made. @param fresh its state is new on the device */
  join(program: object, fresh: boolean): void {
    if (fresh) this.#restart();
    this.#programs.add(program);
  }

  /** A program that it guards was disposed of; the state goes with the last. */
  leave(program: object): void {
    if (!this.#programs.delete(program) || this.#programs.size > 0) return;
    this.state.dispose();
    this.#restart();
  }

  /** A run was submitted. */
  ran(run: KeptRun): void {
    this.#kept.set(++this.#runs, run);
    this.#bytes += bytesOf(run);
    for (const [step, oldest] of this.#kept) {
      if (this.#kept.size === 1 || (this.#kept.size <= KEPT_RUNS && this.#bytes <= KEPT_BYTES)) break;
      this.#drop(step, oldest);
    }
  }

  /** The state was read: where it is not raised, the runs until then are done with. */
  seen(state: Uint32Array, clears: number): void {
    if (clears !== this.#clears) return;
    const [step, runs] = [at(state, 0), at(state, 1)];
    if (step !== 0) this.#raised ??= this.#explain(step);
    else for (const [each, run] of this.#kept) if (each <= runs) this.#drop(each, run);
  }

  /** Reads the state, where there is one. @throws NonFiniteError where it is raised */
  async check(): Promise<void> {
    const clears = this.#clears;
    if (this.#programs.size > 0 && this.#raised === undefined) {
      this.seen((await this.state.read()) as Uint32Array, clears);
    }
    if (this.#raised !== undefined) throw await this.#raised;
  }

  /** Lowers the state: what is submitted from now on trains again. */
  async clear(): Promise<void> {
    await this.#raised;
    this.#raised = undefined;
    this.#clears++;
    for (const [step, run] of this.#kept) this.#drop(step, run);
    this.state.write(Uint32Array.of(0, this.#runs, 0, 0));
  }

  async #explain(step: number): Promise<NonFiniteError> {
    const run = this.#kept.get(step);
    const what = 'its gradients are not finite, or their norm or the learning rate is not';
    if (run?.isThere() === true) {
      try {
        return await run.explain(step);
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause);
        return new NonFiniteError(step, `${what}; a replay of it failed (${why})`, MEND, undefined, { cause });
      }
    }
    const count = this.#kept.size === 1 ? 'the last run' : `the last ${this.#kept.size} runs`;
    const often = `read the loss at least every ${this.#kept.size} steps to be told which tensor it was`;
    const why = run === undefined ? `only the feeds of ${count} are kept` : 'its program was disposed of';
    return new NonFiniteError(
      step,
      `${what}; it cannot be replayed, for ${why}`,
      run === undefined ? `${often}; ${MEND}` : MEND,
    );
  }

  #restart(): void {
    this.#programs.clear();
    this.state.write(new Uint32Array(4));
    this.#runs = 0;
    this.#kept.clear();
    this.#bytes = 0;
    this.#raised = undefined;
    this.#clears++;
  }

  #drop(step: number, run: KeptRun): void {
    this.#kept.delete(step);
    this.#bytes -= bytesOf(run);
  }
}

function bytesOf({ data }: KeptRun): number {
  return data.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** What helps against most steps that are not finite. */
export const MEND =
  'lower the learning rate, clip gradients (clipNorm) or leave out that batch, and call clearGuard() of the program to go on';

const guardOf = new WeakMap<Variable, Guard>();

/** The guards of weights; those that have none get one, that of the others if there is one. */
export function guardsOf(weights: Iterable<Variable>): readonly Guard[] {
  const all = [...weights];
  const guards = new Set(all.flatMap((each) => guardOf.get(each) ?? []));
  const [first = new Guard()] = guards;
  guards.add(first);
  for (const each of all) if (!guardOf.has(each)) guardOf.set(each, first);
  return [...guards];
}

/**
 * Looks at the guards of weights that are on a device, as they are after what was submitted so far.
 * @throws NonFiniteError where one is up
 */
export async function checkGuards(weights: Iterable<Variable>): Promise<void> {
  const guards = new Set([...weights].flatMap((each) => guardOf.get(each) ?? []));
  await Promise.all([...guards].map((guard) => guard.check()));
}

/** What an update is guarded by. */
export interface Guarded {
  readonly guards: readonly Guard[];
  /** What must be finite: its gradients, and its learning rates [any]. */
  readonly gradients: readonly Tensor[];
  readonly rates: Tensor;
  /** The norm that they are clipped by, []. */
  readonly norm: Tensor | undefined;
  /** Whether that is the norm of these very gradients. */
  readonly own: boolean;
  /** What the norm is clipped to. */
  readonly most: number | undefined;
  /** The loss, where it is known: what is computed from it on is its backward pass. */
  readonly loss: Tensor | undefined;
}

/** One norm that a guard's kernel looks at: itself, or sums of squares. */
export interface Look {
  readonly norm: View;
  readonly count: number;
  readonly squares: boolean;
  readonly rates: View;
  readonly rateCount: number;
  readonly most: number | undefined;
}

/** The calls of the guards of a program. @returns the verdict [4], for what follows */
export function emitGuards(emit: Emitter, looks: readonly Look[], states: readonly View[]): View {
  const verdict = emit.scratch(4);
  const single = looks.length === 1 && states.length === 1;
  const call = (look: Look, state: View, FIRST: boolean, SETTLE: boolean): void => {
    const { norm, count, squares, rates, rateCount, most } = look;
    emit.call(guardKernel, {
      buffers: { norm, rates, state, verdict },
      uniforms: { count, rates: rateCount, most: most ?? LARGEST_F32 },
      constants: { SQUARES: squares, FIRST, SETTLE },
      workgroups: [1, 1, 1],
      operations: 2 * count,
    });
  };
  const [look, state] = [at(looks, 0), at(states, 0)];
  if (single) call(look, state, true, true);
  else {
    // All norms and all states are looked at before any state is raised.
    for (let i = 0; i < Math.max(looks.length, states.length); i++) {
      call(looks[i] ?? look, states[i] ?? state, i === 0, false);
    }
    for (const each of states) call({ ...look, count: 0, rateCount: 0 }, each, false, true);
  }
  return verdict;
}

/** What the largest learning rate times the norm may be: LARGEST of kernels/guard.wgsl. */
export const LARGEST_UPDATE: number = guardKernel.constants.LARGEST.value;

const LARGEST_F32 = 3.4028234663852886e38;
