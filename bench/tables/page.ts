// The page of a table: the figures beside the published ones, what the paper concludes and whether the numbers bear it out, learning
// curves, and for RIMs which modules were active when.
//
// Always: as the report of a run it asks for nothing from anywhere, follows light and dark, fits a phone, and every figure has a
// caption and a text alternative; every judgement on it is computed from the numbers; the same records give the same bytes.
// Not here: the numbers (result.ts), the drawings of modules (page-modules.ts), colours and style (page-style.ts).

import { at } from '../../engine/errors.ts';
import { type Line, lineChart } from '../charts.ts';
import { escapeText, htmlPage } from '../html-page.ts';
import type { Evaluation } from '../metrics.ts';
import { dashOf, lookOf } from '../model-looks.ts';
import { systemOf } from '../models.ts';
import type { Figure } from '../tasks/task.ts';
import type { Cell, ScaledTable, TableDefinition } from './definition.ts';
import { showFigure, showSummary } from './numbers.ts';
import { modulesSection } from './page-modules.ts';
import { levelColours, pageStyle } from './page-style.ts';
import type { CellRecord, CellState } from './records.ts';
import { type Entry, metricOf, type ResultGroup, type ResultRow, type TableResult } from './result.ts';
import { CONFIDENCE } from './statistics.ts';
import { SELECTION_WORDS } from './text.ts';

/** What a page is made from. */
export interface TablePage {
  readonly table: TableDefinition;
  readonly scaled: ScaledTable;
  readonly result: TableResult;
  readonly records: readonly CellRecord[];
}

/** The page of a table. @returns a whole HTML document */
export async function renderTable(page: TablePage): Promise<string> {
  const { table, result } = page;
  const sections = [
    header(page),
    verdicts(page),
    figures(page),
    await generalisation(page),
    await curves(page),
    await modulesSection(table, page.records),
    setup(page),
    footer(page),
  ];
  return htmlPage(`${table.title}, ${result.scale} - rimgrad`, sections, pageStyle);
}

function header({ table, scaled, result }: TablePage): string {
  const { finished, cells, seeds, adapters, data } = result;
  const missing =
    finished === cells
      ? ''
      : `<p class="note">This table is not complete: ${finished} of ${cells} cells are finished. Means are over the seeds that are.</p>`;
  const where = adapters.length === 0 ? '' : ` · ${escapeText(adapters.join(', '))}`;
  return `<header>
<p class="kicker">rimgrad · ${escapeText(table.source)} of Recurrent Independent Mechanisms</p>
<h1>${escapeText(table.title)}</h1>
<p class="lead">${escapeText(table.about)}</p>
<p class="protocol">Scale <strong>${result.scale}</strong>: ${escapeText(scaled.protocol)}</p>
<p class="meta">${seeds.length === 1 ? 'Seed' : 'Seeds'} ${seeds.join(', ')}${where}</p>
${data.map((source) => `<p class="meta">Data: ${escapeText(source)}</p>`).join('\n')}
${missing}
</header>`;
}

function verdicts({ result }: TablePage): string {
  if (result.verdicts.length === 0) return '';
  const items = result.verdicts.map(
    ({ claim, outcome, because }) =>
      `<li class="${outcome.replaceAll(' ', '-')}"><p><strong class="outcome">${outcome}</strong> ${escapeText(sentence(claim))}.</p><p class="because">${escapeText(sentence(because))}.</p></li>`,
  );
  return `<section aria-labelledby="verdicts">
<h2 id="verdicts">What should come out, and what did</h2>
<p>A bound must be reached by every seed. One row is ahead of another only where Welch's t-test, two-sided, tells their means apart at ${100 * CONFIDENCE} %.</p>
<ul class="verdicts">${items.join('\n')}</ul>
</section>`;
}

function figures(page: TablePage): string {
  const { result } = page;
  const metric = metricOf(result.figures, result.metric);
  const others = result.figures.filter(({ name }) => name !== metric.name);
  const rules = `The checkpoint that counts: ${SELECTION_WORDS[result.select]}.`;
  const tables = result.groups.map((group) => resultTable(page, group, metric, rules));
  const more = others.map(
    (figure) => `<details>
<summary>The same as ${escapeText(figure.label)}</summary>
${result.groups.map((group) => resultTable(page, group, figure, rules)).join('\n')}
</details>`,
  );
  return `<section aria-labelledby="results">
<h2 id="results">Results</h2>
${tables.join('\n')}
${more.join('\n')}
${reproductions(page)}
</section>`;
}

function resultTable({ table }: TablePage, group: ResultGroup, figure: Figure, rules: string): string {
  const published = figure.name === table.published;
  const best = group.settings.map((_, i) => bestOf(group.rows, i, figure));
  const heads = group.settings.map(({ setting, paper }) => {
    const notes = [
      ...(setting === group.trained ? ['trained'] : []),
      ...(paper === undefined || paper === setting ? [] : [`for the paper's ${paper}`]),
    ];
    return `<th scope="col">${escapeText(table.setting)} ${setting}${notes.length === 0 ? '' : `<br><small>${notes.join(', ')}</small>`}</th>`;
  });
  const rows = group.rows.map((row) => {
    const cells = row.entries.map((entry, i) =>
      cellOf(entry, figure, published, entry.figures[figure.name]?.mean === best[i]),
    );
    return `<tr><th scope="row"><i class="hue" style="background:${colourOf(row.model)}"></i>${escapeText(row.label)} <small>${escapeText(row.sizes)}</small>${stateOf(row)}</th>${cells.join('')}</tr>`;
  });
  const levels = group.trivial.map((each) => `<td>${shown(figure, each[figure.name])}</td>`).join('');
  const words = figure.better === 'lower' ? 'lower is better' : 'higher is better';
  return `<div class="scroll" tabindex="0" role="region" aria-label="${escapeText(group.title)}: ${escapeText(figure.label)}">
<table class="results">
<caption><strong>${escapeText(group.title)}.</strong> ${escapeText(sentence(figure.label))}${figure.unit === 'nats' ? ' in nats' : ''}, ${words}: mean ± spread over seeds, their number in brackets${published ? "; under it the paper's figure" : ''}. ${escapeText(rules)}</caption>
<thead><tr><td></td>${heads.join('')}</tr></thead>
<tbody>
${rows.join('\n')}
<tr class="level"><th scope="row">nothing learned but the layout</th>${levels}</tr>
</tbody>
</table>
</div>`;
}

function cellOf(entry: Entry, figure: Figure, published: boolean, isBest: boolean): string {
  const summary = entry.figures[figure.name];
  const own = summary === undefined ? '–' : `${showSummary(figure, summary)} <small>(${summary.count})</small>`;
  const paper =
    published && entry.paper !== undefined ? `<br><small>paper ${showFigure(figure, entry.paper)}</small>` : '';
  const values = published ? entry.reproductions.map(({ value }) => value) : [];
  const others = values.length === 0 ? '' : `<br><small>others ${range(figure, values)}</small>`;
  return `<td${isBest && summary !== undefined ? ' class="best"' : ''}>${own}${paper}${others}</td>`;
}

/** What is not finished of a row. */
function stateOf({ cells }: ResultRow): string {
  const count = (...states: readonly CellState[]): number => cells.filter(({ state }) => states.includes(state)).length;
  const counts = [
    [count('refused'), 'not counted'],
    [count('failed'), 'failed'],
    [count('missing', 'begun', 'running'), 'to come'],
  ] as const;
  const words = counts.filter(([cells]) => cells > 0).map(([cells, what]) => `${cells} ${what}`);
  return words.length === 0 ? '' : `<small class="open">${words.join(', ')}</small>`;
}

function reproductions({ table, result }: TablePage): string {
  const figure = metricOf(result.figures, table.published);
  const lines = result.groups.flatMap((group) =>
    group.rows.flatMap((row) => {
      const who = new Set(row.entries.flatMap((entry) => entry.reproductions.map((each) => each.who)));
      return [...who].map((name) => {
        const cells = group.settings.map((_, i) => {
          const found = at(row.entries, i).reproductions.find((each) => each.who === name);
          return `<td>${found === undefined ? '–' : showFigure(figure, found.value)}</td>`;
        });
        return `<tr><th scope="row">${escapeText(row.label)} <small>${escapeText(name)}</small></th>${cells.join('')}</tr>`;
      });
    }),
  );
  const [group] = result.groups;
  if (lines.length === 0 || group === undefined) return '';
  const heads = group.settings.map(({ setting, paper }) => `<th scope="col">${paper ?? setting}</th>`).join('');
  return `<details>
<summary>What others found</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Independent reproductions">
<table class="results">
<caption>Independent reproductions of the paper's table, ${escapeText(figure.label)} at the paper's ${escapeText(table.setting)}s.</caption>
<thead><tr><td></td>${heads}</tr></thead>
<tbody>${lines.join('\n')}</tbody>
</table>
</div>
</details>`;
}

/** How the figure goes with the setting, a line for each row. */
async function generalisation({ table, result }: TablePage): Promise<string> {
  const figure = metricOf(result.figures, result.metric);
  const charts: string[] = [];
  for (const group of result.groups) {
    const lines = group.rows.flatMap((row): Line[] => {
      const points = row.entries.flatMap(({ setting, figures }) => {
        const summary = figures[figure.name];
        return summary === undefined ? [] : [[setting, summary.mean] as const];
      });
      return points.length < 2 ? [] : [{ name: row.id, colour: colourOf(row.model), dash: dashOf(row.model), points }];
    });
    if (lines.length === 0) continue;
    const text = escapeText(
      `${sentence(figure.label)} against the ${table.setting}, a line for each row, means over seeds: ${group.title}. The table holds the numbers.`,
    );
    const chart = await lineChart({
      text,
      x: table.setting,
      y: figure.label,
      lines,
      marked: true,
      scale: figure.unit === 'share' ? 'share' : 'log',
      ...levelOf(group, figure),
    });
    charts.push(framed(group.title, chart, text));
  }
  if (charts.length === 0) return '';
  const models = [...new Set(result.groups.flatMap(({ rows }) => rows.map((row) => row.model)))];
  const legend = models.map(
    (model) => `<li><i style="background:${colourOf(model)}"></i>${escapeText(systemOf(model).system)}</li>`,
  );
  return `<section aria-labelledby="generalisation">
<h2 id="generalisation">Beyond the training</h2>
<ul class="legend">${legend.join('')}<li><i class="dash"></i>nothing learned</li></ul>
<div class="charts">${charts.join('\n')}</div>
</section>`;
}

/** A small chart for each row: the figure on test sequences of every setting as training goes on. */
async function curves({ table, result, records }: TablePage): Promise<string> {
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
      const scale = figure.unit === 'share' ? 'share' : 'log';
      const level = levelOf(group, figure, '');
      const chart = await lineChart({ text, x: 'update', y: figure.label, lines, scale, size: [220, 150], ...level });
      const title = result.groups.length === 1 ? row.label : `${row.label}, ${group.title.toLowerCase()}`;
      charts.push(framed(title, chart, `${escapeText(row.sizes)}.`));
    }
  }
  if (charts.length === 0) return '';
  const ranks = Math.max(...result.groups.map(({ settings }) => settings.length));
  const legend = Array.from({ length: ranks }, (_, i) => {
    const names = result.groups.flatMap(({ settings }) => settings[i]?.setting ?? []);
    return `<li><i style="background:${at(levelColours, i)}"></i>${escapeText(table.setting)} ${[...new Set(names)].join(' or ')}${i === 0 ? ', as in training' : ''}</li>`;
  });
  return `<section aria-labelledby="curves">
<h2 id="curves">Learning curves</h2>
<p>${escapeText(sentence(figure.label))} on test sequences, the mean over the seeds that have come so far.</p>
<ul class="legend">${legend.join('')}<li><i class="dash"></i>nothing learned</li></ul>
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

function setup({ records, table, result }: TablePage): string {
  const rows = new Map<string, Cell>();
  for (const { cell } of records) if (!rows.has(cell.row.id)) rows.set(cell.row.id, cell);
  const lines = [...rows.values()].map(
    ({ row, args }) =>
      `<tr><th scope="row">${escapeText(row.label)} <small>${escapeText(row.sizes)}</small></th><td class="command">rimgrad train ${escapeText(withoutPlaces(args).join(' '))}</td></tr>`,
  );
  const uncounted = records.filter(({ state }) => state === 'refused' || state === 'failed');
  const reasons = uncounted.map(
    ({ cell, state, note = state }) => `<li>${escapeText(cell.name)}: ${escapeText(basenames(note))}</li>`,
  );
  return `<section aria-labelledby="setup">
<h2 id="setup">What was run</h2>
${reasons.length === 0 ? '' : `<p class="note">Not counted:</p><ul>${reasons.join('')}</ul>`}
<p>Each cell is one training, a row with a seed. <code>rimgrad table ${table.name} --scale ${result.scale}</code> trains them all; the command of the first seed of each row:</p>
<details>
<summary>Commands</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Commands of the rows"><table class="commands"><tbody>${lines.join('\n')}</tbody></table></div>
</details>
</section>`;
}

function footer({ table }: TablePage): string {
  return `<footer>
<p>Published figures: ${escapeText(table.source)} of Goyal et al., Recurrent Independent Mechanisms, arXiv 1909.10893, version 6. It gives no spread. Sizes of systems other than RIM and LSTM are not in the paper; those here are ours.</p>
</footer>`;
}

/** The colour of a system's lines. */
function colourOf(model: string): string {
  return `var(--${lookOf(model)})`;
}

function framed(title: string, svg: string, caption: string): string {
  return `<figure>\n<h3>${escapeText(title)}</h3>\n${svg}\n<figcaption>${caption}</figcaption>\n</figure>`;
}

/** The line of what has learned nothing; none where that depends on the setting. */
function levelOf(
  group: ResultGroup,
  { name }: Figure,
  words: string = 'nothing learned',
): { level?: { name: string; value: number } } {
  const [value, ...others] = new Set(group.trivial.map((each) => each[name]));
  return value === undefined || others.length > 0 ? {} : { level: { name: words, value } };
}

function bestOf(rows: readonly ResultRow[], column: number, { name, better }: Figure): number | undefined {
  const means = rows.flatMap(({ entries }) => entries[column]?.figures[name]?.mean ?? []);
  if (means.length < 2) return undefined;
  return better === 'higher' ? Math.max(...means) : Math.min(...means);
}

function range(figure: Figure, values: readonly number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least === most
    ? showFigure(figure, least)
    : `${showFigure(figure, least).replace(/ %$/, '')} to ${showFigure(figure, most)}`;
}

function shown(figure: Figure, value: number | undefined): string {
  return value === undefined ? '–' : showFigure(figure, value);
}

/** Arguments without where MNIST's files lie on this machine. */
function withoutPlaces(args: readonly string[]): readonly string[] {
  return args.map((arg, i) => (args[i - 1] === '--mnist' ? 'DIR' : arg));
}

/** Without the folders of this machine: a page that is passed on does not show them. */
function basenames(text: string): string {
  return text.replaceAll(/(?:[^\s:;,]*[/\\])+([^\s/\\]+)/g, '$1');
}

function sentence(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
