// `npm run soak`: thousands of training steps of a tiny model, looked at as they go; a row now and then, then what was found.
//
// Always: exit code 1 where anything grew that must not, 2 for a bad command line; Ctrl-C ends it with what there is, unjudged.
// Not here: the training (soak.ts) and the questions (samples.ts).

import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { OptionError, openDevice } from '../../engine/node.ts';
import { writeAtomically } from '../disk.ts';
import { EXIT } from '../main-job.ts';
import { adapterName, describe, oneLine } from '../messages.ts';
import { FEWEST_SAMPLES, judge, mebibytes, type Sample } from './samples.ts';
import { soak } from './soak.ts';

interface Options {
  readonly steps: number;
  readonly every: number;
  readonly out?: string;
}

/** Rows that are printed of a run, at most. */
const ROWS = 20;

const controller = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (controller.signal.aborted) process.exit(EXIT.stopped);
    controller.abort();
  });
}
async function main(args: readonly string[]): Promise<number> {
  const command = new Command('npm run soak --')
    .description(
      'Trains a tiny RIM for a long time and holds what it uses against itself: the JavaScript heap of the last quarter\n' +
        "against the second's, bytes and objects on the GPU against the first sample's.",
    )
    .option('--steps <n>', 'training steps', whole, 20_000)
    .option('--every <n>', 'steps between samples', whole, 100)
    .option('--out <file>', 'write the samples and the findings here, as JSON')
    .configureHelp({ helpWidth: 125 })
    .configureOutput({ writeErr: () => {} })
    .allowExcessArguments(false)
    .exitOverride();
  try {
    command.parse([...args], { from: 'user' });
    return await run(command.opts<Options>(), args);
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.code === 'commander.helpDisplayed') return EXIT.done;
      process.stderr.write(`rimgrad: ${oneLine(error.message).replace(/^error: /, '')}; see --help\n`);
      return EXIT.usage;
    }
    // Set by the set-up where it found no adapter: what to do about it.
    const mend = process.env.RIMGRAD_MEND;
    process.stderr.write(`rimgrad: ${describe(error)}\n${mend ? `${mend}\n` : ''}`);
    return error instanceof OptionError ? EXIT.usage : EXIT.failed;
  }
}

async function run({ steps, every, out }: Options, args: readonly string[]): Promise<number> {
  const count = Math.floor(steps / every);
  if (count < FEWEST_SAMPLES) {
    throw new OptionError(
      `soak: ${steps} steps with a sample every ${every} give ${count} samples, and it needs ${FEWEST_SAMPLES}; raise --steps or lower --every`,
    );
  }
  const collect = globalThis.gc;
  if (collect === undefined) throw new OptionError('soak: node must run with --expose-gc; use npm run soak');
  const device = await openDevice();
  try {
    const { stdout } = process;
    const adapter = adapterName(device);
    stdout.write(`${steps} steps on ${adapter}\n\n${HEADINGS.map((text) => text.padStart(13)).join('')}\n`);
    const rest = Math.ceil(count / ROWS);
    let taken = 0;
    const samples = await soak(
      device,
      { steps, every, signal: controller.signal },
      {
        collect: () => void collect(),
        onSample: (sample) => {
          taken++;
          if (taken === 1 || taken % rest === 0) stdout.write(`${row(sample)}\n`);
        },
      },
    );
    const stopped = controller.signal.aborted;
    const findings = stopped ? [] : judge(samples);
    const ok = findings.every((finding) => finding.ok);
    stdout.write('\n');
    for (const finding of findings) {
      stdout.write(`${finding.ok ? 'ok    ' : 'FAILED'} ${finding.what}: ${finding.found}\n`);
    }
    if (out !== undefined) {
      const head = { format: 'rimgrad soak 1', command: ['npm run soak --', ...args].join(' '), adapter };
      const result = { ...head, node: process.versions.node, steps, every, stopped, ok, findings, samples };
      writeAtomically(out, `${JSON.stringify(result, null, 1)}\n`);
    }
    return stopped ? EXIT.stopped : ok ? EXIT.done : EXIT.failed;
  } finally {
    device.dispose();
  }
}

const HEADINGS = ['step', 'loss', 'seconds', 'heap', 'external', 'process', 'GPU', 'GPU objects'];

function row({ step, loss, seconds, heap, external, resident, gpuBytes, asked }: Sample): string {
  const cells = [
    String(step),
    loss.toFixed(4),
    seconds.toFixed(0),
    mebibytes(heap),
    mebibytes(external),
    mebibytes(resident),
    mebibytes(gpuBytes),
    String(asked),
  ];
  return cells.map((cell) => cell.padStart(13)).join('');
}

function whole(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= 1e9) return value;
  throw new InvalidArgumentError('Give a whole number of at least 1.');
}

process.exitCode = await main(process.argv.slice(2));
