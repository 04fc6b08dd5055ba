// Numbers as tables show them: shares in percent, nats and errors with as many digits as they deserve.
//
// Always: a mean, its spread and a published figure of one column have the same form. Not here: where they stand.

import type { Figure } from '../tasks/task.ts';
import type { Summary } from './statistics.ts';

/** A figure: `73.4 %`, `0.013`, `4.3e-5`, `1.2e+5`. */
export function showFigure({ unit }: Pick<Figure, 'unit'>, value: number): string {
  if (unit === 'share') return `${(100 * value).toFixed(1)} %`;
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1000 || size < 5e-4) return value.toExponential(1);
  return value.toFixed(size >= 100 ? 1 : 3);
}

/** Mean and spread: `73.4 ± 1.2 %`, `0.013 ± 0.002`; the mean alone of one value. */
export function showSummary(figure: Pick<Figure, 'unit'>, { mean, spread }: Summary): string {
  const middle = showFigure(figure, mean);
  if (spread === null) return middle;
  return figure.unit === 'share'
    ? `${(100 * mean).toFixed(1)} ± ${(100 * spread).toFixed(1)} %`
    : `${middle} ± ${showFigure(figure, spread)}`;
}
