// The page of a table: the figures beside the published ones, what the paper concludes and whether the numbers bear it out, learning
// curves, and for RIMs which modules were active when.
//
// Always: as the report of a run it asks for nothing from anywhere, follows light and dark, fits a phone, and every figure has a
// caption and a text alternative; every judgement on it is computed from the numbers; the same records give the same bytes.
// Not here: the numbers (result.ts), the curves (page-charts.ts), the drawings of modules (page-modules.ts), the style (page-style.ts).

import { at } from '../../engine/errors.ts';
import { escapeText, htmlPage } from '../html-page.ts';
import { sentence } from '../report-words.ts';
import { BOLD, bestText } from '../results-table.ts';
import type { Figure } from '../tasks/task.ts';
import type { Cell, ScaledTable, TableDefinition } from './definition.ts';
import { showFigure, showPublished, showSummary } from './numbers.ts';
import { curves, generalisation, lookOfRow } from './page-charts.ts';
import { modulesSection } from './page-modules.ts';
import { pageStyle } from './page-style.ts';
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
    await generalisation(table, result),
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
      `<li class="${outcome.replaceAll(' ', '-')}"><p><strong class="outcome">${outcome}${outcome === 'not asked' ? ' at this scale' : ''}</strong> ${escapeText(sentence(claim))}.</p>${because === '' ? '' : `<p class="because">${escapeText(sentence(because))}.</p>`}</li>`,
  );
  return `<section aria-labelledby="verdicts">
<h2 id="verdicts">What should come out, and what did</h2>
<p>A bound must be reached by every seed. One row is ahead of another only where Welch's t-test, two-sided, tells their means apart at ${100 * CONFIDENCE} %; ahead by less, it is not decided.</p>
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

function resultTable(
  { table, result: { sequences } }: TablePage,
  group: ResultGroup,
  figure: Figure,
  rules: string,
): string {
  const published = figure.name === table.published;
  const best = group.settings.map((_, i) => bestOf(group, i, figure));
  const heads = group.settings.map(({ setting, paper }) => {
    const notes = [
      ...(setting === group.trained ? ['trained'] : []),
      ...(paper === undefined || paper === setting ? [] : [`for the paper's ${paper}`]),
    ];
    return `<th scope="col">${escapeText(table.setting)} ${setting}${notes.length === 0 ? '' : `<br><small>${notes.join(', ')}</small>`}</th>`;
  });
  const rows = group.rows.map((row) => {
    const cells = row.entries.map((entry, i) => cellOf(table, entry, figure, best[i]));
    return `<tr><th scope="row"><i class="hue" style="background:${lookOfRow(group, row).colour}"></i>${escapeText(row.label)} <small>${escapeText(row.sizes)}</small>${stateOf(row)}</th>${cells.join('')}</tr>`;
  });
  const levels = group.trivial.map((each) => `<td>${shown(figure, each[figure.name])}</td>`).join('');
  const words = figure.better === 'lower' ? 'lower is better' : 'higher is better';
  const others = group.rows.some(({ entries }) => entries.some(({ reproductions }) => reproductions.length > 0));
  const under = `; under it the paper's figure${others ? ', and from others least and most of what independent reproductions found' : ''}`;
  const tested = `Each seed is measured on ${sequences.toLocaleString('en-US')} test sequences.`;
  return `<div class="scroll" tabindex="0" role="region" aria-label="${escapeText(group.title)}: ${escapeText(figure.label)}">
<table class="results">
<caption><strong>${escapeText(group.title)}.</strong> ${escapeText(sentence(figure.label))}${figure.unit === 'nats' ? ' in nats' : ''}, ${words}: mean ± spread over seeds, their number in brackets${published ? under : ''}. ${tested} ${BOLD} ${escapeText(rules)}</caption>
<thead><tr><td></td>${heads.join('')}</tr></thead>
<tbody>
${rows.join('\n')}
<tr class="level"><th scope="row">nothing learned but the layout</th>${levels}</tr>
</tbody>
</table>
</div>`;
}

function cellOf(
  { published, decimals }: TableDefinition,
  entry: Entry,
  figure: Figure,
  best: string | undefined,
): string {
  const summary = entry.figures[figure.name];
  const own = summary === undefined ? '–' : `${showSummary(figure, summary)} <small>(${summary.count})</small>`;
  const beside = figure.name === published;
  const paper =
    beside && entry.paper !== undefined
      ? `<br><small>paper ${showPublished(figure, entry.paper, decimals)}</small>`
      : '';
  const values = beside ? entry.reproductions.map(({ value }) => value) : [];
  const others = values.length === 0 ? '' : `<br><small>others ${range(figure, values)}</small>`;
  const isBest = summary !== undefined && showFigure(figure, summary.mean) === best;
  return `<td${isBest ? ' class="best"' : ''}>${own}${paper}${others}</td>`;
}

/** How the best mean of a column is shown, where it says something. */
function bestOf({ rows, trivial }: ResultGroup, column: number, figure: Figure): string | undefined {
  const means = rows.map(({ entries }) => entries[column]?.figures[figure.name]?.mean);
  return bestText(figure, means, at(trivial, column)[figure.name], (value) => showFigure(figure, value));
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
          return `<td>${found === undefined ? '–' : showPublished(figure, found.value, table.decimals)}</td>`;
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
