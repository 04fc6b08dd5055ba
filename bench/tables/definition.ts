// What a table is, as data: rows (models with their sizes), columns (tested settings), seeds, and for each scale the arguments of
// `rimgrad train` that make a cell; beside them what the paper and others found.
//
// Always: a definition is plain data, so that a table's cells can be listed, planned and merged without running anything; a row's id
// is unique in its table and scale. Not here: running (runner.ts) and rendering (text.ts, page.ts).

import { nearest, OptionError } from '../../engine/errors.ts';
import type { Claim } from './claims.ts';

/** How large a table is run: in a test, in a few hours on two cores, or as the paper did. */
export type Scale = (typeof SCALES)[number];

/** All scales, the smallest first. */
export const SCALES = ['tiny', 'small', 'paper'] as const;

/** The names of the tables. */
export const TABLES = ['copying', 'adding', 'smnist', 'ablations'] as const;

/** Figures by setting, as somebody published them. */
export type Published = Readonly<Record<number, number>>;

/** A tested setting. */
export interface Column {
  readonly setting: number;
  /** The setting of the paper that it stands for, where there is one. */
  readonly paper?: number;
}

/** What somebody else than the authors' paper found for a row. */
export interface Reproduction {
  /** Who, with what, and where it stands. */
  readonly who: string;
  readonly values: Published;
}

/** A model with its sizes. */
export interface Row {
  /** Unique in its table: a part of its run folders' names. */
  readonly id: string;
  /** The name of its system, as `--models` takes it. */
  readonly model: string;
  /** As the table shows it, such as `RIM 6/4`. */
  readonly label: string;
  /** Its sizes in words, such as `144 units`. */
  readonly sizes: string;
  readonly args: readonly string[];
  /** The paper's figures, by the paper's settings; missing where the paper has no such row. */
  readonly paper?: Published;
  readonly reproductions?: readonly Reproduction[];
}

/** Rows that are trained and tested at the same settings. */
export interface Group {
  readonly title: string;
  /** The setting of the training. */
  readonly trained: number;
  /** The tested settings, the trained one among them. */
  readonly columns: readonly Column[];
  readonly args: readonly string[];
  readonly rows: readonly Row[];
}

/** A table at one scale. */
export interface ScaledTable {
  /** The table whose cells these are too: both train the same, so a row that both have is trained once. Its own where left out. */
  readonly sharedWith?: (typeof TABLES)[number];
  readonly seeds: readonly number[];
  /** Arguments of all cells. */
  readonly args: readonly string[];
  readonly groups: readonly Group[];
  /** What this scale changes about the paper's protocol, in sentences. */
  readonly protocol: string;
}

/** A table of the paper. */
export interface TableDefinition {
  readonly name: (typeof TABLES)[number];
  /** The name of the task that it trains on. */
  readonly task: string;
  readonly title: string;
  /** What is asked, in a sentence or two. */
  readonly about: string;
  /** Where the paper has it. */
  readonly source: string;
  /** The figure that the paper's numbers are of, by the task's name of it. */
  readonly published: string;
  /** Decimals that the paper gives of it at least, of shares in percent. */
  readonly decimals: number;
  /** The words before a setting, such as `blank`. */
  readonly setting: string;
  readonly scales: Readonly<Record<Scale, ScaledTable>>;
  /** What the paper concludes, put so that numbers decide it. */
  readonly claims: readonly Claim[];
}

/** Every rule of selection can be applied to what every cell measures. */
const MEASURES = ['--validate', 'all', '--select', 'validation'] as const;

/** One training: a row with a seed. */
export interface Cell {
  /** The name of its run folder, such as `copying-small-rim-6-4-seed1`. */
  readonly name: string;
  readonly group: Group;
  readonly row: Row;
  readonly seed: number;
  /** The arguments of `rimgrad train`, but for where the run folder is put. */
  readonly args: readonly string[];
}

/** What of a table is meant. */
export interface Part {
  readonly scale: Scale;
  /** The definition's where left out. */
  readonly seeds?: readonly number[];
  /** Rows by their ids or the beginnings of them; all where left out. */
  readonly rows?: readonly string[];
}

/**
 * The cells of a table, one seed of all rows after another, so that a table that is not finished is a table of fewer seeds.
 * @throws OptionError for a row that the table does not have
 */
export function cellsOf(table: TableDefinition, part: Part): readonly Cell[] {
  const { seeds, args, groups } = partOf(table, part);
  const prefix = prefixOf(table, part.scale);
  return seeds.flatMap((seed) =>
    groups.flatMap((group) =>
      group.rows.map((row) => ({
        name: `${prefix}${row.id}-seed${seed}`,
        group,
        row,
        seed,
        args: [...args, ...group.args, ...row.args, ...MEASURES, '--seed', `${seed}`],
      })),
    ),
  );
}

/** What the names of a table's run folders begin with. */
export function prefixOf({ name, scales }: TableDefinition, scale: Scale): string {
  return `${scales[scale].sharedWith ?? name}-${scale}-`;
}

/** A table with the rows and seeds that are meant. @throws OptionError for a row that it does not have */
export function partOf(table: TableDefinition, { scale, seeds, rows }: Part): ScaledTable {
  const scaled = table.scales[scale];
  const ids = scaled.groups.flatMap((group) => group.rows.map(({ id }) => id));
  for (const wanted of rows ?? []) {
    if (ids.some((id) => isRow(id, wanted))) continue;
    const near = nearest(wanted, ids);
    throw new OptionError(
      `--rows ${wanted}: the table ${table.name} has no such row; ${near === undefined ? '' : `did you mean ${near}? `}There are ${ids.join(', ')}`,
    );
  }
  const kept = (id: string): boolean => rows === undefined || rows.some((wanted) => isRow(id, wanted));
  const groups = scaled.groups
    .map((group) => ({ ...group, rows: group.rows.filter(({ id }) => kept(id)) }))
    .filter((group) => group.rows.length > 0);
  return { ...scaled, seeds: seeds ?? scaled.seeds, groups };
}

/** `rim` means `rim-6-4` and all other rows of that beginning. */
function isRow(id: string, wanted: string): boolean {
  return id === wanted || id.startsWith(`${wanted}-`);
}
