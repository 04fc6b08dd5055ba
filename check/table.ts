// The findings of the gradient check as text: a line each, the worst error of every case and question beside its limit, then a
// verdict. Text only: nothing is printed here.

import type { GradientCheckLine } from './gradcheck.ts';

const WIDTH = 64;

/** What stands above the lines. */
export const TABLE_HEAD: string = `     ${'question'.padEnd(8)} ${'case'.padEnd(WIDTH)} ${'worst'.padStart(8)} ${'limit'.padStart(6)}`;

/** One finding. */
export function formatLine({ name, what, worst, limit, ok, problem }: GradientCheckLine): string {
  const found = problem ?? `${worst.toExponential(1).padStart(8)} ${limit.toExponential(0).padStart(6)}`;
  return `${ok ? 'ok  ' : 'FAIL'} ${what.padEnd(8)} ${name.padEnd(WIDTH)} ${found}`;
}

/** The last line: how many passed, on which adapter, and what came nearest to its limit. */
export function formatVerdict(lines: readonly GradientCheckLine[], adapter: string): string {
  const failed = lines.filter(({ ok }) => !ok).length;
  const nearest = lines.filter(({ ok }) => ok).sort((a, b) => b.worst / b.limit - a.worst / a.limit)[0];
  const close =
    nearest === undefined
      ? ''
      : `; nearest to its limit, at ${Math.round((100 * nearest.worst) / nearest.limit)} %: ${nearest.what} ${nearest.name}`;
  return `${failed === 0 && lines.length > 0 ? 'ok' : 'FAILED'}: ${lines.length - failed} of ${lines.length} checks passed on ${adapter}${close}`;
}

/** The table of a check with its verdict. @param adapter what the verdict calls the device */
export function formatGradientCheck(lines: readonly GradientCheckLine[], adapter: string): string {
  return [TABLE_HEAD, ...lines.map(formatLine), formatVerdict(lines, adapter)].join('\n');
}
