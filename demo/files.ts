// Files that come and go: metrics as CSV or as the lines of the command line, and a run's files sorted out from what a person
// picked. It knows no worker and draws nothing.
//
// Always: a file is judged by what it is called in a run folder or by its ending; what is damaged is refused with the name of
// the file and the mend (bench/run-config.ts, bench/metrics.ts).

import { type Metric, parseMetrics, sortMetrics } from '../bench/metrics.ts';
import { parseConfig } from '../bench/run-config.ts';
import { FileError, readSafetensors } from '../engine/core.ts';
import { fromQuery, fromRunOptions, type Settings } from './settings.ts';

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
  if (run !== undefined && run.task.name !== 'copying') {
    throw new FileError(
      `config.json: the task is ${run.task.name}, which this page does not have; pick a run on copying`,
    );
  }
  const { communication, inputAttention, commTopK } = run?.options ?? {};
  if (communication === false || inputAttention === false || commTopK !== undefined) {
    throw new FileError('config.json: its RIM lacks a part, which no RIM of this page does; pick a run of a whole one');
  }
  const metrics = lines === undefined ? [] : parseMetrics(await lines.text(), lines.name);
  const weights = model === undefined ? undefined : new Uint8Array(await model.arrayBuffer());
  const told = weights === undefined || model === undefined ? {} : readSafetensors(weights, model.name).metadata;
  const query = told.settings;
  const read = run !== undefined ? fromRunOptions(run.options) : query === undefined ? undefined : fromQuery(query);
  const steps = sortMetrics(metrics).steps.filter((each) => each.model === 'RIM');
  return {
    name: folder || (model ?? config ?? lines)?.name || 'files',
    ...(read && { settings: read.settings }),
    notes: read?.notes ?? [],
    metrics,
    ...(weights && { weights }),
    step: steps.at(-1)?.step ?? wholeOf(told.step),
  };
}

function wholeOf(text: string | undefined): number {
  const value = Number(text ?? 0);
  return Number.isSafeInteger(value) && value >= 0 ? value : 0;
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
