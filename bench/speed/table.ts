// What a run of the benchmark prints: tables of plain text, and the verdict.
//
// Always: whole lines without colours, good in a terminal, a file and a code block; whatever was not timed says why.
// Not here: the page (page.ts), and what the figures are (result.ts).

import { at } from '../../engine/errors.ts';
import type {
  AxisResult,
  BenchResult,
  ContestantResult,
  KernelsResult,
  ProductsResult,
  ProgramFacts,
  SizeResult,
} from './result.ts';
import type { Spread } from './statistics.ts';
import type { Target } from './targets.ts';

/** The whole report in lines. */
export function formatResult(result: BenchResult): string {
  const { environment: where, sizes, scaling, kernels, products, targets, notes } = result;
  const commit = where.commit === null ? 'no commit known' : `commit ${where.commit.slice(0, 12)}`;
  const head = [
    `rimgrad ${where.rimgrad}, ${commit}${where.changed === true ? ' with changes' : ''}, ${where.date.slice(0, 16).replace('T', ' ')} UTC`,
    `${where.adapter.name}${where.adapter.software ? ' (software)' : ''}; Node ${where.node}, webgpu ${where.webgpu ?? 'unknown'}; ${where.processors} x ${where.processor}`,
    result.command,
  ];
  const parts = [
    head.join('\n'),
    ...sizes.flatMap((size) => [contest(size), own(size)]),
    ...(kernels === null ? [] : [ceilings(kernels), kernelTable(kernels)]),
    ...(products === null || products.shapes.length === 0 ? [] : [productTable(products)]),
    ...(scaling.length === 0 ? [] : [growth(scaling)]),
    verdict(targets),
    ...(notes.length === 0 ? [] : [notes.join('\n')]),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

/** Rows as columns: the first aligned left, the others right; a missing cell is empty. */
export function columns(rows: readonly (readonly string[])[], left: readonly number[] = [0]): string {
  const count = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  return rows
    .map((row) => {
      const cells = row.map((cell, i) =>
        left.includes(i) ? cell.padEnd(at(widths, i)) : cell.padStart(at(widths, i)),
      );
      return `  ${cells.join('  ')}`.trimEnd();
    })
    .join('\n');
}

/** Milliseconds with three digits that count. */
export function milliseconds(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** A large number with a unit prefix. */
export function amount(value: number): string {
  const prefixes = ['', 'k', 'M', 'G', 'T'];
  const power = value < 1 ? 0 : Math.min(prefixes.length - 1, Math.floor(Math.log10(value) / 3));
  const scaled = value / 1000 ** power;
  return `${scaled >= 100 || (power === 0 && Number.isInteger(scaled)) ? scaled.toFixed(0) : scaled.toPrecision(3)}${at(prefixes, power)}`;
}

/** The calls of each time step: forward + backward, + those that compute again what was not kept. */
export function loopCalls(facts: ProgramFacts): string {
  const { forwardDispatchesPerTimeStep: forward, backwardDispatchesPerTimeStep: backward } = facts;
  const again = facts.recomputedDispatchesPerTimeStep;
  return [forward, backward, ...(again === 0 ? [] : [again])].map(round).join(' + ');
}

/** The name of a contestant with its task, where that is not the common one. */
export function label({ name, task }: Pick<ContestantResult, 'name' | 'task'>): string {
  return task === 'paper' ? `${name}, paper + Adam` : name;
}

function contest({ name, sizes, contestants }: SizeResult): string {
  const letters = Object.entries(sizes).map(([letter, value]) => `${letter} ${value}`);
  const rows = contestants.map((each) => {
    const { step, ratio, status, reason, firstStepMilliseconds: first, rounds } = each;
    if (step === null) return [label(each), `${status}: ${reason ?? 'not asked'}`];
    const times = ratio === null ? [] : [ratio.median.toPrecision(3), `${range(ratio, (x) => x.toPrecision(3))}`];
    const start = first === null ? '' : `${(first / 1000).toFixed(2)} s`;
    const counts = [start, `${rounds.length} x ${rounds[0]?.milliseconds.length ?? 0}`];
    return [label(each), milliseconds(step.median), range(step, milliseconds), ...counts, ...times];
  });
  const timed = rows.filter((row) => row.length > 2);
  const others = rows.filter((row) => row.length <= 2).map((row) => `  ${row.join(': ')}`);
  const header = ['', 'ms a step', 'quartiles', 'first step', 'rounds x steps', 'times fused', 'quartiles'];
  return [
    `Training step at size ${name}: ${letters.join(', ')}`,
    ...(timed.length === 0 ? [] : [columns([header, ...timed])]),
    ...others,
  ].join('\n');
}

function own({ name, contestants }: SizeResult): string {
  const rows = contestants.flatMap((each) => {
    const { own: facts, step } = each;
    if (facts === null || step === null) return [];
    const { encoding, gpuMilliseconds: gpu, cold } = facts;
    return [
      [
        label(each),
        milliseconds(encoding.median),
        `${((100 * encoding.median) / step.median).toFixed(1)} %`,
        gpu === null ? '-' : milliseconds(gpu),
        `${facts.dispatches}`,
        loopCalls(facts),
        `${facts.constantDispatches}`,
        `${amount(facts.bytes)}B`,
        amount(facts.operations),
        `${facts.pipelines}`,
        cold === null ? '-' : `${seconds(cold.compileMilliseconds)} / ${seconds(cold.firstStepMilliseconds)} s`,
        `${(facts.peakMemory / 2 ** 20).toFixed(0)} MiB`,
      ],
    ];
  });
  if (rows.length === 0) return '';
  const header = ['', 'encode ms', 'of step', 'GPU ms', 'calls', 'a time step', 'besides', 'bound', 'operations'];
  const more = ['pipelines', 'cold: compile / first step', 'memory'];
  return `rimgrad at size ${name}; calls a time step forward + backward (+ computed again); GPU ms as the sum of calls in passes of their own\n${columns([[...header, ...more], ...rows])}`;
}

function ceilings({ ceilings: { arithmetic, copy, dispatch } }: KernelsResult): string {
  const rows = [
    ['multiply-add in registers', `${amount(arithmetic.operationsPerSecond)}op/s`, arithmetic.way],
    ...copy.map(({ bytes, bytesPerSecond, way }) => [
      `copy of ${(bytes / 2 ** 20).toPrecision(2)} MiB`,
      `${amount(bytesPerSecond)}B/s`,
      way.replace(/^[^,]*, /, ''),
    ]),
    ['a dependent call', `${(1000 * dispatch.one).toPrecision(3)} us`, '1 workgroup'],
    ['', `${(1000 * dispatch.sixtyFour).toPrecision(3)} us`, '64 workgroups'],
  ];
  return `Ceilings of this adapter, the best of several ways\n${columns(rows, [0, 2])}`;
}

function kernelTable({ size, timestamps, rows }: KernelsResult): string {
  const body = rows.map((row) => [
    row.op,
    kernelName(row),
    `${row.calls}`,
    milliseconds(row.milliseconds),
    `${(100 * row.share).toFixed(1)} %`,
    `${(row.operationsPerSecond / 1e9).toPrecision(3)}`,
    `${(row.bytesPerSecond / 1e9).toPrecision(3)}`,
    row.bound,
    `${(100 * row.reached).toFixed(0)} %`,
  ]);
  const header = ['op', 'kernel', 'calls', 'ms', 'share', 'Gop/s', 'GB/s', 'bound by', 'of ceiling'];
  const clock = timestamps ? "the GPU's" : "the host's";
  return `Main kernels of the fused step at size ${size}, by ${clock} clock\n${columns([header, ...body], [0, 1])}`;
}

/** A kernel with the constants that it was compiled with. */
export function kernelName({
  kernel,
  constants,
}: {
  kernel: string;
  constants: Readonly<Record<string, unknown>>;
}): string {
  return [kernel, ...Object.entries(constants).map(([name, value]) => `${name}=${String(value)}`)].join(' ');
}

function productTable({ shapes }: ProductsResult): string {
  const rows = shapes.map(({ name, chosen, best, share, candidates }) => [
    name,
    chosen.name,
    (chosen.operationsPerSecond / 1e9).toPrecision(3),
    best.name,
    (best.operationsPerSecond / 1e9).toPrecision(3),
    `${(100 * share).toFixed(0)} %`,
    `${candidates.length}`,
  ]);
  const header = ['shape', 'chosen', 'Gop/s', 'best', 'Gop/s', 'share', 'of'];
  return `Matrix products: the tile that is chosen and the best of all candidates\n${columns([header, ...rows], [0, 1, 3])}`;
}

function growth(axes: readonly AxisResult[]): string {
  const lines = axes.map(({ axis, base, points, slope }) => {
    const rows = [
      [axis, ...points.map(({ value }) => `${value}`)],
      ['ms', ...points.map(({ step }) => (step === null ? '-' : milliseconds(step.median)))],
    ];
    const reasons = points.flatMap(({ value, reason }) => (reason === null ? [] : [`  ${axis} ${value}: ${reason}`]));
    const steep = slope === null ? '' : `, slope ${slope.toFixed(3)} over the three largest`;
    return [`${base}${steep}`, columns(rows), ...reasons].join('\n');
  });
  return `How the cost of a fused step grows\n${lines.join('\n')}`;
}

function verdict(targets: readonly Target[]): string {
  const words = { true: 'reached', false: 'NOT REACHED', null: 'not decided' } as const;
  const rows = targets.map(({ name, wanted, figure, reached }) => [words[`${reached}`], name, wanted, figure]);
  const count = (value: boolean | null): number => targets.filter(({ reached }) => reached === value).length;
  const sums = `${count(true)} reached, ${count(false)} not reached, ${count(null)} not decided by this run`;
  return `Targets: ${sums}\n${columns(rows, [0, 1, 2, 3])}`;
}

function range({ lower, upper }: Spread, format: (value: number) => string): string {
  return `${format(lower)} - ${format(upper)}`;
}

function seconds(time: number): string {
  return (time / 1000).toFixed(2);
}

function round(value: number): string {
  return Number.isInteger(value) ? `${value}` : value.toFixed(1);
}
