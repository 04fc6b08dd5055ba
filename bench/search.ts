// The search behind the main job's defaults: trains the models of a job with the same options for several seeds and prints a row a
// seed, the means, and for copying whether the paper's effect is there. `npm run search -- --seeds 1,2,3 [options of npm start]`.
//
// Always: every finished seed is appended to a file at once, so that a search that is stopped keeps what there is.
// Not here: the training (train.ts), its options (options.ts), and what counts as the effect (verdict.ts).

import { appendFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Option } from 'commander';
import { FileError, OptionError } from '../engine/errors.ts';
import { commandOf, EXIT, fail, readArguments, seedList } from './command-line.ts';
import { makeFolders } from './disk.ts';
import { jobTask } from './job-tasks.ts';
import type { Evaluation } from './metrics.ts';
import { type MainOptions, parseMainOptions } from './options.ts';
import { selected } from './selection.ts';
import { factsOf, shownFigure, type TaskFacts } from './task-facts.ts';
import { trainJob } from './train.ts';
import { formatVerdict, type SeedResult } from './verdict.ts';

const controller = new AbortController();
process.on('SIGINT', () => controller.abort());
process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const command = commandOf(
    'search',
    'Trains the models of a job for several seeds; takes the options of npm start for task, models and training.',
    [
      ['', 'the defaults of npm start, five times'],
      ['--seeds 1,2,3 --modules 8 --active 3', 'another RIM, three times'],
    ],
  )
    .addOption(new Option('--seeds <list>', 'seeds, as in 1,2,3').argParser(seedList).default([1, 2, 3, 4, 5]))
    .option('--record <file>', 'results are appended here, a line of JSON a seed', 'runs/search.jsonl')
    .allowUnknownOption()
    .allowExcessArguments();
  try {
    const help = readArguments(command, args);
    if (help !== undefined) {
      process.stdout.write(help);
      return EXIT.done;
    }
    const { seeds, record } = command.opts<{ seeds: readonly number[]; record: string }>();
    const request = parseMainOptions(command.args);
    if (request.kind === 'help') {
      process.stdout.write(request.text);
      return EXIT.done;
    }
    if (request.kind === 'resume') throw new OptionError('--resume: a search trains its seeds anew; leave it out');
    const task = factsOf(await jobTask(request.options));
    const results: SeedResult[] = [];
    for (const seed of seeds) {
      if (controller.signal.aborted) break;
      const result = await trainSeed({ ...request.options, seed, evaluateEvery: 0 }, task);
      if (controller.signal.aborted) break;
      results.push(result);
      process.stdout.write(`${formatSeed(result, task)}\n`);
      keep(record, { arguments: command.args, ...result });
    }
    process.stdout.write(formatVerdict(task, results));
    return controller.signal.aborted ? EXIT.stopped : EXIT.done;
  } catch (error) {
    return fail(error);
  }
}

async function trainSeed(options: MainOptions, task: TaskFacts): Promise<SeedResult> {
  const began = performance.now();
  const evaluations: Evaluation[] = [];
  await trainJob(options, {
    signal: controller.signal,
    onStart: () => undefined,
    onStep: () => undefined,
    onEvaluation: (evaluation) => evaluations.push(evaluation),
  });
  const seconds = (performance.now() - began) / 1000;
  return { seed: options.seed, seconds, evaluations: selected(evaluations, options.select, task) };
}

function formatSeed({ seed, seconds, evaluations }: SeedResult, task: TaskFacts): string {
  const [shown, first] = [shownFigure(task), task.figures[0]?.name ?? ''];
  const cells = evaluations.map(({ model, setting, figures }) => {
    const beside = first === shown.name ? '' : ` / ${(figures[first] ?? Number.NaN).toFixed(2)}`;
    return `${model}@${setting} ${(figures[shown.name] ?? Number.NaN).toFixed(3)}${beside}`;
  });
  return `seed ${seed}  ${cells.join('  ')}  (${seconds.toFixed(0)} s)`;
}

function keep(file: string, result: object): void {
  makeFolders(dirname(file));
  try {
    appendFileSync(file, `${JSON.stringify(result)}\n`);
  } catch (cause) {
    throw new FileError(`${file}: cannot be written; choose another --record`, { cause });
  }
}
