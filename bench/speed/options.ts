// The options of the benchmark: names, defaults and meaning, and the parser of its command line.
//
// Always: what comes out is complete and checked. Not here: what the options do (bench.ts).

import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { nearest, OptionError } from '../../engine/errors.ts';
import { PEER_NAMES, type PeerName } from './peers/index.ts';
import { SIZES } from './work.ts';

/** A size of the benchmark by name. */
export type SizeName = keyof typeof SIZES;

/** Every option of the benchmark, complete. */
export interface BenchOptions {
  /** Left open, the adapter decides: S and M, on a GPU P as well. */
  readonly sizes?: readonly SizeName[];
  /** Rounds of the contestants; curves take at most three. */
  readonly rounds: number;
  /** The peers that are asked, where they are installed. */
  readonly peers: readonly PeerName[];
  /** Size P with the browser peers even on a software adapter. */
  readonly all: boolean;
  readonly scaling: boolean;
  readonly kernels: boolean;
  /** The folder for the JSON file and the page. */
  readonly out: string;
  readonly html: boolean;
  /** Whether everything is kept short. */
  readonly quick: boolean;
}

/** What a command line asks for. */
export type BenchRequest =
  | { readonly kind: 'run'; readonly options: BenchOptions }
  | { readonly kind: 'help'; readonly text: string };

interface Given {
  readonly sizes?: readonly SizeName[];
  readonly rounds?: number;
  readonly peers?: readonly PeerName[] | boolean;
  readonly all?: boolean;
  readonly scaling?: boolean;
  readonly kernels?: boolean;
  readonly out: string;
  readonly html?: boolean;
  readonly quick?: boolean;
}

const NAMES = Object.keys(SIZES) as SizeName[];

const EXAMPLES = `
Examples:
  npm run bench                                  sizes S and M (on a GPU P too), all peers that are installed
  npm run bench -- --quick                       size S, rimgrad alone: under a minute
  npm run bench -- --sizes M --no-peers --html   size M, rimgrad alone, curves and kernels, and the page
  npm run bench -- --sizes S --peers jax-js-webgpu,jax-js-wasm --no-scaling --no-kernels
  npm run bench -- --all --html                  everything: for a GPU, or an hour
`;

/** The benchmark's options from command-line arguments. @throws OptionError naming the option and the mend */
export function parseBenchOptions(args: readonly string[]): BenchRequest {
  let help = '';
  const command = new Command('npm run bench --')
    .description(
      'Checks that rimgrad and its peers compute the same, then times their training steps on this machine; prints a\n' +
        'table and the targets, and writes everything measured to a JSON file.',
    )
    .addOption(
      new Option('--sizes <list>', 'of S, M, P (default: S,M, on a GPU P as well; quick: S; all: S,M,P)').argParser(
        listOf('size', NAMES),
      ),
    )
    .addOption(new Option('--rounds <n>', 'rounds of measurements (default: 9; quick: 3)').argParser(rounds))
    .addOption(
      new Option(
        '--peers <list>',
        `of ${PEER_NAMES.join(', ')} (default: all that are installed; quick: none)`,
      ).argParser(listOf('peer', PEER_NAMES)),
    )
    .option('--no-peers', 'rimgrad alone')
    .option('--all', 'size P as well, with the browser peers on a software adapter too')
    .option('--scaling', 'how cost grows with T, B, N and K (default; quick: not)')
    .option('--no-scaling', 'no curves')
    .option('--kernels', 'kernels and products against ceilings (default; quick: not)')
    .option('--no-kernels', 'no ceilings')
    .option('--out <folder>', 'where the JSON file and the page go', 'runs/bench')
    .option('--html', 'write a page with charts beside the JSON file')
    .option('--quick', 'a short look: size S, few rounds, rimgrad alone, no curves, no ceilings')
    .helpOption('-h, --help', 'show this and do nothing')
    .addHelpText('after', EXAMPLES)
    .configureHelp({ helpWidth: 110 })
    .configureOutput({
      writeOut: (text) => {
        help += text;
      },
      writeErr: () => {},
    })
    .allowExcessArguments(false)
    .showSuggestionAfterError(false)
    .exitOverride();
  try {
    command.parse([...args], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed') return { kind: 'help', text: help };
    throw new OptionError(clearer(error, command));
  }
  return { kind: 'run', options: complete(command.opts<Given>()) };
}

function complete(given: Given): BenchOptions {
  const { all = false, html = false, quick = false, out, peers } = given;
  const sizes = given.sizes ?? (quick ? (['S'] as const) : all ? NAMES : undefined);
  return {
    ...(sizes === undefined ? {} : { sizes }),
    rounds: given.rounds ?? (quick ? 3 : 9),
    peers: Array.isArray(peers) ? peers : peers === false || quick ? [] : PEER_NAMES,
    all,
    scaling: given.scaling ?? !quick,
    kernels: given.kernels ?? !quick,
    out,
    html,
    quick,
  };
}

/** A parser of names with commas between them. */
function listOf<Name extends string>(what: string, names: readonly Name[]): (text: string) => Name[] {
  return (text) => {
    const wanted = text.split(',').map((each): Name => {
      const word = each.trim();
      const name = names.find((known) => known.toLowerCase() === word.toLowerCase());
      if (name !== undefined) return name;
      const near = nearest(word, names);
      const mend = near === undefined ? '' : `, did you mean ${near}`;
      throw new InvalidArgumentError(`There is no ${what} '${word}'${mend}? Known: ${names.join(', ')}.`);
    });
    return [...new Set(wanted)];
  };
}

function rounds(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= 1000) return value;
  throw new InvalidArgumentError('Give a whole number from 1 to 1000.');
}

function clearer(error: CommanderError, command: Command): string {
  const message = error.message
    .replace(/^error: /, '')
    .replaceAll(/\s+/g, ' ')
    .trim();
  if (error.code !== 'commander.unknownOption') return `bench: ${message}; see --help`;
  const given = /'(-[^']*)'/.exec(message)?.[1] ?? '';
  const longs = command.options.map((option) => option.long ?? option.flags);
  const near = nearest(given, longs);
  return `bench: there is no option '${given}'; ${near === undefined ? 'see --help' : `did you mean ${near}? See --help`}`;
}
