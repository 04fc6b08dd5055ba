// The benchmark's harness at tiny sizes, without peers of others: its statistics, its order, its check, the shape of what it
// writes, its command line. No test asserts a time.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runBench } from '../bench/speed/bench.ts';
import { copyCeilingFor } from '../bench/speed/ceilings.ts';
import { lossesFault, movesFault } from '../bench/speed/check.ts';
import type { Entrant } from '../bench/speed/contest.ts';
import { CHECKED_STEPS, type Move, startOwn } from '../bench/speed/contestants.ts';
import { kernelRow } from '../bench/speed/kernels.ts';
import { type BenchOptions, parseBenchOptions } from '../bench/speed/options.ts';
import { renderPage } from '../bench/speed/page.ts';
import type { BenchResult } from '../bench/speed/result.ts';
import { measureRounds, schedule } from '../bench/speed/rounds.ts';
import { topSlope } from '../bench/speed/scaling.ts';
import { logLogSlope, median, quantile, roundRatios, spread } from '../bench/speed/statistics.ts';
import { formatResult } from '../bench/speed/table.ts';
import { judgeTargets } from '../bench/speed/targets.ts';
import { need, OptionError } from '../engine/errors.ts';

const TINY = { B: 2, T: 3, N: 3, K: 2, H: 4, D: 4, E: 4, V: 4, C: 1, F: 4, W: 4 };
const finite = fc.double({ min: 1e-6, max: 1e6, noNaN: true });
const signal = new AbortController().signal;

function throwsOption(act: () => unknown, message: RegExp): void {
  try {
    act();
  } catch (error) {
    assert.instance(error, OptionError);
    if (error instanceof Error) assert.match(error.message, message);
    return;
  }
  assert.unreachable(`it was not refused: ${message}`);
}

test('quantiles lie among the values, in order, wherever the values stand', () => {
  fc.assert(
    fc.property(fc.array(finite, { minLength: 1, maxLength: 40 }), (values) => {
      const { count, least, lower, median: middle, upper, most } = spread(values);
      assert.is(count, values.length);
      assert.ok(least === Math.min(...values) && most === Math.max(...values));
      assert.ok(least <= lower && lower <= middle && middle <= upper && upper <= most);
      assert.is(median([...values].reverse()), middle);
      // At least half of the values are on either side.
      assert.ok(2 * values.filter((value) => value <= middle * (1 + 1e-12)).length >= values.length);
      assert.ok(2 * values.filter((value) => value >= middle * (1 - 1e-12)).length >= values.length);
    }),
  );
  assert.is(median([4, 1, 3, 2]), 2.5);
  assert.is(quantile([10, 20, 30], 0.25), 15);
  throwsOption(() => median([]), /no values/);
});

test('ratios are made round by round: a machine that slows down for a while does not move them', () => {
  fc.assert(
    fc.property(
      fc.array(finite, { minLength: 1, maxLength: 12 }),
      fc.double({ min: 0.1, max: 50, noNaN: true }),
      (speeds, factor) => {
        const ours = new Map(speeds.map((speed, round) => [round, [speed, speed]] as const));
        const theirs = new Map(speeds.map((speed, round) => [round, [factor * speed]] as const));
        const ratios = roundRatios(theirs, ours);
        assert.is(ratios.length, speeds.length);
        for (const ratio of ratios) assert.ok(Math.abs(ratio - factor) <= 1e-9 * factor, `${ratio} for ${factor}`);
      },
    ),
  );
  assert.equal(
    roundRatios(
      new Map([
        [1, [6]],
        [4, [9]],
      ]),
      new Map([
        [0, [1]],
        [1, [2]],
      ]),
    ),
    [3],
  );
});

test('the slope is the exponent of a power law, over the three largest sizes', () => {
  const exponent = fc.double({ min: -3, max: 3, noNaN: true });
  fc.assert(
    fc.property(
      exponent,
      fc.double({ min: 0.01, max: 100, noNaN: true }),
      fc.uniqueArray(fc.integer({ min: 1, max: 500 }), { minLength: 2, maxLength: 8 }),
      (power, scale, sizes) => {
        const slope = logLogSlope(sizes.map((x) => [x, scale * x ** power] as const));
        assert.ok(Math.abs(slope - power) < 1e-6, `${slope} for ${power}`);
      },
    ),
  );
  const point = (value: number, time: number) => ({ value, step: spread([time]) });
  assert.ok(
    Math.abs(need(topSlope([point(1, 500), point(40, 80), point(20, 20), point(10, 5)]) ?? undefined, 'slope') - 2) <
      1e-9,
  );
  assert.is(topSlope([point(1, 1), point(2, 2), { value: 4, step: null }]), null);
  throwsOption(
    () =>
      logLogSlope([
        [2, 1],
        [2, 3],
      ]),
    /two or more sizes/,
  );
  throwsOption(
    () =>
      logLogSlope([
        [1, 0],
        [2, 3],
      ]),
    /positive/,
  );
});

test('slow contestants sit rounds out, and never fall below three', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.1, max: 1e5, noNaN: true }), fc.integer({ min: 1, max: 40 }), (step, rounds) => {
      const plan = { rounds, roundMilliseconds: 1000, budgetMilliseconds: 20_000 };
      const { steps, rounds: taken } = schedule(step, plan);
      assert.ok(steps >= 1 && taken.size >= Math.min(3, rounds) && taken.size <= rounds);
      assert.ok([...taken].every((round) => Number.isInteger(round) && round >= 0 && round < rounds));
      assert.ok(taken.size <= 3 || taken.size * steps * step <= 20_000, 'over its budget');
      assert.ok(steps === 1 || steps * step <= 1000, 'over its share of a round');
    }),
  );
});

test('rounds are interleaved, each begins with another, and one that breaks leaves the others', async () => {
  const calls: string[] = [];
  const runner = (name: string, breaks = Number.POSITIVE_INFINITY) => {
    let count = 0;
    return {
      run: async (steps: number) => {
        if (count++ >= breaks) throw new Error('broke');
        calls.push(name);
        return Array.from({ length: steps }, () => 1000);
      },
    };
  };
  const plan = { rounds: 3, roundMilliseconds: 1000, budgetMilliseconds: 1e6 };
  const runners = new Map([
    ['a', runner('a')],
    ['b', runner('b')],
    ['c', runner('c', 2)],
  ]);
  const measured = await measureRounds(runners, plan, signal, () => {});
  assert.is(calls.join(''), 'abc' + 'abc' + 'ba' + 'ab');
  assert.is(measured.get('c')?.fault, 'broke');
  assert.is(measured.get('a')?.rounds.size, 3);
  const aborted = AbortSignal.abort(new Error('stopped'));
  let caught: unknown;
  await measureRounds(runners, plan, aborted, () => {}).catch((error: unknown) => {
    caught = error;
  });
  assert.ok(caught instanceof Error && caught.message === 'stopped');
});

test('the check refuses other losses, another fall, and parameters that moved elsewhere', () => {
  const reference = [1, 0.999, 0.998];
  assert.is(lossesFault([1.00005, 0.99905, 0.99805], reference), undefined);
  assert.match(lossesFault([1.0002, 0.9992, 0.9982], reference) ?? '', /loss of step 0/);
  assert.match(lossesFault([1, 0.99903, 0.99806], reference) ?? '', /fell by/);
  assert.match(lossesFault([1, Number.NaN, 0.998], reference) ?? '', /loss of step 1/);
  assert.match(lossesFault([1], reference) ?? '', /2 are needed/);
  const move = (...change: number[]): Move[] => {
    const before = Float32Array.of(1, 1);
    return [{ name: 'w', before, change: Float32Array.from(change) }];
  };
  assert.is(movesFault(move(0.1, 0.2), move(0.1, 0.2004), 5), undefined);
  assert.match(movesFault(move(0.1, 0.2), move(0.1, 0.21), 5) ?? '', /^w moved elsewhere/);
  assert.match(movesFault(move(Number.NaN, 0), move(0.1, 0.2), 5) ?? '', /^w moved elsewhere/);
  assert.match(movesFault([], move(0.1, 0.2), 5) ?? '', /no parameter like w/);
});

test('a kernel is held against the ceiling that asks for the most time', () => {
  const ceilings = {
    arithmetic: { operationsPerSecond: 1e9, way: '' },
    copy: [
      { bytes: 1e6, bytesPerSecond: 1e9, way: '' },
      { bytes: 1e8, bytesPerSecond: 1e8, way: '' },
    ],
    dispatch: { one: 0.02, sixtyFour: 0.03 },
    tried: [],
  };
  const entry = { op: 'o', kernel: 'k', constants: {}, calls: 10, milliseconds: 10, bytes: 1e6, operations: 5e6 };
  assert.equal(
    [kernelRow(entry, 20, ceilings)].map(({ bound, reached, share }) => [bound, reached, share]),
    [['arithmetic', 0.5, 0.5]],
  );
  assert.is(kernelRow({ ...entry, bytes: 8e6 }, 20, ceilings).bound, 'memory');
  assert.is(kernelRow({ ...entry, operations: 10, bytes: 10 }, 20, ceilings).bound, 'dispatch');
  assert.is(copyCeilingFor(ceilings, 3e8), 1e8);
});

test('command lines: defaults, lists, and errors that name the mend', () => {
  const options = (...args: string[]): BenchOptions => {
    const request = parseBenchOptions(args);
    if (request.kind !== 'run') throw new Error('help');
    return request.options;
  };
  assert.is(options().sizes, undefined, 'the adapter decides');
  assert.ok(options().scaling && options().kernels && options().peers.length > 3);
  assert.equal(options('--no-peers', '--no-scaling').peers, []);
  assert.is(options('--no-peers', '--no-scaling').scaling, false);
  assert.equal(options('--all').sizes, ['S', 'M', 'P']);
  assert.equal(options('--sizes', 'm,s,M', '--peers', 'tfjs-wasm').sizes, ['M', 'S']);
  assert.equal(options('--sizes', 'M', '--peers', 'tfjs-wasm').peers, ['tfjs-wasm']);
  const quick = options('--quick', '--kernels');
  assert.equal([quick.sizes, quick.peers, quick.scaling, quick.kernels], [['S'], [], false, true]);
  throwsOption(() => options('--sizes', 'S,X'), /no size 'X'.*Known: S, M, P/);
  throwsOption(() => options('--peers', 'jax-js-webgp'), /did you mean jax-js-webgpu/);
  throwsOption(() => options('--rounds', '0'), /whole number from 1 to 1000/);
  throwsOption(() => options('--size', 'S'), /did you mean --sizes/);
  throwsOption(() => options('S'), /too many arguments/);
  const help = parseBenchOptions(['--help']);
  assert.ok(help.kind === 'help' && help.text.includes('Examples:'));
});

test('the command says what is wrong in one line, with the exit code of wrong usage', () => {
  const script = fileURLToPath(new URL('../bench/speed/command.js', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, '--sizes', 'XL'], { encoding: 'utf8' });
  assert.is(status, 2);
  assert.is(stdout, '');
  assert.match(stderr, /^rimgrad: bench: .*no size 'XL'.*\n$/);
});

test('a tiny run: honest and dishonest contestants, facts, curves, ceilings, verdict, JSON, page', async () => {
  const options = { ...need(quickOptions(), 'options'), scaling: true, kernels: true };
  const closed: string[] = [];
  const stranger = { task: 'benchmark', backend: 'test', version: '1', firstStepMilliseconds: 1 } as const;
  const result = await runBench(options, {
    signal,
    onStage: () => {},
    onDetail: () => {},
    command: 'a <test>',
    sizes: { tiny: TINY },
    axes: [{ axis: 'T', base: 'tiny', points: [1, 2, 3].map((T) => ({ value: T, sizes: { ...TINY, T } })) }],
    entrants: ({ sizes, feeds }): Entrant[] => [
      {
        name: 'honest',
        backend: 'test',
        start: async () => {
          const { device, losses, run } = await startOwn('benchmark', 'plain', sizes, feeds);
          const close = async () => {
            closed.push('honest');
            device.dispose();
          };
          return { ...stranger, name: 'honest', losses, run, close };
        },
      },
      {
        name: 'dishonest',
        backend: 'test',
        start: async () => ({
          ...stranger,
          name: 'dishonest',
          losses: [9, 8, 7],
          run: () => Promise.reject(new Error('a contestant with other losses was timed')),
          close: async () => {
            closed.push('dishonest');
          },
        }),
      },
      {
        name: 'absent',
        backend: 'test',
        missing: 'not <installed>',
        start: () => Promise.reject(new Error('started')),
      },
      { name: 'broken', backend: 'test', start: () => Promise.reject(new Error('it fell over')) },
    ],
  });
  const again: BenchResult = JSON.parse(JSON.stringify(result));
  assert.equal(again, result, 'everything survives JSON');
  assert.is(again.format, 'rimgrad bench 1');
  const [size] = again.sizes;
  const contestants = need(size, 'a size').contestants;
  const find = (name: string, task = 'benchmark') =>
    need(
      contestants.find((each) => each.name === name && each.task === task),
      name,
    );
  assert.equal(
    contestants.map(({ name, status }) => `${name} ${status}`),
    [
      'rimgrad plain timed',
      'rimgrad fused timed',
      'rimgrad plain timed',
      'rimgrad fused timed',
      'honest timed',
      'dishonest refused',
      'absent missing',
      'broken failed',
    ],
  );
  assert.match(find('dishonest').reason ?? '', /loss of step 0/);
  assert.is(find('dishonest').step, null);
  assert.equal(find('dishonest').rounds, []);
  assert.is(find('absent').reason, 'not <installed>');
  assert.is(find('broken').reason, 'it fell over');
  assert.ok(closed.includes('honest') && closed.includes('dishonest'), 'whoever was started is closed');
  for (const each of contestants.filter(({ status }) => status === 'timed')) {
    const step = need(each.step ?? undefined, 'times');
    assert.is(step.count, each.rounds.flatMap(({ milliseconds }) => milliseconds).length);
    assert.is(each.rounds.length, options.rounds);
    assert.ok(each.ratio !== null && each.plainRatio !== null);
  }
  assert.is(find('rimgrad fused').ratio?.median, 1);
  for (const task of ['benchmark', 'paper']) {
    const own = need(find('rimgrad plain', task).own ?? undefined, 'facts');
    assert.is(
      own.dispatches,
      TINY.T * (own.forwardDispatchesPerTimeStep + own.backwardDispatchesPerTimeStep) + own.constantDispatches,
    );
    assert.ok(
      own.pipelines > 1 && own.pipelines <= own.dispatches && own.bytes > 0 && own.operations > 0 && own.peakMemory > 0,
    );
    assert.ok(own.encoding.count >= options.rounds);
    assert.is(find('rimgrad plain', task).losses.length, CHECKED_STEPS);
  }
  const [axis] = again.scaling;
  assert.equal(
    axis?.points.map(({ value, reason }) => [value, reason]),
    [
      [1, null],
      [2, null],
      [3, null],
    ],
  );
  assert.ok(axis?.slope !== null);
  assert.ok(need(again.kernels ?? undefined, 'kernels').rows.length > 0);
  assert.ok(need(again.kernels ?? undefined, 'kernels').ceilings.arithmetic.operationsPerSecond > 0);
  assert.ok(again.targets.length > 10);
  assert.is(again.targets.find(({ name }) => name.startsWith('size S: fused against jax-js-webgpu'))?.reached, null);

  const text = formatResult(again);
  for (const words of [
    'a <test>',
    'dishonest: refused: the loss of step 0',
    'absent: missing',
    'Ceilings',
    'Targets:',
  ]) {
    assert.ok(text.includes(words), `the tables lack ${words}`);
  }
  const html = await renderPage(again);
  assert.match(html, 'a &lt;test&gt;');
  assert.match(html, 'not &lt;installed&gt;');
  assert.not.match(html, /https?:|url\(|@import|<script|<link|<img|\ssrc=|\shref=|<installed>/i);
  for (const part of [
    'Verdict',
    'Training steps',
    'What a step of rimgrad is',
    'Kernels against ceilings',
    'How cost grows',
  ]) {
    assert.match(html, new RegExp(`<h2 id="[a-z]+">${part}</h2>`));
  }
});

test('targets: reached, not reached and not decided', () => {
  const ratio = (median: number) => ({ ...spread([median]), count: 3 });
  const contestant = (name: string, times: number) => ({
    name,
    task: 'benchmark' as const,
    backend: '',
    version: '',
    adapter: null,
    status: 'timed' as const,
    reason: null,
    losses: [],
    firstStepMilliseconds: 1,
    rounds: [],
    step: spread([times]),
    ratio: ratio(times),
    plainRatio: ratio(times / 3.5),
    own: null,
  });
  const adapter = {
    vendor: '',
    architecture: '',
    device: '',
    description: '',
    software: true,
    name: '',
    subgroupSize: 0,
  };
  const environment = {
    date: '',
    commit: null,
    changed: null,
    adapter,
    features: [],
    rimgrad: '',
    node: '',
    webgpu: null,
    platform: '',
    processor: '',
    processors: 2,
    memory: 1,
  };
  const contestants = [
    contestant('rimgrad fused', 1),
    contestant('rimgrad plain', 3.5),
    contestant('jax-js-webgpu', 9),
    contestant('tfjs-webgpu', 20),
  ];
  const point = (value: number, time: number) => ({
    value,
    sizes: TINY,
    rounds: [],
    step: spread([time]),
    memory: 1,
    reason: null,
  });
  const scaling = [
    { axis: 'K' as const, base: '', points: [point(4, 4.5), point(16, 10)], slope: null },
    { axis: 'T' as const, base: '', points: [], slope: 1.2 },
  ];
  const targets = judgeTargets({
    environment,
    sizes: [{ name: 'S', sizes: TINY, contestants }],
    scaling,
    products: null,
  });
  const reached = (name: string) =>
    need(
      targets.find((target) => target.name.includes(name)),
      name,
    ).reached;
  assert.is(reached('size S: fused against jax-js-webgpu'), false);
  assert.is(reached('size S: fused against tfjs-webgpu'), true);
  assert.is(reached('size S: fused against rimgrad plain'), true);
  assert.is(reached('size S: fused against jax-js-wasm'), null);
  assert.is(reached('size S: plain against jax-js-webgpu'), true);
  assert.is(reached('K 4 against K 16'), true);
  assert.is(reached('largest T'), false);
  assert.is(reached('largest B'), null);
});

function quickOptions(): BenchOptions | undefined {
  const request = parseBenchOptions(['--quick', '--rounds', '2']);
  return request.kind === 'run' ? request.options : undefined;
}

test.run();
