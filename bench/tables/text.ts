// A table on the console: a block for each of its parts, a line for each row, and what the claims came to.
//
// Always: whole lines of plain text, no wider than it must be. Not here: the numbers (result.ts), the page (page.ts).

import { at } from '../../engine/errors.ts';
import type { SelectionRule } from '../selection.ts';
import type { TableDefinition } from './definition.ts';
import { showFigure, showSummary } from './numbers.ts';
import { metricOf, type ResultGroup, type ResultRow, type TableResult } from './result.ts';

/** What a rule of selection means, in words. */
export const SELECTION_WORDS: Readonly<Record<SelectionRule, string>> = {
  validation: 'one checkpoint for all settings, chosen by validation at the training setting',
  last: 'the last checkpoint',
  'per-setting':
    'a checkpoint for each setting, chosen by validation at that setting: it has seen what it is tested on',
};

/** The table as text. */
export function formatTable(table: TableDefinition, result: TableResult): string {
  const figure = metricOf(result.figures, result.metric);
  const head = [
    `${table.title} (${table.source}), scale ${result.scale}: ${result.finished} of ${result.cells} cells finished`,
    `${figure.label}, mean ± spread (seeds), in brackets the paper's; ${SELECTION_WORDS[result.select]}`,
  ];
  const blocks = result.groups.map((group) => block(table, result, group));
  const verdicts = result.verdicts.map(
    ({ claim, outcome, because }) => `${`${outcome}:`.padEnd(16)}${claim}\n${' '.repeat(16)}${because}`,
  );
  return [head.join('\n'), ...blocks, verdicts.join('\n')]
    .filter((part) => part !== '')
    .join('\n\n')
    .concat('\n');
}

function block(table: TableDefinition, result: TableResult, group: ResultGroup): string {
  const head = [
    group.title,
    ...group.settings.map(({ setting }) =>
      setting === group.trained ? `${table.setting} ${setting} (trained)` : `${table.setting} ${setting}`,
    ),
  ];
  const lines = [head, ...group.rows.map((row) => line(table, result, row)), trivial(result, group)];
  const widths = head.map((_, column) => Math.max(...lines.map((cells) => at(cells, column).length)));
  return lines
    .map((cells) =>
      cells
        .map((cell, column) => (column === 0 ? cell.padEnd(at(widths, 0)) : cell.padStart(at(widths, column))))
        .join('   ')
        .trimEnd(),
    )
    .join('\n');
}

function line(table: TableDefinition, result: TableResult, row: ResultRow): readonly string[] {
  const figure = metricOf(result.figures, result.metric);
  return [
    `${row.label}, ${row.sizes}`,
    ...row.entries.map(({ figures, paper }) => {
      const summary = figures[figure.name];
      const own = summary === undefined ? '-' : `${showSummary(figure, summary)} (${summary.count})`;
      const theirs = paper === undefined || figure.name !== table.published ? '' : ` [${showFigure(figure, paper)}]`;
      return `${own}${theirs}`;
    }),
  ];
}

function trivial({ figures, metric }: TableResult, group: ResultGroup): readonly string[] {
  const figure = metricOf(figures, metric);
  const values = group.trivial.map((levels) => levels[figure.name]);
  return ['nothing learned', ...values.map((value) => (value === undefined ? '-' : showFigure(figure, value)))];
}
