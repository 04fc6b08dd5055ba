// `rimgrad gradcheck`, and `npm run gradcheck`: the gradient check as a command. A line for each case and question with
// its worst error, then a verdict; exit code 1 where anything is over its limit. What is checked stands in check/.

import { Option } from 'commander';
import { type GradientCheckLine, gradientCheck } from '../check/index.ts';
import { type Device, openDevice } from '../engine/node.ts';
import { commandOf, EXIT, endWhenUnread, readArguments, whole } from './command-line.ts';
import { adapterName } from './messages.ts';

function format({ name, what, worst, limit, ok, problem }: GradientCheckLine): string {
  const verdict = ok ? 'ok  ' : 'FAIL';
  const found = problem ?? `${worst.toExponential(1)} (limit ${limit.toExponential(0)})`;
  return `${verdict} ${what.padEnd(8)} ${name.padEnd(52)} ${found}`;
}

async function check(device: Device, filter: string, seed: number, json: boolean): Promise<boolean> {
  const { lines, ok } = await gradientCheck(device, {
    filter,
    seed,
    onLine: (line) => {
      if (!json) console.log(format(line));
    },
  });
  const failed = lines.filter((line) => !line.ok).length;
  const adapter = adapterName(device);
  if (json) console.log(JSON.stringify({ adapter, ok, checks: lines.length, failed, lines }, null, 2));
  else if (lines.length === 0) console.log(`no case has '${filter}' in its name`);
  else console.log(`${ok ? 'ok' : 'FAILED'}: ${lines.length - failed} of ${lines.length} checks passed on ${adapter}`);
  return ok;
}

/** Checks this device. @returns the exit code */
export async function gradcheck(args: readonly string[]): Promise<number> {
  const command = commandOf(
    'gradcheck',
    'Checks every op and cell on this device: kernels against float64, calculus against central differences.',
    [
      ['', 'everything: a minute or two'],
      ['softmax', 'what has softmax in its name'],
      ['--json > checks.json', 'for machines: one JSON object, nothing else'],
    ],
  )
    .argument('[filter]', 'only cases whose name contains this', '')
    .addOption(new Option('--seed <n>', 'seed of the drawn numbers').argParser(whole(0, 0xffff_ffff)).default(1))
    .option('--json', 'print one JSON object instead of lines');
  endWhenUnread();
  const help = readArguments(command, args);
  if (help !== undefined) {
    process.stdout.write(help);
    return EXIT.done;
  }
  const [filter = ''] = command.args;
  const { seed, json } = command.opts<{ seed: number; json?: true }>();
  const device = await openDevice();
  try {
    return (await check(device, filter, seed, json === true)) ? EXIT.done : EXIT.failed;
  } finally {
    device.dispose();
  }
}
