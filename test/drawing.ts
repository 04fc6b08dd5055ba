// What tests that draw their cases share: the seed, new in every run and printed, and how many cases there are. RIMGRAD_SEED=N
// repeats a run; RIMGRAD_RUNS=N draws N times as many cases, to search for long. It tests nothing itself.

/** The seed of the process's draws. */
export const seed: number = Number(process.env.RIMGRAD_SEED ?? Date.now() % 1_000_000_007);

const factor = Number(process.env.RIMGRAD_RUNS ?? 1);
console.log(`fast-check seed ${seed} (RIMGRAD_SEED=${seed} repeats this run)`);

/** A number of cases, times RIMGRAD_RUNS. */
export function runs(count: number): number {
  return Math.max(1, Math.round(count * factor));
}
