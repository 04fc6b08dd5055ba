// The command line of the gradient check: `npm run gradcheck [-- filter] [--json]`. A line for each case and question with
// its worst error, then a verdict; exit code 1 where anything is over its limit. What is checked stands in check/.

import { Command } from 'commander';
import { type GradientCheckLine, gradientCheck } from '../check/index.ts';
import { type Device, OptionError, openDevice } from '../engine/node.ts';
import { adapterName, describe } from './messages.ts';

const command = new Command('npm run gradcheck --')
  .description('checks every op and cell on this device: kernels against float64, calculus against central differences')
  .argument('[filter]', 'only cases whose name contains this', '')
  .option('--seed <number>', 'seed of the drawn numbers', '1')
  .option('--json', 'write one JSON object instead of lines')
  .showHelpAfterError();

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

async function main(): Promise<number> {
  command.parse();
  const [filter = ''] = command.args;
  const { seed, json } = command.opts<{ seed: string; json?: true }>();
  if (!/^\d+$/.test(seed)) throw new OptionError(`gradcheck: --seed ${seed} is no whole number; give one, as 1`);
  const device = await openDevice();
  try {
    return (await check(device, filter, Number(seed), json === true)) ? 0 : 1;
  } finally {
    device.dispose();
  }
}

function fail(message: string): void {
  // Set by the set-up where it found no adapter: what to do about it.
  const mend = process.env.RIMGRAD_MEND;
  process.stderr.write(`rimgrad: ${message}\n${mend ? `${mend}\n` : ''}`);
  process.exitCode = 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  fail(describe(error));
}
