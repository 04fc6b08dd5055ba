// Cases of everything that changes Variables: each optimiser with each of its options, clipped and not, parameters that share
// storage and that do not, more of them than one kernel call takes, groups, a learning rate that is fed; guards, assignments,
// counters. Several steps each, so that moments and bias corrections show.

import { at } from '../../engine/errors.ts';
import { input } from '../../engine/ops/leaf.ts';
import { advance, dropoutMask, RandomState } from '../../engine/ops/random.ts';
import type { OptimiserOptions } from '../../engine/optimisers.ts';
import type { Shape } from '../../engine/tensor.ts';
import { assign } from '../../engine/update.ts';
import { Variable } from '../../engine/variable.ts';
import { interpret } from '../interpret.ts';
import { adamRule, clipFactor, type Rule, rmspropRule, sgdRule } from '../meanings/optimisers.ts';
import type { UpdateCase, UpdateRun } from '../update-check.ts';
import { normOf, type RatesOf, UpdateTrial } from '../update-trial.ts';

const RATE = 0.02;

/** Squares of gradients that were scaled down, in their first steps. */
const SMALL = 1e-4;

interface Variant {
  readonly clipNorm?: number;
  /** True: a norm from elsewhere is clipped by. */
  readonly imposed?: boolean;
  /** True: the second parameter has a rate of its own, the third a weight decay. */
  readonly groups?: boolean;
  /** True: the learning rate is fed, and falls. */
  readonly scheduled?: boolean;
  readonly apart?: boolean;
  readonly shapes?: readonly Shape[];
  /** True: the gradient of the second step has a NaN, so that its guard keeps all as it is from then on. */
  readonly guarded?: boolean;
  readonly steps?: number;
}

/** More parameters than a kernel call has rows for, of sizes around its blocks. */
const MANY: readonly Shape[] = Array.from({ length: 35 }, (_, i) => [1 + ((37 * i) % 70), 1 + (i % 5)]);

function runOf(rule: Rule, variant: Variant): UpdateRun {
  const { clipNorm, imposed, groups, scheduled, guarded, steps = 4 } = variant;
  const trial = new UpdateTrial(1, rule.state.length, variant);
  const [, second, third] = trial.variables;
  const own: OptimiserOptions['groups'] =
    groups && second && third
      ? [
          { variables: [second], learningRate: 2 * RATE },
          { variables: [third], weightDecay: 0.5 },
        ]
      : [];
  const optimiser = rule.make(trial.gradients, {
    learningRate: scheduled ? input('rate', []) : RATE,
    groups: own,
    ...(clipNorm !== undefined && { clipNorm }),
    ...(imposed && { norm: input('norm', []) }),
  });
  const rateOf = (t: number): number => (scheduled ? RATE / (1 + t) : RATE);
  const ratesOf =
    (t: number): RatesOf =>
    (i) => ({
      rate: groups && i === 1 ? 2 * RATE : rateOf(t),
      ...(groups && i === 2 ? { decay: 0.5 } : {}),
    });
  const isBad = (t: number): boolean => guarded === true && t > 0;
  const feeds = (t: number): Record<string, Float32Array> => {
    const values = trial.feeds(t);
    if (isBad(t) && t === 1) at(Object.values(values), 1)[2] = Number.NaN;
    return values;
  };
  const moments = optimiser.variables.filter(({ name }) => !name.endsWith('.correction'));
  const corrections = optimiser.variables.filter((each) => !moments.includes(each));
  let good = 0;
  return {
    updates: optimiser,
    steps,
    feeds: (t) => ({ ...feeds(t), ...(scheduled && { rate: rateOf(t) }), ...(imposed && { norm: 2 + t }) }),
    advance: (t) => {
      if (isBad(t)) return;
      good++;
      const norm = imposed ? 2 + t : normOf(feeds(t));
      trial.advance(rule, feeds(t), ratesOf(t), t, clipNorm === undefined ? 1 : clipFactor(norm, clipNorm));
    },
    compared: () => {
      const kinds = rule.state.length;
      return [
        ...trial.variables.map((each, i) => [each, at(trial.host, i)] as const),
        ...corrections.map((each) => [each, rule.corrections?.(good) ?? []] as const),
        ...moments.map((each, i) => {
          const elements = at(trial.state, Math.floor(i / kinds));
          const kind = i % kinds;
          // Sums of directions may cancel; sums of squares do not.
          const least = at(rule.state, kind).endsWith('.v') ? SMALL : undefined;
          return [each, elements.map((s) => at(s, kind)), least] as const;
        }),
      ];
    },
  };
}

function optimised(name: string, rule: Rule, variant: Variant = {}): UpdateCase {
  return { name: `update: ${name}`, updates: () => runOf(rule, variant) };
}

/** What is not an optimiser: an assignment and the counter of random numbers, under the guard of one, which is raised at step 2. */
function guardedOthers(): UpdateRun {
  const random = new RandomState({ seed: 9 });
  const [kept, drawn] = [70, 130].map((size, i) => new Variable(`v${i}`, [size], new Float32Array(size)));
  if (kept === undefined || drawn === undefined) throw new RangeError('no variables');
  const mask = dropoutMask([130], { rate: 0.4, random });
  const rule = sgdRule(0, false, 0);
  const trial = new UpdateTrial(2, 0);
  const x = input('x', [70]);
  const host = { kept: [...new Float32Array(70)], drawn: [...new Float32Array(130)], runs: 0 };
  const fed = (t: number): Float32Array => Float32Array.from({ length: 70 }, (_, i) => t + i / 64);
  const feeds = (t: number): Record<string, Float32Array> => {
    const values = trial.feeds(t);
    if (t === 2) at(Object.values(values), 0)[299] = Number.POSITIVE_INFINITY;
    return values;
  };
  return {
    updates: [...rule.make(trial.gradients, { learningRate: RATE }), assign(kept, x), assign(drawn, mask)],
    steps: 4,
    feeds: (t) => ({ ...feeds(t), x: fed(t) }),
    advance: async (t) => {
      if (t >= 2) return;
      const [value] = await interpret([mask], { training: true, variables: new Map([[random.counter, [host.runs]]]) });
      host.kept = [...fed(t)];
      host.drawn = [...(value?.data ?? [])];
      host.runs++;
      trial.advance(rule, feeds(t), RATE, t);
    },
    compared: () => [
      [kept, host.kept],
      [drawn, host.drawn],
      [random.counter, [host.runs]],
      ...trial.variables.map((each, i) => [each, at(trial.host, i)] as const),
    ],
  };
}

/** An assignment without a guard, and a counter that is advanced by hand. */
function plainOthers(): UpdateRun {
  const kept = new Variable('kept', [5, 13], new Float32Array(65));
  const counter = new Variable('counter', [1], Uint32Array.of(4_294_967_294));
  const x = input('x', [5, 13]);
  const fed = (t: number): Float32Array => Float32Array.from({ length: 65 }, (_, i) => i * (t + 1) - 7);
  const host = { kept: [...new Float32Array(65)], counter: 4_294_967_294 };
  return {
    updates: [assign(kept, x), advance(counter)],
    steps: 3,
    feeds: (t) => ({ x: fed(t) }),
    advance: (t) => {
      host.kept = [...fed(t)];
      host.counter = (host.counter + 1) % 2 ** 32;
    },
    compared: () => [
      [kept, host.kept],
      [counter, [host.counter]],
    ],
  };
}

const betas = [0.9, 0.999] as const;

/** Cases of optimisers, clipping, guards and other updates. */
export const updateCases: readonly UpdateCase[] = [
  optimised('sgd', sgdRule(0, false, 0)),
  optimised('sgd, decay, clipped', sgdRule(0, false, 0.1), { clipNorm: 3 }),
  optimised('sgd, momentum, groups', sgdRule(0.9, false, 0.1), { groups: true }),
  optimised('sgd, momentum of Nesterov, decay, clipped, apart', sgdRule(0.8, true, 0.1), { clipNorm: 3, apart: true }),
  optimised('sgd, many parameters', sgdRule(0.9, false, 0), { shapes: MANY, steps: 2 }),
  optimised('rmsprop', rmspropRule(0.9, 0, false, 0)),
  optimised('rmsprop, momentum, clipped', rmspropRule(0.9, 0.5, false, 0), { clipNorm: 3 }),
  optimised('rmsprop, centered, groups', rmspropRule(0.9, 0, true, 0.1), { groups: true }),
  optimised('rmsprop, centered, momentum, apart', rmspropRule(0.8, 0.9, true, 0), { apart: true }),
  optimised('adam', adamRule(false, betas, 1e-8, 0)),
  optimised('adam, decay, groups', adamRule(false, [0.8, 0.95], 1e-3, 0.1), { groups: true }),
  optimised('adam, clipped, learning rate fed', adamRule(false, betas, 1e-8, 0), { clipNorm: 3, scheduled: true }),
  optimised('adam, a bound that is not reached', adamRule(false, betas, 1e-8, 0), { clipNorm: 1e4 }),
  optimised('adam, a norm from elsewhere', adamRule(false, betas, 1e-3, 0), { clipNorm: 3, imposed: true }),
  optimised('adam, many parameters, apart', adamRule(false, betas, 1e-8, 0), { shapes: MANY, apart: true, steps: 2 }),
  optimised('adam, clipped, guarded', adamRule(false, betas, 1e-8, 0), { clipNorm: 3, guarded: true, steps: 3 }),
  optimised('adamw', adamRule(true, betas, 1e-8, 0.1)),
  optimised('adamw, clipped, groups', adamRule(true, [0.5, 0.9], 1e-8, 0.3), { clipNorm: 3, groups: true }),
  { name: 'update: an assignment and a counter', updates: plainOthers },
  { name: 'update: an assignment and random numbers, guarded', updates: guardedOthers },
];
