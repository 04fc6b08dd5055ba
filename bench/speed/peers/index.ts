// The peers that rimgrad is timed against, each in a process of its own: what there is, and how to start, run and end one.
//
// Always: a peer does the same training step as `benchmarkWork` from the same first parameters, on the same feeds; its
// first losses come with its start, so that the caller can compare them with its own before it times anything. A step's
// time runs from its call to its loss on the host. A crash of a peer is an error here, with the peer's own last words.
// Not here: the comparison, the interleaving and the tables (the harness), and the peers' own code (child.ts and beside it).

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { OptionError, RimgradError } from '../../../engine/core.ts';
import type { Answer, Message } from './child.ts';
import type { Problem } from './problem.ts';

export { makeProblem, type Problem } from './problem.ts';

/** Where a peer computes. */
export type PeerBackend = 'webgpu' | 'wasm' | 'torch';

interface PeerKind {
  readonly backend: PeerBackend;
  /** The script in this folder, and what it is told besides the problem. */
  readonly script: string;
  readonly mode: string;
  /** The npm packages that it needs. */
  readonly packages: readonly string[];
}

/** The name of a peer. */
export type PeerName =
  | 'jax-js-webgpu'
  | 'jax-js-wasm'
  | 'jax-js-wasm-threads'
  | 'tfjs-webgpu'
  | 'tfjs-wasm'
  | 'torch-eager'
  | 'torch-compile'
  | 'torch-graphs';

const jax = '@jax-js/jax';
const tfjs = '@tensorflow/tfjs';
const torch = { backend: 'torch', script: 'torch_step.py', packages: [] } as const;

const KINDS: Readonly<Record<PeerName, PeerKind>> = {
  'jax-js-webgpu': { backend: 'webgpu', script: 'jax.js', mode: 'webgpu', packages: [jax, 'webgpu'] },
  'jax-js-wasm': { backend: 'wasm', script: 'jax.js', mode: 'wasm', packages: [jax] },
  'jax-js-wasm-threads': { backend: 'wasm', script: 'jax.js', mode: 'wasm-threads', packages: [jax] },
  'tfjs-webgpu': {
    backend: 'webgpu',
    script: 'tfjs.js',
    mode: 'webgpu',
    packages: [tfjs, `${tfjs}-backend-webgpu`, 'webgpu'],
  },
  'tfjs-wasm': { backend: 'wasm', script: 'tfjs.js', mode: 'wasm', packages: [tfjs, `${tfjs}-backend-wasm`] },
  'torch-eager': { ...torch, mode: 'eager' },
  'torch-compile': { ...torch, mode: 'compile' },
  'torch-graphs': { ...torch, mode: 'graphs' },
};

/** All peers. */
export const PEER_NAMES: readonly PeerName[] = Object.keys(KINDS) as PeerName[];

/** Whether a peer can be started here. */
export interface FoundPeer {
  readonly name: PeerName;
  readonly backend: PeerBackend;
  readonly available: boolean;
  /** Why not. */
  readonly reason?: string;
}

/** A peer that runs, its first `losses.length` steps done. */
export interface Peer {
  readonly name: PeerName;
  readonly backend: PeerBackend;
  /** Versions of what computes, such as `@jax-js/jax 0.1.25`; with torch, the device and the BLAS too. */
  readonly version: string;
  /** The adapter or device it computes on, where it tells. */
  readonly adapter?: string;
  /** The losses of its first steps, each before that step's update. */
  readonly losses: readonly number[];
  /** ms of the first step, tracing and compilation included. */
  readonly firstStepMs: number;
  /** Does so many steps. @returns the ms of each, its loss read included */
  run(steps: number): Promise<number[]>;
  /** Ends its process; safe to call twice. */
  close(): Promise<void>;
}

/** Finds out which peers can be started here. Asks Python for torch, which takes a second where there is one. */
export async function peersFound(): Promise<FoundPeer[]> {
  const python = findTorch();
  return PEER_NAMES.map((name) => {
    const { backend, packages, mode } = KINDS[name];
    const missing = packages.find((each) => !installed(each));
    const fault = missing === undefined ? undefined : `the npm package ${missing} is not installed`;
    const reason = backend === 'torch' ? torchFault(python, mode) : fault;
    return { name, backend, available: reason === undefined, ...(reason === undefined ? {} : { reason }) };
  });
}

function torchFault(found: Torch | string, mode: string): string | undefined {
  if (typeof found === 'string') return found;
  if (mode === 'compile' && !found.compiles) return 'torch.compile needs PyTorch 2 or newer';
  if (mode === 'graphs' && !found.cuda) return 'CUDA graphs need a CUDA device, and torch sees none';
  return undefined;
}

/**
 * Starts a peer and waits for its first steps.
 * @param name one of PEER_NAMES
 * @param problem what makeProblem made; its file must outlive the start
 * @throws OptionError for an unknown name; RimgradError where the peer is not there, fails or dies, with its last words
 */
export async function startPeer(name: PeerName, problem: Problem): Promise<Peer> {
  if (!Object.hasOwn(KINDS, name)) {
    throw new OptionError(`startPeer: there is no peer ${name}; take one of ${PEER_NAMES.join(', ')}`);
  }
  const { backend, script, mode } = KINDS[name];
  const [command, first] = backend === 'torch' ? torchCommand() : [process.execPath, new URL(script, import.meta.url)];
  const args = [fileURLToPath(first), mode, problem.file];
  const line = new Line(name, spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] }));
  const answer = await line.next();
  if (!('ready' in answer))
    throw new RimgradError(`peer ${name} did not say that it is ready; see its script ${script}`);
  return {
    name,
    backend,
    ...answer.ready,
    run: async (steps) => {
      line.send({ steps });
      const done = await line.next();
      if (!('ms' in done)) throw new RimgradError(`peer ${name} did not answer with times; see its script ${script}`);
      return [...done.ms];
    },
    close: () => line.close(),
  };
}

/** The two ends of a peer's process. */
class Line {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<string>;
  #words = '';

  constructor(name: string, child: ChildProcess) {
    this.#name = name;
    this.#child = child;
    const { stdout, stderr, stdin } = child;
    if (stdout === null || stderr === null || stdin === null) throw new RimgradError(`peer ${name} has no pipes`);
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
    stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#words = (this.#words + text).slice(-LAST_WORDS);
    });
    // A peer that died shows in `next`; the broken pipe to it says nothing more.
    stdin.on('error', () => undefined);
    this.#ended = new Promise((resolve) => {
      child.on('error', (error) => resolve(error.message));
      child.on('close', (code, signal) => resolve(signal === null ? `ended with ${code}` : `was ended by ${signal}`));
    });
  }

  send(message: Message): void {
    this.#child.stdin?.write(`${JSON.stringify(message)}\n`);
  }

  async next(): Promise<Answer> {
    const timer = setTimeout(() => {
      this.#words += `\nError: no answer in ${ANSWER_MS / 60_000} minutes`;
      this.#child.kill('SIGKILL');
    }, ANSWER_MS);
    const { done, value } = await this.#lines.next();
    clearTimeout(timer);
    if (done !== true) return JSON.parse(value) as Answer;
    const how = await this.#ended;
    const words = this.#words.split('\n').filter((text) => text.trim() !== '');
    const last = words.findLast((text) => /^\w*(Error|Exit)\b/.test(text)) ?? words.at(-1) ?? 'none';
    throw new RimgradError(`peer ${this.#name} ${how}; its last words: ${last.trim().slice(0, 300)}`);
  }

  async close(): Promise<void> {
    this.send({ exit: true });
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), EXIT_MS);
    await this.#ended;
    clearTimeout(timer);
  }
}

const LAST_WORDS = 2000;
const EXIT_MS = 5000;
// The longest answer is a first step: on a busy software adapter jax-js compiles shaders for minutes.
const ANSWER_MS = 20 * 60_000;

function installed(name: string): boolean {
  try {
    import.meta.resolve(name);
    return true;
  } catch {
    return false;
  }
}

interface Torch {
  readonly python: string;
  readonly cuda: boolean;
  /** PyTorch 2 or newer. */
  readonly compiles: boolean;
}

let torchHere: Torch | string | undefined;

/** The first Python with torch on the path, or why there is none; looked for once. */
function findTorch(): Torch | string {
  torchHere ??= lookForTorch();
  return torchHere;
}

function lookForTorch(): Torch | string {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  // Every path is tried as it stands: links to one Python can belong to environments with different packages.
  const pythons = new Set(folders.flatMap((folder) => ['python3', 'python'].map((name) => join(folder, name))));
  const probe = 'import torch; print(int(torch.cuda.is_available()), int(hasattr(torch, "compile")))';
  for (const python of [...pythons].filter((file) => existsSync(file))) {
    const { status, stdout } = spawnSync(python, ['-c', probe], { encoding: 'utf8' });
    if (status === 0) return { python, cuda: stdout.startsWith('1'), compiles: stdout.trim().endsWith('1') };
  }
  return 'no Python on the path has torch';
}

function torchCommand(): [string, URL] {
  const found = findTorch();
  if (typeof found === 'string') throw new RimgradError(`torch: ${found}; install PyTorch, or leave its peers out`);
  // The package has it beside this script; tsc leaves it where it is: beside the source of this file.
  const beside = new URL('torch_step.py', import.meta.url);
  const source = new URL('../../../../bench/speed/peers/torch_step.py', import.meta.url);
  return [found.python, existsSync(beside) ? beside : source];
}
