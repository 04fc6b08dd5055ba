// The page for everybody: by keyboard alone, on a phone of 360 px, for screen readers and in both colour schemes (axe finds
// nothing), and in browsers without WebGPU. Its screenshots lie in dist/screenshots/, to be looked at by a person.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  holds,
  open,
  phase,
  reached,
  type Stage,
  screenshot,
  setStage,
  settled,
  steps,
  TINY,
  text,
} from './demo-browser.ts';
import { chromiumFlags, chromiumPath, skip } from './runtimes.ts';

const path = chromiumPath();
const test = suite('demo access');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** A test with a stage of its own. */
function onStage(name: string, flags: readonly string[], act: (stage: Stage) => Promise<void>): void {
  if (path === undefined) {
    skip(test, name, 'no Chromium found; RIMGRAD_CHROMIUM names one');
    return;
  }
  test(name, async () => {
    const stage = await setStage(path, flags);
    try {
      await act(stage);
    } finally {
      await stage.end();
    }
  });
}

/** What axe finds, a line each; every impact counts. */
async function complaints(page: Page): Promise<string[]> {
  if (!(await page.evaluate<boolean>(`'axe' in window`))) await page.evaluate(axe);
  const found = await page.evaluate<{
    violations: { id: string; impact: string; nodes: { target: string[]; failureSummary: string }[] }[];
  }>(`axe.run(document, { resultTypes: ['violations'] })`);
  return found.violations.flatMap(({ id, impact, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${impact} ${id}: ${target.join(' ')}: ${failureSummary}`),
  );
}

/** Both colour schemes at three widths: looked at by axe, measured, kept as pictures. */
async function everywhere(page: Page, name: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    for (const width of [360, 768, 1280]) {
      await page.setViewportSize({ width, height: 900 });
      await holds(page, `window.innerWidth === ${width}`);
      // A frame for what follows a width or a scheme: the charts are drawn anew.
      await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
      await screenshot(page, `${name}-${width}-${colorScheme}`);
      const wide = await page.evaluate<number>('document.documentElement.scrollWidth');
      assert.ok(wide <= width, `${name} is ${wide} px wide at ${width}`);
    }
    assert.equal(await complaints(page), [], `${name}, ${colorScheme}`);
  }
}

/** Presses Tab until an element has the focus. */
async function tabTo(page: Page, id: string): Promise<void> {
  for (let i = 0; i < 120; i++) {
    if (await page.evaluate<boolean>(`document.activeElement?.id === '${id}'`)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`#${id} cannot be reached with Tab`);
}

onStage('is usable by keyboard alone, on a phone, and axe finds nothing', chromiumFlags, async (stage) => {
  const { page, problems } = await open(stage, `${TINY}&debug`, { viewport: { width: 360, height: 740 } });
  await everywhere(page, 'fresh');
  await page.setViewportSize({ width: 360, height: 740 });
  // From the top: the skip link leads to the training.
  await page.keyboard.press('Tab');
  assert.is(await page.evaluate<string>('document.activeElement.className'), 'skip');
  await page.keyboard.press('Enter');
  await tabTo(page, 'run');
  await page.keyboard.press('Enter');
  await reached(page, 45);
  await tabTo(page, 'run');
  await page.keyboard.press('Enter');
  await phase(page, 'paused');
  await holds(page, `document.getElementById('look-result').textContent.startsWith('At step')`);
  await settled(page);
  await tabTo(page, 'module-2');
  await page.keyboard.press('Space');
  await holds(page, `document.getElementById('look-result').textContent.includes('without module 2')`);
  await tabTo(page, 'look-step');
  await page.keyboard.press('End');
  assert.match(await text(page, '#look-step-text'), /^4 of 4/);
  await page.keyboard.press('ArrowLeft');
  assert.match(await text(page, '#look-step-text'), /^3 of 4/);
  assert.match((await page.locator('#look-step').getAttribute('aria-valuetext')) ?? '', /reads the marker, active: \d/);
  // Every control can be reached, and a finger finds it: no smaller than the guidelines ask for.
  await page.click('#settings-fold > summary');
  for (const button of await page.locator('button:visible, select:visible, input[type=number]:visible').all()) {
    await button.scrollIntoViewIfNeeded();
    const box = await button.boundingBox();
    assert.ok(
      box !== null && box.x >= 0 && box.x + box.width <= 360.5,
      `out of sight: ${await button.getAttribute('id')}`,
    );
    assert.ok(box.height >= 24 && box.width >= 24, `too small: ${await button.getAttribute('id')}`);
  }
  await page.evaluate(`for (const each of document.querySelectorAll('details')) each.open = true`);
  await page.fill('#check-filter', 'softmax');
  await page.click('#check-run');
  await holds(page, `/^All \\d+ checks/.test(document.getElementById('check-state').textContent)`);
  await page.click('#look-each');
  await holds(page, `/\\d+\\s% without/.test(document.getElementById('switch-list').textContent)`);
  const count = await steps(page);
  assert.ok(count >= 45);
  await everywhere(page, 'trained');
  await page.click('#lose');
  await page.locator('#lost').waitFor();
  assert.equal(await complaints(page), [], 'lost');
  await screenshot(page, 'lost-1280-dark');
  assert.is(problems.join('\n'), '');
});

onStage('without a WebGPU adapter it says what to switch on, and still shows runs', ['--no-sandbox'], async (stage) => {
  const { page } = await open(stage, 'task=smnist&beside=dnc');
  await phase(page, 'unavailable');
  const panel = await text(page, '#unavailable');
  for (const words of [/Chrome and Edge 113/, /Firefox 141/, /Safari 26/, /graphics acceleration/])
    assert.match(panel, words);
  assert.is(await page.locator('#run').isDisabled(), true);
  const line = { kind: 'train', model: 'RIM', step: 5, loss: 0.5, figures: { accuracy: 0.25 }, seconds: 1 };
  const buffer = Buffer.from(`${JSON.stringify(line)}\n`);
  await page.setInputFiles('#load-files', { name: 'metrics.jsonl', mimeType: '', buffer });
  await holds(page, `document.getElementById('loss-chart').ariaLabel.includes('RIM 0.500 at step 5')`);
  await everywhere(page, 'without');
});

onStage('over plain http from elsewhere it says that the address is the trouble', ['--no-sandbox'], async (stage) => {
  const page = await stage.browser.newPage();
  // No name server knows this name: its files come from the built folder.
  await page.context().route('http://rimgrad.test/**', (route) => {
    const { pathname } = new URL(route.request().url());
    return route.fulfill({ path: join(stage.folder, 'some', 'where', pathname === '/' ? 'index.html' : pathname) });
  });
  await page.goto('http://rimgrad.test/');
  await phase(page, 'unavailable');
  assert.match(await text(page, '#unavailable'), /not opened securely.*https, or from localhost/);
  assert.equal(await complaints(page), []);
});

test.run();
