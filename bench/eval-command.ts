// `rimgrad eval RUN`: tests the weights that a run saved, at settings of any size, on the device that is there.
//
// Always: test sequences are those of the training's own evaluations (same seed, same split), so that the figures of a run come
// out again. The models are built from the options that lie in the file or beside it, and nothing is written.
// Not here: what is measured (evaluation.ts), and the file of the weights (runs.ts, engine/weights.ts).

import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Option } from 'commander';
import { FileError, OptionError } from '../engine/errors.ts';
import {
  type Device,
  loadVariables,
  openDevice,
  RandomState,
  readSafetensors,
  type SafetensorsFile,
} from '../engine/node.ts';
import { commandOf, EXIT, endWhenUnread, readArguments, whole, wholes } from './command-line.ts';
import { folderNear } from './disk.ts';
import { batchesOf, makeEvaluation } from './evaluation.ts';
import { jobTask } from './job-tasks.ts';
import { type TrivialFigures, trivialFigures } from './main-job.ts';
import { adapterName } from './messages.ts';
import { type Evaluation, parseObject } from './metrics.ts';
import { taskModel } from './models.ts';
import { keptOptions, type MainOptions } from './options.ts';
import { formatResults } from './results-table.ts';
import { readRunConfig } from './runs.ts';
import { factsOf, type JobTask } from './task-facts.ts';

/** What `--json` prints. */
export interface SavedEvaluation {
  /** The file of the weights. */
  readonly file: string;
  readonly adapter: string;
  readonly task: string;
  /** What a test varies. */
  readonly setting: string;
  /** Whose data it is, where the task says so. */
  readonly data: string | null;
  /** Test sequences at each setting. */
  readonly sequences: number;
  readonly evaluations: readonly Omit<Evaluation, 'split'>[];
  /** A model that has learned nothing but the layout. */
  readonly trivial: readonly TrivialFigures[];
}

interface Given {
  readonly at?: readonly number[];
  readonly testBatches?: number;
  readonly batch?: number;
  readonly seed?: number;
  readonly mnist?: string;
  readonly json?: true;
}

/** Tests saved weights. @returns the exit code */
export async function evaluateSaved(args: readonly string[]): Promise<number> {
  const command = commandOf(
    'eval',
    "Tests the weights that a training saved: the task's figures, at any blank, length or resolution.",
    [
      ['runs/copying-20260131-235959-seed1', 'where the training tested it'],
      ['runs/my-run --at 10,100,1000', 'at these blanks'],
      ['my-run/model.safetensors --json > figures.json', 'for machines: one JSON object, nothing else'],
    ],
  )
    .argument('<run>', 'the folder of a run, or its model.safetensors')
    .addOption(
      new Option(
        '--at <list>',
        "blanks, lengths or resolutions, as in 10,20,40 (default: those of the training's tests)",
      ).argParser(wholes(1, 1_000_000)),
    )
    .addOption(
      new Option('--test-batches <n>', "batches at each setting (default: the training's)").argParser(
        whole(1, 100_000),
      ),
    )
    .addOption(new Option('--batch <n>', "sequences in a batch (default: the training's)").argParser(whole(1, 65_536)))
    .addOption(new Option('--seed <n>', "of the sequences (default: the training's)").argParser(whole(0, 0xffff_ffff)))
    .option('--mnist <folder>', "smnist: the folder of MNIST's files (default: the training's)")
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
  const trained = await jobTask(options);
  const tested = given.at === undefined ? trained.tested : [...new Set(given.at)];
  const job = { ...trained, tested };
  const facts = factsOf(job);
  const device = await openDevice();
  try {
    const evaluations = await measure(device, saved, options, job);
    if (given.json) {
      const found: SavedEvaluation = {
        file: saved.path,
        adapter: adapterName(device),
        task: facts.name,
        setting: facts.setting,
        data: facts.source ?? null,
        sequences: options.batch * batchesOf(job.task.sequences('test'), options.batch, options.testBatches),
        evaluations: evaluations.map(({ split: _, ...each }) => each),
        trivial: trivialFigures(facts),
      };
      process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
    } else {
      if (facts.source !== undefined) process.stdout.write(`Data: ${facts.source}\n\n`);
      process.stdout.write(formatResults(facts, evaluations, options.select === 'validation' ? 'validation' : 'last'));
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
  if (!existsSync(path)) {
    const near = folderNear(run, 'model.safetensors');
    const mend = near === undefined ? '' : `; give the folder of a run, such as ${near}`;
    throw new FileError(`${path}: there is none; the run saved no weights, or this is no run folder${mend}`);
  }
  return { path, file: readSafetensors(readFileSync(path), path) };
}

/** The options that the weights were trained with, and how to test them. */
function optionsOf({ path, file }: Saved, { testBatches, batch, seed, mnist }: Given): MainOptions {
  const beside = join(dirname(path), 'config.json');
  const text = file.metadata.options;
  if (text === undefined && !existsSync(beside)) {
    throw new FileError(`${path}: no options in it and no config.json beside it; give the folder of the run`);
  }
  const kept =
    text === undefined
      ? keptOptions(readRunConfig(dirname(path)).options, beside)
      : keptOptions(parseObject(text, path), path);
  if (mnist !== undefined && kept.task !== 'smnist') {
    throw new OptionError(`--mnist: ${path} was trained on the task ${kept.task}, which reads no digits; leave it out`);
  }
  return {
    ...kept,
    ...(mnist !== undefined && { mnist }),
    ...(testBatches !== undefined && { testBatches }),
    ...(batch !== undefined && { batch }),
    ...(seed !== undefined && { seed }),
  };
}

async function measure(
  device: Device,
  { path, file }: Saved,
  options: MainOptions,
  { task, tested }: JobTask,
): Promise<Evaluation[]> {
  const names = options.models.filter((name) =>
    [...file.tensors.keys()].some((tensor) => tensor.startsWith(`${name}.`)),
  );
  // Evaluations draw nothing: dropout is ones.
  const models = names.map((name) => taskModel(name, task, options, new RandomState({ seed: options.seed })));
  loadVariables(
    file,
    models.flatMap(({ variables }) => variables),
    { file: path },
  );
  const steps = file.metadata.steps === undefined ? {} : parseObject(file.metadata.steps, path);
  const { batch, seed, testBatches: batches } = options;
  const found: Evaluation[] = [];
  for (const model of models) {
    for (const setting of tested) {
      const evaluation = await makeEvaluation(device, model, { task, setting, batch, seed });
      try {
        const figures = await evaluation.run({ split: 'test', batches }, new AbortController().signal);
        found.push({ model: model.name, step: Number(steps[model.name] ?? 0), split: 'test', setting, figures });
      } finally {
        evaluation.dispose();
      }
    }
  }
  return found;
}
