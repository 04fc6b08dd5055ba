// The tasks of the main job by name: the options that are a task's own, and how the task is made from them.
//
// Always: a task is a row: what it shows in --help, its options, the settings that they mean, the task itself. Making one may read
// files, which happens here and not in the task. Not here: the tasks (tasks/), and the options of every job (options.ts).

import { OptionError } from '../engine/errors.ts';
import { whole, wholes } from './command-line.ts';
import { readMnistFolder } from './mnist-files.ts';
import { nameOf, type Row, someText } from './option-rows.ts';
import type { MainOptions } from './options.ts';
import type { SelectionRule } from './selection.ts';
import type { JobTask } from './task-facts.ts';
import { addingTask, copyingTask, drawnDigits, smnistTask, type Task } from './tasks/index.ts';

/** A task as the main job knows it. */
export interface TaskEntry {
  /** What a model has to do, in a few words. */
  readonly about: string;
  /** Whether its sequences are of symbols, which a model embeds. */
  readonly symbols: boolean;
  /** The options that are its own. */
  readonly rows: readonly Row[];
  /** Defaults of common options that differ for it, and those under `--paper`. */
  readonly defaults?: Readonly<Partial<MainOptions>>;
  readonly paper?: Readonly<Partial<MainOptions>>;
  /** Which evaluation counts where nobody says it. */
  readonly select: SelectionRule;
  /** Its options with what follows from others filled in. */
  complete(options: MainOptions): MainOptions;
  /** The settings that complete options mean. */
  settings(options: MainOptions): Pick<JobTask, 'trained' | 'tested'>;
  /** Makes it. @throws OptionError, FileError */
  make(options: MainOptions): Promise<Task> | Task;
  /** What a run does, in words that a person reads first: `Copying 3 digits over a blank of 10`. */
  headline(options: MainOptions): string;
  /** What the task and its figures are, in a few sentences, as the foot of a report has them. */
  readonly explanation: string;
}

/** The paper's training on the adding task: 100 passes over 30,000 sequences in whole batches of 64. */
export const ADDING_STEPS: number = 100 * Math.floor(30_000 / 64);

/** The tested settings where nobody gives them, as --help has them. */
const MULTIPLES = 'twice and four times that of training';

/** The tasks by their names on the command line. A new one is a new row. */
export const jobTasks: Readonly<Record<string, TaskEntry>> = {
  copying: {
    about: 'remember digits over a blank',
    symbols: true,
    rows: [
      { flags: '--digits <n>', meaning: 'digits to remember', parse: whole(1, 1000), value: 3, paper: 10 },
      { flags: '--blank <n>', meaning: 'blank length in training', parse: whole(1, 100_000), value: 10, paper: 50 },
      {
        flags: '--test-blanks <list>',
        meaning: 'blank lengths in tests, as in 10,20,40; the training blank is added',
        parse: wholes(1, 100_000),
        shown: `${MULTIPLES}; --paper at a blank of 50: 200`,
      },
    ],
    select: 'last',
    complete: (options) => {
      const { blank } = options;
      const wanted: readonly number[] | undefined = options.testBlanks;
      const tests = wanted ?? testsOf(blank, options.paper ? { 50: 200 } : {});
      return { ...options, testBlanks: ascending([blank, ...tests]) };
    },
    settings: ({ blank, testBlanks }) => ({ trained: blank, tested: testBlanks }),
    make: ({ digits }) => copyingTask({ digits }),
    headline: ({ digits, blank }) => `Copying ${digits} ${digits === 1 ? 'digit' : 'digits'} over a blank of ${blank}`,
    explanation:
      'The copying task shows digits, then a blank, then a marker, and asks for the digits. Training minimises the mean cross-entropy over ' +
      'all positions; accuracy and cross-entropy are over the recalled digits alone, where a model that remembers nothing scores ln 8 = ' +
      '2.079 nats and one digit in eight.',
  },
  adding: {
    about: 'add two marked numbers of many',
    symbols: false,
    rows: [
      { flags: '--length <n>', meaning: 'length in training', parse: whole(2, 100_000), value: 20, paper: 50 },
      {
        flags: '--test-lengths <list>',
        meaning: 'lengths in tests, as in 20,80; the training length is added',
        parse: wholes(2, 100_000),
        shown: `${MULTIPLES}; --paper at a length of 50: 200, of 500: 1000`,
      },
    ],
    // The official script's.
    paper: { dropout: 0.2, clip: 0.1, steps: ADDING_STEPS },
    select: 'last',
    complete: (options) => {
      const { length } = options;
      const wanted: readonly number[] | undefined = options.testLengths;
      const tests = wanted ?? testsOf(length, options.paper ? { 50: 200, 500: 1000 } : {});
      return { ...options, testLengths: ascending([length, ...tests]) };
    },
    settings: ({ length, testLengths }) => ({ trained: length, tested: testLengths }),
    make: () => addingTask(),
    headline: ({ length }) => `Adding two of ${length} numbers`,
    explanation:
      'The adding task shows numbers from 0 to 1, two of them marked, and asks for the sum of these two after the last. Training ' +
      'minimises the mean squared error, where the answer 1 scores 1/6; an answer is right within 0.04 of the sum.',
  },
  smnist: {
    about: 'read a digit pixel by pixel',
    symbols: true,
    rows: [
      {
        flags: '--mnist <folder>',
        meaning: "the folder of MNIST's IDX files, gzipped or not",
        parse: someText('a folder'),
        shown: 'none: digits that are drawn stand in for MNIST',
      },
      { flags: '--resolution <n>', meaning: 'side of the images in training', parse: whole(1, 28), value: 14 },
      {
        flags: '--test-resolutions <list>',
        meaning: 'sides in tests, as in 16,24; the training resolution is added',
        parse: wholes(1, 28),
        shown: '16,19,24',
      },
    ],
    // 100 passes over 48,000 images; the learning rate is that of the paper's text and of those who came near its figures.
    paper: { learningRate: 1e-4, steps: 75_000, evaluateEvery: 3000 },
    select: 'validation',
    complete: (options) => {
      const { resolution } = options;
      const wanted: readonly number[] | undefined = options.testResolutions;
      return { ...options, testResolutions: ascending([resolution, ...(wanted ?? [16, 19, 24])]) };
    },
    settings: ({ resolution, testResolutions }) => ({ trained: resolution, tested: testResolutions }),
    make: ({ mnist }) => smnistTask({ digits: mnist === undefined ? drawnDigits() : readMnistFolder(mnist) }),
    headline: ({ mnist, resolution }) =>
      `Reading ${mnist === undefined ? 'drawn' : 'MNIST'} digits of ${resolution} by ${resolution} pixels, one pixel a step`,
    explanation:
      'The task shows the pixels of a digit, black or white, row by row, and asks which digit it was. Other resolutions are made by ' +
      'nearest neighbour from 28 by 28, so that sequences become longer and strokes thicker.',
  },
};

/** A task by its name on the command line. @throws OptionError where there is none */
export function taskEntry(name: string): TaskEntry {
  const entry = Object.hasOwn(jobTasks, name) ? jobTasks[name] : undefined;
  if (entry !== undefined) return entry;
  throw new OptionError(`there is no task '${name}'; use ${Object.keys(jobTasks).join(', ')}`);
}

/** The task that options mean. @throws OptionError, FileError where its files cannot be read */
export async function jobTask(options: MainOptions): Promise<JobTask> {
  const entry = taskEntry(options.task);
  const { explanation } = entry;
  return {
    task: await entry.make(options),
    ...entry.settings(options),
    headline: entry.headline(options),
    explanation,
  };
}

/**
 * What a task has to train on is a batch in each split at least.
 * @throws OptionError where a split has less, before anything is trained
 */
export function checkBatch({ task }: JobTask, { batch }: MainOptions): void {
  for (const split of ['train', 'validation', 'test'] as const) {
    const sequences = task.sequences(split);
    if (sequences === undefined || sequences >= batch) continue;
    throw new OptionError(
      `--batch ${batch}: the ${split} split has only ${sequences} sequences; train with a smaller batch, or name a folder with more images`,
    );
  }
}

/** The tasks that have an option of this name. */
export function tasksWith(option: string): string[] {
  const found = Object.entries(jobTasks).filter(([, { rows }]) => rows.some((row) => nameOf(row) === option));
  return found.map(([name]) => name);
}

/** The settings to test at: what the paper tested at where it trained there, else twice and four times that of the training. */
function testsOf(trained: number, paper: Readonly<Record<number, number>>): readonly number[] {
  const tested = paper[trained];
  return tested === undefined ? [2 * trained, 4 * trained] : [tested];
}

function ascending(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}
