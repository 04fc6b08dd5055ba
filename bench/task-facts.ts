// What a report and a table need to know of a run's task, as plain data: it lies in config.json, so that a page is drawn from a run's
// folder alone, without the task's own files.
//
// Always: what comes back from a file has every field of its type. Not here: the task (tasks/), and the file (run-config.ts).

import { input } from '../engine/core.ts';
import { at, FileError } from '../engine/errors.ts';
import type { Figures } from './metrics.ts';
import type { Figure, Task } from './tasks/index.ts';

/** A task, and the settings that a run trains and tests at. */
export interface JobTask {
  readonly task: Task;
  /** The setting of the training sequences. */
  readonly trained: number;
  /** The settings of the test sequences, ascending, the training setting among them. */
  readonly tested: readonly number[];
  /** What a run does, in words that a person reads first: `Copying 3 digits over a blank of 10`. */
  readonly headline: string;
  /** What the task and its figures are, in a few sentences. */
  readonly explanation: string;
}

/** A run's task in plain data. */
export interface TaskFacts {
  readonly name: string;
  /** What a test varies, in one word: `blank`, `length`, `resolution`. */
  readonly setting: string;
  readonly trained: number;
  /** Ascending, `trained` among them. */
  readonly tested: readonly number[];
  /** The figures of merit, the deciding one first. */
  readonly figures: readonly Figure[];
  /** The figure that training minimises, by its name; missing where the loss is none of them. */
  readonly loss?: string;
  /** As a job's task has them. */
  readonly headline: string;
  readonly explanation: string;
  /** Whose data it is, where the task says so: digits that were drawn are not MNIST's. */
  readonly source?: string;
  /** The sequences of the test split, where they have an end. */
  readonly testSequences?: number;
  /** For each of `tested` the figures of a model that has learned nothing but the layout. */
  readonly trivial: readonly Figures[];
}

/** What a task is, in plain data. */
export function factsOf({ task, trained, tested, headline, explanation }: JobTask): TaskFacts {
  const { name, setting, figures, source } = task;
  const { shape, dtype } = task.target(trained, 1);
  const scores = input(
    'scores',
    task.scored === 'every step' ? [task.steps(trained), 1, task.scores] : [1, task.scores],
  );
  const measured = task.measures(scores, input('y', shape, dtype), trained);
  const loss = Object.entries(measured.figures).find(([, figure]) => figure === measured.loss)?.[0];
  const trivial = tested.map((each) => task.trivial(each));
  const told = { headline, explanation, ...(source !== undefined && { source }) };
  const testSequences = task.sequences('test');
  return {
    name,
    setting,
    trained,
    tested,
    figures,
    ...(loss && { loss }),
    ...told,
    ...(testSequences !== undefined && { testSequences }),
    trivial,
  };
}

/** The figures of a model that has learned nothing, at one of the tested settings. */
export function trivialAt({ tested, trivial }: TaskFacts, setting: number): Figures {
  return trivial[tested.indexOf(setting)] ?? {};
}

/** The figure that reads best where there is room for one: a share from 0 to 1 where there is one, else the deciding one. */
export function shownFigure({ figures }: Pick<TaskFacts, 'figures'>): Figure {
  return figures.find(({ unit }) => unit === 'share') ?? at(figures, 0);
}

/** Facts from JSON. @param where what an error names @throws FileError naming what is missing or none */
export function parseFacts(given: Readonly<Record<string, unknown>>, where: string): TaskFacts {
  const damaged = (name: string, what: string): FileError =>
    new FileError(`${where}: 'task.${name}' must be ${what}; the file is damaged`);
  const text = (name: string, of = given): string => {
    const value = of[name];
    if (typeof value === 'string') return value;
    throw damaged(name, 'text');
  };
  const list = (name: string): readonly unknown[] => {
    const value = given[name];
    if (Array.isArray(value)) return value;
    throw damaged(name, 'a list');
  };
  const number = (name: string, value: unknown): number => {
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    throw damaged(name, 'of numbers');
  };
  const object = (name: string, value: unknown): Readonly<Record<string, unknown>> => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return Object.fromEntries(Object.entries(value));
    }
    throw damaged(name, 'a list of objects');
  };
  const figures = list('figures').map((each): Figure => {
    const figure = object('figures', each);
    const unit = UNITS.find((known) => known === figure.unit);
    const better = BETTER.find((known) => known === figure.better);
    if (unit === undefined || better === undefined) throw damaged('figures', 'figures with a unit and a better side');
    return { name: text('name', figure), label: text('label', figure), unit, better };
  });
  const tested = list('tested').map((each) => number('tested', each));
  const trivial = list('trivial').map((each) => {
    const entries = Object.entries(object('trivial', each));
    return Object.fromEntries(entries.map(([name, value]) => [name, number('trivial', value)]));
  });
  if (figures.length === 0) throw damaged('figures', 'a list of one figure at least');
  if (trivial.length !== tested.length) throw damaged('trivial', `of ${tested.length} entries, as 'tested'`);
  const trained = number('trained', given.trained);
  return {
    name: text('name'),
    setting: text('setting'),
    trained,
    tested,
    figures,
    ...(given.loss === undefined ? {} : { loss: text('loss') }),
    headline: text('headline'),
    explanation: text('explanation'),
    ...(given.source === undefined ? {} : { source: text('source') }),
    ...(given.testSequences === undefined ? {} : { testSequences: number('testSequences', given.testSequences) }),
    trivial,
  };
}

const UNITS = ['nats', 'share', ''] as const;
const BETTER = ['lower', 'higher'] as const;
