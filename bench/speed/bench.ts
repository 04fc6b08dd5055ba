// A whole run of the benchmark: the contests, the curves, the kernels and products against their ceilings, the verdict.
//
// Always: the sections follow one another on a device of their own, and what fails in one is a note or a reason in the result,
// never the end of the others. Not here: printing and writing (command.ts).

import { need } from '../../engine/errors.ts';
import { type Device, openDevice } from '../../engine/node.ts';
import { measureCeilings } from './ceilings.ts';
import { type Entrant, holdContest } from './contest.ts';
import { asContestant } from './contestants.ts';
import { environmentOf } from './environment.ts';
import { kernelsOf } from './kernels.ts';
import type { BenchOptions } from './options.ts';
import { type FoundPeer, makeProblem, type Problem, peersFound, startPeer } from './peers/index.ts';
import type { AxisResult, BenchResult, KernelsResult, ProductsResult, SizeResult } from './result.ts';
import type { Plan } from './rounds.ts';
import { type Axis, measureAxis, scalingAxes } from './scaling.ts';
import { judgeTargets } from './targets.ts';
import { SIZES, type Sizes } from './work.ts';

/** What a run is given besides its options; tests give small sizes and peers of their own. */
export interface BenchParts {
  readonly signal: AbortSignal;
  /** Called as stages begin; `stages` says how many there are. */
  readonly onStage: (name: string) => void;
  readonly onDetail: (text: string) => void;
  /** The command, as the result names it. */
  readonly command: string;
  readonly sizes?: Readonly<Record<string, Sizes>>;
  readonly axes?: readonly Axis[];
  readonly entrants?: (problem: Problem) => readonly Entrant[];
  /** Measures matrix products against their candidates. */
  readonly products?: (device: Device, quick: boolean, onDetail: (text: string) => void) => Promise<ProductsResult>;
}

/** How long contestants are measured, at most: a slow one takes part in three rounds whatever they take. */
const ROUND_MILLISECONDS = 1500;
const BUDGET_MILLISECONDS = 30_000;
const QUICK_MILLISECONDS = 400;
const AXIS_ROUNDS = 3;

/** The stages that a run will go through, at most. */
export function stagesOf(options: BenchOptions): number {
  return (options.sizes?.length ?? 3) + (options.scaling ? 4 : 0) + (options.kernels ? 1 : 0);
}

/** Runs the benchmark. @throws what the signal was aborted with; DeviceError without an adapter */
export async function runBench(options: BenchOptions, parts: BenchParts): Promise<BenchResult> {
  const began = performance.now();
  const { signal, onStage, onDetail } = parts;
  using device = await openDevice();
  const environment = environmentOf(device);
  const { software } = environment.adapter;
  const found = options.peers.length === 0 || parts.entrants !== undefined ? [] : await peersFound();
  const notes: string[] = [];
  const slow = (size: string): boolean => software && size === 'P' && !options.all;
  const attempt = async <T>(what: string, act: () => Promise<T>): Promise<T | null> => {
    try {
      return await act();
    } catch (error) {
      signal.throwIfAborted();
      notes.push(`Not measured: ${what}: ${error instanceof Error ? error.message : String(error)}`);
      return null;
    }
  };

  const results: SizeResult[] = [];
  let kernels: KernelsResult | null = null;
  const usual = options.sizes ?? (software ? ['S', 'M'] : ['S', 'M', 'P']);
  const names = parts.sizes === undefined ? usual : Object.keys(parts.sizes);
  const shown = names.includes('M') ? 'M' : names.at(-1);
  for (const name of names) {
    onStage(`size ${name}`);
    const sizes = parts.sizes?.[name] ?? SIZES[name as keyof typeof SIZES];
    const problem = await makeProblem(sizes);
    const entrants = parts.entrants?.(problem) ?? entrantsOf(options, found, slow(name), problem);
    try {
      const contest = {
        name,
        sizes,
        feeds: problem.feeds,
        entrants,
        plan: contestPlan(options),
        cold: !options.quick,
        signal,
        onStage: onDetail,
      };
      const result = await holdContest(contest, async (each) => {
        if (!options.kernels || name !== shown || each.task !== 'benchmark' || each.path !== 'fused') return;
        // Next to each other in time, so that both see the same machine.
        kernels = await attempt('kernels', async () => {
          const ceilings = await measureCeilings(device, options.quick, onDetail);
          onDetail('kernels against ceilings');
          return kernelsOf(each, name, ceilings);
        });
      });
      results.push(result);
      notes.push(...pathNotes(result));
    } finally {
      problem.dispose();
    }
  }
  let products: ProductsResult | null = null;
  const { products: measureProducts } = parts;
  if (options.kernels && measureProducts !== undefined) {
    onStage('matrix products');
    products = await attempt('matrix products', () => measureProducts(device, options.quick, onDetail));
  }
  const scaling: AxisResult[] = [];
  if (options.scaling) {
    const plan = { ...contestPlan(options), rounds: Math.min(AXIS_ROUNDS, options.rounds), roundMilliseconds: 300 };
    for (const axis of parts.axes ?? scalingAxes(software)) {
      onStage(`growth along ${axis.axis}`);
      const grown = await attempt(`growth along ${axis.axis}`, () => measureAxis(axis, plan, signal, onDetail));
      if (grown !== null) scaling.push(grown);
    }
    if (software)
      notes.push('Software adapter: T, B and N grow from size S, since size M takes too long; K at size M.');
  }
  const measured = { environment, sizes: results, scaling, kernels, products };
  return {
    format: 'rimgrad bench 1',
    command: parts.command,
    ...measured,
    targets: judgeTargets(measured),
    notes,
    seconds: (performance.now() - began) / 1000,
  };
}

/** The peers that are asked for, each with why it cannot take part, if so. @param slow whether the size is for GPUs only */
function entrantsOf(
  { peers }: BenchOptions,
  found: readonly FoundPeer[],
  slow: boolean,
  problem: Problem,
): readonly Entrant[] {
  return peers.map((name): Entrant => {
    const here = found.find((each) => each.name === name);
    const { backend, available, reason } = need(here, `what is known of the peer ${name}`);
    const minutes =
      slow && backend !== 'torch' ? 'takes minutes a step on a software adapter; ask with --all' : undefined;
    const missing = available ? minutes : (reason ?? 'it is not installed');
    const start = async () => asContestant(await startPeer(name, problem));
    return { name, backend, start, ...(missing === undefined ? {} : { missing }) };
  });
}

/** Says where 'fused' fell back to the plain path: then both programs are one. */
function pathNotes({ name, contestants }: SizeResult): string[] {
  return (['benchmark', 'paper'] as const).flatMap((task) => {
    const calls = contestants.flatMap((each) => (each.task === task && each.own ? [each.own.dispatches] : []));
    const same = calls.length === 2 && calls[0] === calls[1];
    return same ? [`Size ${name}, ${task}: the fused path was not taken, both rows are the plain one.`] : [];
  });
}

function contestPlan({ rounds, quick }: BenchOptions): Plan {
  return quick
    ? { rounds, roundMilliseconds: QUICK_MILLISECONDS, budgetMilliseconds: 10 * QUICK_MILLISECONDS }
    : { rounds, roundMilliseconds: ROUND_MILLISECONDS, budgetMilliseconds: BUDGET_MILLISECONDS };
}
