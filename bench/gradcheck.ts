// The command line of the gradient check: `npm run gradcheck [-- filter] [--runtime node|deno|browser] [--json]`. A table with a
// line for each case and question, its worst error beside the limit, then a verdict; exit code 1 where anything is over its
// limit. What is checked stands in check/, how another runtime is asked in gradcheck-elsewhere.ts.

import { Command, Option } from 'commander';
import { formatLine, formatVerdict, type GradientCheckLine, gradientCheck, TABLE_HEAD } from '../check/index.ts';
import { OptionError, openDevice } from '../engine/node.ts';
import { checkElsewhere, type Elsewhere } from './gradcheck-elsewhere.ts';
import { adapterName, describe } from './messages.ts';

const runtimes = ['node', 'deno', 'browser'] as const;

interface Options {
  readonly seed: string;
  readonly json?: true;
  readonly runtime: (typeof runtimes)[number];
}

const command = new Command('npm run gradcheck --')
  .description(
    'checks every op, the RIM in each preset, optimisers and clipping on this device: kernels and updates against float64, calculus against central differences',
  )
  .argument('[filter]', 'only cases whose name contains this', '')
  .addOption(new Option('--runtime <name>', 'where to check').choices(runtimes).default('node'))
  .option('--seed <number>', 'seed of the drawn numbers', '1')
  .option('--json', 'write one JSON object instead of a table')
  .showHelpAfterError();

async function checkHere(filter: string, seed: number, onLine: (line: GradientCheckLine) => void): Promise<Elsewhere> {
  const device = await openDevice();
  try {
    const { lines } = await gradientCheck(device, { filter, seed, onLine });
    return { adapter: adapterName(device), lines };
  } finally {
    device.dispose();
  }
}

async function main(): Promise<number> {
  command.parse();
  const [filter = ''] = command.args;
  const { seed: text, json = false, runtime } = command.opts<Options>();
  if (!/^\d+$/.test(text)) throw new OptionError(`gradcheck: --seed ${text} is no whole number; give one, as 1`);
  const seed = Number(text);
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
  else if (lines.length === 0) console.log(`no case has '${filter}' in its name`);
  else console.log(formatVerdict(lines, runtime === 'node' ? adapter : `${adapter}, in ${runtime}`));
  return ok ? 0 : 1;
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
