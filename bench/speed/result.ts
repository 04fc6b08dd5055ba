// What a run of the benchmark found: the shape of its JSON file, from which table, page and verdict are made.
//
// Always: plain data, every raw sample included; times in milliseconds, memory in bytes. What could not be measured is there
// with the reason. Not here: measuring (bench.ts) and showing (table.ts, page.ts).

import type { AdapterDescription } from '../../engine/core.ts';
import type { Ceilings } from './ceilings.ts';
import type { Path, Task } from './contestants.ts';
import type { Spread } from './statistics.ts';
import type { Target } from './targets.ts';
import type { Sizes } from './work.ts';

/** The steps of one round. */
export interface Round {
  readonly round: number;
  readonly milliseconds: readonly number[];
}

/** What is known of a program without running it, and what it took to compile. */
export interface ProgramFacts {
  readonly dispatches: number;
  /** In the loops over time, for each time step. */
  readonly forwardDispatchesPerTimeStep: number;
  readonly backwardDispatchesPerTimeStep: number;
  /** Of what is computed a second time for the backward, to save memory. */
  readonly recomputedDispatchesPerTimeStep: number;
  /** Outside of the loops. */
  readonly constantDispatches: number;
  /** Bytes bound and operations by all calls of a step. */
  readonly bytes: number;
  readonly operations: number;
  readonly pipelines: number;
}

/** What only our own contestants tell. */
export interface OwnFacts extends ProgramFacts {
  readonly path: Path;
  /** In JavaScript, until a step is submitted. */
  readonly encoding: Spread;
  /** The sum of all calls by the GPU's clock, in passes of their own; null where there are no timestamps. */
  readonly gpuMilliseconds: number | null;
  /**
   * In a process of its own, with the driver's shader cache off: until `compile` was done, and until the first step was, which
   * counts what a driver puts off until then. null where it failed or was not asked for.
   */
  readonly cold: { readonly compileMilliseconds: number; readonly firstStepMilliseconds: number } | null;
  /** The most that the library held on the device at once. */
  readonly peakMemory: number;
}

/** One contestant at one size. */
export interface ContestantResult {
  readonly name: string;
  readonly task: Task;
  readonly backend: string;
  readonly version: string;
  readonly adapter: string | null;
  /** 'refused': it computed something else. 'failed': it broke. 'missing': it is not installed or was not asked. */
  readonly status: 'timed' | 'refused' | 'failed' | 'missing';
  readonly reason: string | null;
  readonly losses: readonly number[];
  readonly firstStepMilliseconds: number | null;
  readonly rounds: readonly Round[];
  readonly step: Spread | null;
  /** How many times longer than rimgrad's fused path at the same task, by rounds. */
  readonly ratio: Spread | null;
  /** How many times longer than rimgrad's plain path at the same task, by rounds. */
  readonly plainRatio: Spread | null;
  readonly own: OwnFacts | null;
}

/** All contestants at one size. */
export interface SizeResult {
  readonly name: string;
  readonly sizes: Sizes;
  readonly contestants: readonly ContestantResult[];
}

/** One size of a scaling curve. */
export interface ScalingPoint {
  readonly value: number;
  readonly sizes: Sizes;
  readonly rounds: readonly Round[];
  readonly step: Spread | null;
  /** Bytes that the program holds, Variables apart. */
  readonly memory: number | null;
  readonly reason: string | null;
}

/** How the cost of a fused step grows with one size. */
export interface AxisResult {
  readonly axis: 'T' | 'B' | 'N' | 'K';
  /** The sizes that stay. */
  readonly base: string;
  readonly points: readonly ScalingPoint[];
  /** Of the line through the three largest on logarithmic axes. */
  readonly slope: number | null;
}

/** A group of equal kernel calls of a step, against the adapter's ceilings. */
export interface KernelRow {
  readonly op: string;
  readonly kernel: string;
  readonly constants: Readonly<Record<string, number | boolean>>;
  readonly calls: number;
  readonly milliseconds: number;
  /** Of the step. */
  readonly share: number;
  readonly operationsPerSecond: number;
  readonly bytesPerSecond: number;
  /** Which ceiling asks for the most time. */
  readonly bound: 'arithmetic' | 'memory' | 'dispatch';
  /** The time that this ceiling asks for, as a share of the time it took. */
  readonly reached: number;
}

/** The kernels of a step, and what they are held against. */
export interface KernelsResult {
  readonly size: string;
  readonly timestamps: boolean;
  readonly ceilings: Ceilings;
  readonly rows: readonly KernelRow[];
}

/** One way to multiply matrices, and how fast it was. */
export interface ProductCandidate {
  readonly name: string;
  readonly operationsPerSecond: number;
}

/** A shape of product: what rimgrad chooses for it, beside all candidates. */
export interface ProductShape {
  readonly name: string;
  readonly chosen: ProductCandidate;
  readonly best: ProductCandidate;
  /** The rate of the chosen one, of the best one's. */
  readonly share: number;
  readonly candidates: readonly ProductCandidate[];
}

/** The matrix products against their candidates. */
export interface ProductsResult {
  readonly shapes: readonly ProductShape[];
}

/** Where a run took place. */
export interface Environment {
  readonly date: string;
  readonly commit: string | null;
  /** True where the checkout held changes that are in no commit. */
  readonly changed: boolean | null;
  readonly adapter: AdapterDescription & { readonly name: string; readonly subgroupSize: number };
  readonly features: readonly string[];
  readonly rimgrad: string;
  readonly node: string;
  readonly webgpu: string | null;
  readonly platform: string;
  readonly processor: string;
  readonly processors: number;
  readonly memory: number;
}

/** Everything that a run found. */
export interface BenchResult {
  readonly format: 'rimgrad bench 1';
  readonly command: string;
  readonly environment: Environment;
  readonly sizes: readonly SizeResult[];
  readonly scaling: readonly AxisResult[];
  readonly kernels: KernelsResult | null;
  readonly products: ProductsResult | null;
  readonly targets: readonly Target[];
  /** What the reader has to know besides. */
  readonly notes: readonly string[];
  readonly seconds: number;
}
