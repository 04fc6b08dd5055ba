// What can be told of one of our own programs besides its time: its calls, bytes and operations, the time of its encoding,
// its GPU time, its memory, and how long it compiles where nothing is cached.
//
// Not here: the time of its steps (rounds.ts) and single kernels against ceilings (kernels.ts).

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Program } from '../../engine/core.ts';
import type { OwnContestant, Path, Task } from './contestants.ts';
import type { OwnFacts, ProgramFacts } from './result.ts';
import { spread } from './statistics.ts';
import type { Sizes } from './work.ts';

/** Counts a program's calls. */
export function programFacts({ plan, calls }: Program): ProgramFacts {
  const perTimeStep = { forward: 0, backward: 0 };
  let looped = 0;
  let longest = 0;
  for (const item of plan.items) if ('body' in item) longest = Math.max(longest, item.steps);
  for (const item of plan.items) {
    if (!('body' in item)) continue;
    const count = item.steps * item.body.length;
    looped += count;
    perTimeStep[item.reverse ? 'backward' : 'forward'] += count;
  }
  let bytes = 0;
  let operations = 0;
  for (const { dispatch } of calls) {
    operations += dispatch.operations;
    for (const { place } of dispatch.buffers) bytes += place.bytes;
  }
  return {
    dispatches: calls.length,
    forwardDispatchesPerTimeStep: longest === 0 ? 0 : perTimeStep.forward / longest,
    backwardDispatchesPerTimeStep: longest === 0 ? 0 : perTimeStep.backward / longest,
    constantDispatches: calls.length - looped,
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
    ...programFacts(own.program),
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
