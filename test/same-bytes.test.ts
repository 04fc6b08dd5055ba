// The same bytes every time: 200 steps with dropout on leave the same weights, moments and counters twice in one process with other work
// between, and in another process; in Node, Deno and a browser, each equal to itself; and with products computed by other kernels.
// A runtime that is not there is a skip with its name.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDevice } from '../engine/node.ts';
import { type Repeats, repeats } from './runtimes/repeat.ts';
import { chromiumPath, denoScript, runChromium, runDeno, skip } from './runtimes.ts';

const ENTRY = 'test/runtimes/repeat-web.js';

/** Two processes of a runtime, one after the other. */
async function twice(ask: () => Promise<Repeats>): Promise<readonly [Repeats, Repeats]> {
  return [await ask(), await ask()];
}

function judge([one, two]: readonly [Repeats, Repeats]): void {
  assert.match(one.first.state, /^[0-9a-f]{64}$/);
  assert.is.not(one.first.state, one.untrained.state, 'nothing was trained');
  assert.equal(one.again, one.first, 'twice in one process');
  assert.equal(two.untrained, one.untrained, 'another process, untrained');
  assert.equal([two.first, two.again], [one.first, one.again], 'another process');
}

async function inNode(): Promise<Repeats> {
  const entry = fileURLToPath(new URL('runtimes/repeat-node.js', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [entry]);
  return JSON.parse(stdout) as Repeats;
}

test('Node: the same bytes, in one process, in two, and with other kernels', async () => {
  const other = ['scalar-1x4', 'shared-16-8-32'];
  const one = await repeats(openDevice, other);
  judge([one, await inNode()]);
  assert.is(one.tuned.length, other.length);
  one.tuned.forEach(({ state, kernels }, i) => {
    assert.is.not(kernels, one.first.kernels, `${other[i]}: the same kernels`);
    assert.is(state, one.first.state, `${other[i]}: other bytes`);
  });
});

const deno = denoScript();
const denoName = 'Deno: the same bytes, in one process and in two';
if (deno === undefined) skip(test, denoName, 'the npm package deno is not installed');
else test(denoName, async () => judge(await twice(() => runDeno<Repeats>(deno, ENTRY))));

const browser = chromiumPath();
const browserName = 'Chromium: the same bytes, in one page and in two browsers';
if (browser === undefined) skip(test, browserName, 'no Chromium found; RIMGRAD_CHROMIUM names one');
else test(browserName, async () => judge(await twice(() => runChromium<Repeats>(browser, ENTRY))));

test.run();
