// `rimgrad gradcheck [filter] [--runtime node|deno|browser] [--json]`, and `npm run gradcheck`: the gradient check as a command. A table
// with a line for each case and question, its worst error beside the limit, then a verdict; exit code 1 where anything is over its
// limit. What is checked stands in check/, how another runtime is asked in gradcheck-elsewhere.ts.

import { Option } from 'commander';
import {
  allCases,
  formatLine,
  formatVerdict,
  type GradientCheckLine,
  gradientCheck,
  TABLE_HEAD,
  updateCases,
} from '../check/index.ts';
import { nearest, OptionError, quote } from '../engine/errors.ts';
import { openDevice } from '../engine/node.ts';
import { commandOf, EXIT, endWhenUnread, readArguments, whole } from './command-line.ts';
import { checkElsewhere, type Elsewhere } from './gradcheck-elsewhere.ts';
import { adapterName } from './messages.ts';

const runtimes = ['node', 'deno', 'browser'] as const;

interface Options {
  readonly seed: number;
  readonly json?: true;
  readonly runtime: (typeof runtimes)[number];
}

async function checkHere(filter: string, seed: number, onLine: (line: GradientCheckLine) => void): Promise<Elsewhere> {
  const device = await openDevice();
  try {
    const { lines } = await gradientCheck(device, { filter, seed, onLine });
    return { adapter: adapterName(device), lines };
  } finally {
    device.dispose();
  }
}

/** @throws OptionError where no case has it in its name, with some that have something like it */
function checkFilter(filter: string): void {
  const names = [...allCases, ...updateCases].map(({ name }) => name);
  if (names.some((name) => name.includes(filter))) return;
  const word = nearest(filter, [...new Set(names.flatMap((name) => name.split(/\W+/)))]);
  const like = names.filter((name) => word !== undefined && name.includes(word)).slice(0, 3);
  const mend = like.length === 0 ? 'leave it out to check everything' : `there is ${like.map(quote).join(', ')}`;
  throw new OptionError(`gradcheck: no case has ${quote(filter)} in its name; ${mend}`);
}

/** Checks a device of this machine. @returns the exit code */
export async function gradcheck(args: readonly string[]): Promise<number> {
  const command = commandOf(
    'gradcheck',
    'Checks every op, the RIM in each preset, optimisers and clipping on this device: kernels and updates against\n' +
      'float64, calculus against central differences.',
    [
      ['', 'everything: some minutes without a GPU'],
      ['softmax', 'what has softmax in its name'],
      ['--runtime deno', 'in Deno, with the npm package deno; or browser, with Chromium and playwright-core'],
      ['--json > checks.json', 'for machines: one JSON object, nothing else'],
    ],
  )
    .argument('[filter]', 'only cases whose name contains this', '')
    .addOption(new Option('--runtime <name>', 'where to check').choices(runtimes).default('node'))
    .addOption(new Option('--seed <n>', 'seed of the drawn numbers').argParser(whole(0, 0xffff_ffff)).default(1))
    .option('--json', 'print one JSON object instead of a table');
  endWhenUnread();
  const help = readArguments(command, args);
  if (help !== undefined) {
    process.stdout.write(help);
    return EXIT.done;
  }
  const [filter = ''] = command.args;
  checkFilter(filter);
  const { seed, json = false, runtime } = command.opts<Options>();
  let began = false;
  const onLine = (line: GradientCheckLine): void => {
    if (json) return;
    if (!began) console.log(TABLE_HEAD);
    began = true;
    console.log(formatLine(line));
  };
  const check =
    runtime === 'node' ? checkHere(filter, seed, onLine) : checkElsewhere(runtime, { filter, seed }, onLine);
  const { adapter, lines } = await check;
  const failed = lines.filter((line) => !line.ok).length;
  const ok = failed === 0 && lines.length > 0;
  if (json) console.log(JSON.stringify({ adapter, runtime, ok, checks: lines.length, failed, lines }, null, 2));
  else console.log(formatVerdict(lines, runtime === 'node' ? adapter : `${adapter}, in ${runtime}`));
  return ok ? EXIT.done : EXIT.failed;
}
