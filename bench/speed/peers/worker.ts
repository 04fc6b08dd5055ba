// The browser's `Worker` for libraries that look for it, on Node's worker threads: a script from a blob's URL, messages both
// ways, errors. With it jax-js runs its wasm kernels on all cores, as it does in a browser.
//
// Always: messages sent before the script runs arrive after, in order. Not here: scripts by address, and everything else
// that a browser's worker can do.

import { resolveObjectURL } from 'node:buffer';
import { availableParallelism } from 'node:os';
import { Worker as Thread } from 'node:worker_threads';

/** What a worker's script finds in a browser. */
const PRELUDE = `
const { parentPort } = require('node:worker_threads');
globalThis.self = globalThis;
globalThis.postMessage = (message) => parentPort.postMessage(message);
parentPort.on('message', (data) => self.onmessage({ data }));
`;

class BlobWorker {
  onmessage: ((event: { readonly data: unknown }) => void) | null = null;
  onerror: ((error: Error) => void) | null = null;
  readonly #thread: Promise<Thread>;

  constructor(url: string) {
    const blob = resolveObjectURL(url);
    this.#thread = this.#start(blob === undefined ? Promise.reject(new Error(`no blob ${url}`)) : blob.text());
  }

  async #start(script: Promise<string>): Promise<Thread> {
    const thread = new Thread(PRELUDE + (await script), { eval: true });
    thread.on('message', (data: unknown) => this.onmessage?.({ data }));
    thread.on('error', (error) => this.onerror?.(error));
    return thread;
  }

  postMessage(message: unknown): void {
    void this.#thread.then((thread) => thread.postMessage(message));
  }
}

/** Gives this process the `Worker` and the count of cores that a browser has. */
export function provideWorker(): void {
  Object.assign(globalThis, { Worker: BlobWorker });
  const value = { hardwareConcurrency: availableParallelism(), userAgent: 'Node' };
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true });
}
