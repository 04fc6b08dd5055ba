// Files that come and go: metrics as CSV or as the lines of the command line, and a run's files sorted out from what a person
// picked. It knows no worker and draws nothing.
//
// Always: a file is judged by what it is called in a run folder or by its ending; what is damaged is refused with the name of
// the file and the mend (bench/run-config.ts, bench/metrics.ts).

import { type Metric, parseMetrics, parseObject, sortMetrics } from '../bench/metrics.ts';
import { parseConfig } from '../bench/run-config.ts';
import { FileError, readSafetensors } from '../engine/core.ts';
import { fromQuery, fromRunOptions, type Read, type Settings } from './settings.ts';
import { isTask } from './tasks.ts';

/** What was picked. */
export interface Picked {
  /** What the page calls it. */
  readonly name: string;
  /** Settings that the files tell; missing where they tell none. */
  readonly settings?: Settings;
  /** What could not be taken over from the settings, a sentence each. */
  readonly notes: readonly string[];
  readonly metrics: readonly Metric[];
  readonly weights?: Uint8Array<ArrayBuffer>;
  /** Updates that the weights have seen. */
  readonly step: number;
}

/**
 * A run folder, some of its files, or weights alone.
 * @param folder its name, where the files were picked as one
 * @throws FileError for files that are none of these, or damaged
 */
export async function readPicked(files: readonly File[], folder: string = ''): Promise<Picked> {
  const config = files.find(({ name }) => name === 'config.json');
  const lines = files.find(({ name }) => name === 'metrics.jsonl');
  const model = files.find(({ name }) => name.endsWith('.safetensors'));
  if (config === undefined && lines === undefined && model === undefined) {
    throw new FileError(
      'there is no config.json, metrics.jsonl or .safetensors among these files; pick the files of a run',
    );
  }
  const run = config === undefined ? undefined : parseConfig(new Uint8Array(await config.arrayBuffer()), config.name);
  const metrics = lines === undefined ? [] : parseMetrics(await lines.text(), lines.name);
  const weights = model === undefined ? undefined : new Uint8Array(await model.arrayBuffer());
  const told = weights === undefined || model === undefined ? {} : readSafetensors(weights, model.name).metadata;
  const read =
    run !== undefined
      ? readOptions({ ...run.options, task: run.task.name }, config?.name ?? '')
      : readTold(told, model?.name ?? '');
  const last = sortMetrics(metrics).steps.reduce((most, { step }) => Math.max(most, step), 0);
  return {
    name: folder || (model ?? config ?? lines)?.name || 'files',
    ...(read && { settings: read.settings }),
    notes: read?.notes ?? [],
    metrics,
    ...(weights && { weights }),
    step: stepOf(told, model?.name ?? '') ?? last,
  };
}

/** Settings from what a file of weights tells: of this page, or of the command line. */
function readTold(told: Readonly<Record<string, string>>, file: string): Read | undefined {
  if (told.settings !== undefined) return fromQuery(told.settings);
  return told.options === undefined ? undefined : readOptions(parseObject(told.options, file), file);
}

/** Settings from the options of a run. @throws FileError where this page cannot train such a thing */
function readOptions(options: Readonly<Record<string, unknown>>, file: string): Read {
  const { task = 'copying', communication, inputAttention, commTopK, mnist } = options;
  if (typeof task !== 'string' || !isTask(task)) {
    throw new FileError(`${file}: the task is ${String(task)}, which this page does not have; pick a run on another`);
  }
  if (communication === false || inputAttention === false || commTopK !== undefined) {
    throw new FileError(`${file}: its RIM lacks a part, which no RIM of this page does; pick a run of a whole one`);
  }
  const { settings, notes } = fromRunOptions(options);
  if (mnist === undefined) return { settings, notes };
  const words =
    'This run read MNIST, whose files the page does not have. What is measured here is measured on drawn digits.';
  return { settings, notes: [...notes, words] };
}

/** Updates that weights have seen, of the RIM first; undefined where their file tells none. */
function stepOf({ step, steps }: Readonly<Record<string, string>>, file: string): number | undefined {
  const of = steps === undefined ? {} : parseObject(steps, file);
  const value = Number(step ?? of.RIM ?? Object.values(of)[0]);
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** Metrics as a table for spreadsheets: a row a training step or an evaluation. */
export function toCsv(metrics: readonly Metric[]): string {
  const { steps, evaluations } = sortMetrics(metrics);
  const names = [...new Set([...steps, ...evaluations].flatMap(({ figures }) => Object.keys(figures)))];
  const rows = [
    ['kind', 'model', 'step', 'split', 'setting', 'loss', 'seconds', ...names],
    ...steps.map(({ model, step, loss, seconds, figures }) => {
      return ['train', model, step, 'train', '', loss, seconds, ...names.map((name) => figures[name] ?? '')];
    }),
    ...evaluations.map(({ model, step, split, setting, figures }) => {
      return ['evaluation', model, step, split, setting, '', '', ...names.map((name) => figures[name] ?? '')];
    }),
  ];
  return `${rows.map((row) => row.join(',')).join('\n')}\n`;
}

/** Metrics as the lines of a run folder's metrics.jsonl. */
export function toLines(metrics: readonly Metric[]): string {
  return metrics.map((metric) => `${JSON.stringify(metric)}\n`).join('');
}
