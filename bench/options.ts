// The options of the main job: their names, defaults, limits and meaning, in one table, and the parser of its command
// line. `--help` is printed from the same table.
//
// Always: what comes out is complete and checked, so nothing after it needs to ask again; `--paper` changes defaults
// only, an option that is given wins over it.
// Not here: what the options do (train.ts), and which folder names are free (runs.ts).

import { InvalidArgumentError, Option } from 'commander';
import { OptionError } from '../engine/errors.ts';
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
  | { readonly kind: 'help'; readonly text: string };

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
    { flags: '--json', meaning: 'print one JSON object at the end and nothing else', value: false },
    { flags: '--paper', meaning: "the paper's sizes: needs a GPU and hours", value: false },
  ],
};

/**
 * The main job's options from command-line arguments (without the program's own name).
 *
 * @throws OptionError naming the option and the mend.
 */
export function parseMainOptions(args: readonly string[]): MainRequest {
  const command = commandOf(
    'train',
    'Trains a RIM and then an LSTM on the copying task on the WebGPU device that is there, and writes\n' +
      'runs/<name>/ with the metrics, the weights and a report page. Ctrl-C stops at once and keeps what there is.',
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
  if (command.getOptionValue('paper') === true) {
    for (const [name, row] of rows) {
      if (row.paper !== undefined && command.getOptionValueSource(name) !== 'cli') {
        command.setOptionValue(name, row.paper);
      }
    }
  }
  return { kind: 'run', options: complete(command.opts<MainOptions>()) };
}

/**
 * The arguments that describe the same models and data again, from the options that a run kept.
 * @param options what `config.json` holds of a run's MainOptions; what was not given there has its default
 */
export function modelArguments(options: Readonly<Record<string, unknown>>): string[] {
  const rows = Object.entries(GROUPS).flatMap(([title, group]) => (MODEL_GROUPS.includes(title) ? group : []));
  return [...rows.map(toOption), new Option('--seed <n>')].flatMap((option) => {
    const value = options[option.attributeName()];
    if (value === undefined) return [];
    if (option.negate) return value === false ? [option.flags] : [];
    return [option.long ?? option.flags, String(value)];
  });
}

const MODEL_GROUPS: readonly string[] = ['Task:', 'RIM:', 'LSTM:'];

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
