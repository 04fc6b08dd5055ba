// One size of the benchmark: everybody is started, checked against rimgrad's plain path, and those who agree are timed.
//
// Always: every contestant is in the result with what became of it, and everybody who was started is closed, whatever
// happens. Not here: how a contestant works (contestants.ts), and what counts as agreeing (check.ts).

import { need } from '../../engine/errors.ts';
import { lossesFault, movesFault } from './check.ts';
import type { StepFeeds } from './contestants.ts';
import { CHECKED_STEPS, type Contestant, type OwnContestant, type Path, startOwn, type Task } from './contestants.ts';
import { coldCompile, ownFacts } from './facts.ts';
import type { ContestantResult, OwnFacts, SizeResult } from './result.ts';
import { allSteps, type Measured, measureRounds, type Plan } from './rounds.ts';
import { toRounds } from './scaling.ts';
import { roundRatios, type Spread, spread } from './statistics.ts';
import type { Sizes } from './work.ts';

/** One that may take part besides ours. */
export interface Entrant {
  readonly name: string;
  readonly backend: string;
  /** Why it cannot take part; then it is not started. */
  readonly missing?: string;
  start(): Promise<Contestant>;
}

/** What a contest needs to know. */
export interface Contest {
  /** The name of the size. */
  readonly name: string;
  readonly sizes: Sizes;
  readonly feeds: StepFeeds;
  readonly entrants: readonly Entrant[];
  readonly plan: Plan;
  /** Whether compiling the fused programs without a cache is timed as well. */
  readonly cold: boolean;
  readonly signal: AbortSignal;
  readonly onStage: (detail: string) => void;
}

const OWN: readonly (readonly [task: Task, path: Path])[] = [
  ['benchmark', 'plain'],
  ['benchmark', 'fused'],
  ['paper', 'plain'],
  ['paper', 'fused'],
];

interface Seat {
  readonly name: string;
  readonly task: Task;
  readonly backend: string;
  contestant?: Contestant;
  own?: OwnContestant;
  status: ContestantResult['status'];
  reason: string | null;
  facts?: OwnFacts;
  measured?: Measured;
}

/**
 * Holds the contest at one size. `prepared` is told of each of ours that is open and agrees, before it is closed: for what
 * else is to be learned of it.
 */
export async function holdContest(
  contest: Contest,
  prepared: (own: OwnContestant) => Promise<void> = async () => {},
): Promise<SizeResult> {
  const { name, sizes, plan, signal, onStage } = contest;
  const seats: Seat[] = [];
  try {
    for (const [task, path] of OWN) seats.push(await seatOwn(contest, task, path, seats));
    for (const entrant of contest.entrants) seats.push(await seatPeer(contest, entrant, seats));
    const cold = new Map<Seat, OwnFacts['cold']>();
    for (const seat of seats) {
      if (!contest.cold || seat.own?.path !== 'fused' || seat.status !== 'timed') continue;
      signal.throwIfAborted();
      onStage(`${seat.name} (${seat.task}): compiling without a cache`);
      cold.set(seat, await coldCompile(seat.task, seat.own.path, sizes, signal));
    }
    const runners = new Map<Seat, Contestant>();
    for (const seat of seats) {
      if (seat.status === 'timed' && seat.contestant !== undefined) runners.set(seat, seat.contestant);
    }
    const measured = await measureRounds(runners, plan, signal, (round) =>
      onStage(`round ${round + 1} of ${plan.rounds}`),
    );
    for (const [seat, own] of measured) {
      seat.measured = own;
      if (own.fault !== undefined) Object.assign(seat, { status: 'failed', reason: own.fault });
    }
    for (const seat of seats) {
      if (seat.own === undefined || seat.status !== 'timed') continue;
      signal.throwIfAborted();
      onStage(`${seat.name} (${seat.task}): profiling`);
      seat.facts = await ownFacts(seat.own, cold.get(seat) ?? null);
      await prepared(seat.own);
    }
    return { name, sizes, contestants: seats.map((seat) => resultOf(seat, seats)) };
  } finally {
    await Promise.all(seats.map(({ contestant }) => contestant?.close()));
  }
}

async function seatOwn(contest: Contest, task: Task, path: Path, seats: readonly Seat[]): Promise<Seat> {
  const seat: Seat = { name: `rimgrad ${path}`, task, backend: 'webgpu', status: 'timed', reason: null };
  contest.signal.throwIfAborted();
  contest.onStage(`${seat.name} (${task}): first steps`);
  try {
    const own = await startOwn(task, path, contest.sizes, contest.feeds);
    Object.assign(seat, { own, contestant: own });
    const reference = referenceOf(task, seats)?.own;
    const fault =
      reference &&
      (lossesFault(own.losses, reference.losses) ??
        (task === 'benchmark' ? movesFault(own.moves, reference.moves, CHECKED_STEPS) : undefined));
    if (fault !== undefined) Object.assign(seat, { status: 'refused', reason: fault });
  } catch (error) {
    Object.assign(seat, { status: 'failed', reason: messageOf(error) });
  }
  return seat;
}

async function seatPeer(contest: Contest, entrant: Entrant, seats: readonly Seat[]): Promise<Seat> {
  const { name, backend, missing } = entrant;
  const seat: Seat = { name, task: 'benchmark', backend, status: 'missing', reason: missing ?? null };
  if (missing !== undefined) return seat;
  contest.signal.throwIfAborted();
  contest.onStage(`${name}: first steps`);
  const reference = referenceOf('benchmark', seats);
  try {
    const contestant = await entrant.start();
    seat.contestant = contestant;
    const wanted = need(reference?.contestant, 'a path of rimgrad to check the peers against').losses;
    const fault = lossesFault(contestant.losses, wanted);
    Object.assign(seat, { status: fault === undefined ? 'timed' : 'refused', reason: fault ?? null });
    if (fault !== undefined) await contestant.close();
  } catch (error) {
    Object.assign(seat, { status: 'failed', reason: messageOf(error) });
  }
  return seat;
}

/** Who decides what is right: the first of ours that runs, which is the plain path where it does. */
function referenceOf(task: Task, seats: readonly Seat[]): Seat | undefined {
  return seats.find((seat) => seat.task === task && seat.own !== undefined && seat.status === 'timed');
}

function resultOf(seat: Seat, seats: readonly Seat[]): ContestantResult {
  const { name, task, backend, contestant, status, reason, measured, facts } = seat;
  const steps = measured === undefined ? [] : allSteps(measured);
  const ratioTo = (path: Path): Spread | null => {
    const ours = seats.find((each) => each.task === task && each.own?.path === path)?.measured;
    const ratios = measured === undefined || ours === undefined ? [] : roundRatios(measured.rounds, ours.rounds);
    return ratios.length === 0 ? null : spread(ratios);
  };
  return {
    name,
    task,
    backend,
    version: contestant?.version ?? '',
    adapter: contestant?.adapter ?? null,
    status,
    reason,
    losses: contestant?.losses ?? [],
    firstStepMilliseconds: contestant?.firstStepMilliseconds ?? null,
    rounds: measured === undefined ? [] : toRounds(measured.rounds),
    step: steps.length === 0 ? null : spread(steps),
    ratio: ratioTo('fused'),
    plainRatio: ratioTo('plain'),
    own: facts ?? null,
  };
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, ' ').trim();
}
