// The tasks of the page: how each is made from settings, where it is trained and tested, and the words that the page has for it.
//
// Always: settings mean what the same options of the command line mean (bench/job-tasks.ts, which needs Node; a test holds them
// together). Not here: the tasks (bench/tasks/), the fields (settings.ts), what a sequence looks like (readings.ts).

import { factsOf, shownFigure, type TaskFacts } from '../bench/task-facts.ts';
import { addingTask, copyingTask, drawnDigits, type Figure, smnistTask, type Task } from '../bench/tasks/index.ts';
import type { Settings, TaskName } from './settings.ts';

/** What the page says of a task. */
export interface TaskWords {
  /** What the models learn: `remember digits over a blank`. */
  readonly does: string;
  /** Values of its setting, together: `blanks`. */
  readonly settings: string;
  /** What the shown figure is a share of: `last digits right`. */
  readonly shown: string;
  /** Under the chart of that figure. */
  readonly shownCaption: string;
  /** Under the chart of the loss; what lies below the dashed line. */
  readonly lossCaption: string;
  /** A model that has learned nothing. */
  readonly level: string;
}

/** A task with the settings that it is trained and tested at. */
export interface PageTask {
  readonly task: Task;
  readonly facts: TaskFacts;
  /** The figure that stands for all where there is room for one: a share. */
  readonly shown: Figure;
  readonly words: TaskWords;
}

interface Entry {
  make(settings: Settings): Task;
  /** The setting of the training sequences. */
  trained(settings: Settings): number;
  /** Those of the tests, besides it. */
  tested(trained: number): readonly number[];
  readonly words: TaskWords;
}

const longer = (trained: number): readonly number[] => [2 * trained, 4 * trained];

const entries: Readonly<Record<TaskName, Entry>> = {
  copying: {
    make: ({ digits }) => copyingTask({ digits }),
    trained: ({ blank }) => blank,
    tested: longer,
    words: {
      does: 'remember digits over a blank',
      settings: 'blanks',
      shown: 'last digits right',
      shownCaption:
        'Share of the digits that are recalled right at the end of a sequence, in the batch just trained on.',
      lossCaption:
        'Mean cross-entropy in nats over all steps of a sequence, on a logarithmic scale. Below the dashed line a model remembers.',
      level: 'without memory',
    },
  },
  adding: {
    make: () => addingTask(),
    trained: ({ length }) => length,
    tested: longer,
    words: {
      does: 'add two marked numbers of many',
      settings: 'lengths',
      shown: 'sums right',
      shownCaption: 'Share of the answers less than 0.04 away from the sum, in the batch just trained on.',
      lossCaption:
        'Mean squared error of the sum, on a logarithmic scale. Below the dashed line a model does better than always to answer 1.',
      level: 'always 1',
    },
  },
  smnist: {
    make: () => smnistTask({ digits: drawnDigits() }),
    trained: ({ resolution }) => resolution,
    tested: () => [16, 19, 24],
    words: {
      does: 'read a digit pixel by pixel',
      settings: 'resolutions',
      shown: 'digits right',
      shownCaption: 'Share of the images whose digit is told right after the last pixel, in the batch just trained on.',
      lossCaption:
        'Cross-entropy in nats after the last pixel, on a logarithmic scale. Below the dashed line a model sees more than nothing.',
      level: 'by guessing',
    },
  },
};

/** Whether the page has a task of that name. */
export function isTask(name: string): name is TaskName {
  return Object.hasOwn(entries, name);
}

/** The task that settings mean. */
export function pageTask(settings: Settings): PageTask {
  const { make, trained, tested, words } = entries[settings.task];
  const task = make(settings);
  const own = trained(settings);
  const all = [...new Set([own, ...tested(own)])].sort((a, b) => a - b);
  const facts = factsOf({ task, trained: own, tested: all, headline: words.does, explanation: '' });
  return { task, facts, shown: shownFigure(facts), words };
}

/** With a capital letter. */
export function sentence(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
