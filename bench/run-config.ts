// config.json of a run folder: what was run, as text and back. Always: what comes back has every field of its type, and nothing is
// taken on trust; every failure is a FileError that names the file. Not here: the folder and its files (runs.ts).

import { FileError } from '../engine/errors.ts';
import { parseObject } from './metrics.ts';
import { parseFacts, type TaskFacts } from './task-facts.ts';

/** How a run ended, or that it did not yet (or was killed). */
export type RunStatus = 'running' | 'finished' | 'stopped' | 'failed';

/** What was run: the content of config.json. */
export interface RunConfig {
  /** What was trained on. */
  readonly task: TaskFacts;
  /** When it started, ISO 8601 in UTC. */
  readonly started: string;
  readonly status: RunStatus;
  /** Why it stopped or failed, in words. */
  readonly note?: string;
  /** How often it was resumed. */
  readonly resumed?: number;
  /** The process that it runs in, while it runs. */
  readonly process?: { readonly pid: number; readonly host: string };
  readonly adapter: string;
  readonly runtime: string;
  /** Trained numbers of each model. */
  readonly parameters: Readonly<Record<string, number>>;
  /** Every option of the job: text, numbers, booleans and lists of them. */
  readonly options: Readonly<Record<string, unknown>>;
}

const FORMAT = 'rimgrad run 2';
const STATUSES: readonly RunStatus[] = ['running', 'finished', 'stopped', 'failed'];

/** The bytes of a config.json. */
export function writeConfig(config: RunConfig): string {
  return `${JSON.stringify({ format: FORMAT, ...config }, null, 2)}\n`;
}

/**
 * A config.json from its bytes.
 *
 * @param file what an error names.
 * @throws FileError when it is none.
 */
export function parseConfig(bytes: Uint8Array, file: string): RunConfig {
  const record = parseObject(textOf(bytes, file), file, 4);
  const damaged = (name: string, what: string): FileError =>
    new FileError(`${file}: '${name}' must be ${what}; the file is damaged`);
  if (record.format !== FORMAT) {
    throw new FileError(`${file}: 'format' must be '${FORMAT}'; it was written by another program or version`);
  }
  const text = (name: string): string => {
    const value = record[name];
    if (typeof value === 'string') return value;
    throw damaged(name, 'text');
  };
  const object = (name: string): Readonly<Record<string, unknown>> => {
    const value = record[name];
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return Object.fromEntries(Object.entries(value));
    throw damaged(name, 'an object');
  };
  const status = STATUSES.find((known) => known === record.status);
  if (status === undefined) throw damaged('status', `one of ${STATUSES.join(', ')}`);
  const options = object('options');
  if (!Object.values(options).every(isOption))
    throw damaged('options', 'texts, numbers, true or false, or lists of them');
  const parameters = Object.entries(object('parameters')).map(([model, count]): [string, number] => {
    if (typeof count === 'number' && Number.isFinite(count)) return [model, count];
    throw damaged('parameters', 'an object of numbers');
  });
  return {
    task: parseFacts(object('task'), file),
    started: text('started'),
    status,
    ...(record.note === undefined ? {} : { note: text('note') }),
    ...(typeof record.resumed === 'number' ? { resumed: record.resumed } : {}),
    ...(record.process === undefined ? {} : { process: processOf(object('process'), file) }),
    adapter: text('adapter'),
    runtime: text('runtime'),
    parameters: Object.fromEntries(parameters),
    options,
  };
}

/** What an option of a job may be. */
function isOption(value: unknown): boolean {
  if (Array.isArray(value)) return value.every((each) => !Array.isArray(each) && isOption(each));
  return (
    typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))
  );
}

function processOf({ pid, host }: Readonly<Record<string, unknown>>, file: string): { pid: number; host: string } {
  if (typeof pid === 'number' && typeof host === 'string') return { pid, host };
  throw new FileError(`${file}: 'process' must hold a number and text; the file is damaged`);
}

/** The text of a file. @throws FileError where its bytes are none */
export function textOf(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new FileError(`${file}: not text; it is damaged or of another program`);
  }
}
