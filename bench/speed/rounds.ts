// The order of the measurements: in rounds, every contestant once a round, so that whatever slows the machine for a while
// slows all of them.
//
// Always: the order turns from round to round; fast contestants take several steps a round, slow ones sit rounds out, so that
// each stays within its share of time; everything measured is kept. Not here: what the times mean (statistics.ts).

/** One that takes steps when asked. */
export interface Runner {
  run(steps: number): Promise<number[]>;
}

/** How long to measure. */
export interface Plan {
  readonly rounds: number;
  /** About how long a contestant may take in one round, in milliseconds; a step is always whole. */
  readonly roundMilliseconds: number;
  /** About how long a contestant may take in all rounds; each takes part in at least three, or in all where there are fewer. */
  readonly budgetMilliseconds: number;
}

/** Steps that a fast contestant takes in one round at most. */
const MOST_STEPS = 20;
const LEAST_ROUNDS = 3;

/** In which rounds, and with how many steps, one whose step takes so long takes part. */
export function schedule(stepMilliseconds: number, plan: Plan): { steps: number; rounds: ReadonlySet<number> } {
  const { rounds, roundMilliseconds, budgetMilliseconds } = plan;
  const steps = Math.max(1, Math.min(MOST_STEPS, Math.floor(roundMilliseconds / stepMilliseconds)));
  const affordable = Math.floor(budgetMilliseconds / (steps * stepMilliseconds));
  const count = Math.min(rounds, Math.max(LEAST_ROUNDS, affordable));
  // Spread evenly over all rounds.
  const taken = Array.from({ length: count }, (_, i) => Math.floor(((i + 0.5) * rounds) / count));
  return { steps, rounds: new Set(taken) };
}

/** What a contestant's rounds gave: the milliseconds of its steps by round, or why it fell out. */
export interface Measured {
  readonly rounds: Map<number, readonly number[]>;
  fault?: string;
}

/**
 * Measures contestants in rounds, after a step each to warm up and to see how long one takes.
 * @param onRound called before each round, for a progress display
 * @throws what `signal` was aborted with; a contestant that fails only falls out
 */
export async function measureRounds<Key>(
  contestants: ReadonlyMap<Key, Runner>,
  plan: Plan,
  signal: AbortSignal,
  onRound: (round: number) => void,
): Promise<Map<Key, Measured>> {
  const measured = new Map<Key, Measured>();
  const attempt = async (key: Key, runner: Runner, steps: number): Promise<number[] | undefined> => {
    signal.throwIfAborted();
    try {
      return await runner.run(steps);
    } catch (error) {
      signal.throwIfAborted();
      const own = measured.get(key);
      if (own !== undefined) own.fault = error instanceof Error ? error.message : String(error);
      return undefined;
    }
  };
  const runners: { key: Key; runner: Runner; steps: number; rounds: ReadonlySet<number> }[] = [];
  for (const [key, runner] of contestants) {
    measured.set(key, { rounds: new Map() });
    const warm = await attempt(key, runner, 1);
    if (warm !== undefined) runners.push({ key, runner, ...schedule(Math.min(...warm), plan) });
  }
  for (let round = 0; round < plan.rounds; round++) {
    onRound(round);
    for (let turn = 0; turn < runners.length; turn++) {
      const { key, runner, steps, rounds } = runners[(turn + round) % runners.length] ?? {};
      if (key === undefined || runner === undefined || steps === undefined || !rounds?.has(round)) continue;
      const own = measured.get(key);
      if (own === undefined || own.fault !== undefined) continue;
      const times = await attempt(key, runner, steps);
      if (times !== undefined) own.rounds.set(round, times);
    }
  }
  return measured;
}

/** The steps of all rounds in one list. */
export function allSteps({ rounds }: Pick<Measured, 'rounds'>): number[] {
  return [...rounds.values()].flat();
}
