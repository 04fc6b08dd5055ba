// `npm run bench -- --systems`: what a training step of each system costs, RIMs and those that they are compared with, at one hidden
// size: kernel calls a time step and in all, and the time of a step beside the RIM's.
//
// Always: all learn the same input with Adam and have as many hidden units in all, a memory of their own beside; they are timed in rounds, so that what slows the
// machine for a while slows all of them. One that cannot run is a line with the reason. Not here: tasks, and what anything learns.

import { adam, compile, type Device, grad, input, meanSquare, openDevice, type Tensor } from '../../engine/node.ts';
import { normalArray } from '../../engine/random.ts';
import { sizeOf } from '../../engine/tensor.ts';
import type { Variable } from '../../engine/variable.ts';
import { RIM } from '../../rims/index.ts';
import { dnc, entnet, gru, indrnn, lstm, ntm, rmc, transformer } from '../baselines/index.ts';
import { environmentOf } from './environment.ts';
import { programFacts } from './facts.ts';
import type { ProgramFacts } from './result.ts';
import { allSteps, measureRounds, type Plan, type Runner } from './rounds.ts';
import { type Spread, spread } from './statistics.ts';
import { columns, milliseconds } from './table.ts';

/** The sizes that all systems have in common. */
export interface SystemSizes {
  readonly T: number;
  readonly B: number;
  /** Size of the input, and hidden units in all; a multiple of 16. */
  readonly H: number;
}

/** What is asked of a system here: a sequence into a sequence, and its parameters. A `SequenceModel` is one. */
export interface TimedSystem {
  (x: Tensor): { readonly hidden: Tensor };
  readonly variables: readonly Variable[];
}

/** The systems by their names, each made from a hidden size; a new one is a line here. The first is what the others stand beside. */
export const SYSTEMS: Readonly<Record<string, (H: number) => TimedSystem>> = {
  RIM: (H) =>
    RIM.official(
      { inputSize: H, hiddenSize: H / 4, modules: 4, active: 3, inputDropout: 0, commDropout: 0 },
      { seed: 1 },
    ),
  LSTM: (H) => lstm({ inputSize: H, hiddenSize: H }, { seed: 1 }),
  GRU: (H) => gru({ inputSize: H, hiddenSize: H }, { seed: 1 }),
  RMC: (H) => rmc({ inputSize: H, slots: 4, heads: 4, headSize: H / 16 }, { seed: 1 }),
  NTM: (H) => ntm({ inputSize: H, hiddenSize: H, slots: 32, slotSize: 16 }, { seed: 1 }),
  DNC: (H) => dnc({ inputSize: H, hiddenSize: H, slots: 16, slotSize: 16 }, { seed: 1 }),
  'Transformer, 2 layers': (H) => transformer({ inputSize: H, width: H, layers: 2, heads: 4 }, { seed: 1 }),
  EntNet: (H) => entnet({ inputSize: H, slots: 8, slotSize: H / 8, gateBias: true }, { seed: 1 }),
  'IndRNN, 2 layers': (H) => indrnn({ inputSize: H, hiddenSize: H, layers: 2 }, { seed: 1 }),
};

/** What was measured of one system, or why nothing was. */
export type SystemCost =
  | { readonly name: string; readonly facts: ProgramFacts; readonly step: Spread }
  | { readonly name: string; readonly fault: string };

/** Measures systems, all on one device. @throws what `signal` was aborted with */
export async function measureSystems(
  device: Device,
  systems: typeof SYSTEMS,
  { T, B, H }: SystemSizes,
  plan: Plan,
  signal: AbortSignal,
): Promise<readonly SystemCost[]> {
  const runners = new Map<string, Runner>();
  const facts = new Map<string, ProgramFacts>();
  const faults = new Map<string, string>();
  for (const [name, make] of Object.entries(systems)) {
    signal.throwIfAborted();
    try {
      const system = make(H);
      const { hidden } = system(input('x', [T, B, H]));
      const loss = meanSquare(hidden, input('target', hidden.shape));
      const updates = adam(grad(loss, system.variables), { learningRate: 1e-3, clipNorm: 1 });
      const program = await compile(device, { loss }, updates);
      const numbers = (shape: readonly number[], stream: number): Float32Array =>
        normalArray(sizeOf(shape), { seed: 1, stream });
      const feeds = { x: numbers([T, B, H], 0), target: numbers(hidden.shape, 1) };
      facts.set(name, programFacts(program, T));
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
  const measured = await measureRounds(runners, plan, signal, () => {});
  return Object.keys(systems).map((name): SystemCost => {
    const [own, times] = [facts.get(name), measured.get(name)];
    const fault = faults.get(name) ?? times?.fault;
    if (fault !== undefined || own === undefined || times === undefined) return { name, fault: fault ?? 'not timed' };
    return { name, facts: own, step: spread(allSteps(times)) };
  });
}

/** The costs as a table. */
export function systemsTable(costs: readonly SystemCost[], { T, B, H }: SystemSizes): string {
  const [first] = costs;
  const base = first !== undefined && 'step' in first ? first.step.median : undefined;
  const count = (value: number): string => (Number.isInteger(value) ? `${value}` : value.toFixed(1));
  const rows = costs.map((cost): string[] => {
    if ('fault' in cost) return [cost.name, cost.fault];
    const { dispatches, forwardDispatchesPerTimeStep, backwardDispatchesPerTimeStep } = cost.facts;
    return [
      cost.name,
      count(forwardDispatchesPerTimeStep),
      count(backwardDispatchesPerTimeStep),
      `${dispatches}`,
      milliseconds(cost.step.median),
      `${milliseconds(cost.step.lower)} to ${milliseconds(cost.step.upper)}`,
      base === undefined ? '-' : (cost.step.median / base).toFixed(2),
    ];
  });
  const head = ['', 'forward', 'backward', 'calls', 'ms', 'quartiles', 'of the first'];
  return [
    `A training step of each system: hidden size ${H}, T ${T}, B ${B}; kernel calls a time step, and in all`,
    columns([head, ...rows]),
  ].join('\n');
}

/** Measures all systems on a device of its own and tells it as text. */
export async function timeSystems(rounds: number, quick: boolean, signal: AbortSignal): Promise<string> {
  using device = await openDevice();
  const { adapter } = environmentOf(device);
  const sizes = quick ? { T: 10, B: 8, H: 32 } : { T: 50, B: 64, H: 128 };
  const plan = { rounds, roundMilliseconds: quick ? 400 : 1500, budgetMilliseconds: quick ? 2000 : 30_000 };
  const costs = await measureSystems(device, SYSTEMS, sizes, plan, signal);
  return `${adapter.name}${adapter.software ? ' (software)' : ''}\n${systemsTable(costs, sizes)}\n`;
}
