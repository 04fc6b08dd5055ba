// The page end to end in real headless Chromium, built and served as a static folder from a sub-folder: it trains in its
// worker, pauses, goes on, shows and switches modules, saves and loads, takes a run of the command line, survives a lost device,
// checks the device, keeps its state in its address. Waits end when something holds; no time is asserted.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Download, Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { taskModel } from '../bench/models.ts';
import { type MainOptions, parseMainOptions } from '../bench/options.ts';
import { RunFolder } from '../bench/runs.ts';
import { copyingTask } from '../bench/tasks/index.ts';
import { fromQuery, modelOptions } from '../demo/settings.ts';
import { at, RandomState, readSafetensors, saveVariables } from '../engine/core.ts';
import {
  figure,
  holds,
  LIMIT,
  type Opened,
  open,
  phase,
  reached,
  type Stage,
  setStage,
  settled,
  steps,
  TINY,
  text,
} from './demo-browser.ts';
import { factsFor } from './made-task.ts';
import { chromiumPath, skip } from './runtimes.ts';

/** A small run on another task, beside another model. */
const ADDING = `${TINY}&task=adding&length=4&beside=gru`;

const path = chromiumPath();
const test = suite('demo page');
let stage: Stage;

if (path !== undefined) {
  test.before(async () => {
    stage = await setStage(path);
  });
  test.after(() => stage.end());
}

/** One test on a page of its own, which must end without a problem in its console. */
function onPage(name: string, query: string, act: (page: Page, opened: Opened) => Promise<void>): void {
  if (path === undefined) {
    skip(test, name, 'no Chromium found; RIMGRAD_CHROMIUM names one');
    return;
  }
  test(name, async () => {
    const opened = await open(stage, query);
    try {
      await act(opened.page, opened);
      assert.is(opened.problems.join('\n'), '');
      assert.is(await opened.page.locator('#error').isVisible(), false, await text(opened.page, '#error'));
    } finally {
      await opened.page.context().close();
    }
  });
}

async function lossOf(page: Page, model: string): Promise<number> {
  const found = new RegExp(`${model} ([\\d.e-]+)`).exec(await figure(page, 'Loss'));
  return Number(found?.[1]);
}

async function downloaded(page: Page, button: string): Promise<{ name: string; bytes: Buffer }> {
  const [file] = await Promise.all([
    page.waitForEvent('download', { timeout: LIMIT }) as Promise<Download>,
    page.click(button),
  ]);
  return { name: file.suggestedFilename(), bytes: readFileSync(await file.path()) };
}

/** Asks for a look, and waits for one of the step that is shown now. */
async function looked(page: Page): Promise<string> {
  await page.evaluate(`document.getElementById('look-result').textContent = ''`);
  await page.click('#look');
  await holds(page, `document.getElementById('look-result').textContent.startsWith('At step ${await steps(page)},')`);
  await settled(page);
  return text(page, '#look-result');
}

onPage('trains until the loss has fallen, pauses, goes on, does one step', TINY, async (page) => {
  assert.match(await text(page, '#device'), /swiftshader/i);
  await page.click('#step');
  await reached(page, 1);
  await phase(page, 'paused');
  assert.is(await steps(page), 1);
  assert.match(await text(page, '#progress-text'), /^Kernels of the training of the LSTM: (\d+) of \1$/);
  const [rim, lstm] = [await lossOf(page, 'RIM'), await lossOf(page, 'LSTM')];
  await page.click('#run');
  await reached(page, 40);
  await page.click('#run');
  await phase(page, 'paused');
  const paused = await steps(page);
  assert.ok((await lossOf(page, 'RIM')) < 0.7 * rim, `RIM: ${rim} to ${await lossOf(page, 'RIM')}`);
  assert.ok((await lossOf(page, 'LSTM')) < 0.7 * lstm, `LSTM: ${lstm} to ${await lossOf(page, 'LSTM')}`);
  assert.match(await text(page, '#state'), new RegExp(`Paused at step ${paused.toLocaleString('en')}`));
  // A look is answered after whatever the worker still had to do: the count must not have moved by then.
  await looked(page);
  assert.is(await steps(page), paused);
  await page.click('#step');
  await reached(page, paused + 1);
  await phase(page, 'paused');
  assert.is(await steps(page), paused + 1);
  await page.click('#run');
  await reached(page, paused + 5);
  await page.click('#run');
  await phase(page, 'paused');
  const table = await text(page, '#compare');
  assert.match(table, /2 as trained\d+ %\d+ %4\d+ %\d+ %8\d+ %\d+ %without memory13 %13 %/);
  assert.match(await figure(page, 'GPU memory'), /^\d+\.\d MiB$/);
  assert.ok(Number(await figure(page, 'Steps a second')) > 0);
  assert.match((await page.locator('#loss-chart').getAttribute('aria-label')) ?? '', /Loss: RIM .* at step \d+, LSTM/);
  const csv = (await downloaded(page, '#save-csv')).bytes.toString();
  assert.match(csv, /^kind,model,step,split,setting,loss,seconds,crossEntropy,accuracy,.*\ntrain,RIM,1,train,,/);
  assert.match(csv, /\nevaluation,LSTM,20,test,8,/);
  const lines = (await downloaded(page, '#save-jsonl')).bytes.toString().trim().split('\n');
  assert.ok(lines.length > 10 && lines.every((line) => 'kind' in JSON.parse(line)));
  for (const picture of ['loss', 'strip', 'talk']) {
    const { name, bytes } = await downloaded(page, `[data-picture="${picture}"]`);
    assert.match(name, new RegExp(`-${picture}\\.png$`));
    assert.is(bytes.subarray(1, 4).toString(), 'PNG');
    assert.ok(bytes.length > 2000, `${picture}: ${bytes.length} bytes`);
  }
  await page.click('#reset');
  await phase(page, 'idle');
  assert.is(await steps(page), 0);
});

onPage('begins anew in the middle of its work, and takes nothing over', TINY, async (page) => {
  const unmeasured = async (): Promise<void> => {
    await phase(page, 'idle');
    // What was still under way would be told before the answer to a look; the look itself trains nothing.
    await looked(page);
    assert.is(await steps(page), 0);
    assert.is(await page.locator('#save-csv').isDisabled(), true, 'figures of the run before');
    assert.match(await text(page, '#compare-text'), /First tested after 20 steps\.$/);
  };
  for (const reached20 of [false, false, true, false, true]) {
    await page.click('#run');
    await reached(page, reached20 ? 20 : 3);
    await page.click('#reset');
    await unmeasured();
  }
  // A look of a run with fewer modules means nothing to the next.
  await page.click('#look-each');
  await page.fill('#field-modules', '7');
  await page.press('#field-modules', 'Tab');
  await page.click('#reset');
  await unmeasured();
  assert.is(await page.locator('#switch-list .switch').count(), 7);
});

onPage('shows the modules step by step, and without one of them', TINY, async (page) => {
  await page.click('#step');
  await reached(page, 1);
  await looked(page);
  await page.locator('summary', { hasText: 'as a table' }).click();
  const active = (): Promise<string[]> => page.locator('#step-table tbody tr td:nth-child(2)').allTextContents();
  const slider = page.locator('#look-step');
  await slider.focus();
  await page.keyboard.press('Home');
  const before: string[][] = [];
  for (let t = 0; t < 4; t++) {
    assert.match(await text(page, '#look-step-text'), new RegExp(`^${t + 1} of 4`));
    before.push(await active());
    await page.keyboard.press('ArrowRight');
  }
  for (const row of before) assert.is(row.filter((text) => text === 'yes').length, 2, row.join());
  // A module that was active at the first step is switched off: then it never is.
  const module = at(before, 0).indexOf('yes');
  await page.getByRole('switch', { name: `Module ${module + 1}` }).click();
  await holds(page, `document.getElementById('look-result').textContent.includes('without module ${module + 1}')`);
  await page.keyboard.press('Tab');
  await slider.focus();
  await page.keyboard.press('Home');
  for (let t = 0; t < 4; t++) {
    assert.is(at(await active(), module), 'no');
    await page.keyboard.press('ArrowRight');
  }
  // Under the pointer too: the last step of the strip.
  const grid = await page.locator('#strip [data-grid]').boundingBox();
  assert.ok(grid !== null);
  await page.mouse.move(grid.x + grid.width - 3, grid.y + 5);
  assert.match(await text(page, '#look-step-text'), /^4 of 4/);
  await page.click('#look-each');
  await holds(page, `/\\d+\\s% without/.test(document.getElementById('switch-list').textContent)`);
  assert.is(
    await page.locator('#talk svg rect.void').count(),
    4 * (4 - (await active()).filter((text) => text === 'yes').length),
  );
  await page.selectOption('#look-setting', '8');
  await holds(page, `document.getElementById('look-step').max === '9'`);
});

onPage('saves weights, and loads them into a page that was opened anew', TINY, async (page) => {
  await page.click('#run');
  await reached(page, 8);
  await page.click('#run');
  await phase(page, 'paused');
  const count = await steps(page);
  const result = await looked(page);
  const answers = (): Promise<string | null> => page.locator('#strip svg').getAttribute('aria-label');
  const said = await answers();
  const { name, bytes } = await downloaded(page, '#save');
  assert.is(name, `rimgrad-copying-seed1-step${count}.safetensors`);
  const { tensors } = readSafetensors(new Uint8Array(bytes), name);
  assert.ok(tensors.has('rim.readout.weight') && tensors.has('lstm.readout.weight'), [...tensors.keys()].join());
  await page.goto(stage.url);
  await phase(page, 'idle');
  await page.setInputFiles('#load-files', { name, mimeType: '', buffer: bytes });
  await holds(page, `document.getElementById('file-state').textContent.includes('weights of RIM and LSTM')`);
  await holds(page, `document.getElementById('look-result').textContent.startsWith('At step ${count},')`);
  assert.is(await text(page, '#look-result'), result);
  assert.is(await answers(), said);
  assert.match(page.url(), /modules=4/);
  await page.setInputFiles('#load-files', { name: 'bad.safetensors', mimeType: '', buffer: Buffer.from('nothing') });
  await holds(page, `document.getElementById('file-state').textContent.startsWith('bad.safetensors')`);
});

onPage('takes a run folder of the command line: its options, curves and weights', '', async (page) => {
  const request = parseMainOptions([
    '--digits',
    '1',
    '--blank',
    '2',
    '--modules',
    '3',
    '--active',
    '2',
    '--hidden',
    '8',
  ]);
  assert.ok(request.kind === 'run');
  const options: MainOptions = { ...request.options, embedding: 8, valueSize: 8, width: 12, batch: 8 };
  const out = join(stage.folder, 'runs');
  const parameters = { RIM: 1, LSTM: 1 };
  const run = RunFolder.create(
    { out, name: 'mine' },
    {
      task: await factsFor('--digits', '1', '--blank', '2'),
      started: '2026-01-01T00:00:00Z',
      status: 'finished',
      adapter: 'one',
      runtime: 'Node 20',
      parameters,
      options: { ...options },
    },
  );
  for (const model of ['RIM', 'LSTM']) {
    for (const step of [1, 10])
      run.append({ kind: 'train', model, step, loss: 2 / step, figures: { accuracy: 0.5 }, seconds: step });
    const figures = { crossEntropy: 1, accuracy: 0.75 };
    run.append({ kind: 'evaluation', model, step: 10, split: 'test', setting: 8, figures });
  }
  const random = new RandomState({ seed: 1 });
  const task = copyingTask({ digits: options.digits });
  const weights = options.models.flatMap((name) => taskModel(name, task, options, random).variables);
  run.writeModel(readSafetensors(await saveVariables(weights), 'weights').tensors);
  run.close();
  await page.setInputFiles('#load-folder', join(out, 'mine'));
  await holds(page, `document.getElementById('file-state').textContent.includes('weights of RIM and LSTM')`);
  assert.match(await text(page, '#file-state'), /trained for 10 steps/);
  assert.is(await page.inputValue('#field-modules'), '3');
  assert.is(await page.inputValue('#field-width'), '12');
  assert.match(
    (await page.locator('#loss-chart').getAttribute('aria-label')) ?? '',
    /RIM 0\.200 at step 10, LSTM 0\.200/,
  );
  assert.match(await text(page, '#compare'), /875 %75 %/);
  await holds(page, `document.getElementById('look-result').textContent.startsWith('At step 10,')`);
  assert.equal(modelOptions(fromQuery(new URL(page.url()).search).settings).modules, 3);
});

onPage('trains on another task beside another model, and changes to a third', ADDING, async (page) => {
  await page.click('#run');
  await reached(page, 5);
  await page.click('#run');
  await phase(page, 'paused');
  assert.ok(Number.isFinite(await lossOf(page, 'GRU')));
  assert.match(
    await text(page, '#lead'),
    /learns to add two marked numbers.*The GRU learns beside it.*on lengths that/,
  );
  // A pause ends a round of tests; a new one tests both models at every length: two figures a length.
  await page.click('#evaluate');
  await holds(page, `document.getElementById('compare').textContent.split('%').length === 9`);
  const count = (await steps(page)).toLocaleString('en');
  await holds(page, `document.getElementById('compare-text').textContent.endsWith('Tested at step ${count}.')`);
  assert.match(
    await text(page, '#compare'),
    /^LengthRIMGRU4 as trained\d+ %\d+ %8\d+ %\d+ %16\d+ %\d+ %always 18 %8 %$/,
  );
  assert.is(await page.locator('#source').isVisible(), false);
  await looked(page);
  assert.match(await text(page, '#look-outcome'), /0\.\d\d \+ 0\.\d\d = [01]\.\d\d, answered -?\d\.\d\d/);
  assert.match(await text(page, '#look-step-text'), /^\d of 4, reads 0\.\d\d, marked$/);
  const { name, bytes } = await downloaded(page, '#save');
  assert.match(name, /^rimgrad-adding-seed1-/);
  assert.ok(readSafetensors(new Uint8Array(bytes), name).tensors.has('gru.readout.weight'));
  for (const [field, isShown] of Object.entries({ length: true, blank: false, embedding: false, slots: false })) {
    assert.is(await page.locator(`.field:has(#field-${field}):not([hidden])`).count(), isShown ? 1 : 0, field);
  }
  // What is hidden cannot be wrong, and what is asked for waits for a reset.
  await page.fill('#field-length', '0');
  await page.selectOption('#field-task', 'smnist');
  await page.fill('#field-resolution', '3');
  await page.press('#field-resolution', 'Tab');
  assert.match(await text(page, '#pending'), /^The run goes on as it began\. Reset/);
  await page.click('#reset');
  await phase(page, 'idle');
  assert.match(page.url(), /task=smnist&resolution=3/);
  assert.match(await text(page, '#source'), /^Data: drawn digits .*not MNIST/);
  await page.click('#step');
  await reached(page, 1);
  await looked(page);
  assert.match(await text(page, '#look-outcome'), /it is \d, answered \d/);
  assert.match(await text(page, '#look-step-text'), /^9 of 9, reads row 3, column 3: (ink|paper)$/);
  assert.is(await page.locator('#sample svg').getAttribute('role'), 'img');
});

onPage('goes on from the last weights after its device was lost', `${TINY}&debug`, async (page) => {
  await page.click('#run');
  await reached(page, 25);
  await page.click('#lose');
  await page.locator('#lost').waitFor();
  const kept = Number(/weights of step (\d+)/.exec(await text(page, '#lost-text'))?.[1]);
  assert.ok(kept >= 1, `kept ${kept}`);
  assert.is(await page.locator('#run').isDisabled(), true);
  await page.click('#recover');
  await reached(page, kept + 10);
  await page.click('#run');
  await phase(page, 'paused');
  assert.is(await page.locator('#lost').isVisible(), false);
  // The steps that were lost are there once: what was measured after the kept weights was measured anew.
  const csv = (await downloaded(page, '#save-csv')).bytes.toString();
  const counts = csv
    .split('\n')
    .filter((line) => line.startsWith('train,RIM,'))
    .map((line) => Number(line.split(',')[2]));
  assert.equal(
    counts,
    [...new Set(counts)].sort((a, b) => a - b),
  );
  // And losing a device that rests takes nothing away.
  const paused = await steps(page);
  await page.click('#lose');
  await page.locator('#lost').waitFor();
  assert.match(await text(page, '#lost-text'), new RegExp(`weights of step ${paused.toLocaleString('en')} `));
  await page.click('#recover');
  await phase(page, 'paused');
  assert.is(await steps(page), paused);
  // A pause holds while a device is being replaced, too.
  await page.click('#run');
  await reached(page, paused + 5);
  await page.click('#lose');
  await page.locator('#lost').waitFor();
  await page.click('#recover');
  await holds(page, `['preparing', 'running'].includes(document.getElementById('state').dataset.phase)`);
  await page.click('#run');
  await phase(page, 'paused');
  const stopped = await steps(page);
  await looked(page);
  assert.is(await steps(page), stopped);
  assert.is(await page.locator('#state').getAttribute('data-phase'), 'paused');
});

onPage(
  'keeps the settings in its address, and refuses bad ones kindly',
  'modules=4&active=9&cell=abc&seed=7',
  async (page) => {
    assert.match(await text(page, '#notice'), /Cell cannot be “abc”.*9 modules cannot be active of 4/s);
    assert.is(await page.inputValue('#field-active'), '4');
    assert.is(await page.inputValue('#field-cell'), 'lstm');
    await page.selectOption('#field-cell', 'gru');
    await page.fill('#field-hidden', '12');
    await page.press('#field-hidden', 'Tab');
    await page.selectOption('#field-beside', 'none');
    const address = page.url();
    for (const part of ['modules=4', 'cell=gru', 'hidden=12', 'beside=none', 'seed=7']) assert.match(address, part);
    await page.fill('#field-hidden', '0');
    await page.press('#field-hidden', 'Tab');
    assert.match(await text(page, '#pending'), /Hidden H cannot be “0”: use a whole number from 1/);
    assert.is(page.url(), address);
    await page.goto('about:blank');
    await page.goto(address);
    await phase(page, 'idle');
    assert.is(await page.inputValue('#field-cell'), 'gru');
    assert.is(await page.inputValue('#field-hidden'), '12');
    assert.is(await page.inputValue('#field-beside'), 'none');
    assert.is(await page.locator('#notice').isVisible(), false);
  },
);

onPage('checks the device, and stops checking when asked to', '', async (page) => {
  await page.fill('#check-filter', 'softmax');
  await page.click('#check-run');
  await holds(page, `/^All \\d+ checks passed on/.test(document.getElementById('check-state').textContent)`);
  const count = Number(/All (\d+)/.exec(await text(page, '#check-state'))?.[1]);
  assert.is(await page.locator('#check-rows tr').count(), count);
  assert.ok((await text(page, '#check-rows tr:first-child')).includes('passed'));
  await page.fill('#check-filter', '');
  await page.click('#check-run');
  await holds(page, `document.querySelectorAll('#check-rows tr').length > 2`);
  await page.click('#check-run');
  assert.match(await text(page, '#check-state'), /^Stopped after \d+ of \d+ checks/);
  const stopped = await page.locator('#check-rows tr').count();
  await page.click('#step');
  await reached(page, 1);
  assert.is(await page.locator('#check-rows tr').count(), stopped);
});

test.run();
