// Which of a model's evaluations count: those after the last step, or those of the checkpoint that did best on validation sequences.
//
// Always: it is computed from what was measured, afterwards, so that one run can be told by any rule; test figures choose nothing.
// Not here: the measuring (train.ts), and which weights a run saves (training-state.ts).

import { at } from '../engine/errors.ts';
import type { Evaluation } from './metrics.ts';
import type { TaskFacts } from './task-facts.ts';
import type { Figure } from './tasks/index.ts';

/**
 * `last`: after the last step. `validation`: one checkpoint for all settings, the best on validation sequences of the training
 * setting. `per-setting`: for each setting a checkpoint of its own, the best on validation sequences of that setting, as the authors'
 * code does; it lets what is told of a setting choose the weights that it is told of.
 */
export type SelectionRule = 'last' | 'validation' | 'per-setting';

/** All rules, the simplest first. */
export const selectionRules: readonly SelectionRule[] = ['last', 'validation', 'per-setting'];

/** What a selection needs to know of a task. */
export type Deciding = Pick<TaskFacts, 'figures' | 'trained'>;

/** Whether a figure has become better. The first of equals is kept. */
export function isBetter({ better }: Pick<Figure, 'better'>, value: number, than: number): boolean {
  return better === 'lower' ? value < than : value > than;
}

/**
 * The test evaluations that count, one for each model and setting, in the order in which these pairs first came; its `step` tells
 * the checkpoint. Where a model was never validated, none of it.
 * @param task whose first figure decides
 */
export function selected(
  evaluations: readonly Evaluation[],
  rule: SelectionRule,
  task: Deciding,
): readonly Evaluation[] {
  const found = new Map<string, Evaluation>();
  const tests = evaluations.filter(({ split }) => split === 'test');
  for (const each of tests) found.set(`${each.model}/${each.setting}`, each);
  if (rule === 'last') return [...found.values()];
  return [...found.values()].flatMap(({ model, setting }) => {
    const step = bestStep(evaluations, model, rule === 'validation' ? task.trained : setting, task);
    const counting = tests.filter((each) => each.model === model && each.setting === setting && each.step === step);
    return counting.slice(-1);
  });
}

/** The step of a model's best validation at a setting; undefined where there is none. */
export function bestStep(
  evaluations: readonly Evaluation[],
  model: string,
  setting: number,
  { figures }: Pick<Deciding, 'figures'>,
): number | undefined {
  const figure = at(figures, 0);
  let best: { readonly step: number; readonly value: number } | undefined;
  for (const each of evaluations) {
    if (each.split !== 'validation' || each.model !== model || each.setting !== setting) continue;
    const value = each.figures[figure.name];
    if (value === undefined || (best !== undefined && !isBetter(figure, value, best.value))) continue;
    best = { step: each.step, value };
  }
  return best?.step;
}
