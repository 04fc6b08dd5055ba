// How the cost of a fused training step grows with one size while the others stay.
//
// Always: all points of an axis are measured in rounds, one after another in each; a size that the device does not hold is a
// point with the reason. Not here: what slopes there should be (targets.ts).

import { RimgradError } from '../../engine/errors.ts';
import { compile, type Device, openDevice, type Program } from '../../engine/node.ts';
import { normalArray } from '../../engine/random.ts';
import type { AxisResult, Round, ScalingPoint } from './result.ts';
import { allSteps, measureRounds, type Plan, type Runner } from './rounds.ts';
import { logLogSlope, spread } from './statistics.ts';
import { benchmarkWork, SIZES, type Sizes } from './work.ts';

/** One axis to measure. */
export interface Axis {
  readonly axis: AxisResult['axis'];
  /** The sizes that stay, in words. */
  readonly base: string;
  readonly points: readonly { readonly value: number; readonly sizes: Sizes }[];
}

/** The number of the largest points through which the slope is taken. */
const SLOPE_POINTS = 3;

/** The axes of the benchmark. @param software whether size M would take minutes: then T, B and N grow from S instead */
export function scalingAxes(software: boolean): Axis[] {
  const name = software ? 'S' : 'M';
  const base = SIZES[name];
  const doubling = (from: number, to: number): number[] => (from > to ? [] : [from, ...doubling(2 * from, to)]);
  const K = { ...SIZES.M, N: 16 };
  return [
    { axis: 'T', base: `size ${name}`, points: doubling(10, 320).map((T) => ({ value: T, sizes: { ...base, T } })) },
    { axis: 'B', base: `size ${name}`, points: doubling(1, 512).map((B) => ({ value: B, sizes: { ...base, B } })) },
    {
      axis: 'N',
      base: `size ${name}, K two thirds of N`,
      points: doubling(2, 32).map((N) => ({
        value: N,
        sizes: { ...base, N, K: Math.max(1, Math.round((2 * N) / 3)) },
      })),
    },
    { axis: 'K', base: 'size M, N 16', points: [1, 2, 4, 8, 12, 16].map((k) => ({ value: k, sizes: { ...K, K: k } })) },
  ];
}

/** Measures the points of an axis on a device of its own. */
export async function measureAxis(
  { axis, base, points }: Axis,
  plan: Plan,
  signal: AbortSignal,
  onStage: (detail: string) => void,
): Promise<AxisResult> {
  using device = await openDevice();
  const reasons = new Map<number, string>();
  const memory = new Map<number, number>();
  const runners = new Map<number, Runner>();
  for (const { value, sizes } of points) {
    signal.throwIfAborted();
    onStage(`${axis} = ${value}: compiling`);
    try {
      const { program, runner } = await runnerOf(device, sizes);
      runners.set(value, runner);
      memory.set(value, program.bytes);
    } catch (error) {
      if (!(error instanceof RimgradError)) throw error;
      reasons.set(value, error.message);
    }
  }
  const measured = await measureRounds(runners, plan, signal, (round) =>
    onStage(`along ${axis}, round ${round + 1} of ${plan.rounds}`),
  );
  const results = points.map(({ value, sizes }): ScalingPoint => {
    const own = measured.get(value);
    const steps = own === undefined ? [] : allSteps(own);
    return {
      value,
      sizes,
      rounds: own === undefined ? [] : toRounds(own.rounds),
      step: steps.length === 0 ? null : spread(steps),
      memory: memory.get(value) ?? null,
      reason: own?.fault ?? reasons.get(value) ?? null,
    };
  });
  return { axis, base, points: results, slope: topSlope(results) };
}

/** The slope through the largest points, where there are enough of them. */
export function topSlope(points: readonly Pick<ScalingPoint, 'value' | 'step'>[]): number | null {
  const known = points.flatMap(({ value, step }) => (step === null ? [] : [[value, step.median] as const]));
  const top = known.sort(([a], [b]) => a - b).slice(-SLOPE_POINTS);
  return top.length < SLOPE_POINTS ? null : logLogSlope(top);
}

/** Rounds as JSON keeps them. */
export function toRounds(rounds: ReadonlyMap<number, readonly number[]>): Round[] {
  return [...rounds].map(([round, milliseconds]) => ({ round, milliseconds }));
}

async function runnerOf(device: Device, sizes: Sizes): Promise<{ program: Program; runner: Runner }> {
  const { B, T, D, N, H } = sizes;
  const { loss, updates } = benchmarkWork(sizes, 'auto');
  const program = await compile(device, { loss }, updates);
  const feeds = {
    x: normalArray(T * B * D, { seed: 2, stream: 0 }),
    target: normalArray(B * N * H, { seed: 2, stream: 1 }),
  };
  const run = async (steps: number): Promise<number[]> => {
    const times: number[] = [];
    for (let step = 0; step < steps; step++) {
      const began = performance.now();
      await program.run(feeds);
      await program.read('loss');
      times.push(performance.now() - began);
    }
    return times;
  };
  return { program, runner: { run } };
}
