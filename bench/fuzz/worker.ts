// The thread in which cases run: with a heap of its own that is bounded, and prototypes that nobody else shares. It tells each
// case's result, and notes in shared memory which case it is at and that it is alive.

import { parentPort, workerData } from 'node:worker_threads';
import { runCase } from './cases.ts';
import { allLoaders } from './loaders.ts';

/** What the thread is told. */
export interface Work {
  readonly seed: number;
  /** The first case, and the one after the last. */
  readonly from: number;
  readonly to: number;
  /** Only this loader; all of them where it is left out. */
  readonly loader?: string;
  readonly golden: string;
  /** At 0 the case, at 1 a count of files that were loaded. */
  readonly notes: Int32Array;
}

const { seed, from, to, loader, golden, notes } = workerData as Work;
const loaders = allLoaders(golden).filter(({ name }) => loader === undefined || name === loader);
for (let index = from; index < to; index++) {
  Atomics.store(notes, 0, index);
  parentPort?.postMessage(await runCase(loaders, seed, index, () => void Atomics.add(notes, 1, 1)));
}
