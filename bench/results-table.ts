// The results of a run as plain text: for each figure a table, a row for each setting, a column for each model, and beside them what a
// model has that has learned nothing. Not here: which evaluations count (selection.ts), and the page (report.ts).

import { at } from '../engine/errors.ts';
import type { Evaluation } from './metrics.ts';
import { isBetter, type SelectionRule } from './selection.ts';
import { type TaskFacts, trivialAt } from './task-facts.ts';
import type { Figure } from './tasks/index.ts';

/** What a trivial model is, wherever one is shown. */
export const TRIVIAL = 'a model that has learned nothing but the layout';

/** What bold means, wherever a figure is. */
export const BOLD =
  'Bold: the best, where it is better than having learned nothing and most others do not show the same.';

/** How the best of some values is shown; undefined where it says nothing: none is better than what has learned nothing, or most tie. */
export function bestText(
  figure: Pick<Figure, 'better'>,
  values: readonly (number | undefined)[],
  trivial: number | undefined,
  show: (value: number) => string,
): string | undefined {
  const known = values.filter((value) => value !== undefined);
  if (known.length < 2) return undefined;
  const best = figure.better === 'higher' ? Math.max(...known) : Math.min(...known);
  const text = show(best);
  if (trivial !== undefined && (!isBetter(figure, best, trivial) || text === show(trivial))) return undefined;
  return 2 * known.filter((value) => show(value) === text).length > known.length ? undefined : text;
}

/** Which weights results are of, in words, by the rule that chose them. */
export function ruleInWords(rule: SelectionRule, { setting, trained }: Pick<TaskFacts, 'setting' | 'trained'>): string {
  if (rule === 'last') return 'after the last step';
  if (rule === 'validation')
    return `after the step that did best in validation at the training ${setting} of ${trained}`;
  return `after the step that did best in validation at each ${setting}, chosen for that ${setting} alone`;
}

/** Tables of the evaluations that count; empty where there are none. */
export function formatResults(task: TaskFacts, results: readonly Evaluation[], rule: SelectionRule = 'last'): string {
  if (results.length === 0) return '';
  const tables = task.figures.map((figure) => tableOf(task, figure, results));
  const note = [`Test sequences, ${ruleInWords(rule, task)}. trivial: ${TRIVIAL}.`, ...worseThanTrivial(task, results)];
  return `${tables.join('\n')}\n${note.join('\n')}\n`;
}

/** A sentence for each model that is worse than the trivial one in the deciding figure, with the settings at which it is. */
export function worseThanTrivial(task: TaskFacts, results: readonly Evaluation[]): string[] {
  const figure = at(task.figures, 0);
  const settings = new Map<string, number[]>();
  for (const { model, setting, figures } of results) {
    const [value, trivial] = [figures[figure.name], trivialAt(task, setting)[figure.name]];
    if (value === undefined || trivial === undefined || !isBetter(figure, trivial, value)) continue;
    settings.set(model, [...(settings.get(model) ?? []), setting]);
  }
  return [...settings].map(
    ([model, worse]) =>
      `${model} at a ${task.setting} of ${inWords(worse.sort((a, b) => a - b))} is worse in ${figure.label} than ${TRIVIAL}.`,
  );
}

/** `1`, `1 and 2`, `1, 2 and 3`. */
function inWords(numbers: readonly number[]): string {
  return numbers.join(', ').replace(/, (\d+)$/, ' and $1');
}

function tableOf(task: TaskFacts, figure: Figure, results: readonly Evaluation[]): string {
  const models = [...new Set(results.map(({ model }) => model))];
  const settings = [...new Set(results.map(({ setting }) => setting))].sort((a, b) => a - b);
  const rows = [[task.setting, ...models, 'trivial']];
  for (const setting of settings) {
    const cells = models.map((model) =>
      shown(results.find((each) => each.model === model && each.setting === setting)?.figures[figure.name]),
    );
    const name = setting === task.trained ? `${setting} (trained)` : `${setting}`;
    rows.push([name, ...cells, shown(trivialAt(task, setting)[figure.name])]);
  }
  const widths = at(rows, 0).map((_, column) => Math.max(...rows.map((row) => at(row, column).length)));
  const lines = rows.map((row) => {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(at(widths, 0)) : cell.padStart(at(widths, column)),
    );
    return `  ${cells.join('   ')}`;
  });
  const unit = figure.unit === 'nats' ? ' (nats)' : '';
  const title = `${figure.label.slice(0, 1).toUpperCase()}${figure.label.slice(1)}${unit}`;
  return [title, '', ...lines, ''].join('\n');
}

function shown(value: number | undefined): string {
  if (value === undefined) return '-';
  return Math.abs(value) >= 1e4 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(1) : value.toFixed(3);
}
