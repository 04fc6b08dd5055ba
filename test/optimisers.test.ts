// Optimisers against the same rules in float64 on the host: 20 steps of each with each of its options, clipped and not,
// with groups and a learning rate that is fed; their kernels through race detection; what they refuse; and schedules.
// Not here: PyTorch's own numbers (the golden files), and optimisers inside of a model's training.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { normOf } from '../check/update-trial.ts';
import { clipByGlobalNorm } from '../engine/clip.ts';
import { at, OptionError, ShapeError } from '../engine/errors.ts';
import {
  compile,
  constant,
  type Data,
  type Device,
  evaluate,
  globalNorm,
  grad,
  input,
  mul,
  openDevice,
  square,
  sum,
  type Tensor,
  type Update,
  variable,
} from '../engine/node.ts';
import { adam, type ParameterGradients, rmsprop, sgd } from '../engine/optimisers.ts';
import { planProgram } from '../engine/planner.ts';
import { constantRate, cosineDecay, linearWarmUp, stepDecay } from '../engine/schedules.ts';
import { adamRule, close, type Rule, readAll, rmspropRule, sgdRule, Trial } from './optimiser-trials.ts';
import { runPlan } from './plan-runner.ts';

let device: Device;
test.before(async () => {
  device = await openDevice();
});
test.after(() => device.dispose());

const rules: readonly Rule[] = [
  sgdRule(0, false, 0),
  sgdRule(0, false, 0.1),
  sgdRule(0.9, false, 0),
  sgdRule(0.9, true, 0.05),
  rmspropRule(0.99, 0, false, 0),
  rmspropRule(0.9, 0.8, false, 0.02),
  rmspropRule(0.95, 0, true, 0),
  rmspropRule(0.95, 0.5, true, 0.1),
  adamRule(false, [0.9, 0.999], 1e-8, 0),
  adamRule(false, [0.8, 0.95], 1e-3, 0.1),
  adamRule(false, [0, 0.9], 1e-8, 0),
  adamRule(true, [0.9, 0.999], 1e-8, 0.01),
  adamRule(true, [0.5, 0.9], 1e-8, 0.3),
];

for (const rule of rules) {
  test(`${rule.name}: 20 steps as in float64`, async () => {
    const trial = new Trial(1, rule.state.length);
    const rate = 0.05;
    const optimiser = rule.make(trial.gradients, { learningRate: rate });
    const program = await compile(device, {}, optimiser);
    for (let t = 0; t < 20; t++) {
      const feeds = trial.feeds(t);
      await program.run(feeds);
      trial.advance(rule, feeds, rate, t);
      if (t === 0) await trial.compare('after one step');
    }
    await trial.compare('after 20 steps');
    const own = optimiser.variables.filter(({ name }) => !name.endsWith('.correction'));
    const names = trial.variables.flatMap(({ name }) => rule.state.map((kind) => `${kind}.${name}`));
    assert.equal(
      own.map(({ name }) => name),
      names,
    );
    for (const [kind, name] of rule.state.entries()) {
      const wanted = trial.state.flatMap((elements) => elements.map((s) => at(s, kind)));
      close(await readAll(own.filter((_, k) => k % rule.state.length === kind)), wanted, name);
    }
    program.dispose();
  });

  test(`${rule.name}: no race, and the same numbers on the CPU`, async () => {
    const trial = new Trial(2, rule.state.length);
    const plan = planProgram({}, rule.make(trial.gradients, { learningRate: 0.05 }), {
      training: true,
      subgroupSize: 0,
    });
    const feeds = trial.feeds(0);
    const { variables, troubles } = await runPlan(plan, feeds);
    assert.equal(troubles, []);
    trial.advance(rule, feeds, 0.05, 0);
    const found = trial.variables.flatMap((each) => [...(variables.get(each) ?? [])]);
    close(found, trial.host.flat(), 'the parameters');
  });
}

test('Adam at a constant gradient moves by the learning rate at every step', async () => {
  const p = variable('p', [1, 1, 1], [3]);
  const g = constant([0.5, -2e-3, 1e3], [3]);
  const program = await compile(device, {}, adam([[p, g]], { learningRate: 0.01, epsilon: 1e-12 }));
  for (let t = 0; t < 500; t++) await program.run();
  close(await p.read(), [1 - 5, 1 + 5, 1 - 5], 'after 500 steps', 1e-5);
  program.dispose();
});

test('a gradient of 0 leaves a fresh parameter as it is, to the bit', async () => {
  for (const make of [sgd, rmsprop, adam]) {
    const p = variable('p', [0.1, -3.3, 1e-7], [3]);
    const before = await p.read();
    const program = await compile(device, {}, make([[p, constant([0, 0, 0], [3])]], { learningRate: 0.1 }));
    await program.run();
    assert.equal(await p.read(), before);
    program.dispose();
  }
});

for (const rule of [
  sgdRule(0.9, false, 0.1),
  rmspropRule(0.99, 0, false, 0),
  adamRule(true, [0.9, 0.999], 1e-8, 0.1),
]) {
  test(`${rule.name}: a fed learning rate follows a schedule in one program`, async () => {
    const trial = new Trial(4, rule.state.length);
    const schedule = linearWarmUp(4, cosineDecay({ from: 0.1, steps: 10 }));
    const program = await compile(device, {}, rule.make(trial.gradients, { learningRate: input('learningRate', []) }));
    for (let t = 0; t < 12; t++) {
      const feeds = trial.feeds(t);
      await program.run({ ...feeds, learningRate: schedule(t) });
      trial.advance(rule, feeds, schedule(t), t);
    }
    await trial.compare('after 12 steps');
    program.dispose();
  });
}

for (const [what, clipNorm] of [
  ['acts', 2],
  ['does not act', 1e4],
] as const) {
  const adamCase = adamRule(false, [0.9, 0.999], 1e-8, 0.1);
  const makers = {
    sgd: [
      sgdRule(0.9, false, 0.1),
      (g: ParameterGradients) => sgd(g, { learningRate: 0.05, momentum: 0.9, weightDecay: 0.1, clipNorm }),
    ],
    rmsprop: [
      rmspropRule(0.99, 0, false, 0),
      (g: ParameterGradients) => rmsprop(g, { learningRate: 0.05, epsilon: 1e-6, clipNorm }),
    ],
    adam: [adamCase, (g: ParameterGradients) => adam(g, { learningRate: 0.05, weightDecay: 0.1, clipNorm })],
  } as const;
  for (const [name, [rule, make]] of Object.entries(makers)) {
    test(`${name}: clipping by the global norm ${what}`, async () => {
      const trial = new Trial(5, rule.state.length);
      const optimiser = make(trial.gradients);
      if (optimiser.norm === undefined) throw new Error('there is no norm');
      const program = await compile(device, { norm: optimiser.norm }, optimiser);
      for (let t = 0; t < 5; t++) {
        const feeds = trial.feeds(t);
        await program.run(feeds);
        const norm = normOf(feeds);
        assert.is(norm > clipNorm, what === 'acts');
        close(await program.read('norm'), [norm], 'norm');
        trial.advance(rule, feeds, 0.05, t, Math.min(1, clipNorm / (norm + 1e-6)));
      }
      await trial.compare('after 5 steps');
      program.dispose();
    });
  }
}

test('an imposed norm takes the place of the own one', async () => {
  const p = variable('p', [1, 2], [2]);
  const optimiser = sgd([[p, constant([3, 4], [2])]], { learningRate: 1, clipNorm: 1, norm: input('norm', [1]) });
  const program = await compile(device, {}, optimiser);
  await program.run({ norm: 10 });
  close(await p.read(), [1 - 0.3, 2 - 0.4], 'p');
  await program.run({ norm: 0.5 });
  close(await p.read(), [0.7 - 3, 1.6 - 4], 'p, not clipped');
  program.dispose();
});

test('clipByGlobalNorm scales all tensors together', async () => {
  const tensors = [constant([3, 0], [2]), constant([0, 4], [1, 2])];
  for (const [most, scale] of [
    [1, 1 / (5 + 1e-6)],
    [5, 5 / (5 + 1e-6)],
    [6, 1],
  ] as const) {
    const { clipped, norm, scale: factor } = clipByGlobalNorm(tensors, most);
    const found = await evaluate(device, { a: at(clipped, 0), b: at(clipped, 1), norm, factor });
    close(found.a, [3 * scale, 0], 'a');
    close(found.b, [0, 4 * scale], 'b');
    close(found.norm, [5], 'norm');
    close(found.factor, [scale], 'factor');
  }
  const { n } = await evaluate(device, { n: globalNorm(tensors) });
  assert.is(n[0], 5);
});

test('groups have a learning rate and a weight decay of their own', async () => {
  const [a, b, c] = [variable('a', [1], [1]), variable('b', [1], [1]), variable('c', [1], [1])];
  const one = constant([1], [1]);
  const pairs: [Tensor, Tensor][] = [a, b, c].map((each) => [each, one]);
  const groups = [
    { variables: [b], learningRate: input('slow', []) },
    { variables: [c], weightDecay: 1 },
  ];
  const program = await compile(device, {}, sgd(pairs, { learningRate: 0.5, weightDecay: 0.2, groups }));
  await program.run({ slow: 0.125 });
  close(await a.read(), [1 - 0.5 * 1.2], 'a');
  close(await b.read(), [1 - 0.125 * 1.2], 'b');
  close(await c.read(), [1 - 0.5 * 2], 'c');
  program.dispose();
});

test('no gradient sees an update of its own run', async () => {
  const a = variable('a', [1, 2, 3], [3]);
  const b = variable('b', [10, 20, 30], [3]);
  const product = await compile(device, {}, sgd(grad(sum(mul(a, b)), [a, b]), { learningRate: 0.5 }));
  await product.run();
  assert.equal([...(await a.read())], [-4, -8, -12]);
  assert.equal([...(await b.read())], [9.5, 19, 28.5]);
  product.dispose();
  // Gradients that are the parameters' own memory, even of one another.
  const crossed = await compile(
    device,
    {},
    sgd(
      [
        [a, b],
        [b, a],
      ],
      { learningRate: 1 },
    ),
  );
  await crossed.run();
  assert.equal([...(await a.read())], [-13.5, -27, -40.5]);
  assert.equal([...(await b.read())], [13.5, 27, 40.5]);
  crossed.dispose();
  const own = await compile(device, {}, sgd([[a, a]], { learningRate: 0.5 }));
  await own.run();
  assert.equal([...(await a.read())], [-6.75, -13.5, -20.25]);
  own.dispose();
});

test('the loss of a step is that before its update, and falls', async () => {
  const p = variable('p', [1, -2], [2]);
  const loss = sum(square(p));
  const program = await compile(device, { loss }, adam(grad(loss, [p]), { learningRate: 0.1 }));
  const losses: number[] = [];
  for (let t = 0; t < 30; t++) {
    await program.run();
    losses.push(at(await program.read('loss'), 0));
  }
  assert.is(losses[0], 5);
  assert.ok(at(losses, 29) < 0.5, `the loss is still ${losses[29]}`);
  program.dispose();
});

test('two programs share one optimiser state', async () => {
  const trials = [new Trial(6, 2), new Trial(6, 2)].map((trial) => ({
    trial,
    updates: adam(trial.gradients, { learningRate: 0.1 }),
  }));
  const programsOf = (updates: readonly Update[], count: number) =>
    Promise.all(Array.from({ length: count }, () => compile(device, {}, updates)));
  const results: Data[][] = [];
  for (const [i, { trial, updates }] of trials.entries()) {
    const programs = await programsOf(updates, i + 1);
    for (let t = 0; t < 4; t++) await at(programs, t % programs.length).run(trial.feeds(t));
    results.push(await Promise.all([...trial.variables, ...updates.variables].map((each) => each.read())));
    for (const program of programs) program.dispose();
  }
  assert.equal(results[1], results[0]);
});

test('mistakes are refused with their mend', () => {
  const p = variable('p', [1, 2], [2]);
  const other = variable('p', [1, 2], [2]);
  const g = constant([1, 1], [2]);
  const x = input('x', [2]);
  const pairs: [Tensor, Tensor][] = [[p, g]];
  const rate = { learningRate: 0.1 };
  const refused: readonly (readonly [() => unknown, typeof OptionError | typeof ShapeError, RegExp])[] = [
    [() => sgd([], rate), OptionError, /no gradients/],
    [() => adam([[x, g]], rate), OptionError, /'input' \[2\], which is no Variable/],
    [
      () =>
        adam(
          [
            [p, g],
            [p, g],
          ],
          rate,
        ),
      OptionError,
      /'p' is given twice/,
    ],
    [
      () =>
        adam(
          [
            [p, g],
            [other, g],
          ],
          rate,
        ),
      OptionError,
      /the name of two parameters/,
    ],
    [() => rmsprop([[p, constant([1], [1])]], rate), ShapeError, /'p' is f32 \[1\], the parameter f32 \[2\]/],
    [() => sgd([[variable('k', Uint32Array.of(1), [1]), constant([1], [1])]], rate), ShapeError, /must be f32/],
    [() => sgd(pairs, { learningRate: -1 }), OptionError, /learningRate/],
    [() => sgd(pairs, { learningRate: Number.NaN }), OptionError, /learningRate/],
    [() => sgd(pairs, { learningRate: x }), ShapeError, /one f32 number, not f32 \[2\]/],
    [() => sgd(pairs, { ...rate, momentum: 1 }), OptionError, /momentum must be from 0 to below 1/],
    [() => sgd(pairs, { ...rate, nesterov: true }), OptionError, /nesterov needs a momentum/],
    [() => rmsprop(pairs, { ...rate, alpha: -0.1 }), OptionError, /alpha/],
    [() => rmsprop(pairs, { ...rate, epsilon: 0 }), OptionError, /epsilon/],
    [() => adam(pairs, { ...rate, betas: [0.9, 1] }), OptionError, /betas must be from 0 to below 1/],
    [() => adam(pairs, { ...rate, betas: [0.9, 1 - 1e-9] }), OptionError, /in float32/],
    [() => adam(pairs, { ...rate, weightDecay: -1 }), OptionError, /weightDecay/],
    [
      () => adam(pairs, { ...rate, guard: 'on' as unknown as boolean }),
      OptionError,
      /guard must be true or false, not "on"/,
    ],
    [() => adam(pairs, { ...rate, clipNorm: 0 }), OptionError, /adam: the largest norm must be a number above 0/],
    [() => adam(pairs, { ...rate, norm: constant([1], []) }), OptionError, /without clipNorm/],
    [() => adam(pairs, { ...rate, clipNorm: 1, norm: x }), ShapeError, /the norm must be one f32 number/],
    [() => adam(pairs, { ...rate, groups: [{ variables: [other] }] }), OptionError, /'p', which has no gradient/],
    [() => adam(pairs, { ...rate, groups: [{ variables: [p, p] }] }), OptionError, /named twice/],
    [() => adam(pairs, { ...rate, groups: [{ variables: [] }] }), OptionError, /groups\[0\] has no variables/],
    [() => adam(pairs, { ...rate, groups: [{ variables: [p], weightDecay: -1 }] }), OptionError, /weightDecay/],
    [() => adam(pairs, Object.assign({ ...rate }, { beta: 1 })), OptionError, /no option 'beta'. Did you mean 'betas'/],
    [() => clipByGlobalNorm([], 1), OptionError, /no tensors/],
    [() => clipByGlobalNorm([g], Number.POSITIVE_INFINITY), OptionError, /largest norm/],
  ];
  for (const [act, kind, message] of refused) {
    assert.throws(act, (error: unknown) => error instanceof kind && message.test(error.message), String(message));
  }
});

test('schedules', () => {
  const near = (got: number, wanted: number): void =>
    assert.ok(Math.abs(got - wanted) <= 1e-15, `${got}, not ${wanted}`);
  near(constantRate(0.3)(1000), 0.3);
  const warm = linearWarmUp(4, 0.8);
  [0.2, 0.4, 0.6, 0.8, 0.8].forEach((wanted, step) => {
    near(warm(step), wanted);
  });
  const cosine = cosineDecay({ from: 1, to: 0.2, steps: 4 });
  [1, 0.6 + 0.4 * Math.SQRT1_2, 0.6, 0.6 - 0.4 * Math.SQRT1_2, 0.2, 0.2].forEach((wanted, step) => {
    near(cosine(step), wanted);
  });
  const stairs = stepDecay({ from: 1, factor: 0.5, every: 3 });
  [1, 1, 1, 0.5, 0.5, 0.5, 0.25].forEach((wanted, step) => {
    near(stairs(step), wanted);
  });
  near(linearWarmUp(2, stepDecay({ from: 1, factor: 0.1, every: 1 }))(3), 0.1);
  for (const act of [
    () => constantRate(-1),
    () => linearWarmUp(0, 1),
    () => cosineDecay({ from: 1, steps: 1.5 }),
    () => stepDecay({ from: 1, factor: Number.NaN, every: 1 }),
    () => warm(-1),
    () => cosine(0.5),
  ]) {
    assert.throws(act, (error: unknown) => error instanceof OptionError);
  }
});

test.run();
