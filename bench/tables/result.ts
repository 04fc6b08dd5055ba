// A table with its numbers: what its cells measured, by the rule that chooses a checkpoint, as means over seeds beside the figures that
// were published, and how the claims came out.
//
// Always: a pure function of the definition and the records, without times, paths or processes, so that however a table's cells were
// made, alone or on many machines, the same bytes come out. Not here: how it is shown (text.ts, page.ts).

import { at, OptionError } from '../../engine/errors.ts';
import { batchesOf } from '../evaluation.ts';
import { type SelectionRule, selected } from '../selection.ts';
import type { TaskFacts } from '../task-facts.ts';
import type { Figure } from '../tasks/task.ts';
import { type Evidence, judge, type Verdict } from './claims.ts';
import type { Group, Part, Reproduction, Row, Scale, TableDefinition } from './definition.ts';
import { partOf } from './definition.ts';
import { showFigure } from './numbers.ts';
import { type CellRecord, type CellState, optionsOf } from './records.ts';
import { type Summary, summarise } from './statistics.ts';

/** One seed of a row at one setting. */
export interface SeedFigures {
  readonly seed: number;
  /** The updates behind the checkpoint that counts. */
  readonly step: number;
  readonly figures: Readonly<Record<string, number>>;
}

/** A row at one setting. */
export interface Entry {
  readonly setting: number;
  /** By figure; without those that no seed has. */
  readonly figures: Readonly<Record<string, Summary>>;
  readonly seeds: readonly SeedFigures[];
  /** The paper's figure. */
  readonly paper?: number;
  readonly reproductions: readonly { readonly who: string; readonly value: number }[];
}

/** A row with what there is of its cells. */
export interface ResultRow {
  readonly id: string;
  readonly model: string;
  readonly label: string;
  readonly sizes: string;
  readonly cells: readonly { readonly name: string; readonly state: CellState }[];
  readonly entries: readonly Entry[];
}

/** Rows of the same settings. */
export interface ResultGroup {
  readonly title: string;
  readonly trained: number;
  readonly settings: readonly { readonly setting: number; readonly paper?: number }[];
  /** By setting: the figures of a model that has learned nothing but the layout. */
  readonly trivial: readonly Readonly<Record<string, number>>[];
  readonly rows: readonly ResultRow[];
}

/** A table with its numbers. */
export interface TableResult {
  readonly format: 'rimgrad table 1';
  readonly table: string;
  readonly scale: Scale;
  readonly select: SelectionRule;
  /** The figure that is shown first. */
  readonly metric: string;
  readonly figures: readonly Figure[];
  readonly seeds: readonly number[];
  readonly adapters: readonly string[];
  /** Whose data the finished cells are of, where their task says so. */
  readonly data: readonly string[];
  /** Test sequences that each seed is measured on, at every setting. */
  readonly sequences: number;
  readonly finished: number;
  readonly cells: number;
  readonly groups: readonly ResultGroup[];
  readonly verdicts: readonly Verdict[];
}

/** How a table is looked at. */
export interface View {
  readonly select: SelectionRule;
  /** A figure by the task's name of it; the one that the paper tells where left out. */
  readonly metric?: string;
}

/**
 * Makes the table.
 * @param facts of a group's task: its figures and trivial levels
 * @throws OptionError for a figure that the task does not have
 */
export function tabulate(
  table: TableDefinition,
  part: Part,
  records: readonly CellRecord[],
  facts: (group: Group) => TaskFacts,
  view: View,
): TableResult {
  const { seeds, groups } = partOf(table, part);
  const first = facts(at(groups, 0));
  const { figures } = first;
  const metric = metricOf(figures, view.metric ?? table.published);
  const shown = groups.map((group) => groupOf(group, records, facts(group), view.select));
  const finished = records.filter(({ state }) => state === 'finished');
  // Seeds beyond those that the table asks for are welcome, and make no row that has fewer incomplete.
  const asked = Math.min(seeds.length, table.scales[part.scale].seeds.length);
  const evidence = evidenceOf(shown, part.scale, asked, figures);
  return {
    format: 'rimgrad table 1',
    table: table.name,
    scale: part.scale,
    select: view.select,
    metric: metric.name,
    figures,
    seeds,
    adapters: [...new Set(finished.flatMap(({ config }) => config?.adapter ?? []))].sort(),
    data: [...new Set(finished.flatMap(({ config }) => config?.task.source ?? []))].sort(),
    sequences: sequencesOf(records, first),
    finished: finished.length,
    cells: records.length,
    groups: shown,
    verdicts: table.claims.flatMap((claim) => judge(claim, evidence) ?? []),
  };
}

/** All cells of a table are tested alike. */
function sequencesOf([first]: readonly CellRecord[], { testSequences }: TaskFacts): number {
  if (first === undefined) return 0;
  const { batch, testBatches } = optionsOf(first.cell);
  return batch * batchesOf(testSequences, batch, testBatches);
}

/** The bytes of table.json. */
export function tableJSON(result: TableResult): string {
  return `${JSON.stringify(result, null, 2)}\n`;
}

/** A figure by its name. @throws OptionError */
export function metricOf(figures: readonly Figure[], name: string): Figure {
  const found = figures.find((figure) => figure.name === name);
  if (found !== undefined) return found;
  throw new OptionError(`--metric ${name}: there is ${figures.map((figure) => figure.name).join(', ')}`);
}

function groupOf(group: Group, records: readonly CellRecord[], facts: TaskFacts, rule: SelectionRule): ResultGroup {
  return {
    title: group.title,
    trained: group.trained,
    settings: group.columns,
    trivial: group.columns.map(({ setting }) => at(facts.trivial, facts.tested.indexOf(setting))),
    rows: group.rows.map((row) => {
      const own = records.filter(({ cell }) => cell.row.id === row.id);
      return {
        id: row.id,
        model: row.model,
        label: row.label,
        sizes: row.sizes,
        cells: own.map(({ cell, state }) => ({ name: cell.name, state })),
        entries: group.columns.map(({ setting, paper }) => entryOf(row, setting, paper, own, facts, rule)),
      };
    }),
  };
}

function entryOf(
  row: Row,
  setting: number,
  paper: number | undefined,
  records: readonly CellRecord[],
  facts: TaskFacts,
  rule: SelectionRule,
): Entry {
  const seeds = records.flatMap(({ cell, metrics }): SeedFigures[] => {
    if (metrics === undefined) return [];
    const counting = selected(metrics.evaluations, rule, facts);
    return counting
      .filter((each) => each.setting === setting)
      .map(({ step, figures }) => ({ seed: cell.seed, step, figures }));
  });
  const figures = facts.figures.flatMap(({ name }): [string, Summary][] => {
    const summary = summarise(seeds.flatMap((each) => each.figures[name] ?? []));
    return summary === undefined ? [] : [[name, summary]];
  });
  const published = paper === undefined ? undefined : row.paper?.[paper];
  return {
    setting,
    figures: Object.fromEntries(figures),
    seeds,
    ...(published !== undefined && { paper: published }),
    reproductions: paper === undefined ? [] : reproductionsOf(row.reproductions ?? [], paper),
  };
}

function reproductionsOf(all: readonly Reproduction[], setting: number): Entry['reproductions'] {
  return all.flatMap(({ who, values }) => {
    const value = values[setting];
    return value === undefined ? [] : [{ who, value }];
  });
}

function evidenceOf(groups: readonly ResultGroup[], scale: Scale, seeds: number, figures: readonly Figure[]): Evidence {
  const find = (id: string): readonly [ResultGroup, ResultRow] | undefined => {
    for (const group of groups) {
      const row = group.rows.find((each) => each.id === id);
      if (row !== undefined) return [group, row];
    }
    return undefined;
  };
  const entry = (id: string, setting: number): Entry | undefined =>
    find(id)?.[1].entries.find((each) => each.setting === setting);
  return {
    scale,
    seeds,
    label: (id) => find(id)?.[1].label,
    settings: (id, where) => {
      const [group] = find(id) ?? [];
      if (group === undefined) return [];
      const all = group.settings.map(({ setting }) => setting);
      if (where === 'trained') return [group.trained];
      return where === 'furthest' ? [Math.max(...all)] : all.filter((setting) => setting !== group.trained);
    },
    summary: (id, setting, figure) => entry(id, setting)?.figures[figure],
    values: (id, setting, figure) => entry(id, setting)?.seeds.flatMap((seed) => seed.figures[figure] ?? []) ?? [],
    failed: (id) => find(id)?.[1].cells.filter(({ state }) => state === 'failed').length ?? 0,
    figure: (name) => metricOf(figures, name),
    trivial: (setting, figure) => {
      for (const { settings, trivial } of groups) {
        const i = settings.findIndex((each) => each.setting === setting);
        const value = i < 0 ? undefined : at(trivial, i)[figure];
        if (value !== undefined) return value;
      }
      throw new OptionError(`no trivial level of ${figure} at ${setting}`);
    },
    show: showFigure,
  };
}
