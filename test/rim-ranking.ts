// Which modules a rule of selection names, in plain float64 loops over the scores that a step computed; and whether the choice is
// clear of rounding, so that a test may demand it. Written from the paper (eq. 2), the official code's sparse rule and dido's
// rule, not from rims/. It tests nothing itself.
import { at, need } from '../engine/errors.ts';
import type { CellOptions } from '../rims/index.ts';
import { BATCH, type Numbers, of } from './rim-draw.ts';

/** Scores that lie nearer may change places by rounding. */
const GAP = 1e-4;

function softmaxOf(row: readonly number[]): number[] {
  const most = Math.max(...row);
  const e = row.map((x) => Math.exp(x - most));
  const total = e.reduce((a, b) => a + b, 0);
  return e.map((x) => x / total);
}

/** The official sparse rule: what is above the third greatest share, scaled to sum to 1. */
function sparseOf(p: readonly number[]): number[] {
  if (p.length <= 3) return [...p];
  const third = at(
    p.toSorted((a, b) => b - a),
    2,
  );
  const w = p.map((x) => Math.max(0, x - third - 1e-7));
  const total = w.reduce((a, b) => a + b, 0);
  return w.map((x) => x / (total + 1e-7));
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** What modules are ranked by, greatest first, for each batch row. */
function rankings(options: CellOptions, numbers: Numbers): number[][] {
  const { modules: N, inputRows: R, selection, sparseInput } = options;
  const scores = of(numbers, 'scores');
  const S = R + 1;
  const heads = scores.length / (BATCH * N * S);
  return Array.from({ length: BATCH }, (_, b) => {
    const rowOf = (n: number, i: number): number[] => [...scores.slice(((b * N + n) * heads + i) * S).slice(0, S)];
    // The share of each module in the softmax over the modules, for each head.
    const shares = Array.from({ length: heads }, (_, i) =>
      softmaxOf(Array.from({ length: N }, (_, n) => at(rowOf(n, i), 1))),
    );
    return Array.from({ length: N }, (_, n) => {
      if (selection === 'across-modules') return mean(shares.map((each) => at(each, n)));
      const rows = Array.from({ length: heads }, (_, i) => rowOf(n, i));
      if (selection === 'raw-score')
        return mean(rows.map((row) => Math.log(row.slice(1).reduce((sum, s) => sum + Math.exp(s), 0))));
      return -mean(rows.map((row) => at(sparseInput ? sparseOf(softmaxOf(row)) : softmaxOf(row), 0)));
    });
  });
}

/** The mask that the rule of selection gives, lowest index first among equals. */
export function chosenOf(options: CellOptions, numbers: Numbers): number[] {
  const { modules: N, active: K } = options;
  if (K === N) return new Array<number>(BATCH * N).fill(1);
  return rankings(options, numbers).flatMap((ranking) => {
    const order = ranking.map((_, n) => n).toSorted((a, b) => at(ranking, b) - at(ranking, a) || a - b);
    return ranking.map((_, n) => (order.indexOf(n) < K ? 1 : 0));
  });
}

/** Whether there is a choice, and the last module chosen is clearly ahead of the first that is not. */
export function clearChoice(options: CellOptions, numbers: Numbers): boolean {
  const { modules: N, active: K } = options;
  return K < N && options.inputAttention && rankings(options, numbers).every((ranking) => apart(ranking, K));
}

/** The same of the sources that every reader chooses. */
export function clearSources(options: CellOptions, numbers: Numbers): boolean {
  const { modules: N, commTopK, communication } = options;
  if (!communication || commTopK === N) return true;
  const scores = need(numbers.commScores, 'commScores');
  const rows = Array.from({ length: scores.length / N }, (_, r) => [...scores.slice(r * N, (r + 1) * N)]);
  return rows.every((row) => apart(row, commTopK));
}

function apart(values: readonly number[], k: number): boolean {
  const sorted = values.toSorted((a, b) => b - a);
  return at(sorted, k - 1) - at(sorted, k) > GAP;
}
