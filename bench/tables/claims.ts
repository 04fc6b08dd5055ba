// What the paper concludes from a table, put so that the numbers decide it: a bound that every seed has to reach, a level that a row
// falls to, or an order of two rows. A verdict says how it came out, in words made from the numbers.
//
// Always: a claim whose cells are missing is not decided; a single seed decides no order. Not here: the claims themselves
// (the definitions) and where verdicts are shown.

import { at } from '../../engine/errors.ts';
import type { Figure } from '../tasks/task.ts';
import { CONFIDENCE, compare, type Summary } from './statistics.ts';

/** The tested setting that a claim is about: that of the training, the furthest one, or all but that of the training. */
export type Where = 'trained' | 'furthest' | 'beyond';

/** A bound: a number, or a multiple of what a model has that has learned nothing but the layout. */
export type Bound = { readonly value: number } | { readonly trivial: number };

/** What a table should show. */
export type Claim = {
  /** In words, such as `RIM holds at four times the blank`. */
  readonly text: string;
  /** The figure it is about, by the task's name of it. */
  readonly figure: string;
  readonly where: Where;
  /** The id of the row. */
  readonly row: string;
} & (
  | {
      /** `reaches`: every seed is at least as good; `falls`: every seed is as bad or worse. */
      readonly kind: 'reaches' | 'falls';
      readonly bound: Bound;
    }
  | {
      /** The mean is better than another row's, by more than the spread explains. */ readonly kind: 'beats';
      readonly other: string;
    }
);

/** How a claim came out. */
export interface Verdict {
  readonly claim: string;
  readonly outcome: 'holds' | 'does not hold' | 'not decided';
  /** Why, from the numbers. */
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
  /** Seeds that the table asks for. */
  readonly seeds: number;
  figure(name: string): Figure;
  trivial(setting: number, figure: string): number;
  /** A figure as the table shows it. */
  show(figure: Figure, value: number): string;
}

/** Judges a claim; undefined where the table has not its rows (it was asked for others). */
export function judge(claim: Claim, evidence: Evidence): Verdict | undefined {
  const rows = claim.kind === 'beats' ? [claim.row, claim.other] : [claim.row];
  if (rows.some((row) => evidence.label(row) === undefined)) return undefined;
  const settings = evidence.settings(claim.row, claim.where);
  const parts = settings.map((setting) =>
    claim.kind === 'beats' ? order(claim, setting, evidence) : level(claim, setting, evidence),
  );
  const outcome = parts.some((part) => part.outcome === 'does not hold')
    ? 'does not hold'
    : parts.every((part) => part.outcome === 'holds') && parts.length > 0
      ? 'holds'
      : 'not decided';
  return { claim: claim.text, outcome, because: parts.map(({ because }) => because).join('; ') };
}

type Part = Omit<Verdict, 'claim'>;

/** Whether every seed reaches a bound, or falls to it. */
function level(claim: Claim & { readonly bound: Bound }, setting: number, evidence: Evidence): Part {
  const figure = evidence.figure(claim.figure);
  const bound =
    'value' in claim.bound ? claim.bound.value : claim.bound.trivial * evidence.trivial(setting, figure.name);
  const values = evidence.values(claim.row, setting, figure.name);
  const name = evidence.label(claim.row) ?? claim.row;
  if (values.length === 0) return { outcome: 'not decided', because: `there is no ${name} at ${setting} yet` };
  const upwards = (figure.better === 'higher') === (claim.kind === 'reaches');
  const met = values.filter((value) => (upwards ? value >= bound : value <= bound)).length;
  const worst = upwards ? Math.min(...values) : Math.max(...values);
  const asked = `${upwards ? 'at least' : 'at most'} ${evidence.show(figure, bound)} is asked for`;
  const extreme = `${upwards ? 'least' : 'most'} ${evidence.show(figure, worst)}`;
  const because = `${name} at ${setting}: ${figure.label} ${extreme} of ${seeds(values.length)}, ${asked}`;
  if (met < values.length) {
    const others = met === 0 ? 'none does' : `${met} of ${seeds(values.length)} ${met === 1 ? 'does' : 'do'}`;
    return { outcome: 'does not hold', because: `${because}; ${others}` };
  }
  if (values.length < evidence.seeds) {
    return { outcome: 'not decided', because: `${because}; ${evidence.seeds - values.length} still to come` };
  }
  return { outcome: 'holds', because };
}

/** Whether a row's mean is better than another's. */
function order(claim: Claim & { readonly other: string }, setting: number, evidence: Evidence): Part {
  const figure = evidence.figure(claim.figure);
  const rows = [claim.row, claim.other];
  const [own, others] = rows.map((row) => evidence.summary(row, setting, figure.name));
  if (own === undefined || others === undefined) {
    const missing = evidence.label(own === undefined ? claim.row : claim.other);
    return { outcome: 'not decided', because: `there is no ${missing} at ${setting} yet` };
  }
  const told = [own, others]
    .map((each, i) => `${evidence.label(at(rows, i))} ${spoken(figure, each, evidence)}`)
    .join(', ');
  const because = `at ${setting}: ${figure.label} ${told}`;
  const better = figure.better === 'higher' ? own.mean > others.mean : own.mean < others.mean;
  const sure = compare(own, others);
  if (sure === 'unknown') return { outcome: 'not decided', because: `${because}; one seed decides nothing` };
  const missing = 2 * evidence.seeds - own.count - others.count;
  if (missing > 0) return { outcome: 'not decided', because: `${because}; ${missing} still to come` };
  if (sure === 'together')
    return { outcome: 'does not hold', because: `${because}, not apart at ${100 * CONFIDENCE} %` };
  return { outcome: better ? 'holds' : 'does not hold', because };
}

function spoken(figure: Figure, { mean, spread, count }: Summary, { show }: Evidence): string {
  return spread === null ? `${show(figure, mean)} (1)` : `${show(figure, mean)} ± ${show(figure, spread)} (${count})`;
}

function seeds(count: number): string {
  return `${count} ${count === 1 ? 'seed' : 'seeds'}`;
}
