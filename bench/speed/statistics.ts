// The few statistics of the benchmark: spreads, ratios of rounds, slopes on logarithmic axes.
//
// Always: medians and quartiles, so that one interrupted step moves nothing; ratios are made round by round, because what
// slows a machine for a while slows its neighbours in time too. Not here: what is measured (rounds.ts).

import { at, OptionError } from '../../engine/errors.ts';

/** Where repeated measurements lie. */
export interface Spread {
  readonly count: number;
  readonly least: number;
  /** The first quartile. */
  readonly lower: number;
  readonly median: number;
  /** The third quartile. */
  readonly upper: number;
  readonly most: number;
}

/** Measurements of one contestant: the milliseconds of its steps, by round; a slow one skips rounds. */
export type Rounds = ReadonlyMap<number, readonly number[]>;

/** The value that a share of the others lies below, by linear interpolation. @throws OptionError for no values */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new OptionError('quantile: there are no values; measure at least once');
  const sorted = [...values].sort((a, b) => a - b);
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const low = at(sorted, below);
  return low + (place - below) * (at(sorted, Math.ceil(place)) - low);
}

/** The middle value. @throws OptionError for no values */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Median, quartiles and extremes. @throws OptionError for no values */
export function spread(values: readonly number[]): Spread {
  const part = (share: number): number => quantile(values, share);
  return {
    count: values.length,
    least: part(0),
    lower: part(0.25),
    median: part(0.5),
    upper: part(0.75),
    most: part(1),
  };
}

/** How many times longer `theirs` took than `ours`: a ratio of medians for each round that both took part in. */
export function roundRatios(theirs: Rounds, ours: Rounds): number[] {
  const ratios: number[] = [];
  for (const [round, steps] of theirs) {
    const own = ours.get(round);
    if (own !== undefined && own.length > 0 && steps.length > 0) ratios.push(median(steps) / median(own));
  }
  return ratios;
}

/** The slope of the line nearest to the points on logarithmic axes: the exponent of a power law. @throws OptionError */
export function logLogSlope(points: readonly (readonly [x: number, y: number])[]): number {
  if (new Set(points.map(([x]) => x)).size < 2) throw new OptionError('logLogSlope: give points at two or more sizes');
  if (points.some(([x, y]) => !(x > 0 && y > 0))) throw new OptionError('logLogSlope: give positive numbers');
  const logs = points.map(([x, y]) => [Math.log(x), Math.log(y)] as const);
  const mean = (index: 0 | 1): number => logs.reduce((sum, log) => sum + log[index], 0) / logs.length;
  const [x0, y0] = [mean(0), mean(1)];
  const across = logs.reduce((sum, [x, y]) => sum + (x - x0) * (y - y0), 0);
  return across / logs.reduce((sum, [x]) => sum + (x - x0) ** 2, 0);
}
