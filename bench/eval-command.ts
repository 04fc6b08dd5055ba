// `rimgrad eval RUN`: tests the weights that a run saved, at blanks of any length, on the device that is there.
//
// Always: test sequences are those of the training's own evaluations (same seed, same split), so that the figures of a run come
// out again. The models are built from the options that lie in the file or beside it, and nothing is written.
// Not here: what is measured (evaluation.ts), and the file of the weights (runs.ts, engine/weights.ts).

import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Option } from 'commander';
import { FileError } from '../engine/errors.ts';
import {
  type Device,
  loadVariables,
  openDevice,
  RandomState,
  readSafetensors,
  type SafetensorsFile,
} from '../engine/node.ts';
import { commandOf, EXIT, endWhenUnread, readArguments, whole, wholes } from './command-line.ts';
import { makeEvaluation } from './evaluation.ts';
import { formatResults } from './main-job.ts';
import { adapterName } from './messages.ts';
import { type Evaluation, parseObject } from './metrics.ts';
import { copyingModel } from './models.ts';
import { keptOptions, type MainOptions } from './options.ts';
import { readRunConfig } from './runs.ts';
import { memoryless } from './tasks/copying.ts';

/** What `--json` prints. */
export interface SavedEvaluation {
  /** The file of the weights. */
  readonly file: string;
  readonly adapter: string;
  readonly digits: number;
  /** Test sequences at each blank. */
  readonly sequences: number;
  readonly evaluations: readonly Omit<Evaluation, 'step'>[];
  /** A model without memory, over the recalled digits. */
  readonly memoryless: { readonly accuracy: number; readonly crossEntropy: number };
}

interface Given {
  readonly blanks?: readonly number[];
  readonly testBatches?: number;
  readonly batch?: number;
  readonly seed?: number;
  readonly json?: true;
}

/** Tests saved weights. @returns the exit code */
export async function evaluateSaved(args: readonly string[]): Promise<number> {
  const command = commandOf(
    'eval',
    'Tests the weights that a training saved: accuracy and cross-entropy over the digits to recall, at any blank.',
    [
      ['runs/copying-20260131-235959-seed1', 'at the training blank, twice and four times it'],
      ['runs/my-run --blanks 10,100,1000', 'at these blanks'],
      ['my-run/model.safetensors --json > figures.json', 'for machines: one JSON object, nothing else'],
    ],
  )
    .argument('<run>', 'the folder of a run, or its model.safetensors')
    .addOption(
      new Option('--blanks <list>', 'blank lengths, as in 10,20,40 (default: trained, twice, four times)').argParser(
        wholes(1, 100_000),
      ),
    )
    .addOption(
      new Option('--test-batches <n>', "batches at each blank (default: the training's)").argParser(whole(1, 100_000)),
    )
    .addOption(new Option('--batch <n>', "sequences in a batch (default: the training's)").argParser(whole(1, 65_536)))
    .addOption(new Option('--seed <n>', "of the sequences (default: the training's)").argParser(whole(0, 0xffff_ffff)))
    .option('--json', 'print one JSON object instead of a table');
  endWhenUnread();
  const help = readArguments(command, args);
  if (help !== undefined) {
    process.stdout.write(help);
    return EXIT.done;
  }
  const [run = ''] = command.args;
  const given = command.opts<Given>();
  const saved = openSaved(run);
  const options = optionsOf(saved, given);
  const device = await openDevice();
  try {
    const evaluations = await measure(device, saved, options, given.blanks ?? options.testBlanks);
    if (given.json) {
      const { accuracy, recall } = memoryless(options);
      const found: SavedEvaluation = {
        file: saved.path,
        adapter: adapterName(device),
        digits: options.digits,
        sequences: options.batch * options.testBatches,
        evaluations,
        memoryless: { accuracy, crossEntropy: recall },
      };
      process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
    } else {
      const metrics = evaluations.map((each) => ({ kind: 'evaluation', step: 0, ...each }) as const);
      process.stdout.write(`${formatResults(options, metrics)}`);
    }
    return EXIT.done;
  } finally {
    device.dispose();
  }
}

/** Weights on disk. */
interface Saved {
  readonly path: string;
  readonly file: SafetensorsFile;
}

function openSaved(run: string): Saved {
  if (!existsSync(run)) throw new FileError(`${run}: no such folder or file; give the folder of a run`);
  const path = statSync(run).isDirectory() ? join(run, 'model.safetensors') : run;
  if (!existsSync(path))
    throw new FileError(`${path}: there is none; the run saved no weights, or this is no run folder`);
  return { path, file: readSafetensors(readFileSync(path), path) };
}

/** The options that the weights were trained with, and how to test them. */
function optionsOf({ path, file }: Saved, { testBatches, batch, seed }: Given): MainOptions {
  const beside = join(dirname(path), 'config.json');
  const text = file.metadata.options;
  if (text === undefined && !existsSync(beside)) {
    throw new FileError(`${path}: no options in it and no config.json beside it; give the folder of the run`);
  }
  const kept =
    text === undefined
      ? keptOptions(readRunConfig(dirname(path)).options, beside)
      : keptOptions(parseObject(text, path), path);
  return {
    ...kept,
    ...(testBatches !== undefined && { testBatches }),
    ...(batch !== undefined && { batch }),
    ...(seed !== undefined && { seed }),
  };
}

async function measure(
  device: Device,
  { path, file }: Saved,
  options: MainOptions,
  blanks: readonly number[],
): Promise<SavedEvaluation['evaluations']> {
  const names = (['RIM', 'LSTM'] as const).filter((name) =>
    [...file.tensors.keys()].some((tensor) => tensor.startsWith(`${name.toLowerCase()}.`)),
  );
  // Evaluations draw nothing: dropout is ones.
  const models = names.map((name) => copyingModel(name, options, new RandomState({ seed: options.seed })));
  loadVariables(
    file,
    models.flatMap(({ variables }) => variables),
    { file: path },
  );
  const found: Omit<Evaluation, 'step'>[] = [];
  for (const model of models) {
    for (const blank of blanks) {
      const evaluation = await makeEvaluation(device, model, options, blank);
      try {
        found.push({ model: model.name, ...(await evaluation.run(new AbortController().signal)) });
      } finally {
        evaluation.dispose();
      }
    }
  }
  return found;
}
