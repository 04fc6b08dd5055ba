// The options of the main job, and the parser of its command line. Names, defaults, limits and meaning are one table
// (option-table.ts), from which `--help` is printed too.
//
// Always: what comes out is complete and checked, so nothing after it needs to ask again; `--paper` changes defaults
// only, an option that is given wins over it; what the task or the models do not use is refused, and kept nowhere.
// Not here: what the options do (train.ts), a task's own (job-tasks.ts), which folder names are free (runs.ts).

import type { Command } from 'commander';
import { FileError, need, OptionError, quote } from '../engine/errors.ts';
import type { Preset } from '../rims/index.ts';
import type { Positions } from './baselines/index.ts';
import { commandOf, readArguments } from './command-line.ts';
import { taskEntry, tasksWith } from './job-tasks.ts';
import { isOfModels, systemOf, systems } from './models.ts';
import { nameOf, type Row, toOption } from './option-rows.ts';
import { optionGroups } from './option-table.ts';
import type { SelectionRule } from './selection.ts';

/** Choices of the RIM that the main job knows by name: the presets, and the mixture that learned best (RESULTS.md). */
export type RIMChoice = Preset | 'default-mixture';

/** Every option of the main job. Sizes are in the letters of the architecture. */
export interface MainOptions {
  /** The task, by its name. */
  readonly task: string;
  /** Copying: digits to remember. */
  readonly digits: number;
  /** Copying: blank length of the training sequences. */
  readonly blank: number;
  /** Copying: blank lengths of the test sequences, ascending; the training blank is always among them. */
  readonly testBlanks: readonly number[];
  /** Adding: length of the training sequences. */
  readonly length: number;
  /** Adding: lengths of the test sequences, as the blanks of copying. */
  readonly testLengths: readonly number[];
  /** Sequential MNIST: side of the training images. */
  readonly resolution: number;
  /** Sequential MNIST: sides of the test images, as the blanks of copying. */
  readonly testResolutions: readonly number[];
  /** Sequential MNIST: the folder of its files; drawn digits stand in when left out. */
  readonly mnist?: string;
  /** The models to train, one after the other, by their names. */
  readonly models: readonly string[];
  /** B: sequences in a batch. */
  readonly batch: number;
  /** Updates of each model. */
  readonly steps: number;
  /** Updates between evaluations; 0 evaluates at the end only. */
  readonly evaluateEvery: number;
  /** Updates between checkpoints; 0 for none. */
  readonly checkpointEvery: number;
  /** Test batches of an evaluation, for each setting. */
  readonly testBatches: number;
  /** Validation batches of an evaluation, for each setting that is validated. */
  readonly validationBatches: number;
  /** The settings that validation sequences are measured at: that of training, or all that are tested. */
  readonly validate: 'trained' | 'all';
  /** Which evaluation counts. */
  readonly select: SelectionRule;
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
  /** False: modules do not talk. */
  readonly communication: boolean;
  /** False: every module reads the input as it is, and all are active. */
  readonly inputAttention: boolean;
  /** Modules that each one listens to; all when left out. */
  readonly commTopK?: number;
  /** Dropout on the embedding and before the readout, of every model. */
  readonly dropout: number;
  /** Dropout inside the RIM, where its preset puts it. */
  readonly attentionDropout: number;
  /** Hidden size of every model that is no RIM. */
  readonly width: number;
  /** Layers; the model's own default when left out, as all that follow. */
  readonly layers?: number;
  /** Heads of attention, or of reading and writing. */
  readonly heads?: number;
  /** Slots of a memory. */
  readonly slots?: number;
  /** Size of a slot. */
  readonly slotSize?: number;
  /** How a Transformer tells positions. */
  readonly positions?: Exclude<Positions, 'learned'>;
  /** Where a Transformer's layer norms are. */
  readonly norm?: 'post' | 'pre';
  /** What stands between the layers of an IndRNN. */
  readonly betweenLayers?: 'none' | 'layer-norm';
  /** Steps over which an IndRNN's last layer remembers at first. */
  readonly memory?: number;
  /** Adam's learning rate. */
  readonly learningRate: number;
  /** Largest global 2-norm of the gradient; 0 does not clip. */
  readonly clip: number;
  readonly seed: number;
  /** Name of the run folder; by default the task, the date, the time and the seed. */
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
/** Where files lie, which is elsewhere on another machine: what is in them decides, and is told by the `source` of the task. */
export const MOVABLE: readonly (keyof MainOptions)[] = ['mnist'];
/** What belongs to one command line and not to the run: where it is put, and how its end is told. */
const PASSING: readonly string[] = ['name', 'out', 'force', 'json'] satisfies readonly (keyof MainOptions)[];

const EXAMPLES = [
  ['', 'the defaults: two models in a few minutes'],
  ['--steps 200 --models rim', 'a short look at the RIM alone'],
  ['--cell gru --modules 8 --active 3 --seed 7', 'another RIM'],
  ['--resume', 'go on with the newest run, where it was stopped or killed'],
  ['--task adding --models rim,gru,ntm', 'other models on another task'],
  ['--task smnist --mnist DIR --models lstm', "MNIST's files from a folder; without --mnist, digits that are drawn"],
  ['--json > result.json', 'for machines: one JSON object, nothing else'],
  ['--paper', "the paper's sizes"],
] as const;

/**
 * The main job's options from command-line arguments (without the program's own name).
 *
 * @param begun the options that a run was begun with: they take the place of the defaults.
 * @throws OptionError naming the option and the mend.
 */
export function parseMainOptions(args: readonly string[], begun?: Readonly<Record<string, unknown>>): MainRequest {
  const command = commandOf(
    'train',
    'Trains models, one after the other, on a task on the WebGPU device that is there, and writes runs/<name>/ with\n' +
      'the metrics, the weights and a report page. Ctrl-C stops at once and keeps what there is; --resume goes on\n' +
      'from there, to the same bytes as if it had never been stopped.',
    EXAMPLES,
  );
  const rows = new Map<string, Row>();
  for (const [title, group] of Object.entries(optionGroups)) {
    command.optionsGroup(title);
    for (const row of group) {
      rows.set(nameOf(row), row);
      command.addOption(toOption(row));
    }
  }
  const help = readArguments(command, args);
  if (help !== undefined) return { kind: 'help', text: help };
  const stranger = Object.keys(begun ?? {}).find((name) => !rows.has(name));
  if (stranger !== undefined) throw new OptionError(`there is no option ${quote(stranger)} in this version`);
  takeDefaults(command, rows, begun);
  const { resume, ...options } = command.opts<MainOptions & { readonly resume?: string | true }>();
  if (resume === undefined || begun !== undefined) {
    const isGiven = (name: string): boolean =>
      command.getOptionValueSource(name) === 'cli' || begun?.[name] !== undefined;
    for (const [name, row] of rows) if (command.getOptionValueSource(name) === 'cli') checkUsed(name, row, options);
    return { kind: 'run', options: complete(options, isGiven) };
  }
  if (options.name !== undefined) {
    throw new OptionError('--name: a run that goes on keeps its name; give it to --resume itself');
  }
  const { out, force } = options;
  return { kind: 'resume', out, force, args, ...(resume !== true && { run: resume }) };
}

/** Gives what was not on the command line its value: of the run as it was begun, of `--paper`, of the task, or of everybody. */
function takeDefaults(
  command: Command,
  rows: ReadonlyMap<string, Row>,
  begun: Readonly<Record<string, unknown>> | undefined,
): void {
  const given = (name: string): boolean => command.getOptionValueSource(name) === 'cli';
  const kept = (name: string, row: Row): unknown => {
    const saved = PASSING.includes(name) ? undefined : begun?.[name];
    return saved === undefined ? undefined : savedOption(name, row, saved);
  };
  const paper = (begun?.paper ?? command.getOptionValue('paper')) === true;
  const chosen = given('task') ? undefined : kept('task', need(rows.get('task'), 'the option'));
  const entry = taskEntry(String(chosen ?? command.getOptionValue('task')));
  const ofTask = new Map<string, unknown>(Object.entries({ ...entry.defaults, ...(paper && entry.paper) }));
  for (const [name, row] of rows) {
    if (given(name)) continue;
    const value = kept(name, row) ?? ofTask.get(name) ?? (paper ? row.paper : undefined);
    if (value !== undefined) command.setOptionValue(name, value);
  }
}

/** The lasting options that decide what comes out of a training: a run that goes on keeps them. */
export function decidingOptions(options: MainOptions): Readonly<Record<string, unknown>> {
  const movable: readonly string[] = MOVABLE;
  return Object.fromEntries(Object.entries(lastingOptions(options)).filter(([name]) => !movable.includes(name)));
}

/** The options that a file of weights holds, enough to use them: plain data in one order. */
export function lastingOptions(options: MainOptions): Readonly<Record<string, unknown>> {
  const others: readonly string[] = [...CHANGEABLE, ...PASSING];
  const lasting = Object.entries(usedOptions(options)).filter(([name]) => !others.includes(name));
  return Object.fromEntries(lasting.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The options without those that neither the task nor a model uses. */
export function usedOptions(options: MainOptions): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(options).filter(([name]) => usersOf(name, options) === undefined));
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

/** Who uses an option, in words, where the chosen task and models do not; undefined where one of them does, or everybody. */
function usersOf(name: string, { task, models }: Pick<MainOptions, 'task' | 'models'>): string | undefined {
  const tasks = tasksWith(name);
  if (tasks.length > 0) return tasks.includes(task) ? undefined : `--task ${tasks.join(' or ')}`;
  if (name === 'embedding') return taskEntry(task).symbols ? undefined : 'a task of symbols';
  if (!isOfModels(name) || models.some((model) => takes(model, name))) return undefined;
  const others = Object.keys(systems).filter((model) => takes(model, name));
  return others.length === 0 ? 'no model of this version' : `--models ${others.join(' or ')}`;
}

function takes(model: string, option: string): boolean {
  return systemOf(model).options.some((name) => name === option);
}

/** @throws OptionError where nobody uses an option that was given */
function checkUsed(name: string, { flags }: Row, options: MainOptions): void {
  const users = usersOf(name, options);
  if (users === undefined) return;
  const { task, models } = options;
  const who = isOfModels(name) ? `--models ${models.join()}` : `--task ${task}`;
  const [flag] = flags.split(' ');
  throw new OptionError(`${flag}: it is for ${users}, and nothing with ${who}; leave it out`);
}

// Fills in what depends on other options, and checks what only several options together can tell.
function complete(given: MainOptions, isGiven: (name: string) => boolean): MainOptions {
  const options = rimOf(given, isGiven);
  const entry = taskEntry(options.task);
  const wanted: Partial<MainOptions> = options;
  const select = wanted.select ?? entry.select;
  const validate = wanted.validate ?? (select === 'per-setting' ? 'all' : 'trained');
  if (select === 'per-setting' && validate !== 'all') {
    throw new OptionError('--select per-setting: it chooses by a validation at each setting; give --validate all');
  }
  const validationBatches = wanted.validationBatches ?? options.testBatches;
  return entry.complete({ ...options, select, validate, validationBatches });
}

/** Checks the RIM's options with each other, where one is trained. */
function rimOf(options: MainOptions, isGiven: (name: string) => boolean): MainOptions {
  const { models, modules, active, inputAttention, communication, commTopK } = options;
  if (!models.includes('rim')) return options;
  if (commTopK !== undefined && !communication) {
    throw new OptionError('--comm-top-k: with --no-communication nobody listens; leave out one of the two');
  }
  if (commTopK !== undefined && commTopK > modules) {
    throw new OptionError(`--comm-top-k ${commTopK}: more than the ${modules} modules; give at most ${modules}`);
  }
  if (!inputAttention && isGiven('active') && active !== modules) {
    throw new OptionError(
      `--no-input-attention: nothing chooses modules then, and all ${modules} are active; leave out --active`,
    );
  }
  if (!inputAttention) return { ...options, active: modules };
  if (active > modules) {
    throw new OptionError(
      `--active ${active}: more than the ${modules} modules; give --active 1 to ${modules}, or --modules ${active}`,
    );
  }
  return options;
}
