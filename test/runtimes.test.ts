// The same training in Node (Dawn), in Deno (wgpu) and in headless Chromium: the first losses equal, then still falling;
// and every kernel of the catalogue compiles in each of them. A runtime that is not there is a skip with its name.
// Deno and the page run test/runtimes/web.ts from dist/ as plain modules: no bundler, no server, no network.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at } from '../engine/errors.ts';
import { openDevice } from '../engine/node.ts';
import { type Report, report } from './runtimes/report.ts';
import { chromiumFlags, chromiumPath, denoScript, skip } from './runtimes.ts';

/** dist/, where the compiled modules lie as the sources do. */
const dist = fileURLToPath(new URL('../', import.meta.url));
const ENTRY = 'test/runtimes/web.js';
const FIRST = 3;
const CLOSE = 1e-4;
/** Milliseconds that a browser may take to start or to open a page, on a busy machine too. */
const LIMIT = 120_000;

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

/** Runs the entry in Deno, whose npm package is a script for Node, and reads what it wrote to stdout. */
async function runDeno(script: string): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), 'rimgrad-deno-'));
  try {
    const args = ['run', '--no-prompt', '--no-remote', '--no-npm', '--no-config', '--no-lock', join(dist, ENTRY)];
    const child = spawn(process.execPath, [script, ...args], {
      env: { ...process.env, DENO_DIR: folder, DENO_NO_UPDATE_CHECK: '1', NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output.stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output.stderr += text;
    });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    assert.is(code, 0, `deno ended with ${code}:\n${output.stderr}`);
    return JSON.parse(output.stdout) as Report;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Opens a page whose files come from dist/ by interception, and imports the entry there as a module. */
async function runChromium(executablePath: string): Promise<Report> {
  const browser = await chromium.launch({ executablePath, args: [...chromiumFlags], headless: true, timeout: LIMIT });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(LIMIT);
    const origin = 'http://localhost'; // WebGPU wants a secure context, and localhost is one
    await page.route('**/*', (route) => {
      const { pathname } = new URL(route.request().url());
      if (pathname === '/')
        return route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>rimgrad</title>' });
      return pathname.endsWith('.js') ? route.fulfill({ path: join(dist, pathname) }) : route.fulfill({ status: 404 });
    });
    await page.goto(`${origin}/`);
    // As text: a function would come here as tsc has rewritten it.
    return await page.evaluate<Report>(`import('${origin}/${ENTRY}').then(({ found }) => found)`);
  } finally {
    await browser.close();
  }
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
  deno === undefined ? undefined : once(() => runDeno(deno)),
  'the npm package deno is not installed',
);
testRuntime(
  'Chromium',
  browser === undefined ? undefined : once(() => runChromium(browser)),
  'no Chromium found; RIMGRAD_CHROMIUM names one',
);

test.run();
