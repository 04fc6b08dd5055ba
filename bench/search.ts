// The search behind the main job's defaults: trains RIM and LSTM with the same options for several seeds and prints a row a
// seed, the means, and whether the paper's effect is there. `npm run search -- --seeds 1,2,3 [options of npm start]`.
//
// Always: every finished seed is appended to a file at once, so that a search that is stopped keeps what there is.
// Not here: the training (train.ts), its options (options.ts), and what counts as the effect (verdict.ts).

import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { Option } from 'commander';
import { FileError, OptionError } from '../engine/errors.ts';
import { commandOf, EXIT, fail, readArguments, wholes } from './command-line.ts';
import { type Evaluation, lastEvaluations } from './metrics.ts';
import { type MainOptions, parseMainOptions } from './options.ts';
import { trainCopying } from './train.ts';
import { formatVerdict, type SeedResult } from './verdict.ts';

const controller = new AbortController();
process.on('SIGINT', () => controller.abort());
process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const command = commandOf(
    'search',
    'Trains RIM and LSTM on the copying task for several seeds; takes every option of npm start as well.',
    [
      ['', 'the defaults of npm start, five times'],
      ['--seeds 1,2,3 --modules 8 --active 3', 'another RIM, three times'],
    ],
  )
    .addOption(
      new Option('--seeds <list>', 'seeds, as in 1,2,3').argParser(wholes(0, 0xffff_ffff)).default([1, 2, 3, 4, 5]),
    )
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
    const results: SeedResult[] = [];
    for (const seed of seeds) {
      if (controller.signal.aborted) break;
      const result = await trainSeed({ ...request.options, seed, evaluateEvery: 0 });
      if (controller.signal.aborted) break;
      results.push(result);
      process.stdout.write(`${formatSeed(result)}\n`);
      keep(record, { arguments: command.args, ...result });
    }
    process.stdout.write(formatVerdict(request.options, results));
    return controller.signal.aborted ? EXIT.stopped : EXIT.done;
  } catch (error) {
    return fail(error);
  }
}

async function trainSeed(options: MainOptions): Promise<SeedResult> {
  const began = performance.now();
  const evaluations: Evaluation[] = [];
  await trainCopying(options, {
    signal: controller.signal,
    onStart: () => undefined,
    onStep: () => undefined,
    onEvaluation: (evaluation) => evaluations.push(evaluation),
  });
  return { seed: options.seed, seconds: (performance.now() - began) / 1000, evaluations: lastEvaluations(evaluations) };
}

function formatSeed({ seed, seconds, evaluations }: SeedResult): string {
  const cells = evaluations.map(
    ({ model, blank, accuracy, crossEntropy }) =>
      `${model}@${blank} ${accuracy.toFixed(3)} / ${crossEntropy.toFixed(2)}`,
  );
  return `seed ${seed}  ${cells.join('  ')}  (${seconds.toFixed(0)} s)`;
}

function keep(file: string, result: object): void {
  try {
    mkdirSync(dirname(file), { recursive: true });
    appendFileSync(file, `${JSON.stringify(result)}\n`);
  } catch (cause) {
    throw new FileError(`${file}: cannot be written; choose another --record`, { cause });
  }
}
