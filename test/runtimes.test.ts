// The same training in Node (Dawn), in Deno (wgpu) and in headless Chromium: the first losses equal, then still falling;
// and every kernel of the catalogue compiles in each of them. A runtime that is not there is a skip with its name.
// Deno and the page run test/runtimes/web.ts from dist/ as plain modules: no bundler, no server, no network.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at } from '../engine/errors.ts';
import { openDevice } from '../engine/node.ts';
import { type Report, report } from './runtimes/report.ts';
import { chromiumPath, denoScript, runChromium, runDeno, skip } from './runtimes.ts';

const ENTRY = 'test/runtimes/web.js';
const FIRST = 3;
const CLOSE = 1e-4;

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function judge(runtime: string, losses: readonly number[], reference: readonly number[]): void {
  assert.is(losses.length, reference.length, `${runtime}: steps`);
  for (let step = 0; step < FIRST; step++) {
    const [own, other] = [at(losses, step), at(reference, step)];
    assert.ok(Math.abs(own - other) <= CLOSE, `${runtime}: the loss of step ${step} is ${own}, in Node ${other}`);
  }
  assert.ok(losses.every(Number.isFinite), `${runtime}: ${losses.join(' ')}`);
  const third = Math.floor(losses.length / 3);
  const parts = [0, 1, 2].map((k) => mean(losses.slice(k * third, (k + 1) * third)));
  assert.ok(at(parts, 0) > at(parts, 1) && at(parts, 1) > at(parts, 2), `${runtime}: no fall: ${parts.join(' ')}`);
}

/** What a runtime reports, asked for once. */
function once(ask: () => Promise<Report>): () => Promise<Report> {
  let asked: Promise<Report> | undefined;
  return () => {
    asked ??= ask();
    return asked;
  };
}

const inNode = once(() => report(openDevice));

/** The tests of one runtime; `ask` is undefined where it is not there. */
function testRuntime(runtime: string, ask: (() => Promise<Report>) | undefined, missing: string): void {
  const [kernels, training] = [`${runtime} compiles every kernel`, `${runtime} trains, with the first losses of Node`];
  if (ask === undefined) {
    for (const name of [kernels, training]) skip(test, name, missing);
    return;
  }
  test(kernels, async () => {
    const { refused } = await ask();
    assert.is(refused.join('\n'), '');
  });
  test(training, async () => {
    judge(runtime, (await ask()).losses, (await inNode()).losses);
  });
}

const deno = denoScript();
const browser = chromiumPath();
testRuntime('Node', inNode, '');
testRuntime(
  'Deno',
  deno === undefined ? undefined : once(() => runDeno<Report>(deno, ENTRY)),
  'the npm package deno is not installed',
);
testRuntime(
  'Chromium',
  browser === undefined ? undefined : once(() => runChromium<Report>(browser, ENTRY)),
  'no Chromium found; RIMGRAD_CHROMIUM names one',
);

test.run();
