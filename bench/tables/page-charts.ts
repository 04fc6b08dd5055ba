// The charts of a table's page: how a figure goes with the setting, a line for each row, and learning curves, a chart for each row.
//
// Always: no two rows of a group look alike: rows of one system differ in shade, dashes and marks, and a legend stands by each chart;
// text is large enough to be read on a phone. Not here: the drawing itself (charts.ts), the other parts of the page (page.ts).

import { at } from '../../engine/errors.ts';
import { type Line, lineChart } from '../charts.ts';
import { escapeText } from '../html-page.ts';
import type { Evaluation } from '../metrics.ts';
import { dashOf, lookOf } from '../model-looks.ts';
import { sentence } from '../report-words.ts';
import type { Figure } from '../tasks/task.ts';
import type { TableDefinition } from './definition.ts';
import { levelColours } from './page-style.ts';
import type { CellRecord } from './records.ts';
import { metricOf, type ResultGroup, type ResultRow, type TableResult } from './result.ts';

/** How a row looks in charts and legends. */
export type RowLook = Required<Pick<Line, 'colour' | 'dash' | 'shape'>>;

/** The shades of a system's colour. */
const SHADES: readonly ((colour: string) => string)[] = [
  (colour) => colour,
  (colour) => `color-mix(in oklab, ${colour} 50%, var(--ink))`,
  (colour) => `color-mix(in oklab, ${colour} 62%, var(--page))`,
];

const DASHES: readonly (readonly number[])[] = [[], [9, 3], [2, 2], [9, 3, 2, 3]];

/** Marks: their names in Vega, and their outlines around (16, 6) in a legend. */
const MARKS = [
  ['circle', 'M12.5 6a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z'],
  ['square', 'M13 3h6v6h-6z'],
  ['triangle-up', 'M16 2l4.2 7.5h-8.4z'],
  ['diamond', 'M16 1.5l4 4.5l-4 4.5l-4 -4.5z'],
  ['triangle-down', 'M16 10l4.2 -7.5h-8.4z'],
] as const;

/** The looks of a row: those of its system, and others for each further row of that system in its group. */
export function lookOfRow({ rows }: ResultGroup, { id, model }: ResultRow): RowLook {
  const nth = rows.filter((row) => row.model === model).findIndex((row) => row.id === id);
  const shade = at(SHADES, nth % SHADES.length);
  return {
    colour: shade(`var(--${lookOf(model)})`),
    dash: nth === 0 ? dashOf(model) : at(DASHES, nth % DASHES.length),
    shape: at(MARKS, nth % MARKS.length)[0],
  };
}

/** How the figure goes with the setting, a line for each row. */
export async function generalisation(table: TableDefinition, result: TableResult): Promise<string> {
  const figure = metricOf(result.figures, result.metric);
  const drawn = result.groups.flatMap((group) => {
    const lines = group.rows.flatMap((row): Line[] => {
      const points = row.entries.flatMap(({ setting, figures }) => {
        const summary = figures[figure.name];
        return summary === undefined ? [] : [[setting, summary.mean] as const];
      });
      return points.length < 2 ? [] : [{ name: row.id, ...lookOfRow(group, row), points }];
    });
    return lines.length === 0 ? [] : [{ group, lines }];
  });
  if (drawn.length === 0) return '';
  const charts = await Promise.all(
    drawn.map(async ({ group, lines }) => {
      const text = escapeText(
        `${sentence(figure.label)} against the ${table.setting}, a line for each row, means over seeds: ${group.title}. The table holds the numbers.`,
      );
      const level = levelOf(group, figure);
      const chart = { text, x: table.setting, y: figure.label, lines, marked: true, scale: scaleOf(figure), ...level };
      const narrow = await lineChart(chart);
      // One chart alone has the width of the page, where there is much.
      const svg =
        drawn.length > 1
          ? narrow
          : `<div class="on-wide">${await lineChart({ ...chart, size: [820, 320] })}</div><div class="on-narrow">${narrow}</div>`;
      return framed(group.title, `${legend(group, lines, level.level !== undefined)}\n${svg}`, text);
    }),
  );
  return `<section aria-labelledby="generalisation">
<h2 id="generalisation">Beyond the training</h2>
<div class="charts">${charts.join('\n')}</div>
</section>`;
}

/** The rows of a chart, each with its line and its mark. */
function legend(group: ResultGroup, lines: readonly Line[], level: boolean): string {
  const rows = group.rows.filter(({ id }) => lines.some(({ name }) => name === id));
  const items = rows.map((row) => {
    const { colour, dash, shape } = lookOfRow(group, row);
    const dashes = dash.length === 0 ? '' : ` stroke-dasharray="${dash.join(' ')}"`;
    const outline = MARKS.find(([name]) => name === shape)?.[1] ?? '';
    const alike = rows.filter(({ label }) => label === row.label).length > 1;
    return `<li><svg aria-hidden="true" viewBox="0 0 32 12"><line x1="0" y1="6" x2="32" y2="6" stroke="${colour}" stroke-width="2"${dashes}/><path d="${outline}" fill="${colour}"/></svg>${escapeText(row.label)}${alike ? ` <small>${escapeText(row.sizes)}</small>` : ''}</li>`;
  });
  return `<ul class="legend">${items.join('')}${level ? NOTHING_LEARNED : ''}</ul>`;
}

const NOTHING_LEARNED = '<li><i class="dash"></i>nothing learned</li>';

/** A small chart for each row: the figure on test sequences of every setting as training goes on. */
export async function curves({
  table,
  result,
  records,
}: {
  readonly table: TableDefinition;
  readonly result: TableResult;
  readonly records: readonly CellRecord[];
}): Promise<string> {
  const figure = metricOf(result.figures, result.metric);
  const charts: string[] = [];
  for (const group of result.groups) {
    for (const row of group.rows) {
      const own = records.filter(({ cell }) => cell.row.id === row.id);
      const lines = group.settings.flatMap(({ setting }, i): Line[] => {
        const points = meanCurve(
          own.map(({ metrics }) => metrics?.evaluations ?? []),
          setting,
          figure.name,
        );
        return points.length === 0 ? [] : [{ name: `${setting}`, colour: at(levelColours, i), points }];
      });
      if (lines.every(({ points }) => points.length < 2)) continue;
      const text = escapeText(
        `${row.label}, ${row.sizes}: ${figure.label} on test sequences of each ${table.setting} after so many updates, means over seeds.`,
      );
      const drawn = { lines, scale: scaleOf(figure), size: [220, 150] as const, ...levelOf(group, figure) };
      const chart = await lineChart({ text, x: 'update', y: figure.label, ...drawn });
      const title = result.groups.length === 1 ? row.label : `${row.label}, ${group.title.toLowerCase()}`;
      charts.push(framed(title, chart, `${escapeText(row.sizes)}.`));
    }
  }
  if (charts.length === 0) return '';
  const ranks = Math.max(...result.groups.map(({ settings }) => settings.length));
  const settings = Array.from({ length: ranks }, (_, i) => {
    const names = result.groups.flatMap(({ settings }) => settings[i]?.setting ?? []);
    return `<li><i style="background:${at(levelColours, i)}"></i>${escapeText(table.setting)} ${[...new Set(names)].join(' or ')}${i === 0 ? ', as in training' : ''}</li>`;
  });
  return `<section aria-labelledby="curves">
<h2 id="curves">Learning curves</h2>
<p>${escapeText(sentence(figure.label))} on test sequences, the mean over the seeds that have come so far.</p>
<ul class="legend">${settings.join('')}${NOTHING_LEARNED}</ul>
<div class="charts small">${charts.join('\n')}</div>
</section>`;
}

/** The mean over runs of a figure at a setting, at the steps that all runs have. */
function meanCurve(runs: readonly (readonly Evaluation[])[], setting: number, figure: string): Line['points'] {
  const sums = new Map<number, number[]>();
  for (const run of runs) {
    const own = run.filter((each) => each.split === 'test' && each.setting === setting);
    for (const [step, value] of new Map(own.map((each) => [each.step, each.figures[figure]]))) {
      if (value !== undefined) sums.set(step, [...(sums.get(step) ?? []), value]);
    }
  }
  const most = Math.max(0, ...[...sums.values()].map(({ length }) => length));
  return [...sums]
    .filter(([, values]) => values.length === most)
    .map(([step, values]) => [step, values.reduce((sum, value) => sum + value, 0) / values.length] as const)
    .sort(([a], [b]) => a - b);
}

function scaleOf({ unit }: Figure): 'share' | 'log' {
  return unit === 'share' ? 'share' : 'log';
}

/** The line of what has learned nothing; none where that depends on the setting. */
function levelOf(group: ResultGroup, { name }: Figure): { readonly level?: number } {
  const [level, ...others] = new Set(group.trivial.map((each) => each[name]));
  return level === undefined || others.length > 0 ? {} : { level };
}

function framed(title: string, drawing: string, caption: string): string {
  return `<figure>\n<h3>${escapeText(title)}</h3>\n${drawing}\n<figcaption>${caption}</figcaption>\n</figure>`;
}
