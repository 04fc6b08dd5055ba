// What the commands of the command line share: how the user calls them, how arguments are read, the exit codes, and what is
// said when one fails.
//
// Always: a wrong argument is an OptionError that names the mend; a failure is one line on stderr and an exit code, never a
// stack trace. Every exit code of every command is in `EXIT`.
// Not here: which commands there are (rimgrad.ts), and what they do.

import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { DeviceError, nearest, OptionError } from '../engine/errors.ts';
import { describe } from './messages.ts';

/** Exit codes: done; failed; wrong usage; stopped by Ctrl-C; nobody reads the output any more. */
export const EXIT = { done: 0, failed: 1, usage: 2, stopped: 130, unread: 141 } as const;

/** How the user calls a command: `rimgrad eval`, or in a checkout what the set-up hands down, as `npm start --`. */
export function called(name: string): string {
  return process.env.RIMGRAD_CALLED ?? `rimgrad ${name}`;
}

/** A command for output that goes on to another program: npm would begin it with words of its own. */
function silent(command: string): string {
  return command.replace(/^npm (run|start)/, '$& --silent');
}

/** What a shell carries out: in a project that has this package installed no `rimgrad` is on the path. */
export function shellCommand(name: string): string {
  return silent(process.env.RIMGRAD_CALLED ?? `npx rimgrad ${name}`);
}

/** An empty command with our manners of help. @param examples arguments and what they are for, shown under its help */
export function commandOf(
  name: string,
  about: string,
  examples: readonly (readonly [args: string, meaning: string])[],
): Command {
  const lines = examples.map(([args, meaning]) => {
    const begin = /[|>]/.test(args) ? silent(called(name)) : called(name);
    return [`  ${begin} ${args}`.trimEnd(), meaning] as const;
  });
  const width = Math.max(...lines.map(([line]) => line.length));
  const shown = lines.map(([line, meaning]) => `${line.padEnd(width)}   ${meaning}`.trimEnd());
  return new Command(called(name))
    .description(about)
    .helpOption('-h, --help', 'show this and do nothing')
    .addHelpText('after', ['', 'Examples:', ...shown].join('\n'))
    .configureHelp({ helpWidth: 110 })
    .allowExcessArguments(false)
    .showSuggestionAfterError(false)
    .exitOverride();
}

/**
 * Reads a command's arguments.
 * @returns the text of its help where that was asked for
 * @throws OptionError naming the argument and the mend
 */
export function readArguments(command: Command, args: readonly string[]): string | undefined {
  let help = '';
  for (const option of command.options) {
    if (option.argChoices !== undefined) option.argParser(oneOf(option.argChoices));
  }
  command.configureOutput({
    writeOut: (text) => {
      help += text;
    },
    writeErr: () => {},
  });
  try {
    command.parse([...args], { from: 'user' });
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed') return help;
    throw new OptionError(clearer(error, command));
  }
}

/** Says what went wrong. @returns the exit code of it */
export function fail(error: unknown, stderr: NodeJS.WritableStream = process.stderr): number {
  // Set by the set-up where it found no adapter: what to do about it.
  const mend = error instanceof DeviceError ? process.env.RIMGRAD_MEND : undefined;
  stderr.write(`rimgrad: ${describe(error)}\n${mend ? `  mend: ${mend}\n` : ''}`);
  return error instanceof OptionError ? EXIT.usage : EXIT.failed;
}

/** Ends the process, quietly, once nobody reads its output: for commands that only print. */
export function endWhenUnread(): void {
  process.stdout.on('error', () => process.exit(EXIT.unread));
}

/** A parser of whole numbers within limits. */
export function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = wholeIn(text, least, most);
    if (value !== undefined) return value;
    throw new InvalidArgumentError(`Give a whole number from ${least} to ${most}.`);
  };
}

function wholeIn(text: string, least: number, most: number): number | undefined {
  const value = Number(text);
  return /^\d+$/.test(text.trim()) && value >= least && value <= most ? value : undefined;
}

/** A parser of lists of them, with commas between. */
export function wholes(least: number, most: number): (text: string) => number[] {
  return (text) => {
    const list = text.split(',').map((each) => wholeIn(each, least, most));
    if (list.every((each) => each !== undefined)) return list;
    throw new InvalidArgumentError(`Give whole numbers from ${least} to ${most} with commas between, as in 10,20.`);
  };
}

/** A parser of seeds with commas between, each once: one that stood twice would count twice in a mean. */
export function seedList(text: string): number[] {
  const list = wholes(0, 0xffff_ffff)(text);
  if (new Set(list).size === list.length) return list;
  throw new InvalidArgumentError('Give each seed once.');
}

/** A parser of one of some names. */
function oneOf(known: readonly string[]): (text: string) => string {
  return (text) => {
    if (known.includes(text)) return text;
    throw new InvalidArgumentError(meant(text, known));
  };
}

/** What to do about a name that is none of those that there are. */
export function meant(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return `${near === undefined ? '' : `Did you mean ${near}? `}There are ${known.join(', ')}.`;
}

// Commander's message without its prefix; an unknown option gets the nearest known one.
function clearer(error: CommanderError, command: Command): string {
  const message = error.message
    .replace(/^error: /, '')
    .replace(/\s+/g, ' ')
    .replace(/\.?\s*$/, '');
  if (error.code !== 'commander.unknownOption') return `${message}; see --help`;
  const given = /'(-[^']*)'/.exec(message)?.[1] ?? '';
  const near = nearest(
    given,
    command.options.map((option) => option.long ?? option.flags),
  );
  return `there is no option '${given}'; ${near === undefined ? 'see --help' : `did you mean ${near}? See --help`}`;
}
