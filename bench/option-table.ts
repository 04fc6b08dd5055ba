// The options of the main job in one table: how each is written, its default, its limits and its meaning. `--help` is printed from it.
//
// Always: a task's own options are in its entry (job-tasks.ts), which stands here as a group. Not here: the reading of a command line,
// and what only several options together can tell (options.ts).

import { whole } from './command-line.ts';
import { jobTasks, type TaskEntry } from './job-tasks.ts';
import { systems } from './models.ts';
import { flagOf, folderName, namesOf, type Row, real, someText } from './option-rows.ts';
import { selectionRules } from './selection.ts';

/** A size that only some models take, each with a default of its own. */
function own(flags: string, meaning: string, most: number): Row {
  return { flags, meaning, parse: whole(1, most), shown: "the model's own" };
}

/** An option of some models, one of a few words. */
function ownChoice(flags: string, meaning: string, choices: readonly string[]): Row {
  return { flags, meaning, choices, shown: "the model's own" };
}

/** The rows by the titles of their groups. */
export const optionGroups: Readonly<Record<string, readonly Row[]>> = {
  'Task:': [
    {
      flags: '--task <name>',
      meaning: Object.entries(jobTasks)
        .map(([name, { about }]) => `${name}: ${about}`)
        .join('; '),
      choices: Object.keys(jobTasks),
      value: 'copying',
    },
    { flags: '--batch <n>', meaning: 'sequences in a batch', parse: whole(1, 65_536), value: 64 },
  ],
  ...Object.fromEntries(Object.entries(jobTasks).map(([name, entry]) => [taskTitle(name, entry), entry.rows])),
  'Models:': [
    {
      flags: '--models <list>',
      meaning: `models to train, one after the other, of ${Object.keys(systems).join(', ')}`,
      parse: namesOf(Object.keys(systems)),
      value: ['rim', 'lstm'],
    },
    {
      flags: '--preset <name>',
      meaning:
        'whose cell and initialisation, where the paper and the public codes differ; default-mixture: what learned best at small sizes',
      choices: ['paper', 'official', 'dido', 'default-mixture'],
      value: 'default-mixture',
      paper: 'official',
    },
    { flags: '--embedding <n>', meaning: "size of a symbol's embedding", parse: whole(1, 8192), value: 16, paper: 600 },
    {
      flags: '--width <n>',
      meaning: 'hidden size of models but the RIM',
      parse: whole(1, 8192),
      value: 144,
      paper: 600,
    },
    own('--layers <n>', 'layers', 64),
    own('--heads <n>', 'heads', 64),
    own('--slots <n>', 'slots of a memory', 65_536),
    own('--slot-size <n>', 'size of a slot', 8192),
    ownChoice(
      '--positions <name>',
      'how positions are told: learned ones end where training did, so they are not among these',
      ['sinusoidal', 'alibi', 'none'],
    ),
    ownChoice(
      '--norm <place>',
      "where a Transformer's layer norms are: post, behind each residual, as its paper has them, which wants a learning rate that warms up; or pre",
      ['post', 'pre'],
    ),
    ownChoice('--between-layers <what>', 'what stands between the layers of an IndRNN', ['none', 'layer-norm']),
    own(
      '--memory <n>',
      "steps over which an IndRNN's last layer remembers at first, best those of a training sequence",
      1_000_000,
    ),
  ],
  'RIM:': [
    { flags: '--modules <n>', meaning: 'modules', parse: whole(1, 1024), value: 6 },
    { flags: '--active <n>', meaning: 'modules active at a step', parse: whole(1, 1024), value: 4 },
    { flags: '--hidden <n>', meaning: 'hidden size of one module', parse: whole(1, 8192), value: 24, paper: 100 },
    {
      flags: '--key-size <n>',
      meaning: 'key size of the input attention',
      parse: whole(1, 8192),
      value: 16,
      paper: 64,
    },
    {
      flags: '--value-size <n>',
      meaning: 'value size of the input attention',
      parse: whole(1, 8192),
      value: 32,
      paper: 400,
    },
    { flags: '--comm-heads <n>', meaning: 'heads of the communication', parse: whole(1, 64), value: 2, paper: 4 },
    {
      flags: '--comm-key-size <n>',
      meaning: 'key size of a communication head',
      parse: whole(1, 1024),
      value: 16,
      paper: 32,
    },
    {
      flags: '--comm-value-size <n>',
      meaning: 'value size of a communication head',
      parse: whole(1, 1024),
      value: 16,
      paper: 32,
    },
    { flags: '--cell <name>', meaning: "a module's cell", choices: ['lstm', 'gru'], value: 'lstm' },
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
      flags: '--comm-top-k <n>',
      meaning: 'modules that each one listens to',
      parse: whole(1, 1024),
      shown: 'all',
    },
    { flags: '--no-communication', meaning: 'modules do not talk' },
    { flags: '--no-input-attention', meaning: 'every module reads the input as it is, and all are active' },
    {
      flags: '--attention-dropout <p>',
      meaning: 'dropout inside the RIM',
      parse: real(0, 0.95),
      value: 0,
      paper: 0.1,
    },
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
  ],
  'Evaluation:': [
    {
      flags: '--evaluate-every <n>',
      meaning: 'updates between evaluations, 0 for one at the end',
      parse: whole(0, 1e9),
      value: 500,
      paper: 1000,
    },
    {
      flags: '--test-batches <n>',
      meaning: 'batches of an evaluation at each setting: at most so many, for a split may have fewer',
      parse: whole(1, 100_000),
      value: 10,
    },
    {
      flags: '--validation-batches <n>',
      meaning: 'the same, of sequences that a checkpoint is chosen by',
      parse: whole(1, 100_000),
      shown: 'as many as --test-batches',
    },
    {
      flags: '--validate <settings>',
      meaning: 'the settings that these are measured at',
      choices: ['trained', 'all'],
      shown: 'trained; all with --select per-setting',
    },
    {
      flags: '--select <rule>',
      meaning:
        'what the table reports and model.safetensors holds: the last step; the step that did best in validation at the training setting; ' +
        'or, as the official code does, such a step for each setting (and the file holds the last)',
      choices: selectionRules,
      shown: selectDefaults(),
    },
  ],
  'Output:': [
    {
      flags: '--name <name>',
      meaning: 'name of the run folder',
      parse: folderName,
      shown: 'the task, the date, the time and the seed',
    },
    { flags: '--out <folder>', meaning: 'where run folders are made', parse: someText('a folder'), value: 'runs' },
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
      parse: someText('a run'),
      shown: 'the newest of --out',
    },
    { flags: '--json', meaning: 'print one JSON object at the end and nothing else', value: false },
    { flags: '--paper', meaning: "the paper's sizes: needs a GPU and hours", value: false },
  ],
};

/** The title of a task's group, with the defaults of common options that it has others of than the table says. */
function taskTitle(name: string, { defaults = {}, paper = {} }: TaskEntry): string {
  const told = Object.entries({ default: defaults, '--paper': paper }).flatMap(([when, values]) => {
    const options = Object.entries(values).map(([option, value]) => `${flagOf(option)} ${String(value)}`);
    return options.length === 0 ? [] : [`${when}: ${options.join(', ')}`];
  });
  return told.length === 0 ? `Task ${name}:` : `Task ${name} (${told.join('; ')}):`;
}

/** The rule that counts where nobody says it, for each task. */
function selectDefaults(): string {
  const tasks = Object.entries(jobTasks).map(([name, { select }]) => [select, name] as const);
  const [first] = tasks;
  if (tasks.every(([select]) => select === first?.[0])) return `${first?.[0]}`;
  return tasks.map(([select, name]) => `${select} for ${name}`).join(', ');
}
