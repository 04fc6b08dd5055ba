// The problem that all peers solve: sizes, first parameters, feeds and the state before the first step, in one file.
//
// Always: the parameters are those that `benchmarkWork` draws for these sizes, under their names without the prefix `rim.`;
// beside them stand x [T,B,D], target [B,N*H] and state [B,N,H]. The file is safetensors, so that every peer can read it
// with a few lines; sizes and learning rate are its metadata.
// Not here: the peers, and the protocol they speak (index.ts, child.ts).

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileError, initialisers, need, readSafetensors, writeSafetensors } from '../../../engine/core.ts';
import { normalArray } from '../../../engine/random.ts';
import { benchmarkWork, LEARNING_RATE, type Sizes } from '../work.ts';

/** A problem on disk. */
export interface Problem {
  readonly sizes: Sizes;
  /** The file that peers read. */
  readonly file: string;
  /** What to feed to `benchmarkWork(sizes, path)` so that it solves the same problem: x [T,B,D], target [B,N*H]. */
  readonly feeds: Readonly<Record<'x' | 'target', Float32Array>>;
  /** Removes the file. */
  dispose(): void;
}

/** What a peer reads. */
export interface ProblemData {
  readonly sizes: Sizes;
  readonly learningRate: number;
  /** A parameter by the name that the cell gives it, such as `query`; or `x`, `target`, `state`. */
  tensor(name: string): { readonly shape: readonly number[]; readonly data: Float32Array<ArrayBuffer> };
}

/** The weights of the benchmark's cell, in the order that peers take them. */
export const WEIGHTS = [
  'key',
  'keyBias',
  'value',
  'valueBias',
  'query',
  'inputGates',
  'stateGates',
  'commQuery',
  'commKey',
  'commValue',
  'commOutput',
] as const;

/** The name of a weight of the benchmark's cell. */
export type Weight = (typeof WEIGHTS)[number];

const NAMES: readonly string[] = [...WEIGHTS, 'x', 'target', 'state'];

/** Draws a problem and writes its file into the folder of temporary files; whoever made it disposes of it. */
export async function makeProblem(sizes: Sizes, learningRate: number = LEARNING_RATE): Promise<Problem> {
  const { B, T, N, H, D } = sizes;
  const tensors = new Map<string, { dtype: 'F32'; shape: readonly number[]; data: Float32Array }>();
  const put = (name: string, shape: readonly number[], data: Float32Array): void => {
    tensors.set(name, { dtype: 'F32', shape, data });
  };
  const { rim } = benchmarkWork(sizes, 'plain');
  for (const variable of rim.variables) {
    const data = await variable.read();
    if (data instanceof Float32Array) put(variable.name.replace(/^rim\./, ''), variable.shape, data);
  }
  const feeds = {
    x: normalArray(T * B * D, { seed: 2, stream: 0 }),
    target: normalArray(B * N * H, { seed: 2, stream: 1 }),
  };
  put('x', [T, B, D], feeds.x);
  put('target', [B, N * H], feeds.target);
  // The noise that a RIM of seed 1 starts from, as rims/rim.ts draws it.
  put('state', [B, N, H], initialisers.normal(1)([B, N, H], { seed: 1, stream: 17 }));
  const odd = NAMES.find((name) => !tensors.has(name)) ?? [...tensors.keys()].find((name) => !NAMES.includes(name));
  if (odd !== undefined)
    throw new FileError(`problem: the peers and the benchmark's cell differ in ${odd}; mend WEIGHTS`);

  const folder = mkdtempSync(join(tmpdir(), 'rimgrad-peers-'));
  const file = join(folder, 'problem.safetensors');
  writeFileSync(file, writeSafetensors(tensors, { sizes: JSON.stringify(sizes), learningRate: String(learningRate) }));
  return { sizes, file, feeds, dispose: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Reads the file of a problem. @throws FileError where it is none */
export function readProblem(file: string): ProblemData {
  const { tensors, metadata } = readSafetensors(readFileSync(file), file);
  const sizes = JSON.parse(need(metadata.sizes, `${file}: sizes`)) as Sizes;
  return {
    sizes,
    learningRate: Number(need(metadata.learningRate, `${file}: learningRate`)),
    tensor: (name) => {
      const tensor = need(tensors.get(name), `${file}: tensor ${name}`);
      if (tensor.dtype !== 'F32') throw new FileError(`${file}: tensor ${name} is ${tensor.dtype}; write it as F32`);
      return { shape: tensor.shape, data: Float32Array.from(tensor.data) };
    },
  };
}
