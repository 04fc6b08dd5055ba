// What the golden check says: a line a file, a line a tensor where that is asked for, a last line, or one JSON object.

import { type Comparison, severity } from './compare.ts';

/** The outcome of one file. */
export interface FileReport {
  readonly file: string;
  /** What kind of case it is; undefined where that could not be told. */
  readonly kind: string | undefined;
  /** 'record': known, and there is nothing to compare. */
  readonly status: 'ok' | 'record' | 'failed';
  readonly comparisons: readonly Comparison[];
  /** What was imposed or left out, and why. */
  readonly notes: readonly string[];
  /** Why it failed before all was compared, or why there is nothing to compare. */
  readonly message?: string;
  readonly seconds: number;
}

const LABEL = { ok: 'ok    ', record: 'record', failed: 'FAIL  ' } as const;

/** Tensors that are off and shown of a file, where not all are asked for. */
const SHOWN = 6;

function worstFirst(comparisons: readonly Comparison[]): Comparison[] {
  return comparisons.toSorted((a, b) => severity(b) - severity(a));
}

/** The comparison that is nearest to its allowance, or furthest beyond. */
export function worstOf(comparisons: readonly Comparison[]): Comparison | undefined {
  return worstFirst(comparisons)[0];
}

/** The lines of one file. */
export function formatFile(report: FileReport, width: number, verbose: boolean): string {
  const { file, kind, status, comparisons, notes, message } = report;
  const head = `${LABEL[status]} ${file.padEnd(width)}  `;
  const bad = comparisons.filter((each) => !each.ok).length;
  const worst = worstOf(comparisons);
  const counted = `${kind ?? 'unknown'}: ${comparisons.length} tensors`;
  const off = bad > 0 ? `, ${bad} off` : '';
  const found = worst === undefined ? '' : `, ${formatWorst(worst)}`;
  const line = message === undefined ? `${head}${counted}${off}${found}` : `${head}${message}`;
  const shown = verbose ? comparisons : worstFirst(comparisons.filter((each) => !each.ok)).slice(0, SHOWN);
  const lines = shown.map((each) => `         ${each.ok ? ' ' : '!'} ${formatTensor(each)}`);
  if (!verbose && bad > SHOWN) lines.push(`           and ${bad - SHOWN} more; --verbose shows all`);
  return [line, ...lines, ...(verbose ? notes.map((note) => `           (${note})`) : [])].join('\n');
}

function formatWorst(worst: Comparison): string {
  return `largest error ${error(worst)} at ${worst.tensor}`;
}

function formatTensor(each: Comparison): string {
  return `${each.tensor.padEnd(48)} ${String(each.elements).padStart(7)} elements  error ${error(each)}, allowed ${each.allowed.toExponential(1)}`;
}

function error({ error: value, magnitude }: Comparison): string {
  return `${value === 0 ? '0' : value.toExponential(1)} of ${Number(magnitude.toPrecision(3))}`;
}

/** The last line. */
export function formatSummary(reports: readonly FileReport[], adapter: string): string {
  const count = (status: FileReport['status']): number => reports.filter((each) => each.status === status).length;
  const tensors = reports.reduce((sum, { comparisons }) => sum + comparisons.length, 0);
  const recorded = count('record') > 0 ? `, ${count('record')} for the record` : '';
  return `${reports.length} file${reports.length === 1 ? '' : 's'}: ${count('ok')} agree${recorded}, ${count('failed')} failed; ${tensors} tensors compared on ${adapter}`;
}

/** Everything as one JSON object; numbers that JSON has not are strings. */
export function formatJson(folder: string, adapter: string, reports: readonly FileReport[]): string {
  const failed = reports.filter(({ status }) => status === 'failed').length;
  const files = reports.map(({ comparisons, ...rest }) => ({ ...rest, worst: worstOf(comparisons), comparisons }));
  const plain = (_key: string, value: unknown): unknown =>
    typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
  return JSON.stringify({ folder, adapter, ok: failed === 0, failed, files }, plain, 2);
}
