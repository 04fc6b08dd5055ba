// Run folders: `<out>/<name>/` with config.json (what was run), metrics.jsonl (what was measured), checkpoint.safetensors (what
// a run goes on from), model.safetensors (the weights) and report.html.
//
// Always: a run of that name is never overwritten unless asked to, and then only the files of a run folder; every file but the
// metrics is there whole or not at all (disk.ts); metrics are appended in whole lines, and are on the disk before a checkpoint that
// counts them. Lines that could not be written wait for the next try. Every failure is a FileError that names the file and the mend.
// Not here: what the metrics mean (metrics.ts), what a checkpoint holds (training-state.ts), how the page looks (report.ts).

import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { type Checkpoint, readCheckpoint } from '../engine/core.ts';
import { at, FileError } from '../engine/errors.ts';
import {
  readSafetensors,
  type SafetensorsFile,
  type SafetensorsTensor,
  writeSafetensors,
} from '../engine/safetensors.ts';
import {
  checkWritable,
  dropRoom,
  flushFolder,
  folderNear,
  keepRoom,
  type Mends,
  makeFolders,
  namesIn,
  nearestExisting,
  onDisk,
  readBytes,
  remainsIn,
  removeRemains,
  WRITING_THERE,
  writeAll,
  writeAtomically,
} from './disk.ts';
import { type Metric, parseMetric, parseMetrics } from './metrics.ts';
import { parseConfig, type RunConfig, textOf, writeConfig } from './run-config.ts';

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
const CHECKPOINT = 'checkpoint.safetensors';
// The config comes last: a folder without one is no run, and is never replaced.
const FILES = [CHECKPOINT, METRICS, MODEL, REPORT, CONFIG];
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
    checkWritable(path);
    if (namesIn(path).length === remainsIn(path, FILES).length) return;
    if (!existsSync(join(path, CONFIG)))
      throw new FileError(`${path}: holds other things than a run; move them away, or take another --name`);
    if (!force)
      throw new FileError(`${path}: there is a run already; take another --name, or give --force to replace it`);
    const there = configIn(path);
    const pid = there && runsAs(there);
    if (pid !== undefined)
      throw new FileError(`${path}: this run still trains, as process ${pid}; stop it first, or take another --name`);
  } else if (!statSync(above).isDirectory()) {
    throw new FileError(`${above}: not a folder, so ${path} cannot be made; take another --out`);
  } else {
    checkWritable(above);
  }
}

/** A run being written. `close` it at the end; `writeConfig` may be called again as more is known. */
export class RunFolder {
  readonly path: string;
  readonly name: string;
  #metrics: number;
  #config: RunConfig;
  readonly #mends: Mends | undefined;
  /** Where each line on the disk ends, in bytes. */
  readonly #ends: number[];
  #waiting: string[] = [];
  #flushed = 0;
  #closed = false;

  private constructor(path: string, metrics: number, config: RunConfig, ends: number[] = [], mends?: Mends) {
    this.path = path;
    this.name = basename(path);
    this.#metrics = metrics;
    this.#config = config;
    this.#ends = ends;
    this.#mends = mends;
  }

  /**
   * Makes the folder and its config.json.
   *
   * @throws FileError when the folder is taken or cannot be written.
   */
  static create(plan: RunPlan, config: RunConfig): RunFolder {
    checkRunPlan(plan);
    const path = join(plan.out, plan.name);
    const metrics = onDisk(path, () => {
      makeFolders(path);
      removeRemains(path, FILES);
      for (const file of FILES) if (file !== CONFIG) rmSync(join(path, file), { force: true });
      writeConfigFile(path, config);
      const file = openSync(join(path, METRICS), 'wx+');
      flushFolder(path);
      flushFolder(dirname(path));
      return file;
    });
    return new RunFolder(path, metrics, config);
  }

  /**
   * Opens the folder of a run that goes on: the metrics are cut back to their first `lines` lines, and what a kill left is removed.
   *
   * @returns the folder, and these metrics.
   * @throws FileError when there are fewer lines, or the folder cannot be written; then nothing was cut.
   */
  static reopen(path: string, lines: number, config: RunConfig): { folder: RunFolder; metrics: Metric[] } {
    const file = join(path, METRICS);
    const { metrics, ends } = firstLines(file, lines);
    const open = (): number => {
      removeRemains(path, FILES);
      const descriptor = openSync(file, existsSync(file) ? 'r+' : 'wx+');
      try {
        // First: a kill from here on leaves no run that says that it is finished and has lost its last lines.
        writeConfigFile(path, config, WRITING_THERE);
        ftruncateSync(descriptor, ends.at(-1) ?? 0);
        fsyncSync(descriptor);
        return descriptor;
      } catch (error) {
        closeSync(descriptor);
        throw error;
      }
    };
    const opened = onDisk(path, open, WRITING_THERE);
    return { folder: new RunFolder(path, opened, config, ends, WRITING_THERE), metrics };
  }

  /** Adds a line to metrics.jsonl, on the disk within a second of steady calls, or at `flush` or `close`. */
  append(metric: Metric): void {
    this.#waiting.push(`${JSON.stringify(metric)}\n`);
    if (performance.now() - this.#flushed >= FLUSH_EVERY_MS) this.flush();
  }

  /** Writes the waiting lines through to the disk. @throws FileError when that fails; then they wait on, and none is half there */
  flush(): void {
    this.#flushed = performance.now();
    if (this.#waiting.length === 0 || this.#closed) return;
    const begin = this.#ends.at(-1) ?? 0;
    const bytes = Buffer.from(this.#waiting.join(''));
    onDisk(join(this.path, METRICS), () => {
      try {
        writeAll(this.#metrics, bytes, begin);
        fsyncSync(this.#metrics);
      } catch (error) {
        ftruncateSync(this.#metrics, begin);
        throw error;
      }
    });
    let end = begin;
    for (const line of this.#waiting) {
      end += Buffer.byteLength(line);
      this.#ends.push(end);
    }
    this.#waiting = [];
  }

  /** Lines that are not on the disk yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Takes back all lines of metrics.jsonl but the first ones. */
  cutBack(lines: number): void {
    this.#waiting.length = Math.max(0, Math.min(this.#waiting.length, lines - this.#ends.length));
    if (lines >= this.#ends.length) return;
    this.#ends.length = lines;
    onDisk(join(this.path, METRICS), () => ftruncateSync(this.#metrics, this.#ends.at(-1) ?? 0));
  }

  /**
   * Replaces the checkpoint, after the metrics that it counts.
   * @throws FileError when it cannot be written: the last one stays; NotFlushedError when it is there and may not last
   */
  writeCheckpoint(bytes: Uint8Array): void {
    this.flush();
    this.#write(CHECKPOINT, bytes);
  }

  writeConfig(config: RunConfig): void {
    writeConfigFile(this.path, config, this.#mends);
    this.#config = config;
  }

  writeModel(weights: ReadonlyMap<string, SafetensorsTensor>, metadata: Readonly<Record<string, string>> = {}): void {
    this.#write(MODEL, writeSafetensors(weights, metadata));
  }

  writeReport(html: string): void {
    this.#write(REPORT, html);
  }

  #write(file: string, content: string | Uint8Array): void {
    writeAtomically(join(this.path, file), content, this.#mends);
  }

  /**
   * Makes the folder anew where it was removed while the run goes on, with all metrics so far; its other files come as they are written.
   * @returns whether it was gone
   * @throws FileError where it cannot be made, or another run has taken its place
   */
  restore(): boolean {
    const { path } = this;
    const there = configIn(path);
    if (there !== undefined && there.started !== this.#config.started) {
      throw new FileError(`${path}: another run has taken the place of this one; move that one away`);
    }
    const file = join(path, METRICS);
    if (existsSync(file)) return false;
    makeFolders(path);
    onDisk(file, () => {
      const lines = Buffer.alloc(this.#ends.at(-1) ?? 0);
      readSync(this.#metrics, lines, 0, lines.length, 0);
      const opened = openSync(file, 'wx+');
      try {
        writeAll(opened, lines, 0);
        fsyncSync(opened);
        if (there === undefined) writeConfigFile(path, this.#config);
        flushFolder(dirname(path));
      } catch (error) {
        closeSync(opened);
        rmSync(file, { force: true });
        throw error;
      }
      closeSync(this.#metrics);
      this.#metrics = opened;
    });
    return true;
  }

  /** Flushes and closes; safe to call twice. */
  close(): void {
    if (this.#closed) return;
    try {
      this.flush();
    } finally {
      this.#closed = true;
      closeSync(this.#metrics);
      dropRoom(join(this.path, CONFIG));
    }
  }
}

/**
 * Reads a run folder, whole or not at all. Of a run that was killed, or still runs, a line that is cut off is left out.
 *
 * @throws FileError naming the file, and the line of the metrics, that is missing, cut off, damaged or foreign.
 */
export function readRun(path: string): Run {
  const config = readRunConfig(path);
  const metrics = readMetrics(join(path, METRICS), config.status === 'running');
  const model = join(path, MODEL);
  const run = { name: basename(path), config, metrics };
  return existsSync(model) ? { ...run, model: readSafetensors(readBytes(model), model) } : run;
}

/** The checkpoint of a run; undefined where it has none. @throws FileError where it cannot be read or is damaged */
export function readRunCheckpoint(path: string): Checkpoint | undefined {
  const file = join(path, CHECKPOINT);
  return existsSync(file) ? readCheckpoint(readBytes(file), file) : undefined;
}

/** Writes the report page into a run folder. @returns its path. @throws FileError when it cannot be written */
export function writeReport(folder: string, html: string): string {
  const path = join(folder, REPORT);
  writeAtomically(path, html, WRITING_THERE);
  return path;
}

/** Writes a config, and keeps room for the next, which says how the run ended: on a full disk too. */
function writeConfigFile(path: string, config: RunConfig, mends?: Mends): void {
  const [file, text] = [join(path, CONFIG), writeConfig(config)];
  writeAtomically(file, text, mends);
  keepRoom(file, 2 * text.length);
}

/** Reads what was run. @throws FileError where the folder is that of no run, or the file is damaged */
export function readRunConfig(path: string): RunConfig {
  const file = join(path, CONFIG);
  if (!existsSync(path)) throw new FileError(`${path}: no such folder; give the folder of a run`);
  if (!existsSync(file)) {
    const near = folderNear(path, CONFIG);
    const mend = `give the folder of a run${near === undefined ? '' : `, such as ${near}`}`;
    throw new FileError(`${path}: no ${CONFIG} in it, so this is no run folder; ${mend}`);
  }
  return parseConfig(readBytes(file), file);
}

function readMetrics(file: string, unfinished: boolean): Metric[] {
  if (existsSync(file)) return parseMetrics(textOf(readBytes(file), file), file, unfinished);
  if (unfinished) return [];
  throw new FileError(`${file}: missing; the run folder is not whole`);
}

/** The first lines of the metrics, and where each ends, in bytes; what follows them may be damaged. */
function firstLines(file: string, count: number): { metrics: Metric[]; ends: number[] } {
  const bytes = existsSync(file) ? readBytes(file) : Buffer.alloc(0);
  const ends: number[] = [];
  for (let i = bytes.indexOf(10); i >= 0 && ends.length < count; i = bytes.indexOf(10, i + 1)) ends.push(i + 1);
  if (ends.length < count) {
    throw new FileError(
      `${file}: ${ends.length} lines, and the checkpoint counts ${count}; it was changed since: put it back, or begin the run anew`,
    );
  }
  const metrics = ends.map((end, i) => {
    const line = bytes.subarray(i === 0 ? 0 : at(ends, i - 1), end - 1);
    return parseMetric(line.toString('utf8'), `${file} line ${i + 1}`);
  });
  return { metrics, ends };
}

/** What is run in a folder; undefined where there is none, or a damaged one. */
function configIn(path: string): RunConfig | undefined {
  try {
    return readRunConfig(path);
  } catch (error) {
    if (error instanceof FileError) return undefined;
    throw error;
  }
}

/** The process of this machine that still carries out a run, if any but this one does. */
export function runsAs({ process: own }: Pick<RunConfig, 'process'>): number | undefined {
  if (own === undefined || own.host !== hostname() || own.pid === process.pid) return undefined;
  return isAlive(own.pid) ? own.pid : undefined;
}

/** Whether a process of this machine runs. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // One that has ended and was not waited for is still there: Linux tells.
    const stat = `/proc/${pid}/stat`;
    return !existsSync(stat) || !/\) [ZX] /.test(readFileSync(stat, 'utf8'));
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'; // of another user
  }
}
