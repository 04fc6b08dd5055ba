// The benchmark's harness at tiny sizes, without peers of others: the shape of what it writes, what it refuses, its verdict, its
// command line. Its figures are in bench-figures.test.ts. No test asserts a time.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runBench } from '../bench/speed/bench.ts';
import type { Entrant } from '../bench/speed/contest.ts';
import { CHECKED_STEPS, startOwn } from '../bench/speed/contestants.ts';
import { type BenchOptions, parseBenchOptions } from '../bench/speed/options.ts';
import { renderPage } from '../bench/speed/page.ts';
import type { BenchResult } from '../bench/speed/result.ts';
import { spread } from '../bench/speed/statistics.ts';
import { formatResult } from '../bench/speed/table.ts';
import { judgeTargets, type Target } from '../bench/speed/targets.ts';
import { need } from '../engine/errors.ts';
import { TINY, throwsOption } from './bench-trials.ts';

const signal = new AbortController().signal;

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
  throwsOption(() => options('--sizes', 'S,X'), /no size 'X'.*There are S, M, P/);
  throwsOption(
    () => options('--peers', 'jax-js-webgp'),
    /no peer 'jax-js-webgp'\. Did you mean jax-js-webgpu\? There are /,
  );
  throwsOption(() => options('--rounds', '0'), /whole number from 1 to 1000/);
  throwsOption(() => options('--size', 'S'), /did you mean --sizes/);
  throwsOption(() => options('S'), /too many arguments/);
  const help = parseBenchOptions(['--help']);
  assert.ok(help.kind === 'help' && help.text.includes('Examples:'));
});

test('the command says what is wrong in one line, with the exit code of wrong usage', () => {
  const script = fileURLToPath(new URL('../bench/rimgrad.js', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, 'bench', '--sizes', 'XL'], {
    encoding: 'utf8',
  });
  assert.is(status, 2);
  assert.is(stdout, '');
  assert.match(stderr, /^rimgrad: .*no size 'XL'.*\n$/);
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
    products: async () => {
      const [chosen, best] = [6e9, 8e9].map((operationsPerSecond) => ({
        name: `at ${operationsPerSecond}`,
        operationsPerSecond,
      }));
      const both = { chosen: need(chosen, 'a candidate'), best: need(best, 'a candidate') };
      return { shapes: [{ name: 'square', ...both, share: 0.75, candidates: [both.chosen, both.best] }] };
    },
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
      TINY.T *
        (own.forwardDispatchesPerTimeStep + own.backwardDispatchesPerTimeStep + own.recomputedDispatchesPerTimeStep) +
        own.constantDispatches,
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

  assert.is(again.targets.find(({ name }) => name.startsWith('matrix products'))?.reached, true);

  const text = formatResult(again);
  for (const words of [
    'a <test>',
    'dishonest: refused: the loss of step 0',
    'absent: missing',
    'Ceilings',
    'square',
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
    'Matrix products',
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
  const wasm = (one: number, threads: number): Target | undefined => {
    const both = [contestant('jax-js-wasm', one), contestant('jax-js-wasm-threads', threads)];
    const sizes = [{ name: 'S', sizes: TINY, contestants: [...contestants, ...both] }];
    return judgeTargets({ environment, sizes, scaling, products: null }).find(({ name }) =>
      name.includes('jax-js-wasm'),
    );
  };
  assert.is(wasm(2, 1.5)?.figure, '1.50x (rounds 1.50x to 1.50x, jax-js-wasm-threads)');
  assert.equal(
    [wasm(2, 1.5), wasm(2, 0.5), wasm(0.5, 2)].map((each) => each?.reached),
    [true, false, false],
  );
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
