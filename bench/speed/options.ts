// The options of the benchmark: names, defaults and meaning, and the parser of its command line.
//
// Always: what comes out is complete and checked. Not here: what the options do (bench.ts).

import { InvalidArgumentError, Option } from 'commander';
import { commandOf, meant, readArguments, whole } from '../command-line.ts';
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
  /** The systems that RIMs are compared with beside a RIM, and nothing else. */
  readonly systems: boolean;
  /** The folder for the JSON file and the page. */
  readonly out: string;
  readonly html: boolean;
  /** Whether everything is kept short. */
  readonly quick: boolean;
  /** Whether the JSON is printed instead of tables. */
  readonly json: boolean;
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
  readonly systems?: boolean;
  readonly out: string;
  readonly html?: boolean;
  readonly quick?: boolean;
  readonly json?: boolean;
}

const NAMES = Object.keys(SIZES) as SizeName[];

const EXAMPLES = [
  ['', 'sizes S and M (on a GPU P too), all peers that are installed'],
  ['--quick', 'size S, rimgrad alone: under a minute'],
  ['--sizes M --no-peers --html', 'size M, rimgrad alone, curves and kernels, and the page'],
  ['--sizes S --peers jax-js-webgpu,jax-js-wasm --no-scaling --no-kernels', ''],
  ['--all --html', 'everything: for a GPU, or an hour'],
] as const;

/** The benchmark's options from command-line arguments. @throws OptionError naming the option and the mend */
export function parseBenchOptions(args: readonly string[]): BenchRequest {
  const command = commandOf(
    'bench',
    'Checks that rimgrad and its peers compute the same, then times their training steps on this machine; prints a\n' +
      'table and the targets, and writes everything measured to a JSON file.',
    EXAMPLES,
  )
    .addOption(
      new Option('--sizes <list>', 'of S, M, P (default: S,M, on a GPU P as well; quick: S; all: S,M,P)').argParser(
        listOf('size', NAMES),
      ),
    )
    .addOption(new Option('--rounds <n>', 'rounds of measurements (default: 9; quick: 3)').argParser(whole(1, 1000)))
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
    .option('--systems', 'RIMs beside the systems that they are compared with, at one hidden size, and nothing else')
    .option('--out <folder>', 'where the JSON file and the page go', 'runs/bench')
    .option('--html', 'write a page with charts beside the JSON file')
    .option('--quick', 'a short look: size S, few rounds, rimgrad alone, no curves, no ceilings')
    .option('--json', 'print the JSON instead of tables');
  const help = readArguments(command, args);
  if (help !== undefined) return { kind: 'help', text: help };
  return { kind: 'run', options: complete(command.opts<Given>()) };
}

/** @throws OptionError for options that do not go together */
function complete(given: Given): BenchOptions {
  const { all = false, html = false, quick = false, json = false, systems = false, out, peers } = given;
  const sizes = given.sizes ?? (quick ? (['S'] as const) : all ? NAMES : undefined);
  return {
    ...(sizes === undefined ? {} : { sizes }),
    rounds: given.rounds ?? (quick ? 3 : 9),
    peers: Array.isArray(peers) ? peers : peers === false || quick ? [] : PEER_NAMES,
    all,
    scaling: given.scaling ?? !quick,
    kernels: given.kernels ?? !quick,
    systems,
    out,
    html,
    quick,
    json,
  };
}

/** A parser of names with commas between them. */
function listOf<Name extends string>(what: string, names: readonly Name[]): (text: string) => Name[] {
  return (text) => {
    const wanted = text.split(',').map((each): Name => {
      const word = each.trim();
      const name = names.find((known) => known.toLowerCase() === word.toLowerCase());
      if (name !== undefined) return name;
      throw new InvalidArgumentError(`There is no ${what} '${word}'. ${meant(word, names)}`);
    });
    return [...new Set(wanted)];
  };
}
