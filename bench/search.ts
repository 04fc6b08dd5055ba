// The search behind the main job's defaults: trains RIM and LSTM with the same options for several seeds and prints a row a
// seed, the means, and whether the paper's effect is there. `npm run search -- --seeds 1,2,3 [options of npm start]`.
//
// Always: every finished seed is appended to a file at once, so that a search that is stopped keeps what there is.
// Not here: the training (train.ts) and its options (options.ts).

import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { FileError, OptionError } from '../engine/errors.ts';
import { describe, EXIT } from './main-job.ts';
import { type Evaluation, lastEvaluations } from './metrics.ts';
import { type MainOptions, parseMainOptions } from './options.ts';
import { trainCopying } from './train.ts';

/** The last evaluations of one seed. */
interface SeedResult {
  readonly seed: number;
  readonly seconds: number;
  readonly evaluations: readonly Evaluation[];
}

const controller = new AbortController();
process.on('SIGINT', () => controller.abort());
process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const command = new Command('npm run search --')
    .description('Trains RIM and LSTM on the copying task for several seeds; takes every option of npm start as well.')
    .option('--seeds <list>', 'seeds, as in 1,2,3', parseSeeds, [1, 2, 3, 4, 5])
    .option('--record <file>', 'results are appended here, a line of JSON a seed', 'runs/search.jsonl')
    .allowUnknownOption()
    .allowExcessArguments();
  command.parse([...args], { from: 'user' });
  const { seeds, record } = command.opts<{ seeds: readonly number[]; record: string }>();
  try {
    const request = parseMainOptions(command.args);
    if (request.kind === 'help') {
      process.stdout.write(request.text);
      return EXIT.done;
    }
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
    process.stderr.write(`rimgrad: ${describe(error)}\n`);
    return error instanceof OptionError ? EXIT.usage : EXIT.failed;
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

/** Mean accuracies, and the difference at the longest blank seed by seed. */
function formatVerdict(options: MainOptions, results: readonly SeedResult[]): string {
  if (results.length === 0) return 'no seed was finished\n';
  const accuracy = (result: SeedResult, model: string, blank: number): number | undefined =>
    result.evaluations.find((each) => each.model === model && each.blank === blank)?.accuracy;
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const lines = ['RIM', 'LSTM'].flatMap((model) =>
    options.testBlanks.flatMap((blank) => {
      const values = results.flatMap((result) => accuracy(result, model, blank) ?? []);
      if (values.length === 0) return [];
      return [
        `mean of ${values.length}: ${model.padEnd(4)} at ${blank}: ${mean(values).toFixed(3)}, least ${Math.min(...values).toFixed(3)}`,
      ];
    }),
  );
  const longest = Math.max(...options.testBlanks);
  const gaps = results.flatMap((result) => {
    const [rim, lstm] = [accuracy(result, 'RIM', longest), accuracy(result, 'LSTM', longest)];
    return rim === undefined || lstm === undefined ? [] : [rim - lstm];
  });
  if (gaps.length > 0) {
    lines.push(
      `RIM above LSTM at ${longest}: by ${mean(gaps).toFixed(3)} in the mean, by ${Math.min(...gaps).toFixed(3)} at least`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function keep(file: string, result: object): void {
  try {
    mkdirSync(dirname(file), { recursive: true });
    appendFileSync(file, `${JSON.stringify(result)}\n`);
  } catch (cause) {
    throw new FileError(`${file}: cannot be written; choose another --record`, { cause });
  }
}

function parseSeeds(text: string): number[] {
  return text.split(',').map((each) => {
    if (!/^\d+$/.test(each)) throw new InvalidArgumentError('Give whole numbers with commas between them.');
    return Number(each);
  });
}
