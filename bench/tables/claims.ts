// What the paper concludes from a table, put so that the numbers decide it: a bound that every seed has to reach, a level that a row
// falls to, or an order of two rows. A verdict says how it came out, in words made from the numbers.
//
// Always: a claim whose cells are missing is not decided, and a single seed decides none; what a scale is too small to learn is not
// asked there. Not here: the claims themselves (the definitions) and where verdicts are shown.

import { at } from '../../engine/errors.ts';
import type { Figure } from '../tasks/task.ts';
import { SCALES, type Scale } from './definition.ts';
import { CONFIDENCE, compare, type Summary } from './statistics.ts';

/** The tested setting that a claim is about: that of the training, the furthest one, or all but that of the training. */
export type Where = 'trained' | 'furthest' | 'beyond';

/** A bound: a number, or a multiple of what a model has that has learned nothing but the layout. */
export type Bound = { readonly value: number } | { readonly trivial: number };

/** A bound that every seed of a row has to reach. */
export interface Condition {
  /** In words, such as `the LSTM has learned the blank of its training`. */
  readonly text: string;
  /** The figure it is about, by the task's name of it. */
  readonly figure: string;
  readonly where: Where;
  readonly bound: Bound;
}

/** What a table should show. */
export type Claim = {
  /** In words, such as `RIM holds at four times the blank`. */
  readonly text: string;
  /** The figure it is about, by the task's name of it. */
  readonly figure: string;
  readonly where: Where;
  /** The id of the row. */
  readonly row: string;
  /** The smallest scale at which it is asked; `small` where left out, for cells of `tiny` learn nothing. */
  readonly from?: Scale;
  /** What the row has to do first: what was never learned cannot be lost. */
  readonly given?: Condition;
} & (
  | {
      /** `reaches`: every seed is at least as good; `falls`: every seed is as bad or worse. */
      readonly kind: 'reaches' | 'falls';
      readonly bound: Bound;
    }
  | {
      /** The mean is better than another row's, by more than the spread explains; not decided where by less. */
      readonly kind: 'beats';
      readonly other: string;
    }
);

/** How a claim came out. */
export interface Verdict {
  readonly claim: string;
  readonly outcome: 'holds' | 'does not hold' | 'not decided' | 'not asked';
  /** Why, from the numbers; empty where it is not asked. */
  readonly because: string;
}

/** What a claim is judged by: the figures of a row's seeds at a setting. */
export interface Evidence {
  /** The row as the table shows it; undefined where it is no row of the table. */
  label(row: string): string | undefined;
  /** The settings that are meant, of the table's part that has the row. */
  settings(row: string, where: Where): readonly number[];
  summary(row: string, setting: number, figure: string): Summary | undefined;
  values(row: string, setting: number, figure: string): readonly number[];
  readonly scale: Scale;
  /** Seeds of a row whose training failed. */
  failed(row: string): number;
  /** Seeds that a claim asks for. */
  readonly seeds: number;
  figure(name: string): Figure;
  trivial(setting: number, figure: string): number;
  /** A figure as the table shows it. @param digits more than it would have */
  show(figure: Figure, value: number, digits?: number): string;
}

/** Judges a claim; undefined where the table has not its rows (it was asked for others). */
export function judge(claim: Claim, evidence: Evidence): Verdict | undefined {
  const rows = claim.kind === 'beats' ? [claim.row, claim.other] : [claim.row];
  if (rows.some((row) => evidence.label(row) === undefined)) return undefined;
  if (SCALES.indexOf(evidence.scale) < SCALES.indexOf(claim.from ?? 'small')) {
    return { claim: claim.text, outcome: 'not asked', because: '' };
  }
  const { given, row } = claim;
  const before =
    given && everywhere(given, row, evidence, (at) => level({ ...given, row, kind: 'reaches' }, at, evidence));
  if (given !== undefined && before !== undefined && before.outcome !== 'holds') {
    const words = before.outcome === 'not decided' ? before.because : `only where ${given.text}. ${before.because}`;
    return { claim: claim.text, outcome: 'not decided', because: words };
  }
  const judged = everywhere(claim, row, evidence, (setting) =>
    claim.kind === 'beats' ? order(claim, setting, evidence) : level(claim, setting, evidence),
  );
  return { claim: claim.text, ...judged };
}

type Part = Omit<Verdict, 'claim'>;

/** What is found at each of the settings that are meant, taken together. */
function everywhere({ where }: Condition | Claim, row: string, evidence: Evidence, found: (at: number) => Part): Part {
  const parts = evidence.settings(row, where).map(found);
  const outcome = parts.some((part) => part.outcome === 'does not hold')
    ? 'does not hold'
    : parts.every((part) => part.outcome === 'holds') && parts.length > 0
      ? 'holds'
      : 'not decided';
  return { outcome, because: parts.map(({ because }) => because).join('; ') };
}

/** A bound, and which side of it is asked for. */
type Level = Pick<Claim, 'figure' | 'row'> & { readonly kind: 'reaches' | 'falls'; readonly bound: Bound };

/** Whether every seed reaches a bound, or falls to it. */
function level(claim: Level, setting: number, evidence: Evidence): Part {
  const figure = evidence.figure(claim.figure);
  const bound =
    'value' in claim.bound ? claim.bound.value : claim.bound.trivial * evidence.trivial(setting, figure.name);
  const values = evidence.values(claim.row, setting, figure.name);
  const name = evidence.label(claim.row) ?? claim.row;
  const count = values.length;
  if (count === 0) return absent(claim.row, setting, evidence);
  const upwards = (figure.better === 'higher') === (claim.kind === 'reaches');
  const met = values.filter((value) => (upwards ? value >= bound : value <= bound)).length;
  const extremes = [Math.min(...values), Math.max(...values)];
  const asked = apart(figure, bound, extremes, evidence);
  const [least, most] = extremes.map((value) => asked.show(value));
  const range = least === most ? least : `${least} to ${most}`;
  const told = `${name} at ${setting}: ${figure.label} ${range} of ${seeds(count)}`;
  const wanted = `${upwards ? 'at least' : 'at most'} ${asked.show(bound)}`;
  const because =
    count === 1
      ? `${told}; ${wanted} is asked for`
      : `${told}; each has to have ${wanted}, and ${met === count ? 'all have' : met === 0 ? 'none has' : `${met} of ${count} ${met === 1 ? 'has' : 'have'}`}`;
  const missing = missingOf([[claim.row, count]], evidence);
  if (missing !== undefined) return { outcome: 'not decided', because: `${because}; ${missing}` };
  if (count < 2) return { outcome: 'not decided', because: `${because}; one seed decides nothing` };
  return { outcome: met === count ? 'holds' : 'does not hold', because };
}

/** What is told of a row that has no figure at all. */
function absent(row: string, setting: number, evidence: Evidence): Part {
  const why = missingOf([[row, 0]], evidence);
  return { outcome: 'not decided', because: `there is no ${evidence.label(row) ?? row} at ${setting}: ${why}` };
}

/** What keeps rows from being judged, in words: seeds that are not there yet, and seeds that failed, which the means leave out. */
function missingOf(counts: readonly (readonly [row: string, count: number])[], evidence: Evidence): string | undefined {
  const sum = (of: (row: string, count: number) => number): number =>
    counts.reduce((all, each) => all + of(...each), 0);
  const failed = sum((row) => evidence.failed(row));
  const missing = sum((row, count) => Math.max(0, evidence.seeds - count - evidence.failed(row)));
  const words = [...(failed > 0 ? [`${failed} failed`] : []), ...(missing > 0 ? [`${missing} still to come`] : [])];
  return words.length === 0 ? undefined : words.join(', ');
}

/** Shows figures with as many digits as tell those that are another number than a bound from it. */
function apart(
  figure: Figure,
  bound: number,
  values: readonly number[],
  evidence: Evidence,
): { show(value: number): string } {
  const same = (digits: number): boolean =>
    values.some(
      (value) => value !== bound && evidence.show(figure, value, digits) === evidence.show(figure, bound, digits),
    );
  let digits = 0;
  while (digits < 6 && same(digits)) digits++;
  return { show: (value) => evidence.show(figure, value, digits) };
}

/** Whether a row's mean is better than another's. */
function order(claim: Claim & { readonly other: string }, setting: number, evidence: Evidence): Part {
  const figure = evidence.figure(claim.figure);
  const rows = [claim.row, claim.other];
  const [own, others] = rows.map((row) => evidence.summary(row, setting, figure.name));
  if (own === undefined) return absent(claim.row, setting, evidence);
  if (others === undefined) return absent(claim.other, setting, evidence);
  const told = [own, others]
    .map((each, i) => `${evidence.label(at(rows, i))} ${spoken(figure, each, evidence)}`)
    .join(', ');
  const because = `at ${setting}: ${figure.label} ${told}`;
  const better = figure.better === 'higher' ? own.mean > others.mean : own.mean < others.mean;
  const sure = compare(own, others);
  if (sure === 'unknown') return { outcome: 'not decided', because: `${because}; one seed decides nothing` };
  const counts = [own, others].map(({ count }, i) => [at(rows, i), count] as const);
  const missing = missingOf(counts, evidence);
  if (missing !== undefined) return { outcome: 'not decided', because: `${because}; ${missing}` };
  // Ahead, but by no more than chance explains: these seeds do not tell, and more might.
  if (sure === 'together') {
    const outcome = better ? 'not decided' : 'does not hold';
    return { outcome, because: `${because}, not apart at ${100 * CONFIDENCE} %` };
  }
  return { outcome: better ? 'holds' : 'does not hold', because };
}

function spoken(figure: Figure, { mean, spread, count }: Summary, { show }: Evidence): string {
  return spread === null ? `${show(figure, mean)} (1)` : `${show(figure, mean)} ± ${show(figure, spread)} (${count})`;
}

function seeds(count: number): string {
  return `${count} ${count === 1 ? 'seed' : 'seeds'}`;
}
