// Schedules: the learning rate of each step, as plain functions on the host. A program whose learning rate is an input
// is fed `schedule(step)` at every run; nothing is compiled again. Steps count from 0.
// Pure: the same step gives the same rate, so that a run resumes at any step. Not here: the optimisers that read the rate.

import { checkOptions, OptionError } from './errors.ts';

/** The learning rate of a step, counted from 0. */
export type Schedule = (step: number) => number;

/** The same rate at every step. */
export function constantRate(rate: number): Schedule {
  checkRate('constantRate', 'rate', rate);
  return (step) => {
    checkStep('constantRate', step);
    return rate;
  };
}

/**
 * Rises linearly over the first `steps` steps, from `then(0) / steps` at step 0 to `then(0)` at step `steps - 1`, and then
 * follows `then` from its beginning.
 * @param steps at least 1
 * @param then the schedule afterwards, or a rate that stays
 */
export function linearWarmUp(steps: number, then: Schedule | number): Schedule {
  checkSteps('linearWarmUp', 'steps', steps);
  const after = typeof then === 'number' ? constantRate(then) : then;
  return (step) => {
    checkStep('linearWarmUp', step);
    return step < steps ? (after(0) * (step + 1)) / steps : after(step - steps);
  };
}

/**
 * Half a cosine from `from` at step 0 to `to` (default 0) at step `steps`, and `to` from then on (Loshchilov and Hutter
 * 2016, without restarts).
 */
export function cosineDecay(options: {
  readonly from: number;
  readonly to?: number;
  readonly steps: number;
}): Schedule {
  checkOptions('cosineDecay', options, ['from', 'to', 'steps']);
  const { from, to = 0, steps } = options;
  checkRate('cosineDecay', 'from', from);
  checkRate('cosineDecay', 'to', to);
  checkSteps('cosineDecay', 'steps', steps);
  return (step) => {
    checkStep('cosineDecay', step);
    return step >= steps ? to : to + ((from - to) * (1 + Math.cos((Math.PI * step) / steps))) / 2;
  };
}

/** `from`, multiplied by `factor` after every `every` steps: from * factor^floor(step / every). */
export function stepDecay(options: {
  readonly from: number;
  readonly factor: number;
  readonly every: number;
}): Schedule {
  checkOptions('stepDecay', options, ['from', 'factor', 'every']);
  const { from, factor, every } = options;
  checkRate('stepDecay', 'from', from);
  checkRate('stepDecay', 'factor', factor);
  checkSteps('stepDecay', 'every', every);
  return (step) => {
    checkStep('stepDecay', step);
    return from * factor ** Math.floor(step / every);
  };
}

function checkRate(where: string, name: string, value: number): void {
  if (!(Number.isFinite(value) && value >= 0)) {
    throw new OptionError(`${where}: ${name} must be a number of at least 0, not ${String(value)}`);
  }
}

function checkSteps(where: string, name: string, value: number): void {
  if (!(Number.isInteger(value) && value >= 1)) {
    throw new OptionError(`${where}: ${name} must be a whole number of at least 1, not ${String(value)}`);
  }
}

function checkStep(where: string, step: number): void {
  if (!(Number.isInteger(step) && step >= 0)) {
    throw new OptionError(`${where}: a step is a whole number from 0 on, not ${String(step)}`);
  }
}
