// Checkpoints: all that decides how a training goes on, as the bytes of one safetensors file, and back.
//
// Two parts: the values of Variables (weights; the state of the optimiser, `optimiser.variables`; the counters of random states;
// whatever else is carried from step to step), and a record, plain JSON that is the caller's: the step, where the data stand, the
// options, the tuning of the device. Given both, a training goes on to the same bytes as if it had never stopped.
// Always: all Variables are read at one moment, between two steps; a file is checked whole before anything is changed. Not here:
// disks (write beside, flush, rename: the caller's), and what belongs in a checkpoint (the caller's list).

import { checkOptions, FileError, OptionError, quote } from './errors.ts';
import { checkGuards } from './guard.ts';
import { jsonDefect } from './json-text.ts';
import { readSafetensors, type SafetensorsFile, toFloat32 } from './safetensors.ts';
import type { Variable } from './variable.ts';
import { loadVariables, saveVariables } from './weights.ts';

/** A checkpoint that was read and not loaded yet. */
export interface Checkpoint {
  /** What messages call the file. */
  readonly file: string;
  /** What was given to `saveCheckpoint`, as JSON gives it back. Check it before use: it comes from a file. */
  readonly record: Readonly<Record<string, unknown>>;
  /** The tensors of the file. */
  readonly weights: SafetensorsFile;
}

/** How a checkpoint is loaded. */
export interface CheckpointLoad {
  /** Entries of the record that must be equal to these, such as `{ options }`: else the training would not go on, but another begin. */
  readonly expect?: Readonly<Record<string, unknown>>;
}

const FORMAT = 'rimgrad checkpoint';
const VERSION = 1;
/** Levels of a record: more are a fault, such as an object that holds itself. */
const DEEPEST = 64;
/** Differences that a message shows. */
const SHOWN = 6;

/**
 * The bytes of a checkpoint. Steps whose `run` was awaited before the call are in it; steps that are run after it are not, whether the
 * checkpoint was awaited or not.
 * @param record plain JSON: objects, lists, text, finite numbers, booleans, null
 * @throws NonFiniteError where a guard holds the weights at an earlier step; OptionError where the record is no plain JSON, two
 *   Variables have one name or a value is not finite; DeviceError where a value went with its device
 */
export async function saveCheckpoint(
  variables: Iterable<Variable>,
  record: Readonly<Record<string, unknown>>,
): Promise<Uint8Array<ArrayBuffer>> {
  const odd = oddity(record, 'record');
  if (odd !== undefined) throw new OptionError(`saveCheckpoint: ${odd}; a record is plain JSON`);
  const text = JSON.stringify(record);
  const defect = jsonDefect(text, { levels: DEEPEST });
  if (defect !== undefined) throw new OptionError(`saveCheckpoint: in the record ${defect}; a record is plain JSON`);
  const all = [...variables];
  const [bytes] = await Promise.all([
    saveVariables(all, { format: `${FORMAT} ${VERSION}`, record: text }),
    checkGuards(all),
  ]);
  const bad = notFinite(readSafetensors(bytes));
  if (bad === undefined) return bytes;
  throw new OptionError(
    `saveCheckpoint: ${bad}; keep the last good checkpoint and go on from it, with a lower learning rate or clipNorm`,
  );
}

/** The first number that is not finite, in words. */
function notFinite({ tensors }: SafetensorsFile): string | undefined {
  for (const [name, tensor] of tensors) {
    if (!/^B?F\d+$/.test(tensor.dtype)) continue;
    const index = toFloat32(tensor).findIndex((value) => !Number.isFinite(value));
    if (index >= 0) return `${quote(name)} is not finite at element ${index}`;
  }
  return undefined;
}

/**
 * Reads a checkpoint and changes nothing, so that its record can be looked at first.
 * @param file what messages call it
 * @throws FileError for bytes that are none: damaged, without a record, of a newer version
 */
export function readCheckpoint(bytes: Uint8Array | ArrayBuffer, file = 'checkpoint'): Checkpoint {
  const weights = readSafetensors(bytes, file);
  const { format, record } = weights.metadata;
  const version = /^rimgrad checkpoint (\d{1,9})$/.exec(format ?? '')?.[1];
  if (version === undefined) {
    throw new FileError(
      `${file}: holds tensors and is no checkpoint; load it with loadVariables, or give a checkpoint`,
    );
  }
  if (Number(version) !== VERSION) {
    throw new FileError(
      `${file}: a checkpoint of version ${version}, and this is rimgrad for version ${VERSION}; use the rimgrad that wrote it, or a newer one`,
    );
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(record ?? '');
  } catch (cause) {
    throw new FileError(`${file}: its record is no JSON; the file is damaged: take an older checkpoint`, { cause });
  }
  const defect = jsonDefect(record ?? '', { levels: DEEPEST });
  if (defect !== undefined || !isRecord(parsed) || oddity(parsed, 'record') !== undefined) {
    throw new FileError(`${file}: its record is no plain JSON object; the file is damaged: take an older checkpoint`);
  }
  return { file, record: parsed, weights };
}

/**
 * Writes the values of a checkpoint into the Variables of the same names: exactly these, each of its shape and dtype.
 * @returns the record
 * @throws FileError for bytes that are no checkpoint, one whose record differs from what is expected, or that does not fit the
 *   Variables, naming all that differs; then nothing was changed. OptionError where two Variables have one name
 */
export function loadCheckpoint(
  source: Uint8Array | ArrayBuffer | Checkpoint,
  variables: Iterable<Variable>,
  options: CheckpointLoad = {},
): Readonly<Record<string, unknown>> {
  checkOptions('loadCheckpoint', options, ['expect']);
  const { file, record, weights } = isCheckpoint(source) ? source : readCheckpoint(source);
  const { expect = {} } = options;
  const odd = oddity(expect, 'expect');
  if (odd !== undefined) throw new OptionError(`loadCheckpoint: ${odd}; it is compared with plain JSON`);
  const differing = Object.entries(expect).flatMap(([name, wanted]) => differences(record[name], wanted, name));
  if (differing.length > 0) {
    const more = differing.length > SHOWN ? `, and ${differing.length - SHOWN} more differ` : '';
    throw new FileError(
      `${file}: of another training: ${differing.slice(0, SHOWN).join(', ')}${more}; give what it was begun with, or begin anew`,
    );
  }
  const bad = notFinite(weights);
  if (bad !== undefined) throw new FileError(`${file}: ${bad}; no training goes on from it: take an older checkpoint`);
  loadVariables(weights, variables, { file });
  return record;
}

function isCheckpoint(source: Uint8Array | ArrayBuffer | Checkpoint): source is Checkpoint {
  return typeof source === 'object' && source !== null && 'weights' in source;
}

/** What makes a value no plain JSON, with its place; undefined where it is some. */
function oddity(value: unknown, place: string, depth = 0): string | undefined {
  if (depth > DEEPEST) return `${place.slice(0, 40)}... is nested deeper than ${DEEPEST} levels`;
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return undefined;
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : `${place} is ${value}`;
  if (Array.isArray(value)) return firstOf(value.map((each, i) => () => oddity(each, `${place}[${i}]`, depth + 1)));
  if (!isRecord(value)) return `${place} is ${value === undefined ? 'undefined' : `a ${kindOf(value)}`}`;
  // As in JSON: an entry that is undefined is not there.
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  return firstOf(
    entries.map(
      ([name, each]) =>
        () =>
          oddity(each, `${place}.${name}`, depth + 1),
    ),
  );
}

function firstOf(questions: readonly (() => string | undefined)[]): string | undefined {
  for (const question of questions) {
    const answer = question();
    if (answer !== undefined) return answer;
  }
  return undefined;
}

/** Where two values differ, each place in words. */
function differences(found: unknown, wanted: unknown, place: string): string[] {
  if (isRecord(found) && isRecord(wanted)) {
    const names = new Set([...Object.keys(found), ...Object.keys(wanted)]);
    return [...names].flatMap((name) => differences(own(found, name), own(wanted, name), `${place}.${name}`));
  }
  const [there, here] = [found, wanted].map((value) => (value === undefined ? 'missing' : JSON.stringify(value)));
  return there === here ? [] : [`${place} is ${shorten(there)} in the file and ${shorten(here)} here`];
}

function own(record: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

function shorten(text = ''): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** A plain object. */
function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}
