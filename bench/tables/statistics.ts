// The statistics of a table's cell: mean, spread and count over seeds, and whether two rows can be told apart by them.
//
// Always: the spread is that of a sample (n - 1), and one seed has none. Not here: which values are counted (selection.ts).

/** Values over seeds. */
export interface Summary {
  readonly mean: number;
  /** The standard deviation of a sample, n - 1; null of a single value. */
  readonly spread: number | null;
  /** How many there are. */
  readonly count: number;
}

/** Mean, spread and count; undefined of nothing. */
export function summarise(values: readonly number[]): Summary | undefined {
  const count = values.length;
  if (count === 0) return undefined;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  if (count === 1) return { mean, spread: null, count };
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, spread: Math.sqrt(squares / (count - 1)), count };
}

/**
 * How sure the order of two means is: `apart` where they differ by more than twice the standard error of their difference (Welch),
 * `together` where they do not, `unknown` where one of them has no spread to tell by.
 */
export function compare(a: Summary, b: Summary): 'apart' | 'together' | 'unknown' {
  if (a.spread === null || b.spread === null) return 'unknown';
  const error = Math.sqrt(a.spread ** 2 / a.count + b.spread ** 2 / b.count);
  return Math.abs(a.mean - b.mean) > 2 * error ? 'apart' : 'together';
}
