// The modules of a table's RIMs: which were active at each step of a sample sequence, as Figure 2 of the paper; how often each was
// active in each part of many sequences, and at what it switched.
//
// Always: of one seed a row, for modules of different seeds have nothing in common but their number; every picture has its numbers
// beside it. Not here: the counting (usage.ts), a strip (report-strips.ts).

import { at } from '../../engine/errors.ts';
import { escapeText } from '../html-page.ts';
import type { Activation } from '../metrics.ts';
import { stripFigure } from '../report-strips.ts';
import type { RunConfig } from '../run-config.ts';
import type { Usage } from '../usage.ts';
import type { Row, TableDefinition } from './definition.ts';
import type { CellRecord } from './records.ts';

/** A module counts as used in a part where it is active in more than this share of its steps. */
const USED = 0.05;
/** And as always used from this share on. */
const ALWAYS = 0.95;

/** What there is to see of a row's modules. */
interface Seen {
  readonly row: Row;
  readonly seed: number;
  readonly config: RunConfig;
  readonly activations: readonly Activation[];
}

/** The section on modules; empty where no RIM is finished. */
export async function modulesSection(table: TableDefinition, records: readonly CellRecord[]): Promise<string> {
  const rows = new Map<string, Seen>();
  for (const { cell, config, metrics } of records) {
    if (config === undefined || metrics === undefined || rows.has(cell.row.id)) continue;
    const { activations } = metrics;
    if (activations.length === 0) continue;
    const { row, seed } = cell;
    rows.set(row.id, { row, seed, config, activations });
  }
  if (rows.size === 0) return '';
  const parts: string[] = [];
  for (const [i, seen] of [...rows.values()].entries()) parts.push(await rowOf(table, seen, i === 0));
  return `<section aria-labelledby="modules">
<h2 id="modules">Which modules were active</h2>
<p>At each step the modules compete for the input; the winners update their state, the others keep theirs as it is. One seed of each RIM is shown: modules of other seeds have other roles.</p>
<ul class="legend"><li><i class="on"></i>active</li><li><i class="off"></i>inactive</li></ul>
${parts.join('\n')}
</section>`;
}

async function rowOf(table: TableDefinition, seen: Seen, open: boolean): Promise<string> {
  const { row, seed, config } = seen;
  const whose = `${row.label} of seed ${seed}, trained at ${config.task.trained}`;
  const strips: string[] = [];
  for (const activation of seen.activations) {
    const counted = (activation.usage ?? []).map((usage) =>
      usageTable(`${whose}, ${table.setting} ${activation.setting}`, usage),
    );
    const tables = counted.length === 0 ? '' : `<div class="tables">${counted.join('\n')}</div>`;
    strips.push(await stripFigure(config, activation, whose), tables);
  }
  return `<details${open ? ' open' : ''}>
<summary>${escapeText(row.label)}, ${escapeText(row.sizes)}, trained at ${config.task.trained}, seed ${seed}: ${escapeText(summary(seen))}</summary>
${strips.join('\n')}
</details>`;
}

function usageTable(where: string, { by, names, steps, active, switched }: Usage): string {
  const modules = at(active, 0).map((_, n) => n);
  const heads = names.map(
    (name, i) =>
      `<th scope="col">${escapeText(name)}<br><small>${at(steps, i).toLocaleString('en-US')} steps</small></th>`,
  );
  const values = by === 'part' ? active : switched;
  const rows = modules.map((n) => {
    const cells = names.map((_, i) => {
      const share = at(at(values, i), n);
      return `<td style="background:color-mix(in srgb, var(--accent) ${Math.round(40 * share)}%, transparent)">${Math.round(100 * share)} %</td>`;
    });
    return `<tr><th scope="row">module ${n + 1}</th>${cells.join('')}</tr>`;
  });
  const what =
    by === 'part'
      ? 'Share of the steps of each part of the sequence in which a module was active'
      : 'Share of the steps of each input at which a module switched on or off';
  return `<div class="scroll" tabindex="0" role="region" aria-label="${what}, ${escapeText(where)}">
<table class="usage">
<caption>${what}: ${escapeText(where)}.</caption>
<thead><tr><td></td>${heads.join('')}</tr></thead>
<tbody>${rows.join('')}</tbody>
</table>
</div>`;
}

/** How the parts differ in the modules that they use, at the training setting, in words made from the numbers. */
function summary({ activations, config: { task } }: Seen): string {
  const usage = activations.find(({ setting }) => setting === task.trained)?.usage ?? [];
  const parts = usage.find(({ by }) => by === 'part');
  const inputs = usage.find(({ by }) => by === 'input');
  if (parts === undefined) return `${task.setting} ${task.trained}`;
  const told = parts.names.map((name, i) => {
    const shares = at(parts.active, i);
    const used = shares.filter((share) => share > USED).length;
    const always = shares.filter((share) => share >= ALWAYS).length;
    return `${name} ${used} of ${shares.length} used, ${always} always`;
  });
  const total = inputs?.switched.map((shares) => shares.reduce((sum, share) => sum + share, 0)) ?? [];
  const most = total.indexOf(Math.max(...total));
  const name = inputs?.names[most];
  const switching = name === undefined || !(at(total, most) > 0) ? '' : `; most switch at: ${name}`;
  return `${told.join('; ')}${switching}`;
}
