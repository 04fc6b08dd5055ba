// What the text files of a run folder say: config.json and metrics.jsonl, read back from text.
//
// Always: nothing is taken on trust, and a FileError names the file, and the line, that is damaged or foreign. It knows no
// disk, so the page reads the same files as the command line. Not here: folders and writing (runs.ts), single metrics
// (metrics.ts).

import { FileError } from '../engine/errors.ts';
import { type Metric, parseMetric, parseObject } from './metrics.ts';

/** How a run ended, or that it did not yet (or was killed). */
export type RunStatus = 'running' | 'finished' | 'stopped' | 'failed';

/** What was run: the content of config.json. */
export interface RunConfig {
  /** What was trained on, such as `copying`. */
  readonly task: string;
  /** When it started, ISO 8601 in UTC. */
  readonly started: string;
  readonly status: RunStatus;
  /** Why it stopped or failed, in words. */
  readonly note?: string;
  readonly adapter: string;
  readonly runtime: string;
  /** Trained numbers of each model. */
  readonly parameters: Readonly<Record<string, number>>;
  /** Every option of the job: text, numbers, booleans and lists of them. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** What stands in a config.json as its format. */
export const RUN_FORMAT = 'rimgrad run 1';

const STATUSES: readonly RunStatus[] = ['running', 'finished', 'stopped', 'failed'];

/**
 * The content of a config.json.
 * @param file what messages call it
 * @throws FileError for text that is damaged or of another program
 */
export function parseConfig(source: string, file: string): RunConfig {
  const record = parseObject(source, file);
  if (record.format !== RUN_FORMAT) {
    throw new FileError(`${file}: 'format' must be '${RUN_FORMAT}'; it was written by another program or version`);
  }
  const text = (name: string): string => {
    const value = record[name];
    if (typeof value === 'string') return value;
    throw new FileError(`${file}: '${name}' must be text; the file is damaged`);
  };
  const object = (name: string): Readonly<Record<string, unknown>> => {
    const value = record[name];
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return Object.fromEntries(Object.entries(value));
    throw new FileError(`${file}: '${name}' must be an object; the file is damaged`);
  };
  const status = STATUSES.find((known) => known === record.status);
  if (status === undefined) throw new FileError(`${file}: 'status' must be one of ${STATUSES.join(', ')}`);
  const parameters: Record<string, number> = {};
  for (const [model, count] of Object.entries(object('parameters'))) {
    if (typeof count !== 'number') throw new FileError(`${file}: 'parameters' must hold numbers; the file is damaged`);
    parameters[model] = count;
  }
  return {
    task: text('task'),
    started: text('started'),
    status,
    ...(record.note === undefined ? {} : { note: text('note') }),
    adapter: text('adapter'),
    runtime: text('runtime'),
    parameters,
    options: object('options'),
  };
}

/**
 * The content of a metrics.jsonl: a metric a line.
 * @param file what messages call it
 * @throws FileError naming the line that is cut off, damaged or foreign
 */
export function parseMetrics(text: string, file: string): Metric[] {
  if (text === '') return [];
  const lines = text.split('\n');
  if (lines.pop() !== '') {
    throw new FileError(`${file}: line ${lines.length + 1} is cut off; remove that line to read the ones before it`);
  }
  return lines.map((line, i) => parseMetric(line, `${file} line ${i + 1}`));
}
