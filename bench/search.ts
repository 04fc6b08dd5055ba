// The search behind the main job's defaults: trains RIM and LSTM with the same options for several seeds and prints a row a
// seed, the means, and whether the paper's effect is there. `npm run search -- --seeds 1,2,3 [options of npm start]`.
//
// Always: every finished seed is appended to a file at once, so that a search that is stopped keeps what there is.
// Not here: the training (train.ts), its options (options.ts), and what counts as the effect (verdict.ts).

import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { FileError, OptionError } from '../engine/errors.ts';
import { EXIT } from './command-line.ts';
import { describe } from './messages.ts';
import { type Evaluation, lastEvaluations } from './metrics.ts';
import { type MainOptions, parseMainOptions } from './options.ts';
import { trainCopying } from './train.ts';
import { formatVerdict, type SeedResult } from './verdict.ts';

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
