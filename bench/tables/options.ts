// The command line of `rimgrad table`: its options, their defaults and what does not go together.
//
// Always: what comes out is checked; a cell's name is one of the table's, whatever seeds were asked for. Not here: what is done.

import { InvalidArgumentError, Option } from 'commander';
import { nearest, OptionError } from '../../engine/errors.ts';
import { commandOf, readArguments, seedList } from '../command-line.ts';
import { checkMnistFolder } from '../mnist-files.ts';
import { type SelectionRule, selectionRules } from '../selection.ts';
import { type Cell, cellsOf, type Part, SCALES, type Scale, TABLES, type TableDefinition } from './definition.ts';
import { DEFINITIONS } from './index.ts';

/** What a command line asks for. */
export interface TableRequest {
  readonly table: TableDefinition;
  readonly part: Part;
  /** The folder of the run folders. */
  readonly out: string;
  /** Folders whose finished cells count too. */
  readonly merge: readonly string[];
  /** The folder of MNIST's files. */
  readonly mnist?: string;
  /** The one cell that is to be trained. */
  readonly cell?: Cell;
  readonly list: boolean;
  readonly show: boolean;
  readonly force: boolean;
  readonly json: boolean;
  readonly select: SelectionRule;
  readonly metric?: string;
}

const EXAMPLES = [
  ['copying --scale tiny', 'a minute on two cores: shows that everything runs'],
  ['adding --rows short-rim,short-lstm --seeds 1,2,3', 'some rows, a beginning of their names is enough'],
  ['smnist --mnist DIR', 'with the real digits of a folder'],
  ['copying --list | parallel -j 2', 'the cells as commands of their own'],
  ['copying --merge ../other/runs/tables --show', 'a table of what two machines trained'],
] as const;

/** Reads a command line. @returns the text of its help where that was asked for. @throws OptionError naming the option and the mend, FileError for --mnist */
export function parseTable(args: readonly string[]): TableRequest | string {
  const command = commandOf(
    'table',
    'Makes a table of the paper: trains every row with every seed, each in a run folder of its own, and writes\n' +
      'table.html and table.json beside them. What is finished is never trained again; what was stopped or killed goes on.',
    EXAMPLES,
  )
    .argument('<name>', `the table: ${TABLES.join(', ')}`)
    .addOption(new Option('--scale <scale>', 'how large').choices([...SCALES]).default('small'))
    .addOption(new Option('--seeds <list>', "seeds, as in 1,2,3 (default: the scale's)").argParser(seedList))
    .addOption(
      new Option('--rows <list>', 'rows by their names or the beginnings of them (default: all)').argParser(names),
    )
    .option('--out <folder>', 'where run folders are made', 'runs/tables')
    .option('--merge <folders...>', 'folders of other machines: their finished cells count')
    .option('--mnist <folder>', "smnist: the folder of MNIST's files (default: digits that are drawn)")
    .option('--list', 'print a command for each cell, to be run anywhere in any order', false)
    .option('--cell <name>', 'train this cell alone')
    .option('--show', 'train nothing: make the table of what is there', false)
    .addOption(
      new Option('--select <rule>', 'which checkpoint counts').choices([...selectionRules]).default('validation'),
    )
    .option('--metric <name>', "the figure that is shown first (default: the paper's)")
    .option('--force', 'train again what is finished, damaged or of other options', false)
    .option('--json', 'print the table as JSON at the end and nothing else', false);
  const help = readArguments(command, args);
  if (help !== undefined) return help;
  const options = command.opts<Given>();
  const table = tableOf(command.args[0] ?? '', options.mnist);
  const { scale, seeds, rows, out, merge = [], mnist, list, show, force, json, select, metric } = options;
  const part: Part = { scale, ...(seeds && { seeds }), ...(rows && { rows }) };
  cellsOf(table, part);
  const [first, second] = [list && '--list', show && '--show', options.cell !== undefined && '--cell'].filter(Boolean);
  if (first && second) throw new OptionError(`${first} and ${second} do not go together; leave one out`);
  if (show && force) throw new OptionError('--show: it trains nothing; leave out --force');
  if (list && json) throw new OptionError('--list: its lines are commands; leave out --json');
  const cell = options.cell === undefined ? undefined : cellNamed(table, scale, options.cell);
  if (mnist !== undefined && !show) checkMnistFolder(mnist); // what is shown needs no data
  const asked = { table, part, out, merge, list, show, force, json, select };
  return { ...asked, ...(mnist && { mnist }), ...(metric && { metric }), ...(cell && { cell }) };
}

interface Given {
  readonly scale: Scale;
  readonly seeds?: readonly number[];
  readonly rows?: readonly string[];
  readonly out: string;
  readonly merge?: readonly string[];
  readonly mnist?: string;
  readonly list: boolean;
  readonly cell?: string;
  readonly show: boolean;
  readonly select: SelectionRule;
  readonly metric?: string;
  readonly force: boolean;
  readonly json: boolean;
}

function tableOf(name: string, mnist: string | undefined): TableDefinition {
  const known = TABLES.find((each) => each === name);
  if (known === undefined) {
    const near = nearest(name, TABLES);
    throw new OptionError(
      `there is no table '${name}'; ${near === undefined ? '' : `did you mean ${near}? `}There are ${TABLES.join(', ')}`,
    );
  }
  const table = DEFINITIONS[known];
  if (mnist === undefined) return table;
  if (known !== 'smnist') throw new OptionError(`--mnist: it is for the table smnist, not ${known}; leave it out`);
  return withArguments(table, ['--mnist', mnist]);
}

/** The same table, with more arguments for all of its cells. */
function withArguments(table: TableDefinition, args: readonly string[]): TableDefinition {
  const scales = SCALES.map((scale) => {
    const scaled = table.scales[scale];
    return [scale, { ...scaled, args: [...scaled.args, ...args] }] as const;
  });
  return { ...table, scales: { ...table.scales, ...Object.fromEntries(scales) } };
}

/** A cell by its name, of any seed. */
function cellNamed(table: TableDefinition, scale: Scale, name: string): Cell {
  const seed = /-seed(\d+)$/.exec(name)?.[1];
  const cells = cellsOf(table, { scale, ...(seed !== undefined && { seeds: [Number(seed)] }) });
  const found = cells.find((cell) => cell.name === name);
  if (found !== undefined) return found;
  const near = nearest(
    name,
    cells.map((cell) => cell.name),
  );
  throw new OptionError(
    `--cell ${name}: the table ${table.name} at scale ${scale} has no such cell; ${near === undefined ? 'see --list' : `did you mean ${near}? See --list`}`,
  );
}

function names(text: string): string[] {
  const list = text.split(',').map((name) => name.trim());
  if (list.every((name) => name !== '')) return list;
  throw new InvalidArgumentError('Give names with commas between, as in rim-6-4,lstm.');
}
