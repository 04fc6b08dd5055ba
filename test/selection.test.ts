// Which evaluations count, by each rule: the last, one checkpoint for all settings, one for each; ties, figures that are better when
// higher, and models that were never validated.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Evaluation } from '../bench/metrics.ts';
import { bestStep, type Deciding, type SelectionRule, selected } from '../bench/selection.ts';

const lower: Deciding = { trained: 14, figures: [{ name: 'loss', label: 'loss', unit: 'nats', better: 'lower' }] };
const higher: Deciding = { trained: 14, figures: [{ name: 'loss', label: 'loss', unit: 'nats', better: 'higher' }] };

/** For each step the validation and the test figures at 14 and at 19. */
function evaluations(model: string, steps: readonly (readonly [number, number, number, number])[]): Evaluation[] {
  return steps.flatMap(([near, far, testNear, testFar], i) => {
    const each = (split: Evaluation['split'], setting: number, loss: number): Evaluation => {
      return { model, step: 10 * (i + 1), split, setting, figures: { loss } };
    };
    const tests = [each('test', 14, testNear), each('test', 19, testFar)];
    return [...tests, each('validation', 14, near), each('validation', 19, far)];
  });
}

const both = [
  ...evaluations('A', [
    [3, 1, 0.1, 0.2],
    [1, 4, 0.3, 0.4],
    [1, 1, 0.5, 0.6],
    [2, 2, 0.7, 0.8],
  ]),
  ...evaluations('B', [[5, 5, 0.9, 1]]),
];

function chosen(rule: SelectionRule, task: Deciding, of: readonly Evaluation[] = both): string[] {
  return selected(of, rule, task).map(({ model, setting, step, split, figures }) => {
    assert.is(split, 'test');
    return `${model}@${setting} ${step}: ${figures.loss}`;
  });
}

test('the last, the best at the training setting, and the best at each; the first of equals', () => {
  assert.equal(chosen('last', lower), ['A@14 40: 0.7', 'A@19 40: 0.8', 'B@14 10: 0.9', 'B@19 10: 1']);
  assert.equal(chosen('validation', lower), ['A@14 20: 0.3', 'A@19 20: 0.4', 'B@14 10: 0.9', 'B@19 10: 1']);
  assert.equal(chosen('per-setting', lower), ['A@14 20: 0.3', 'A@19 10: 0.2', 'B@14 10: 0.9', 'B@19 10: 1']);
});

test('a figure that is better when higher chooses the highest', () => {
  assert.equal(chosen('validation', higher).slice(0, 2), ['A@14 10: 0.1', 'A@19 10: 0.2']);
  assert.equal(chosen('per-setting', higher).slice(0, 2), ['A@14 10: 0.1', 'A@19 20: 0.4']);
});

test('test figures choose nothing', () => {
  const turned = both.map((each) => {
    return each.split === 'test' ? { ...each, figures: { loss: 10 - (each.figures.loss ?? 0) } } : each;
  });
  const steps = (of: readonly Evaluation[]): number[] => selected(of, 'per-setting', lower).map(({ step }) => step);
  assert.equal(steps(turned), steps(both));
});

test('without a validation nothing counts but the last, and a killed evaluation does not count', () => {
  const tests = both.filter(({ split }) => split === 'test');
  assert.equal(chosen('validation', lower, tests), []);
  assert.is(chosen('last', lower, tests).length, 4);
  assert.is(bestStep(tests, 'A', 14, lower), undefined);
  const cut = both.slice(0, 6);
  assert.equal(chosen('validation', lower, cut), ['A@14 10: 0.1', 'A@19 10: 0.2']);
});

test.run();
