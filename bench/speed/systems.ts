// `npm run bench -- --systems`: what a training step of each system costs, RIMs and those that they are compared with, at one hidden
// size: kernel calls a time step and in all, and the time of a step beside the RIM's.
//
// Always: the systems are those that can be trained (models.ts), with the options that a person gets who says nothing but the hidden
// size; all learn the same input with Adam; they are timed in rounds, so that what slows the machine for a while slows all of them.
// One that cannot run is a line with the reason. Not here: tasks, and what anything learns.

import { OptionError } from '../../engine/errors.ts';
import { adam, compile, type Device, grad, input, meanSquare, openDevice, RandomState } from '../../engine/node.ts';
import { normalArray } from '../../engine/random.ts';
import { sizeOf } from '../../engine/tensor.ts';
import { type System, systems } from '../models.ts';
import { parseMainOptions } from '../options.ts';
import { environmentOf } from './environment.ts';
import { programFacts } from './facts.ts';
import type { Environment, ProgramFacts } from './result.ts';
import { allSteps, measureRounds, type Plan, type Runner } from './rounds.ts';
import { type Spread, spread } from './statistics.ts';
import { milliseconds } from './table.ts';

/** The sizes that all systems have in common. */
export interface SystemSizes {
  readonly T: number;
  readonly B: number;
  /** Size of the input, and hidden units: `--width`, and of all 6 modules of the RIM together. A multiple of 24. */
  readonly H: number;
}

/** What was measured of one system, or why nothing was. */
export type SystemCost =
  | {
      readonly name: string;
      /** Numbers that it trains. */
      readonly parameters: number;
      readonly facts: ProgramFacts;
      readonly step: Spread;
    }
  | { readonly name: string; readonly fault: string };

/** Measures systems, all on one device. @throws what `signal` was aborted with */
export async function measureSystems(
  device: Device,
  measured: readonly Pick<System, 'system' | 'make'>[],
  { T, B, H }: SystemSizes,
  plan: Plan,
  signal: AbortSignal,
): Promise<readonly SystemCost[]> {
  const options = optionsAt(H);
  const runners = new Map<string, Runner>();
  const known = new Map<string, Omit<Extract<SystemCost, { step: Spread }>, 'name' | 'step'>>();
  const faults = new Map<string, string>();
  for (const { system: name, make } of measured) {
    signal.throwIfAborted();
    try {
      const model = make(options, H, new RandomState({ seed: 1 }));
      const { hidden } = model(input('x', [T, B, H]));
      const loss = meanSquare(hidden, input('target', hidden.shape));
      const updates = adam(grad(loss, model.variables), { learningRate: 1e-3, clipNorm: 1 });
      const program = await compile(device, { loss }, updates);
      const numbers = (shape: readonly number[], stream: number): Float32Array =>
        normalArray(sizeOf(shape), { seed: 1, stream });
      const feeds = { x: numbers([T, B, H], 0), target: numbers(hidden.shape, 1) };
      const parameters = model.variables.reduce((sum, { size }) => sum + size, 0);
      known.set(name, { parameters, facts: programFacts(program, T) });
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
      runners.set(name, { run });
    } catch (error) {
      faults.set(name, error instanceof Error ? error.message : String(error));
    }
  }
  const times = await measureRounds(runners, plan, signal, () => {});
  return measured.map(({ system: name }): SystemCost => {
    const [own, rounds] = [known.get(name), times.get(name)];
    const fault = faults.get(name) ?? rounds?.fault;
    if (fault !== undefined || own === undefined || rounds === undefined) return { name, fault: fault ?? 'not timed' };
    return { name, ...own, step: spread(allSteps(rounds)) };
  });
}

/** What the command line means with nothing but hidden sizes. */
function optionsAt(H: number): Parameters<System['make']>[0] {
  const request = parseMainOptions([
    '--models',
    Object.keys(systems).join(),
    '--width',
    `${H}`,
    '--hidden',
    `${H / 6}`,
  ]);
  if (request.kind !== 'run') throw new OptionError(`a hidden size of ${H} is none`);
  return request.options;
}

/** The costs as a table of Markdown, each time beside that of the first. */
export function systemsTable(costs: readonly SystemCost[], { T, B, H }: SystemSizes): string {
  const [first] = costs;
  const base = first !== undefined && 'step' in first ? first.step.median : undefined;
  const count = (value: number): string => (Number.isInteger(value) ? `${value}` : value.toFixed(1));
  const rows = costs.map((cost): string[] => {
    if ('fault' in cost) return [cost.name, cost.fault, '', '', '', '', ''];
    const { dispatches, forwardDispatchesPerTimeStep, backwardDispatchesPerTimeStep } = cost.facts;
    return [
      cost.name,
      cost.parameters.toLocaleString('en'),
      `${count(forwardDispatchesPerTimeStep)} + ${count(backwardDispatchesPerTimeStep)}`,
      `${dispatches}`,
      milliseconds(cost.step.median),
      `${milliseconds(cost.step.lower)} to ${milliseconds(cost.step.upper)}`,
      base === undefined ? '' : (cost.step.median / base).toFixed(2),
    ];
  });
  const head = [
    'system',
    'parameters',
    'calls a time step',
    'calls in all',
    'ms a step',
    'quartiles',
    `of ${first?.name}`,
  ];
  return [
    `A training step: hidden size ${H}, T ${T}, B ${B}; calls of kernels, forward + backward.`,
    '',
    markdown([head, ...rows]),
  ].join('\n');
}

/** Rows as a table of Markdown, the first column aligned left, the others right. */
function markdown([head = [], ...rows]: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) =>
    Math.max(...[title, ...rows.map((row) => row[i] ?? '')].map(({ length }) => length)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(' | ')} |`;
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

/** What `--systems` found: for machines as it is, for people as text. */
export interface SystemsResult {
  readonly environment: Environment;
  readonly sizes: SystemSizes;
  readonly costs: readonly SystemCost[];
}

/** Measures all systems on a device of its own. */
export async function timeSystems(rounds: number, quick: boolean, signal: AbortSignal): Promise<SystemsResult> {
  using device = await openDevice();
  const sizes = quick ? { T: 10, B: 8, H: 48 } : { T: 50, B: 64, H: 144 };
  const plan = { rounds, roundMilliseconds: quick ? 400 : 1500, budgetMilliseconds: quick ? 2000 : 30_000 };
  const costs = await measureSystems(device, Object.values(systems), sizes, plan, signal);
  return { environment: environmentOf(device), sizes, costs };
}

/** A result in lines. */
export function formatSystems({ environment: { adapter }, sizes, costs }: SystemsResult): string {
  return `${adapter.name}${adapter.software ? ' (software)' : ''}\n\n${systemsTable(costs, sizes)}\n`;
}
