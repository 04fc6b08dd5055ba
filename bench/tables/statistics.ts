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

/** How often two rows without a difference come out `together`. */
export const CONFIDENCE = 0.95;

/**
 * How sure the order of two means is: `apart` where Welch's t-test, two-sided, tells them apart at `CONFIDENCE`, `together` where it
 * does not, `unknown` where one of them has no spread to tell by.
 */
export function compare(a: Summary, b: Summary): 'apart' | 'together' | 'unknown' {
  if (a.spread === null || b.spread === null) return 'unknown';
  // The squared standard errors of the two means.
  const [u, v] = [a.spread ** 2 / a.count, b.spread ** 2 / b.count];
  const difference = Math.abs(a.mean - b.mean);
  if (u + v === 0) return difference > 0 ? 'apart' : 'together';
  // Welch and Satterthwaite's degrees of freedom.
  const freedom = (u + v) ** 2 / (u ** 2 / (a.count - 1) + v ** 2 / (b.count - 1));
  return shareWithin(difference / Math.sqrt(u + v), freedom) > CONFIDENCE ? 'apart' : 'together';
}

/**
 * The share of Student's t distribution that lies within t of its middle, on both sides.
 * @param freedom its degrees of freedom, from 1 to some thousands, whole or not
 */
export function shareWithin(t: number, freedom: number): number {
  // With t = √freedom · tan θ the density is a power of the cosine of θ.
  const upTo = (angle: number): number => integral((theta) => Math.cos(theta) ** (freedom - 1), angle);
  return upTo(Math.atan(t / Math.sqrt(freedom))) / upTo(Math.PI / 2);
}

/** The integral of a function from 0 on, by Simpson's rule. */
function integral(f: (x: number) => number, to: number): number {
  const parts = 2000;
  let sum = f(0) + f(to);
  for (let i = 1; i < parts; i++) sum += (i % 2 === 0 ? 2 : 4) * f((i * to) / parts);
  return (sum * to) / (3 * parts);
}
