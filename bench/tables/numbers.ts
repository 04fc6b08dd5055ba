// Numbers as tables show them: shares in percent, nats and errors with as many digits as they deserve.
//
// Always: a mean and its spread have the same form; a published figure has the digits that it was published with. Not here: where
// they stand.

import type { Figure } from '../tasks/task.ts';
import type { Summary } from './statistics.ts';

/** A figure: `73.4 %`, `0.013`, `4.3e-5`, `1.2e+5`. @param digits more than these */
export function showFigure({ unit }: Pick<Figure, 'unit'>, value: number, digits: number = 0): string {
  if (unit === 'share') return `${(100 * value).toFixed(1 + digits)} %`;
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1000 || size < 5e-4) return value.toExponential(1 + digits);
  return value.toFixed((size >= 100 ? 1 : 3) + digits);
}

/** A figure as it was published: with all its decimals, of which a table has some at least. */
export function showPublished({ unit }: Pick<Figure, 'unit'>, value: number, decimals: number): string {
  const number = unit === 'share' ? Number((100 * value).toFixed(6)) : value;
  const own = `${number}`.split('.')[1]?.length ?? 0;
  return `${number.toFixed(Math.max(decimals, own))}${unit === 'share' ? ' %' : ''}`;
}

/** Mean and spread: `73.4 ± 1.2 %`, `0.013 ± 0.002`; the mean alone of one value. */
export function showSummary(figure: Pick<Figure, 'unit'>, { mean, spread }: Summary): string {
  const middle = showFigure(figure, mean);
  if (spread === null) return middle;
  return figure.unit === 'share'
    ? `${(100 * mean).toFixed(1)} ± ${(100 * spread).toFixed(1)} %`
    : `${middle} ± ${showFigure(figure, spread)}`;
}
