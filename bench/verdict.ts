// What a search over seeds found: the mean figure of each model, and for copying whether the paper's effect is there. It is, where on every
// seed the RIM recalls more than 0.99 of the digits at the training blank and more than the LSTM at four times that blank, there by at
// least 0.3 in the mean, over at least 5 seeds. Not here: the search itself (search.ts).

import type { Evaluation } from './metrics.ts';
import { shownFigure, type TaskFacts } from './task-facts.ts';

/** The test evaluations of one seed that count. */
export interface SeedResult {
  readonly seed: number;
  readonly seconds: number;
  readonly evaluations: readonly Evaluation[];
}

const LEAST_TRAINED = 0.99;
const LEAST_GAP = 0.3;
const LEAST_SEEDS = 5;

/** The means and the verdict, in whole lines. */
export function formatVerdict(task: TaskFacts, results: readonly SeedResult[]): string {
  if (results.length === 0) return 'no seed was finished\n';
  const { name, better } = shownFigure(task);
  const models = [...new Set(results.flatMap(({ evaluations }) => evaluations.map(({ model }) => model)))];
  const means = models.flatMap((model) =>
    task.tested.flatMap((setting) => {
      const values = results.flatMap((result) => figureOf(result, model, setting, name) ?? []);
      if (values.length === 0) return [];
      const worst = better === 'higher' ? Math.min(...values) : Math.max(...values);
      const worstName = better === 'higher' ? 'least' : 'most';
      return [
        `mean of ${values.length}: ${model.padEnd(4)} at ${setting}: ${mean(values).toFixed(3)}, ${worstName} ${worst.toFixed(3)}`,
      ];
    }),
  );
  return [...means, ...(task.name === 'copying' ? effect(task.trained, results) : []), ''].join('\n');
}

/** How the conditions of the effect came out, and the verdict. */
function effect(blank: number, results: readonly SeedResult[]): string[] {
  const far = 4 * blank;
  const gaps: { readonly seed: number; readonly gap: number }[] = [];
  const trained: { readonly seed: number; readonly accuracy: number }[] = [];
  for (const result of results) {
    const { seed } = result;
    const [near, rim, lstm] = [
      accuracyOf(result, 'RIM', blank),
      accuracyOf(result, 'RIM', far),
      accuracyOf(result, 'LSTM', far),
    ];
    if (near === undefined || rim === undefined || lstm === undefined) {
      return [`the paper's effect: cannot be told; train both models and test at the blanks ${blank} and ${far}`];
    }
    trained.push({ seed, accuracy: near });
    gaps.push({ seed, gap: rim - lstm });
  }
  const average = mean(gaps.map(({ gap }) => gap));
  const least = Math.min(...gaps.map(({ gap }) => gap));
  const misses = [
    ...trained
      .filter(({ accuracy }) => !(accuracy > LEAST_TRAINED))
      .map(
        ({ seed, accuracy }) =>
          `seed ${seed} recalls ${accuracy.toFixed(3)} at ${blank}, and more than ${LEAST_TRAINED} is asked for`,
      ),
    ...gaps.filter(({ gap }) => !(gap > 0)).map(({ seed }) => `seed ${seed} is not above the LSTM at ${far}`),
    ...(average >= LEAST_GAP
      ? []
      : [`the mean at ${far} is ${average.toFixed(3)} above the LSTM's, and ${LEAST_GAP} is asked for`]),
    ...(results.length >= LEAST_SEEDS ? [] : [`${results.length} of at least ${LEAST_SEEDS} seeds`]),
  ];
  return [
    `RIM above LSTM at ${far}: by ${average.toFixed(3)} in the mean, by ${least.toFixed(3)} at least`,
    `the paper's effect: ${misses.length === 0 ? 'met' : `not met: ${misses.join('; ')}`}`,
  ];
}

function accuracyOf(result: SeedResult, model: string, blank: number): number | undefined {
  return figureOf(result, model, blank, 'accuracy');
}

function figureOf(result: SeedResult, model: string, setting: number, name: string): number | undefined {
  return result.evaluations.find((each) => each.model === model && each.setting === setting)?.figures[name];
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
