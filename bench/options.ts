// The options of the main job: their names, defaults, limits and meaning, in one table, and the parser of its command
// line. `--help` is printed from the same table.
//
// Always: what comes out is complete and checked, so nothing after it needs to ask again; `--paper` changes defaults
// only, an option that is given wins over it.
// Not here: what the options do (train.ts), and which folder names are free (runs.ts).

import { InvalidArgumentError, Option } from 'commander';
import { FileError, OptionError, quote } from '../engine/errors.ts';
import type { Preset } from '../rims/index.ts';
import { commandOf, readArguments, whole, wholes } from './command-line.ts';

/** Choices of the RIM that the main job knows by name: the presets, and the mixture that learned best (RESULTS.md). */
export type RIMChoice = Preset | 'default-mixture';

/** Every option of the main job. Sizes are in the letters of the architecture. */
export interface MainOptions {
  /** Digits to remember. */
  readonly digits: number;
  /** Blank length of the training sequences. */
  readonly blank: number;
  /** Blank lengths of the test sequences, ascending; the training blank is always among them. */
  readonly testBlanks: readonly number[];
  /** B: sequences in a batch. */
  readonly batch: number;
  /** Updates of each model. */
  readonly steps: number;
  /** Updates between evaluations; 0 evaluates at the end only. */
  readonly evaluateEvery: number;
  /** Updates between checkpoints; 0 for none. */
  readonly checkpointEvery: number;
  /** Test batches of an evaluation, for each blank length. */
  readonly testBatches: number;
  /** N: modules. */
  readonly modules: number;
  /** K: modules active at a step. */
  readonly active: number;
  /** H: hidden size of one module. */
  readonly hidden: number;
  /** D: size of a symbol's embedding. */
  readonly embedding: number;
  /** E: key size of the input attention. */
  readonly keySize: number;
  /** V: value size of the input attention. */
  readonly valueSize: number;
  /** C: heads of the communication. */
  readonly commHeads: number;
  /** F: key size of a communication head. */
  readonly commKeySize: number;
  /** W: value size of a communication head. */
  readonly commValueSize: number;
  readonly cell: 'lstm' | 'gru';
  readonly preset: RIMChoice;
  /** Overrides the preset when given. */
  readonly commOutput?: 'residual' | 'gated';
  /** Overrides the preset when given. */
  readonly sources?: 'kept' | 'candidate';
  /** Dropout on the embedding and before the readout, of both models. */
  readonly dropout: number;
  /** Dropout inside the RIM, where its preset puts it. */
  readonly attentionDropout: number;
  /** Train the LSTM as well. */
  readonly lstm: boolean;
  /** Hidden size of the LSTM. */
  readonly lstmHidden: number;
  /** Adam's learning rate. */
  readonly learningRate: number;
  /** Largest global 2-norm of the gradient; 0 does not clip. */
  readonly clip: number;
  readonly seed: number;
  /** Name of the run folder; by default the date, the time and the seed. */
  readonly name?: string;
  /** The folder that holds the run folders. */
  readonly out: string;
  /** Replace a run of the same name. */
  readonly force: boolean;
  /** Print one JSON object at the end, and nothing else. */
  readonly json: boolean;
  /** Whether the defaults are the paper's sizes. */
  readonly paper: boolean;
}

/** What a command line asks for. */
export type MainRequest =
  | { readonly kind: 'run'; readonly options: MainOptions }
  | ResumeRequest
  | { readonly kind: 'help'; readonly text: string };

/** A run is to go on. */
export interface ResumeRequest {
  readonly kind: 'resume';
  /** Its name or folder; undefined for the newest. */
  readonly run?: string;
  /** The folder that holds the run folders. */
  readonly out: string;
  /** Although it seems to run still. */
  readonly force: boolean;
  /** The command line, to be read again behind the options that the run was begun with. */
  readonly args: readonly string[];
}

/** What a run that goes on may change: everything else decides what comes out. */
export const CHANGEABLE: readonly (keyof MainOptions)[] = ['steps', 'evaluateEvery', 'checkpointEvery'];
/** What belongs to one command line and not to the run: where it is put, and how its end is told. */
const PASSING: readonly string[] = ['name', 'out', 'force', 'json'] satisfies readonly (keyof MainOptions)[];

interface Row {
  readonly flags: string;
  readonly meaning: string;
  readonly parse?: (text: string) => unknown;
  readonly choices?: readonly string[];
  readonly value?: unknown;
  /** The default under `--paper`, where it differs. */
  readonly paper?: unknown;
  /** Shown in place of the default. */
  readonly shown?: string;
}

const EXAMPLES = [
  ['', 'the defaults: two models in a few minutes'],
  ['--steps 200 --no-lstm', 'a short look at the RIM alone'],
  ['--cell gru --modules 8 --active 3 --seed 7', 'another RIM'],
  ['--resume', 'go on with the newest run, where it was stopped or killed'],
  ['--json > result.json', 'for machines: one JSON object, nothing else'],
  ['--paper', "the paper's sizes"],
] as const;

const GROUPS: Readonly<Record<string, readonly Row[]>> = {
  'Task:': [
    { flags: '--digits <n>', meaning: 'digits to remember', parse: whole(1, 1000), value: 3, paper: 10 },
    { flags: '--blank <n>', meaning: 'blank length in training', parse: whole(1, 100_000), value: 10, paper: 50 },
    {
      flags: '--test-blanks <list>',
      meaning: 'blank lengths in tests, as in 10,20,40; the training blank is added',
      parse: wholes(1, 100_000),
      shown: 'the training blank, twice and four times it; --paper: 50,200',
    },
    { flags: '--batch <n>', meaning: 'sequences in a batch', parse: whole(1, 65_536), value: 64 },
  ],
  'RIM:': [
    { flags: '--modules <n>', meaning: 'modules', parse: whole(1, 1024), value: 6 },
    { flags: '--active <n>', meaning: 'modules active at a step', parse: whole(1, 1024), value: 4 },
    { flags: '--hidden <n>', meaning: 'hidden size of one module', parse: whole(1, 8192), value: 24, paper: 100 },
    { flags: '--embedding <n>', meaning: "size of a symbol's embedding", parse: whole(1, 8192), value: 16, paper: 600 },
    {
      flags: '--key-size <n>',
      meaning: 'key size of the input attention',
      parse: whole(1, 8192),
      value: 16,
      paper: 64,
    },
    { flags: '--value-size <n>', meaning: 'value size of it', parse: whole(1, 8192), value: 32, paper: 400 },
    { flags: '--comm-heads <n>', meaning: 'heads of the communication', parse: whole(1, 64), value: 2, paper: 4 },
    { flags: '--comm-key-size <n>', meaning: 'key size of a head', parse: whole(1, 1024), value: 16 },
    { flags: '--comm-value-size <n>', meaning: 'value size of a head', parse: whole(1, 1024), value: 16 },
    { flags: '--cell <name>', meaning: "a module's cell", choices: ['lstm', 'gru'], value: 'lstm' },
    {
      flags: '--preset <name>',
      meaning: 'whose cell, where the paper and the public codes differ',
      choices: ['paper', 'official', 'dido', 'default-mixture'],
      value: 'default-mixture',
      paper: 'official',
    },
    {
      flags: '--comm-output <name>',
      meaning: 'how communication enters the state',
      choices: ['residual', 'gated'],
      shown: "the preset's",
    },
    {
      flags: '--sources <name>',
      meaning: 'what inactive modules offer to others',
      choices: ['kept', 'candidate'],
      shown: "the preset's",
    },
    {
      flags: '--attention-dropout <p>',
      meaning: 'dropout inside the RIM',
      parse: real(0, 0.95),
      value: 0,
      paper: 0.1,
    },
  ],
  'LSTM:': [
    { flags: '--no-lstm', meaning: 'train the RIM alone' },
    { flags: '--lstm-hidden <n>', meaning: 'hidden size of the LSTM', parse: whole(1, 8192), value: 144, paper: 600 },
  ],
  'Training:': [
    { flags: '--steps <n>', meaning: 'updates of each model', parse: whole(1, 1e9), value: 2000, paper: 30_000 },
    { flags: '--learning-rate <x>', meaning: "Adam's learning rate", parse: real(1e-9, 10), value: 3e-3, paper: 1e-3 },
    { flags: '--clip <x>', meaning: 'largest norm of the gradient, 0 for none', parse: real(0, 1e9), value: 1 },
    {
      flags: '--dropout <p>',
      meaning: 'dropout on the embedding and before the readout',
      parse: real(0, 0.95),
      value: 0,
      paper: 0.5,
    },
    { flags: '--seed <n>', meaning: 'same seed, same device: same bytes', parse: whole(0, 0xffff_ffff), value: 1 },
    {
      flags: '--evaluate-every <n>',
      meaning: 'updates between evaluations, 0 for one at the end',
      parse: whole(0, 1e9),
      value: 500,
      paper: 1000,
    },
    { flags: '--test-batches <n>', meaning: 'batches of an evaluation', parse: whole(1, 100_000), value: 10 },
  ],
  'Output:': [
    {
      flags: '--name <name>',
      meaning: 'name of the run folder',
      parse: folderName,
      shown: 'the date, the time and the seed',
    },
    { flags: '--out <folder>', meaning: 'where run folders are made', parse: someText, value: 'runs' },
    { flags: '--force', meaning: 'replace a run of the same name', value: false },
    {
      flags: '--checkpoint-every <n>',
      meaning: 'updates between checkpoints, 0 for none; Ctrl-C writes one too',
      parse: whole(0, 1e9),
      value: 200,
    },
    {
      flags: '--resume [run]',
      meaning: 'go on with a run that was stopped, killed or failed, or with more --steps one that was finished',
      parse: someText,
      shown: 'the newest of --out',
    },
    { flags: '--json', meaning: 'print one JSON object at the end and nothing else', value: false },
    { flags: '--paper', meaning: "the paper's sizes: needs a GPU and hours", value: false },
  ],
};

/**
 * The main job's options from command-line arguments (without the program's own name).
 *
 * @param begun the options that a run was begun with: they take the place of the defaults.
 * @throws OptionError naming the option and the mend.
 */
export function parseMainOptions(args: readonly string[], begun?: Readonly<Record<string, unknown>>): MainRequest {
  const command = commandOf(
    'train',
    'Trains a RIM and then an LSTM on the copying task on the WebGPU device that is there, and writes\n' +
      'runs/<name>/ with the metrics, the weights and a report page. Ctrl-C stops at once and keeps what there is;\n' +
      '--resume goes on from there, to the same bytes as if it had never been stopped.',
    EXAMPLES,
  );
  const rows = new Map<string, Row>();
  for (const [title, group] of Object.entries(GROUPS)) {
    command.optionsGroup(title);
    for (const row of group) {
      const option = toOption(row);
      rows.set(option.attributeName(), row);
      command.addOption(option);
    }
  }
  const help = readArguments(command, args);
  if (help !== undefined) return { kind: 'help', text: help };
  const stranger = Object.keys(begun ?? {}).find((name) => !rows.has(name));
  if (stranger !== undefined) throw new OptionError(`there is no option ${quote(stranger)} in this version`);
  const paper = (begun?.paper ?? command.getOptionValue('paper')) === true;
  for (const [name, row] of rows) {
    if (command.getOptionValueSource(name) === 'cli') continue;
    const saved = PASSING.includes(name) ? undefined : begun?.[name];
    const value = saved === undefined ? (paper ? row.paper : undefined) : savedOption(name, row, saved);
    if (value !== undefined) command.setOptionValue(name, value);
  }
  const { resume, ...options } = command.opts<MainOptions & { readonly resume?: string | true }>();
  if (resume === undefined || begun !== undefined) return { kind: 'run', options: complete(options) };
  if (options.name !== undefined) {
    throw new OptionError('--name: a run that goes on keeps its name; give it to --resume itself');
  }
  const { out, force } = options;
  return { kind: 'resume', out, force, args, ...(resume !== true && { run: resume }) };
}

/**
 * The options that decide what comes out of a training, as plain data in one order: checkpoints and weights hold them, and a run that
 * goes on keeps them.
 */
export function lastingOptions(options: MainOptions): Readonly<Record<string, unknown>> {
  const others: readonly string[] = [...CHANGEABLE, ...PASSING];
  const lasting = Object.entries(options).filter(([name]) => !others.includes(name));
  return Object.fromEntries(lasting.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Options from a file; what is not in it has its default. @throws FileError naming the file where they are none of this version */
export function keptOptions(kept: Readonly<Record<string, unknown>>, file: string): MainOptions {
  try {
    const request = parseMainOptions([], kept);
    if (request.kind === 'run') return request.options;
  } catch (cause) {
    if (!(cause instanceof OptionError)) throw cause;
    throw new FileError(`${file}: ${cause.message}; it is damaged, or of another version`, { cause });
  }
  throw new FileError(`${file}: it asks for help; it is damaged`);
}

// The value of an option from a file, checked as one from a command line is.
function savedOption(name: string, { parse, choices }: Row, value: unknown): unknown {
  const items: readonly unknown[] = Array.isArray(value) ? value : [value];
  try {
    if (parse !== undefined && items.every((item) => typeof item !== 'object')) return parse(items.join());
  } catch (cause) {
    throw new OptionError(`'${name}' is ${quote(value)}`, { cause });
  }
  const known = choices === undefined ? typeof value === 'boolean' : choices.some((choice) => choice === value);
  if (parse === undefined && known) return value;
  throw new OptionError(`'${name}' is ${quote(value)}`);
}

// Fills in what depends on other options, and checks what only several options together can tell.
function complete(options: MainOptions): MainOptions {
  if (options.active > options.modules) {
    throw new OptionError(
      `--active ${options.active}: more than the ${options.modules} modules; give --active 1 to ${options.modules}, ` +
        `or --modules ${options.active}`,
    );
  }
  const { blank } = options;
  const wanted: readonly number[] | undefined = options.testBlanks;
  const tests = wanted ?? (options.paper ? [50, 200] : [2 * blank, 4 * blank]);
  const testBlanks = [...new Set([blank, ...tests])].sort((a, b) => a - b);
  return { ...options, testBlanks };
}

function toOption(row: Row): Option {
  const option = new Option(row.flags, row.meaning);
  if (row.parse !== undefined) option.argParser(row.parse);
  if (row.choices !== undefined) option.choices([...row.choices]);
  const paper = row.paper === undefined ? '' : `; --paper: ${row.paper}`;
  if (row.value !== undefined) option.default(row.value, row.value === false ? undefined : `${row.value}${paper}`);
  if (row.shown !== undefined) option.description += ` (default: ${row.shown})`;
  return option;
}

function real(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Give a number from ${least} to ${most}.`);
  };
}

function someText(text: string): string {
  if (text.trim() !== '') return text;
  throw new InvalidArgumentError('Give a folder.');
}

function folderName(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(text)) return text;
  throw new InvalidArgumentError(
    'Give up to 100 letters, digits, dots, dashes or underscores, a letter or digit first.',
  );
}
