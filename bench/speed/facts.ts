// What can be told of one of our own programs besides its time: its calls, bytes and operations, the time of its encoding,
// its GPU time, its memory, and how long it compiles where nothing is cached.
//
// Not here: the time of its steps (rounds.ts) and single kernels against ceilings (kernels.ts).

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { bytesOf, type Dispatch, isLoop, type Plan } from '../../engine/plan.ts';
import type { OwnContestant, Path, Task } from './contestants.ts';
import type { OwnFacts, ProgramFacts } from './result.ts';
import { spread } from './statistics.ts';
import type { Sizes } from './work.ts';

/** What is counted of a program. */
export interface Counted {
  readonly plan: Pick<Plan, 'items'>;
  readonly calls: readonly { readonly dispatch: Dispatch }[];
}

/** Counts a program's calls. @param timeSteps T */
export function programFacts({ plan, calls }: Counted, timeSteps: number): ProgramFacts {
  const looped = { forward: 0, backward: 0, again: 0 };
  for (const item of plan.items) {
    if (!isLoop(item)) continue;
    // A loop from first to last after the backward has begun computes again what was not kept.
    const kind = item.reverse ? 'backward' : looped.backward > 0 ? 'again' : 'forward';
    looped[kind] += item.steps * item.body.length;
  }
  let bytes = 0;
  let operations = 0;
  for (const { dispatch } of calls) {
    operations += dispatch.operations;
    bytes += bytesOf(dispatch);
  }
  return {
    dispatches: calls.length,
    forwardDispatchesPerTimeStep: looped.forward / timeSteps,
    backwardDispatchesPerTimeStep: looped.backward / timeSteps,
    recomputedDispatchesPerTimeStep: looped.again / timeSteps,
    constantDispatches: calls.length - looped.forward - looped.backward - looped.again,
    bytes,
    operations,
    pipelines: new Set(calls.map(({ dispatch }) => dispatch.source)).size,
  };
}

/** Everything about one of ours that took its steps. Its profile is taken here. */
export async function ownFacts(own: OwnContestant, cold: OwnFacts['cold']): Promise<OwnFacts> {
  const { peak } = own.device.memory();
  const { timestamps, milliseconds } = await own.program.profile(own.feeds);
  return {
    path: own.path,
    ...programFacts(own.program, own.timeSteps),
    encoding: spread(own.encoding),
    gpuMilliseconds: timestamps ? milliseconds : null,
    cold,
    peakMemory: peak,
  };
}

/** Settings that keep drivers from finding compiled shaders again: Mesa's, NVIDIA's. */
const NO_CACHE = { MESA_SHADER_CACHE_DISABLE: '1', __GL_SHADER_DISK_CACHE: '0' };

/** Times of compiling a training step in a new process without the driver's cache; null where that failed. */
export function coldCompile(task: Task, path: Path, sizes: Sizes, signal: AbortSignal): Promise<OwnFacts['cold']> {
  const script = fileURLToPath(new URL('cold.js', import.meta.url));
  const child = spawn(process.execPath, [script, task, path, JSON.stringify(sizes)], {
    env: { ...process.env, ...NO_CACHE },
    stdio: ['ignore', 'pipe', 'ignore'],
    signal,
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  return new Promise((resolve) => {
    child.on('error', () => resolve(null));
    child.on('close', (code) => {
      if (code !== 0) return resolve(null);
      const { compile, firstStep } = JSON.parse(output) as { compile: number; firstStep: number };
      resolve({ compileMilliseconds: compile, firstStepMilliseconds: firstStep });
    });
  });
}
