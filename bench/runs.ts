// Run folders: `<out>/<name>/` with config.json (what was run), metrics.jsonl (what was measured), model.safetensors
// (the weights) and report.html.
//
// Always: a run of that name is never overwritten unless asked to, and then only the four files of a run folder; every
// file but the metrics is written beside, flushed and renamed, so that a kill at any moment leaves the old or the new
// one; metrics are appended in whole lines. Every failure is a FileError that names the file and the mend.
// Not here: what the metrics mean (metrics.ts) and how the page looks (report.ts).

import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { FileError } from '../engine/errors.ts';
import {
  readSafetensors,
  type SafetensorsFile,
  type SafetensorsTensor,
  writeSafetensors,
} from '../engine/safetensors.ts';
import type { Metric } from './metrics.ts';
import { parseConfig, parseMetrics, RUN_FORMAT, type RunConfig } from './run-text.ts';

export type { RunConfig, RunStatus } from './run-text.ts';

/** A run read back from its folder. */
export interface Run {
  readonly name: string;
  readonly config: RunConfig;
  readonly metrics: readonly Metric[];
  /** Missing where the run wrote none. */
  readonly model?: SafetensorsFile;
}

/** Where a new run goes. */
export interface RunPlan {
  /** The folder that holds the run folders; made when missing. */
  readonly out: string;
  readonly name: string;
  /** Replace a run of that name. */
  readonly force?: boolean;
}

const CONFIG = 'config.json';
const METRICS = 'metrics.jsonl';
const MODEL = 'model.safetensors';
const REPORT = 'report.html';
const FILES = [CONFIG, METRICS, MODEL, REPORT];
// Metrics wait in memory for at most this long before they are written.
const FLUSH_EVERY_MS = 1000;

/** A name for a run that starts at `date` with `seed`, which no entry of `out` has: `copying-20260131-235959-seed1`. */
export function defaultRunName(task: string, out: string, date: Date, seed: number): string {
  const [day, time] = date
    .toISOString()
    .replaceAll(/[-:]|\..*/g, '')
    .split('T');
  const name = `${task}-${day}-${time}-seed${seed}`;
  let free = name;
  for (let i = 2; existsSync(join(out, free)); i++) free = `${name}-${i}`;
  return free;
}

/**
 * Checks that a run could be made, without making anything. Only a folder with a config.json is ever replaced.
 *
 * @throws FileError when the folder is taken or cannot be made.
 */
export function checkRunPlan({ out, name, force = false }: RunPlan): void {
  const path = join(out, name);
  const above = nearestExisting(path);
  if (above === path) {
    if (!statSync(path).isDirectory()) throw new FileError(`${path}: a file is in the way; take another --name`);
    if (readdirSync(path).length === 0) return;
    if (!existsSync(join(path, CONFIG)))
      throw new FileError(`${path}: holds other things than a run; take another --name`);
    if (!force)
      throw new FileError(`${path}: there is a run already; take another --name, or give --force to replace it`);
  } else if (!statSync(above).isDirectory()) {
    throw new FileError(`${above}: not a folder, so ${path} cannot be made; take another --out`);
  }
}

/** A run being written. `close` it at the end; `writeConfig` may be called again as more is known. */
export class RunFolder {
  readonly path: string;
  readonly name: string;
  readonly #metrics: number;
  #waiting: string[] = [];
  #flushed = 0;
  #closed = false;

  private constructor(path: string, metrics: number) {
    this.path = path;
    this.name = basename(path);
    this.#metrics = metrics;
  }

  /**
   * Makes the folder and its config.json.
   *
   * @throws FileError when the folder is taken or cannot be written.
   */
  static create(plan: RunPlan, config: RunConfig): RunFolder {
    checkRunPlan(plan);
    const path = join(plan.out, plan.name);
    onDisk(path, () => {
      mkdirSync(path, { recursive: true });
      for (const file of FILES) rmSync(join(path, file), { force: true });
    });
    const metrics = onDisk(path, () => openSync(join(path, METRICS), 'ax'));
    writeConfigFile(path, config);
    return new RunFolder(path, metrics);
  }

  /** Adds a line to metrics.jsonl, on the disk within a second of steady calls, or at `flush` or `close`. */
  append(metric: Metric): void {
    this.#waiting.push(`${JSON.stringify(metric)}\n`);
    if (performance.now() - this.#flushed >= FLUSH_EVERY_MS) this.flush();
  }

  /** Writes the waiting lines through to the disk. */
  flush(): void {
    this.#flushed = performance.now();
    if (this.#waiting.length === 0 || this.#closed) return;
    const bytes = Buffer.from(this.#waiting.join(''));
    this.#waiting = [];
    onDisk(join(this.path, METRICS), () => {
      writeAll(this.#metrics, bytes);
      fsyncSync(this.#metrics);
    });
  }

  writeConfig(config: RunConfig): void {
    writeConfigFile(this.path, config);
  }

  writeModel(weights: ReadonlyMap<string, SafetensorsTensor>, metadata: Readonly<Record<string, string>> = {}): void {
    writeAtomically(join(this.path, MODEL), writeSafetensors(weights, metadata));
  }

  /** @returns the path of the page. */
  writeReport(html: string): string {
    return writeReport(this.path, html);
  }

  /** Flushes and closes; safe to call twice. */
  close(): void {
    if (this.#closed) return;
    try {
      this.flush();
    } finally {
      this.#closed = true;
      closeSync(this.#metrics);
    }
  }
}

/**
 * Reads a run folder, whole or not at all.
 *
 * @throws FileError naming the file, and the line of the metrics, that is missing, cut off, damaged or foreign.
 */
export function readRun(path: string): Run {
  const config = readConfig(path);
  const metrics = readMetrics(join(path, METRICS));
  const model = join(path, MODEL);
  const run = { name: basename(path), config, metrics };
  if (!existsSync(model)) return run;
  return {
    ...run,
    model: readSafetensors(
      onDisk(model, () => readFileSync(model)),
      model,
    ),
  };
}

/** Writes the report page into a run folder. @returns its path. @throws FileError when it cannot be written */
export function writeReport(folder: string, html: string): string {
  const path = join(folder, REPORT);
  writeAtomically(path, html);
  return path;
}

/**
 * Writes a file so that a kill at any moment leaves the old content or the new one: beside, flushed, renamed.
 *
 * @throws FileError when it cannot be written; nothing is left beside.
 */
export function writeAtomically(path: string, content: string | Uint8Array): void {
  const beside = join(dirname(path), `.${basename(path)}.${process.pid}.part`);
  onDisk(path, () => {
    try {
      const file = openSync(beside, 'w');
      try {
        writeAll(file, typeof content === 'string' ? Buffer.from(content) : content);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(beside, path);
    } catch (error) {
      rmSync(beside, { force: true });
      throw error;
    }
  });
}

function writeConfigFile(path: string, config: RunConfig): void {
  writeAtomically(join(path, CONFIG), `${JSON.stringify({ format: RUN_FORMAT, ...config }, null, 2)}\n`);
}

function readConfig(path: string): RunConfig {
  const file = join(path, CONFIG);
  if (!existsSync(path)) throw new FileError(`${path}: no such folder; give the folder of a run`);
  if (!existsSync(file))
    throw new FileError(`${path}: no ${CONFIG} in it, so this is no run folder; give the folder of a run`);
  return parseConfig(readText(file), file);
}

function readMetrics(file: string): Metric[] {
  if (!existsSync(file)) throw new FileError(`${file}: missing; the run folder is not whole`);
  return parseMetrics(readText(file), file);
}

function readText(file: string): string {
  const bytes = onDisk(file, () => readFileSync(file));
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new FileError(`${file}: not text; it is damaged or of another program`);
  }
}

function nearestExisting(path: string): string {
  let above = path;
  while (!existsSync(above) && dirname(above) !== above) above = dirname(above);
  return above;
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
}

const MENDS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied; give another folder with --out, or change its permissions',
  EPERM: 'not permitted; give another folder with --out',
  EROFS: 'the file system is read-only; give another folder with --out',
  ENOSPC: 'the disk is full; free some space',
  EDQUOT: 'the disk quota is used up; free some space',
  ENOTDIR: 'a part of the path is a file, not a folder; give another folder with --out',
  EEXIST: 'there is a run already; take another --name',
  EISDIR: 'a folder is in the way of a file; move it away',
  ENOENT: 'no such file or folder; was it removed while in use?',
  ENAMETOOLONG: 'the name is too long; give a shorter one',
};

// Runs a file system call; its failure becomes a FileError that names the path and the mend.
function onDisk<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && typeof error.code === 'string')) throw error;
    throw new FileError(`${path}: ${MENDS[error.code] ?? `the file system answers ${error.code}`}`, { cause: error });
  }
}
