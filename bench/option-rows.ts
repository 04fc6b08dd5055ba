// A row of an option table: how an option is written, what it means, what it is when nobody gives it. And the parsers of values that
// are no whole numbers (those are in command-line.ts).
//
// Always: what comes out of a parser is checked. Not here: the tables (option-table.ts, job-tasks.ts).

import { InvalidArgumentError, Option } from 'commander';
import { meant } from './command-line.ts';

/** An option. */
export interface Row {
  /** As Commander has them: `--blank <n>`. */
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

/** A row as Commander has it. */
export function toOption(row: Row): Option {
  const option = new Option(row.flags, row.meaning);
  if (row.parse !== undefined) option.argParser(row.parse);
  if (row.choices !== undefined) option.choices([...row.choices]);
  const paper = row.paper === undefined ? '' : `; --paper: ${String(row.paper)}`;
  if (row.value !== undefined) {
    option.default(row.value, row.value === false ? undefined : `${String(row.value)}${paper}`);
  }
  if (row.shown !== undefined) option.description += ` (default: ${row.shown})`;
  return option;
}

/** The name that an option has in an object: `testBlanks` for `--test-blanks <list>`. */
export function nameOf({ flags }: Pick<Row, 'flags'>): string {
  return new Option(flags).attributeName();
}

/** The option that has a name in an object: `--test-blanks` for `testBlanks`. */
export function flagOf(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** A parser of numbers within limits. */
export function real(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Give a number from ${least} to ${most}.`);
  };
}

/** A parser of what must not be empty. @param what it is: `a folder` */
export function someText(what: string): (text: string) => string {
  return (text) => {
    if (text.trim() !== '') return text;
    throw new InvalidArgumentError(`Give ${what}.`);
  };
}

/** A parser of names of one folder. */
export function folderName(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(text)) return text;
  throw new InvalidArgumentError(
    'Give up to 100 letters, digits, dots, dashes or underscores, a letter or digit first.',
  );
}

/** A parser of lists of known names with commas between, each once. */
export function namesOf(known: readonly string[]): (text: string) => string[] {
  return (text) => {
    const names = text.split(',').map((name) => name.trim());
    const stranger = names.find((name) => !known.includes(name));
    if (stranger !== undefined) throw new InvalidArgumentError(`There is no '${stranger}'. ${meant(stranger, known)}`);
    if (new Set(names).size === names.length) return names;
    throw new InvalidArgumentError(`Give each of ${known.join(', ')} once at most.`);
  };
}
