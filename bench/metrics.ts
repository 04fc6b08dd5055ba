// What a training run measures: one training step, one evaluation, one record of which modules were active.
//
// Each is a line of a run's `metrics.jsonl`, told apart by its `kind`. The same types travel from the trainer through
// the run folder to the report. `parseMetric` is the only way back from text, and takes nothing on trust.
// Not here: how they are computed (the trainer), where they are kept (runs.ts), how they look (report.ts).

import { FileError, quote } from '../engine/errors.ts';
import { jsonDefect } from '../engine/json-text.ts';

/** One training step of one model. */
export interface TrainStep {
  /** The model's name as the report shows it, such as `RIM`. */
  readonly model: string;
  /** Updates done, this one included: the first step is 1. */
  readonly step: number;
  /** Mean cross-entropy over all T·B positions of the batch, in nats. */
  readonly loss: number;
  /** Share of the batch's digits at the recall positions that are predicted right, 0 to 1. */
  readonly accuracy: number;
  /** Seconds of training of this model so far. */
  readonly seconds: number;
}

/** One model measured on test sequences of one blank length. Both figures are over the recalled digits alone. */
export interface Evaluation {
  readonly model: string;
  /** Updates done before this evaluation. */
  readonly step: number;
  /** Blank length of the test sequences. */
  readonly blank: number;
  /** Mean cross-entropy over the recalled digits, in nats. */
  readonly crossEntropy: number;
  /** Share of recalled digits predicted right, 0 to 1. */
  readonly accuracy: number;
}

/** Which modules were active at each step of one sample sequence. */
export interface Activation {
  readonly model: string;
  /** Digits of the sample sequence. */
  readonly digits: number;
  /** Blank length of the sample sequence. */
  readonly blank: number;
  /** Input symbols `[T]`. */
  readonly symbols: readonly number[];
  /** 1 where a module was active, else 0: `[T][N]`. */
  readonly mask: readonly (readonly number[])[];
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

/** The last evaluation of each model at each blank, in the order in which the pairs first came. */
export function lastEvaluations(evaluations: readonly Evaluation[]): readonly Evaluation[] {
  const last = new Map<string, Evaluation>();
  for (const evaluation of evaluations) last.set(`${evaluation.model}/${evaluation.blank}`, evaluation);
  return [...last.values()];
}

/**
 * One metric from one line of JSON.
 *
 * @param where what an error names: the file and the line.
 * @throws FileError when the line is not JSON, of an unknown kind, or lacks a field.
 */
export function parseMetric(line: string, where: string): Metric {
  const record = parseObject(line, where);
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
  const kind = text('kind');
  const model = text('model');
  if (kind === 'train') {
    return {
      kind,
      model,
      step: number('step'),
      loss: number('loss'),
      accuracy: number('accuracy'),
      seconds: number('seconds'),
    };
  }
  if (kind === 'evaluation') {
    return {
      kind,
      model,
      step: number('step'),
      blank: number('blank'),
      crossEntropy: number('crossEntropy'),
      accuracy: number('accuracy'),
    };
  }
  if (kind === 'activation') {
    const symbols = numbers(record.symbols, `${where}: 'symbols'`);
    const rows = record.mask;
    if (!Array.isArray(rows) || rows.length !== symbols.length) {
      throw new FileError(
        `${where}: 'mask' must have one row for each of the ${symbols.length} symbols; the line is damaged`,
      );
    }
    const mask = rows.map((row, t) => numbers(row, `${where}: 'mask' row ${t}`));
    return { kind, model, digits: number('digits'), blank: number('blank'), symbols, mask };
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
 * @throws FileError when the text is not JSON, or not such an object.
 */
export function parseObject(text: string, where: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FileError(`${where}: not valid JSON; it is cut off, damaged or of another program`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new FileError(`${where}: a JSON object was expected; this is a file of another program`);
  }
  const defect = jsonDefect(text, { levels: 3 });
  if (defect !== undefined) throw new FileError(`${where}: ${defect}; it is damaged or of another program`);
  return Object.fromEntries(Object.entries(value));
}

function numbers(value: unknown, where: string): number[] {
  if (!Array.isArray(value)) throw new FileError(`${where} must be a list of numbers; the line is damaged`);
  return value.map((element: unknown) => {
    if (typeof element === 'number' && Number.isFinite(element)) return element;
    throw new FileError(`${where} must be a list of numbers; the line is damaged`);
  });
}
