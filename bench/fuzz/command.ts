// `npm run fuzz`: thousands of damaged files through everything that reads files, in a thread that is watched; then how they
// ended, by loader, and every broken rule with the bytes that broke it.
//
// Always: a case that hangs, or that takes its thread down, is reported like any other, and the rest is run; the same seed gives
// the same files. Exit code 1 where a rule was broken.
// Not here: the rules (rules.ts), the files and the loaders (loaders.ts).

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Option } from 'commander';
import { FileError, OptionError } from '../../engine/errors.ts';
import { called, commandOf, EXIT, fail, readArguments, whole } from '../command-line.ts';
import { makeFolders, writeAtomically } from '../disk.ts';
import { oneLine } from '../messages.ts';
import { stageProgress } from '../speed/progress.ts';
import { type CaseResult, drawnCase, loaderOf } from './cases.ts';
import { allLoaders } from './loaders.ts';
import type { Work } from './worker.ts';

interface Options {
  readonly runs: number;
  readonly seed: number;
  readonly loader?: string;
  readonly case?: number;
  readonly golden: string;
  readonly out: string;
}

/** Milliseconds that one file may take, and megabytes of heap that a thread may have. */
const FILE_LIMIT = 10_000;
const HEAP_LIMIT = 512;

const root = fileURLToPath(new URL('../../../', import.meta.url));

const LARGEST = 0x7fff_ffff;

async function main(args: readonly string[]): Promise<number> {
  const command = commandOf(
    'fuzz',
    'Gives whole and damaged files to everything that reads files, and checks that each is accepted and right,\n' +
      'or refused by a typed error: never a crash, a hang, a read outside of the bytes, or more memory than the\n' +
      'file allows.',
    [
      ['', 'every loader, other files each time'],
      ['--seed 7 --case 1234', 'one case again'],
      ["--loader 'safetensors' --runs 100000", 'one loader, for longer'],
    ],
  )
    .addOption(new Option('--runs <n>', 'cases').argParser(whole(1, LARGEST)).default(10_000))
    .addOption(
      new Option('--seed <n>', 'same seed, same files')
        .argParser(whole(0, LARGEST))
        .default(Date.now() % 1_000_000_007, 'drawn'),
    )
    .option('--loader <name>', 'only this one')
    .addOption(new Option('--case <n>', 'only the case of this number').argParser(whole(0, LARGEST)))
    .addOption(
      new Option('--golden <folder>', 'golden files that serve as examples').default(
        join(root, 'test/golden'),
        'test/golden',
      ),
    )
    .option('--out <folder>', 'where bytes that broke a rule are kept', 'runs/fuzz');
  const help = readArguments(command, args);
  if (help !== undefined) {
    process.stdout.write(help);
    return EXIT.done;
  }
  return await fuzz(command.opts<Options>());
}

async function fuzz(options: Options): Promise<number> {
  const { seed, runs, loader, golden } = options;
  const { stdout, stderr } = process;
  const every = loadersOf(golden);
  const loaders = every.filter(({ name }) => loader === undefined || name === loader);
  if (loaders.length === 0) {
    throw new OptionError(
      `fuzz: there is no loader '${loader}'; there are ${every.map(({ name }) => name).join(', ')}`,
    );
  }
  const first = options.case ?? 0;
  const end = options.case === undefined ? runs : first + 1;
  stdout.write(`seed ${seed} (${called('fuzz')} --seed ${seed} repeats this run)\n`);
  const progress = stageProgress(stderr.isTTY ? stderr : stdout, end - first); // npm's script pipes stderr
  const results: CaseResult[] = [];
  const take = (result: CaseResult): void => {
    results.push(result);
    progress.stage(result.loader);
  };
  for (let from = first; from < end; ) {
    const work = { seed, from, to: end, golden, ...(loader === undefined ? {} : { loader }) };
    const stopped = await watch(work, take);
    if (stopped === undefined) break;
    const drawn = drawnCase(loaderOf(loaders, stopped.index), seed, stopped.index);
    const broken = { why: stopped.why, damage: drawn.damage, bytes: drawn.bytes };
    take({ index: stopped.index, loader: loaderOf(loaders, stopped.index).name, outcome: 'BROKEN', broken });
    from = stopped.index + 1;
  }
  progress.end();
  stdout.write(`${summary(results)}\n`);
  const broken = results.filter((result) => result.broken !== undefined);
  for (const result of broken) report(result, options);
  const verdict = broken.length === 0 ? 'ok: no rule was broken' : `FAILED: ${broken.length} broke a rule`;
  stdout.write(`${verdict}, ${results.length} cases\n`);
  return broken.length === 0 ? EXIT.done : EXIT.failed;
}

function loadersOf(golden: string): ReturnType<typeof allLoaders> {
  try {
    return allLoaders(golden);
  } catch (cause) {
    throw new FileError(`${golden}: cannot be read as a folder of golden files; give another --golden`, { cause });
  }
}

/** Runs cases in a thread. @returns the case at which it was stopped or fell, and why; undefined where all ran */
function watch(
  work: Omit<Work, 'notes'>,
  take: (result: CaseResult) => void,
): Promise<{ readonly index: number; readonly why: string } | undefined> {
  const notes = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(new URL('./worker.js', import.meta.url), {
    workerData: { ...work, notes } satisfies Work,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_LIMIT },
  });
  return new Promise((resolve) => {
    let seen = -1;
    let since = performance.now();
    let taken = work.from;
    let why = '';
    const watcher = setInterval(() => {
      const files = Atomics.load(notes, 1);
      if (files !== seen) {
        seen = files;
        since = performance.now();
      } else if (performance.now() - since > FILE_LIMIT) {
        why = `it did not end within ${FILE_LIMIT / 1000} s`;
        void worker.terminate();
      }
    }, 250);
    worker.on('message', (result: CaseResult) => {
      taken = result.index + 1;
      take(result);
    });
    worker.on('error', (error) => {
      why ||= `it took its thread down: ${oneLine(error.message)}`;
    });
    worker.on('exit', () => {
      clearInterval(watcher);
      resolve(taken >= work.to ? undefined : { index: taken, why: why || 'its thread ended' });
    });
  });
}

/** A row for each loader and outcome. */
function summary(results: readonly CaseResult[]): string {
  const counts = new Map<string, number>();
  for (const { loader, outcome } of results) {
    const key = `${loader.padEnd(14)}${outcome}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, count]) => `${String(count).padStart(7)}  ${key}`)
    .join('\n');
}

/** Tells of a broken rule and keeps its bytes. */
function report({ index, loader, broken }: CaseResult, { seed, out, loader: only }: Options): void {
  if (broken === undefined) return;
  const file = join(out, `${loader.replaceAll(' ', '-')}-seed${seed}-case${index}.bin`);
  makeFolders(out);
  writeAtomically(file, broken.bytes);
  const again = `${called('fuzz')} --seed ${seed} --case ${index}${only === undefined ? '' : ` --loader '${only}'`}`;
  process.stdout.write(
    `\nBROKEN ${loader}, case ${index}: ${oneLine(broken.why)}\n` +
      `  damage: ${broken.damage.join(', ') || 'none'}\n  ${broken.bytes.length} bytes: ${file}\n  again: ${again}\n\n`,
  );
}

process.exitCode = await main(process.argv.slice(2)).catch(fail);
