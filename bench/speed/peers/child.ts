// The inside of a peer's process: reads the problem, trains a few steps, says so, then does as many steps as it is told.
//
// The protocol is a line of JSON a message, both ways; the arguments are the mode and the problem's file. First comes
// `{ ready }`; then every `{ steps }` is answered by `{ ms }`, and `{ exit: true }`, or the end of the input, ends the process.
// Always: nothing else reaches the standard output; what a library prints goes to the standard error. `torch_step.py`
// speaks the same protocol. Not here: what a step is (jax.ts, tfjs.ts).

import { createInterface } from 'node:readline';
import { OptionError } from '../../../engine/core.ts';
import { packageVersion } from '../../versions.ts';
import { type ProblemData, readProblem } from './problem.ts';

/** What a peer is told. */
export type Message = { readonly steps: number } | { readonly exit: true };

/** What a peer says of itself when it is ready. */
export interface Ready {
  readonly version: string;
  readonly adapter?: string;
  readonly losses: readonly number[];
  readonly firstStepMs: number;
}

/** What a peer answers. */
export type Answer = { readonly ready: Ready } | { readonly ms: readonly number[] };

/** A peer's training, made from a problem. */
export interface Trainer {
  readonly version: string;
  readonly adapter?: string;
  /** One step: forward, backward, update. @returns the loss, once all of it is done */
  step(): Promise<number>;
}

/** How many first losses a peer reports. */
const FIRST_STEPS = 3;

/**
 * Serves the protocol with what `make` returns, until it is told to exit.
 * @param modes the ways of computing that `make` knows
 * @throws OptionError for a mode that it does not know
 */
export async function serve(
  modes: readonly string[],
  make: (mode: string, problem: ProblemData) => Promise<Trainer>,
): Promise<void> {
  const [mode, file] = process.argv.slice(2);
  if (mode === undefined || !modes.includes(mode) || file === undefined) {
    throw new OptionError(`a peer needs a mode, ${modes.join(' or ')}, and the file of a problem`);
  }
  console.log = console.error;
  console.info = console.error;
  const trainer = await make(mode, readProblem(file));
  const { losses, ms } = await train(trainer, FIRST_STEPS);
  const { version, adapter } = trainer;
  say({ ready: { version, ...(adapter === undefined ? {} : { adapter }), losses, firstStepMs: ms[0] ?? 0 } });
  for await (const line of createInterface({ input: process.stdin })) {
    const message = JSON.parse(line) as Message;
    if ('exit' in message) break;
    say({ ms: (await train(trainer, message.steps)).ms });
  }
  // Not a plain return: devices and worker threads of the libraries would keep the process alive.
  process.exit(0);
}

async function train(trainer: Trainer, steps: number): Promise<{ losses: number[]; ms: number[] }> {
  const losses: number[] = [];
  const ms: number[] = [];
  for (let i = 0; i < steps; i++) {
    const start = performance.now();
    losses.push(await trainer.step());
    ms.push(performance.now() - start);
  }
  return { losses, ms };
}

function say(answer: Answer): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

/** The name of an adapter as its runtime tells it. */
export function adapterName(info: GPUAdapterInfo | undefined): string {
  return info?.description || info?.device || [info?.vendor, info?.architecture].filter(Boolean).join(' ') || 'unknown';
}

/** Gives this process the `navigator.gpu` and the constants that a browser has, by the package `webgpu`. */
export async function browserGPU(): Promise<GPU> {
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const gpu = create([]);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu, userAgent: 'Node' }, configurable: true });
  return gpu;
}

/** The version of an installed npm package, with its name. */
export function versionOf(name: string): string {
  return `${name} ${packageVersion(name) ?? 'unknown'}`;
}
