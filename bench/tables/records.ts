// What there is of a table's cells in the folders of one machine or several: which are finished, begun, running or damaged, and what
// the finished ones measured.
//
// Always: nothing is written; a folder counts only where its run was made with the very options of the cell, on the data of the
// others; what cannot be read is told and not counted. Not here: making cells (runner.ts), what follows from them (result.ts).

import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FileError, OptionError } from '../../engine/errors.ts';
import { namesIn } from '../disk.ts';
import { describe } from '../messages.ts';
import { type Metrics, sortMetrics } from '../metrics.ts';
import { decidingOptions, keptOptions, type MainOptions, parseMainOptions } from '../options.ts';
import type { RunConfig } from '../run-config.ts';
import { type Run, readRun, runsAs } from '../runs.ts';
import { type Cell, cellsOf, type Part, partOf, prefixOf, type TableDefinition } from './definition.ts';
import { holderOf } from './hold.ts';

/** What there is of a cell. */
export type CellState =
  /** Nothing. */
  | 'missing'
  /** A run that was stopped or killed: it can go on. */
  | 'begun'
  /** A run that ended with an error, as one whose figures were not finite any more: it can be tried again from its checkpoint. */
  | 'failed'
  /** Another process trains it. */
  | 'running'
  | 'finished'
  /** What lies there cannot be read, or is of other options or data. */
  | 'refused';

/** A cell and what there is of it. */
export interface CellRecord {
  readonly cell: Cell;
  readonly state: CellState;
  /** Why it is refused, who trains it, or why it failed. */
  readonly note?: string;
  /** Something else lies where its run folder would be: nothing can be trained there. */
  readonly blocked?: true;
  /** Of one that was begun or failed: the updates that its last checkpoint holds, by what was measured. */
  readonly step?: number;
  /** Of a finished one. */
  readonly metrics?: Metrics;
  /** Of a finished one. */
  readonly config?: RunConfig;
}

/**
 * Looks for all cells of a table.
 * @param folders where run folders lie: those of the first one can go on, others only count when finished
 * @param source whose data the cells have to be of, as the task says it; where left out, those of the first finished cell
 */
export function readRecords(
  table: TableDefinition,
  part: Part,
  folders: readonly string[],
  source?: string,
): readonly CellRecord[] {
  const cells = cellsOf(table, part);
  const records = cells.map((cell) => readRecord(cell, folders, source));
  const first = records.find(({ state }) => state === 'finished')?.config?.task.source;
  if (source !== undefined || first === undefined) return records;
  return cells.map((cell) => readRecord(cell, folders, first));
}

/**
 * Looks for a cell: a finished one wherever it lies, else what the first folder has, else why another folder's does not count.
 * @param source whose data it has to be of; any where left out
 */
export function readRecord(cell: Cell, [out = '', ...others]: readonly string[], source?: string): CellRecord {
  const own = lookAt(cell, out, source);
  if (own.state === 'finished') return own;
  const elsewhere = others.map((folder) => lookAt(cell, folder, source));
  const refused = own.state === 'missing' ? elsewhere.find(({ state }) => state === 'refused') : undefined;
  return elsewhere.find(({ state }) => state === 'finished') ?? refused ?? own;
}

/**
 * What is meant, and with it all rows and seeds of which there is something in the folders: a table of some rows or seeds must not
 * take the place of one that has more.
 */
export function withAllThereIs(table: TableDefinition, part: Part, folders: readonly string[]): Part {
  const { seeds, groups } = partOf(table, { scale: part.scale, ...(part.seeds && { seeds: part.seeds }) });
  const ids = new Set(groups.flatMap(({ rows }) => rows.map(({ id }) => id)));
  const begin = prefixOf(table, part.scale);
  const found = folders
    .filter(existsSync)
    .flatMap(namesIn)
    .flatMap((name): { id: string; seed: number }[] => {
      const [, id = '', seed] = name.startsWith(begin) ? (/^(.+)-seed(\d+)$/.exec(name.slice(begin.length)) ?? []) : [];
      return ids.has(id) ? [{ id, seed: Number(seed) }] : [];
    });
  return {
    scale: part.scale,
    seeds: [...new Set([...seeds, ...found.map(({ seed }) => seed)])].sort((a, b) => a - b),
    ...(part.rows && { rows: [...part.rows, ...found.map(({ id }) => id)] }),
  };
}

/**
 * Without the cells that are neither there nor were ever asked for: a row of which somebody trained more seeds than the table asks for
 * does not make the others incomplete.
 */
export function withoutUnwanted(
  table: TableDefinition,
  wanted: Part,
  records: readonly CellRecord[],
): readonly CellRecord[] {
  const asked = new Set(cellsOf(table, wanted).map(({ name }) => name));
  const { seeds } = table.scales[wanted.scale];
  return records.filter(({ cell, state }) => state !== 'missing' || asked.has(cell.name) || seeds.includes(cell.seed));
}

/** The options that a cell trains with. @throws OptionError where the definition is wrong */
export function optionsOf(cell: Cell, out: string = 'runs'): MainOptions {
  const request = parseMainOptions([...cell.args, '--name', cell.name, '--out', out]);
  if (request.kind === 'run') return request.options;
  throw new OptionError(`${cell.name}: its arguments ask for ${request.kind}`);
}

function lookAt(cell: Cell, folder: string, source: string | undefined): CellRecord {
  const path = join(folder, cell.name);
  const holder = holderOf(folder, cell.name);
  if (!existsSync(join(path, 'config.json'))) {
    if (holder !== undefined) return { cell, state: 'running', note: holder };
    const way = inTheWay(path);
    return way === undefined ? { cell, state: 'missing' } : { cell, state: 'refused', note: way, blocked: true };
  }
  try {
    const run = readRun(path);
    const refusal = otherwise(cell, run, path) ?? foreign(run, path, source);
    if (refusal !== undefined) return { cell, state: 'refused', note: refusal };
    return recordOf(cell, run, holder);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    // Its own mend is that of somebody who wants to read the run; here it is trained anew.
    const damage = describe(error).replace(/; [^;]*$/, '');
    return { cell, state: 'refused', note: `${damage}; ${anew(cell)}` };
  }
}

/** What keeps a run folder from being made: only files that a kill left of one are ever replaced. */
function inTheWay(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  if (!statSync(path).isDirectory()) return `${path}: a file is in the way; move it away`;
  if (namesIn(path).every((name) => name.startsWith('.'))) return undefined;
  return `${path}: there is no config.json in it, so it is no run; move it away`;
}

/** How a cell is trained anew, and no other one. */
function anew({ name }: Cell): string {
  return `train it anew with --cell ${name} --force`;
}

function recordOf(cell: Cell, { config, metrics }: Run, holder: string | undefined): CellRecord {
  if (config.status === 'finished') {
    return { cell, state: 'finished', metrics: sortMetrics(metrics), config };
  }
  const pid = config.status === 'running' ? runsAs(config) : undefined;
  const trains = holder ?? (pid === undefined ? undefined : `process ${pid}`);
  if (trains !== undefined) return { cell, state: 'running', note: trains };
  const state = config.status === 'failed' ? 'failed' : 'begun';
  const { checkpointEvery } = optionsOf(cell);
  const told = sortMetrics(metrics).steps.at(-1)?.step ?? 0;
  // One that was stopped wrote a checkpoint at its last step.
  const lost = checkpointEvery === 0 ? told : config.status === 'stopped' ? 0 : told % checkpointEvery;
  const step = told - lost;
  return { cell, state, step, ...(config.note !== undefined && { note: config.note }) };
}

/** Why a run is not that of a cell, where it is not. */
function otherwise(cell: Cell, { config }: Run, path: string): string | undefined {
  const asked = everything(optionsOf(cell));
  const made = everything(keptOptions(config.options, join(path, 'config.json')));
  const names = [...new Set([...Object.keys(asked), ...Object.keys(made)])];
  const differing = names.filter((name) => JSON.stringify(asked[name]) !== JSON.stringify(made[name]));
  const first = differing.includes('mnist') ? 'mnist' : differing[0];
  const { group } = cell;
  if (first === undefined) {
    const { trained, tested } = config.task;
    const same = trained === group.trained && group.columns.every(({ setting }) => tested.includes(setting));
    return same ? undefined : `${path}: its settings are not those of its options; it is damaged`;
  }
  const more = differing.length === 1 ? '' : ` (and ${differing.length - 1} more)`;
  return `${path}: made with ${given(first, made[first])}, and the table asks for ${given(first, asked[first])}${more}; ${anew(cell)}, or give another --out`;
}

/** An option as a command line has it: `--learning-rate 0.5`, `--no-communication`, `no --dropout`. */
function given(name: string, value: unknown): string {
  const flag = name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  if (value === undefined) return `no --${flag}`;
  if (typeof value === 'boolean') return value ? `--${flag}` : `--no-${flag}`;
  return `--${flag} ${Array.isArray(value) ? value.join(',') : value}`;
}

/** Why a run of a cell's options does not count beside the others: means over different data would tell nothing. */
function foreign({ config }: Run, path: string, source: string | undefined): string | undefined {
  const own = config.task.source;
  if (source === undefined || own === source) return undefined;
  return `${path}: made on other data than the table's, which is ${source}: on ${own ?? 'none that is told'}; add --mnist DIR or leave it out as it was made, or give another --out`;
}

/** All options that decide what a run measures. */
function everything(options: MainOptions): Readonly<Record<string, unknown>> {
  const { steps, evaluateEvery } = options;
  return { ...decidingOptions(options), steps, evaluateEvery };
}
