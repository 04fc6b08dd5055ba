// A table on the console: a block for each of its parts, a line for each row, and what the claims came to.
//
// Always: whole lines of plain text, no wider than it must be. Not here: the numbers (result.ts), the page (page.ts).

import { at } from '../../engine/errors.ts';
import type { SelectionRule } from '../selection.ts';
import type { Figure } from '../tasks/index.ts';
import type { TableDefinition } from './definition.ts';
import { showFigure, showPublished, showSummary } from './numbers.ts';
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
    `${figure.label} of ${result.sequences.toLocaleString('en-US')} test sequences, mean ± spread (seeds), in brackets the paper's; ${SELECTION_WORDS[result.select]}`,
    ...result.data.map((source) => `Data: ${source}`),
  ];
  const blocks = result.groups.map((group) => block(table, result, group));
  const asked = result.verdicts.filter(({ outcome }) => outcome !== 'not asked');
  const verdicts = asked.map(
    ({ claim, outcome, because }) => `${`${outcome}:`.padEnd(16)}${claim}\n${' '.repeat(16)}${because}`,
  );
  const others = result.verdicts.length - asked.length;
  const unasked =
    others === 0 ? '' : `At scale ${result.scale} ${others === 1 ? '1 claim is' : `${others} claims are`} not asked`;
  return [head.join('\n'), ...blocks, verdicts.join('\n'), unasked]
    .filter((part) => part !== '')
    .join('\n\n')
    .concat('\n');
}

function block(table: TableDefinition, result: TableResult, group: ResultGroup): string {
  const figure = metricOf(result.figures, result.metric);
  // The paper's figures are of one metric, and not at every setting.
  const published = group.settings.map(
    (_, i) => figure.name === table.published && group.rows.some((row) => at(row.entries, i).paper !== undefined),
  );
  const levels = group.trivial.map((each) => each[figure.name]);
  const lines = [
    [
      group.title,
      ...group.settings.flatMap(({ setting, paper }, i) => [
        `${table.setting} ${setting}${setting === group.trained ? ' (trained)' : ''}`,
        ...(at(published, i) ? [paper === setting ? '[paper]' : `[paper, ${paper}]`] : []),
      ]),
    ],
    ...group.rows.map((row) => line(table, figure, row, published)),
    [
      'nothing learned',
      ...levels.flatMap((value, i) => [
        value === undefined ? '-' : showFigure(figure, value),
        ...(at(published, i) ? [''] : []),
      ]),
    ],
  ];
  const widths = at(lines, 0).map((_, column) => Math.max(...lines.map((cells) => at(cells, column).length)));
  return lines
    .map((cells) =>
      cells
        .map((cell, column) => (column === 0 ? cell.padEnd(at(widths, 0)) : cell.padStart(at(widths, column))))
        .join('   ')
        .trimEnd(),
    )
    .join('\n');
}

/** A row: its figure at each setting, and the paper's where it has any there. */
function line(
  { decimals }: TableDefinition,
  figure: Figure,
  row: ResultRow,
  published: readonly boolean[],
): readonly string[] {
  return [
    `${row.label}, ${row.sizes}`,
    ...row.entries.flatMap(({ figures, paper }, i) => {
      const summary = figures[figure.name];
      const own = summary === undefined ? '-' : `${showSummary(figure, summary)} (${summary.count})`;
      return [
        own,
        ...(at(published, i) ? [paper === undefined ? '' : `[${showPublished(figure, paper, decimals)}]`] : []),
      ];
    }),
  ];
}
