// The targets of the benchmark, and which of them a run reached.
//
// Always: a target that a run cannot decide is listed with the reason, never left out and never called reached.
// Not here: the figures (result.ts).

import type { BenchResult, ContestantResult, SizeResult } from './result.ts';

/** One target. */
export interface Target {
  readonly name: string;
  readonly wanted: string;
  /** What was measured, or why nothing was. */
  readonly figure: string;
  /** null: this run does not decide it. */
  readonly reached: boolean | null;
}

type Measured = Pick<BenchResult, 'environment' | 'sizes' | 'scaling' | 'products'>;

/** All targets, judged by what was measured. */
export function judgeTargets(result: Measured): Target[] {
  const { software } = result.environment.adapter;
  const contests = ['S', 'M'].flatMap((size) => [
    against(result, size, 'jax-js-webgpu', 10),
    against(result, size, 'tfjs-webgpu', 20),
    against(result, size, 'jax-js-wasm', 1, 'jax-js-wasm-threads'),
    against(result, size, 'rimgrad plain', 3),
  ]);
  return [
    ...contests,
    plainAgainst(result, 'S', 'jax-js-webgpu'),
    encoding(result, software),
    ...compiling(result),
    products(result),
    modules(result),
    ...(['T', 'B'] as const).map((axis) => slope(result, axis)),
    ...(software ? [] : onGPU(result)),
  ];
}

/** The fused path against a contestant, or against its rival where that was measured and is the faster of the two. */
function against(result: Measured, size: string, name: string, least: number, rival?: string): Target {
  const target = {
    name: `size ${size}: fused against ${name}`,
    wanted: least === 1 ? 'faster' : `at least ${least} times faster`,
  };
  const named = find(result, size, name);
  const other = rival === undefined ? undefined : find(result, size, rival);
  const faster = other?.ratio != null && named?.ratio != null && other.ratio.median < named.ratio.median;
  const found = faster ? other : named;
  if (found?.ratio == null) return undecided(target, missing(found, size));
  const { median, least: low, most } = found.ratio;
  const figure = `${times(median)} (rounds ${times(low)} to ${times(most)}${faster ? `, ${rival}` : ''})`;
  return { ...target, figure, reached: least === 1 ? median > 1 : median >= least };
}

function plainAgainst(result: Measured, size: string, name: string): Target {
  const target = { name: `size ${size}: plain against ${name}`, wanted: 'no slower' };
  const found = find(result, size, name);
  if (found?.plainRatio == null) return undecided(target, missing(found, size));
  const { median } = found.plainRatio;
  return { ...target, figure: `${times(median)}`, reached: median >= 1 };
}

function encoding(result: Measured, software: boolean): Target {
  const wanted = software ? 'under 5 % of the step' : 'no longer than the GPU time';
  const target = { name: 'size M: encoding a fused step in JavaScript', wanted };
  const found = find(result, 'M', 'rimgrad fused');
  if (found?.own == null || found.step === null) return undecided(target, missing(found, 'M'));
  const { encoding: time, gpuMilliseconds } = found.own;
  if (software) {
    const share = time.median / found.step.median;
    return { ...target, figure: `${time.median.toFixed(2)} ms, ${percent(share)} of the step`, reached: share < 0.05 };
  }
  if (gpuMilliseconds === null) return undecided(target, 'the device has no timestamps');
  const figure = `${time.median.toFixed(2)} ms beside ${gpuMilliseconds.toFixed(2)} ms`;
  return { ...target, figure, reached: time.median <= gpuMilliseconds };
}

function compiling(result: Measured): Target[] {
  const pipelines = { name: 'pipelines of a training program', wanted: 'at most 40' };
  const cold = { name: 'compiling with a cold shader cache, first step included', wanted: 'at most 10 s' };
  const own = result.sizes.flatMap(({ name: size, contestants }) =>
    contestants.flatMap(({ own: facts, name, task }) =>
      facts?.path === 'fused' ? [{ facts, label: `${name}, ${task}, ${size}` }] : [],
    ),
  );
  const [first] = own;
  if (first === undefined) return [pipelines, cold].map((target) => undecided(target, 'no fused program was timed'));
  const most = own.reduce((a, b) => (b.facts.pipelines > a.facts.pipelines ? b : a), first);
  const timed = own.flatMap(({ facts, label }) =>
    facts.cold === null ? [] : [{ label, seconds: facts.cold.firstStepMilliseconds / 1000 }],
  );
  const slowest = timed.reduce((a, b) => (b.seconds > a.seconds ? b : a), timed[0] ?? { label: '', seconds: 0 });
  return [
    { ...pipelines, figure: `${most.facts.pipelines} (${most.label})`, reached: most.facts.pipelines <= 40 },
    timed.length === 0
      ? undecided(cold, 'not measured')
      : { ...cold, figure: `${slowest.seconds.toFixed(2)} s (${slowest.label})`, reached: slowest.seconds <= 10 },
  ];
}

function products({ products: measured }: Measured): Target {
  const target = { name: 'matrix products against the best candidate', wanted: 'at least 70 % at every shape' };
  if (measured === null || measured.shapes.length === 0) return undecided(target, 'not measured');
  const [least] = measured.shapes.toSorted((a, b) => a.share - b.share);
  const figure = least === undefined ? 'no shapes' : `least ${percent(least.share)}, ${least.name}`;
  return { ...target, figure, reached: measured.shapes.every(({ share }) => share >= 0.7) };
}

function modules({ scaling }: Measured): Target {
  const target = { name: 'K 4 against K 16 at N 16, size M', wanted: 'at most half the time' };
  const points = scaling.find(({ axis }) => axis === 'K')?.points ?? [];
  const step = (value: number): number | undefined => points.find((point) => point.value === value)?.step?.median;
  const [few, all] = [step(4), step(16)];
  if (few === undefined || all === undefined) return undecided(target, 'not measured');
  return { ...target, figure: `${percent(few / all)}`, reached: few / all <= 0.5 };
}

function slope({ scaling }: Measured, axis: 'T' | 'B'): Target {
  const target = { name: `log-log slope over the three largest ${axis}`, wanted: '0.9 to 1.1' };
  const found = scaling.find((each) => each.axis === axis);
  if (found?.slope == null) return undecided(target, 'not measured');
  return { ...target, figure: found.slope.toFixed(3), reached: found.slope >= 0.9 && found.slope <= 1.1 };
}

/** What only a GPU decides: the paper's model against PyTorch on the same card. */
function onGPU(result: Measured): Target[] {
  return [
    against(result, 'P', 'torch-eager', 1),
    against(result, 'P', 'torch-compile', 1),
    against(result, 'P', 'torch-graphs', 1),
  ];
}

function find({ sizes }: Measured, size: string, name: string): ContestantResult | undefined {
  const found: SizeResult | undefined = sizes.find((each) => each.name === size);
  return found?.contestants.find((each) => each.name === name && each.task === 'benchmark');
}

function missing(found: ContestantResult | undefined, size: string): string {
  if (found === undefined) return `size ${size} was not run, or not with it`;
  return found.reason ?? `it was ${found.status}, yet rimgrad was not timed`;
}

function undecided(target: Pick<Target, 'name' | 'wanted'>, why: string): Target {
  return { ...target, figure: why, reached: null };
}

function times(ratio: number): string {
  return `${ratio.toPrecision(3)}x`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
