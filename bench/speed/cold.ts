// Run in a process of its own by facts.ts, with the driver's shader cache off: `node cold.js TASK PATH SIZES` prints the
// milliseconds that `compile` takes for a training step, and those until its first step is done as well: some drivers put off
// a part of compiling until a kernel is first called.

import { compile, openDevice } from '../../engine/node.ts';
import { normalArray } from '../../engine/random.ts';
import { workOf } from './contestants.ts';
import type { Sizes } from './work.ts';

const [task, path, text = ''] = process.argv.slice(2);
const sizes = JSON.parse(text) as Sizes;
const { B, T, D, N, H } = sizes;
const { loss, updates } = workOf(task === 'paper' ? 'paper' : 'benchmark', sizes, path === 'plain' ? 'plain' : 'fused');
const feeds = {
  x: normalArray(T * B * D, { seed: 2, stream: 0 }),
  target: normalArray(B * N * H, { seed: 2, stream: 1 }),
};
using device = await openDevice();
const began = performance.now();
const program = await compile(device, { loss }, updates);
const compiled = performance.now() - began;
await program.run(feeds);
await program.read('loss');
process.stdout.write(`${JSON.stringify({ compile: compiled, firstStep: performance.now() - began })}\n`);
