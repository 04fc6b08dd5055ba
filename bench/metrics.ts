// What a training run measures: one training step, one evaluation, one record of which modules were active.
//
// Each is a line of a run's `metrics.jsonl`, told apart by its `kind`. The same types travel from the trainer through
// the run folder to the report. `parseMetric` is the only way back from text, and takes nothing on trust.
// Not here: how they are computed (the trainer), which evaluation counts (selection.ts), where they are kept (runs.ts).

import { FileError, quote } from '../engine/errors.ts';
import { jsonDefect } from '../engine/json-text.ts';
import type { Split } from './tasks/index.ts';
import { parseUsage, type Usage } from './usage.ts';

/** Figures of merit by their names, as the task has them. */
export type Figures = Readonly<Record<string, number>>;

/** One training step of one model. */
export interface TrainStep {
  /** The system's name, such as `RIM`. */
  readonly model: string;
  /** Updates done, this one included: the first step is 1. */
  readonly step: number;
  /** What training minimises, on the batch of this step. */
  readonly loss: number;
  /** The task's figures on the batch of this step. */
  readonly figures: Figures;
  /** Seconds of training of this model so far. */
  readonly seconds: number;
}

/** One model measured on sequences of one split at one setting. */
export interface Evaluation {
  readonly model: string;
  /** Updates done before this evaluation. */
  readonly step: number;
  /** `validation` to choose a checkpoint by, `test` to tell. */
  readonly split: EvaluationSplit;
  /** The value of the task's setting: the blank, the length, the resolution. */
  readonly setting: number;
  readonly figures: Figures;
}

/** The splits that models are measured on. */
export type EvaluationSplit = Exclude<Split, 'train'>;

/** Which modules of a RIM were active at each step of one sample sequence. */
export interface Activation {
  readonly model: string;
  /** The value of the task's setting. */
  readonly setting: number;
  /** What went in at each step: symbols [T], or channels [T][size]. */
  readonly inputs: readonly number[] | readonly (readonly number[])[];
  /** 1 where a module was active, else 0: `[T][N]`. */
  readonly mask: readonly (readonly number[])[];
  /** How modules were used over many test sequences; missing in runs of earlier versions. */
  readonly usage?: readonly Usage[];
}

/** One line of `metrics.jsonl`. */
export type Metric =
  | ({ readonly kind: 'train' } & TrainStep)
  | ({ readonly kind: 'evaluation' } & Evaluation)
  | ({ readonly kind: 'activation' } & Activation);

/** Metrics sorted by kind, each in the order in which it was measured. */
export interface Metrics {
  readonly steps: readonly TrainStep[];
  readonly evaluations: readonly Evaluation[];
  readonly activations: readonly Activation[];
}

/** Sorts metrics by kind. */
export function sortMetrics(metrics: readonly Metric[]): Metrics {
  const steps: TrainStep[] = [];
  const evaluations: Evaluation[] = [];
  const activations: Activation[] = [];
  for (const metric of metrics) {
    if (metric.kind === 'train') steps.push(metric);
    else if (metric.kind === 'evaluation') evaluations.push(metric);
    else activations.push(metric);
  }
  return { steps, evaluations, activations };
}

/**
 * One metric from one line of JSON.
 *
 * @param where what an error names: the file and the line.
 * @throws FileError when the line is not JSON, of an unknown kind, or lacks a field.
 */
export function parseMetric(line: string, where: string): Metric {
  const record = parseObject(line, where, 5);
  const number = (name: string): number => {
    const value = record[name];
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    throw new FileError(`${where}: '${name}' must be a number; the line is damaged or of another program`);
  };
  const text = (name: string): string => {
    const value = record[name];
    if (typeof value === 'string') return value;
    throw new FileError(`${where}: '${name}' must be text; the line is damaged or of another program`);
  };
  const figures = (): Figures => {
    const value = record.figures;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      const entries = Object.entries(value);
      if (entries.every((entry): entry is [string, number] => Number.isFinite(entry[1]))) {
        return Object.fromEntries(entries);
      }
    }
    throw new FileError(`${where}: 'figures' must be an object of numbers; the line is damaged or of another program`);
  };
  const kind = text('kind');
  const model = text('model');
  if (kind === 'train') {
    return { kind, model, step: number('step'), loss: number('loss'), figures: figures(), seconds: number('seconds') };
  }
  if (kind === 'evaluation') {
    const split = text('split');
    if (split !== 'test' && split !== 'validation') {
      throw new FileError(
        `${where}: 'split' must be 'test' or 'validation'; the line is damaged or of another program`,
      );
    }
    return { kind, model, step: number('step'), split, setting: number('setting'), figures: figures() };
  }
  if (kind === 'activation') {
    const inputs = inputsOf(record.inputs, `${where}: 'inputs'`);
    const rows = record.mask;
    if (!Array.isArray(rows) || rows.length !== inputs.length) {
      throw new FileError(
        `${where}: 'mask' must have one row for each of the ${inputs.length} inputs; the line is damaged`,
      );
    }
    const mask = rows.map((row, t) => numbers(row, `${where}: 'mask' row ${t}`));
    const usage = record.usage === undefined ? {} : { usage: parseUsage(record.usage, where) };
    return { kind, model, setting: number('setting'), inputs, mask, ...usage };
  }
  throw new FileError(
    `${where}: '${quote(kind).slice(1, -1)}' is no kind of metric; known kinds: train, evaluation, activation`,
  );
}

/**
 * All metrics of a file's text, a line each.
 *
 * @param file what an error names.
 * @param unfinished the run is not over, or was killed: a last line that is cut off is left out.
 * @throws FileError naming the line that is cut off, damaged or foreign.
 */
export function parseMetrics(text: string, file: string, unfinished = false): Metric[] {
  if (text === '') return [];
  const lines = text.split('\n');
  if (lines.pop() !== '' && !unfinished) {
    throw new FileError(`${file}: line ${lines.length + 1} is cut off; remove that line to read the ones before it`);
  }
  return lines.map((line, i) => parseMetric(line, `${file} line ${i + 1}`));
}

/**
 * A JSON object from text. Names that stand twice and half characters are refused, and more levels than our files have.
 *
 * @param levels how many objects and lists may lie in each other.
 * @throws FileError when the text is not JSON, or not such an object.
 */
export function parseObject(text: string, where: string, levels = 3): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FileError(`${where}: not valid JSON; it is cut off, damaged or of another program`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new FileError(`${where}: a JSON object was expected; this is a file of another program`);
  }
  const defect = jsonDefect(text, { levels });
  if (defect !== undefined) throw new FileError(`${where}: ${defect}; it is damaged or of another program`);
  return Object.fromEntries(Object.entries(value));
}

/** Symbols, or as many channels at each step. */
function inputsOf(value: unknown, where: string): Activation['inputs'] {
  if (!Array.isArray(value) || !Array.isArray(value[0])) return numbers(value, where);
  const size = value[0].length;
  return value.map((row: unknown, t) => {
    const channels = numbers(row, `${where} row ${t}`);
    if (channels.length === size) return channels;
    throw new FileError(`${where} row ${t} must have ${size} channels, as the first; the line is damaged`);
  });
}

function numbers(value: unknown, where: string): number[] {
  if (!Array.isArray(value)) throw new FileError(`${where} must be a list of numbers; the line is damaged`);
  return value.map((element: unknown) => {
    if (typeof element === 'number' && Number.isFinite(element)) return element;
    throw new FileError(`${where} must be a list of numbers; the line is damaged`);
  });
}
