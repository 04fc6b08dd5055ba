// `npm run soak`: thousands of training steps of a tiny model, looked at as they go; a row now and then, then what was found.
//
// Always: exit code 1 where anything grew that must not; Ctrl-C ends it with what there is, unjudged.
// Not here: the training (soak.ts) and the questions (samples.ts).

import { setFlagsFromString } from 'node:v8';
import { Option } from 'commander';
import { OptionError, openDevice } from '../../engine/node.ts';
import { called, commandOf, EXIT, fail, readArguments, whole } from '../command-line.ts';
import { writeAtomically } from '../disk.ts';
import { adapterName } from '../messages.ts';
import { FEWEST_SAMPLES, judge, mebibytes, type Sample } from './samples.ts';
import { soak } from './soak.ts';

interface Options {
  readonly steps: number;
  /** By default 100, or fewer where the run would be too short for that. */
  readonly every?: number;
  readonly out?: string;
}

/** Steps between samples, where there are many. */
const USUALLY = 100;
/** Rows that are printed of a run, at most. */
const ROWS = 20;

// V8 drops the code of functions that were not called for a while, at moments of its own: a third of a MiB, which is no news of ours.
setFlagsFromString('--no-flush-bytecode');

const controller = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (controller.signal.aborted) process.exit(EXIT.stopped);
    controller.abort();
  });
}

async function main(args: readonly string[]): Promise<number> {
  const steps = whole(1, 1e9);
  const command = commandOf(
    'soak',
    'Trains a tiny RIM for a long time and holds what it uses against itself: the JavaScript heap of the last\n' +
      "quarter against the second's, bytes and objects on the GPU against the first sample's.",
    [
      ['', 'for about five minutes'],
      ['--steps 2000 --every 50 --out soak.json', 'a shorter one, with its samples in a file'],
    ],
  )
    .addOption(new Option('--steps <n>', 'training steps').argParser(steps).default(20_000))
    .addOption(
      new Option('--every <n>', `steps between samples (default: ${USUALLY}, fewer in a short run)`).argParser(steps),
    )
    .option('--out <file>', 'write the samples and the findings here, as JSON');
  const help = readArguments(command, args);
  if (help !== undefined) {
    process.stdout.write(help);
    return EXIT.done;
  }
  return await run(command.opts<Options>(), args);
}

async function run({ steps, out, ...given }: Options, args: readonly string[]): Promise<number> {
  const every = given.every ?? Math.max(1, Math.min(USUALLY, Math.floor(steps / FEWEST_SAMPLES)));
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
      const head = { format: 'rimgrad soak 1', command: [called('soak'), ...args].join(' '), adapter };
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

process.exitCode = await main(process.argv.slice(2)).catch(fail);
