// The page of a table: the same bytes from the same folders, nothing from elsewhere, the figures beside those of the paper, verdicts
// from the numbers; and in a browser: nothing is wider than a phone, and axe has no complaint in light and in dark.
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Cell, cellsOf } from '../bench/tables/definition.ts';
import { DEFINITIONS } from '../bench/tables/index.ts';
import { need } from '../engine/errors.ts';
import { screenshot } from './demo-browser.ts';
import { chromiumPath, skip } from './runtimes.ts';
import { skill, tableFile, tableJob, writeCell } from './table-cells.ts';

const out = mkdtempSync(join(tmpdir(), 'rimgrad-table-page-'));
const cells = cellsOf(DEFINITIONS.copying, { scale: 'small' });
const show = ['copying', '--scale', 'small', '--out', out, '--show'];

test.before(async () => {
  for (const cell of cells) await writeCell(out, cell, held);
});

test.after(() => rmSync(out, { recursive: true, force: true }));

/** RIMs 6/4 solve the task; LSTMs are without memory at four times the blank. */
function held(cell: Cell, done: number, setting: number): number {
  if (cell.row.id === 'lstm' && setting === 20) return done;
  if (cell.row.id === 'rim-6-4') return done === 1 ? 1 : 0.5;
  return setting === 80 && cell.row.model === 'lstm' ? 0 : skill(cell, done, setting);
}

/** The text of an element's row, cell by cell. */
function rowOf(html: string, start: string): string[] {
  const row = [...html.matchAll(/<tr[^>]*>([\s\S]*?)<\/tr>/g)]
    .map(([, text]) => text ?? '')
    .find((text) => text.includes(start));
  return [...need(row, `a row with ${start}`).matchAll(/<t[dh][^>]*>([\s\S]*?)<\/t[dh]>/g)].map(([, text]) =>
    (text ?? '')
      .replaceAll(/<[^>]*>/g, ' ')
      .replaceAll(/\s+/g, ' ')
      .trim(),
  );
}

test('the page tells means, spreads, counts and the paper beside them', async () => {
  const { code, stdout, stderr } = await tableJob(show);
  assert.equal([code, stderr], [0, '']);
  assert.match(stdout, /scale small: 39 of 39 cells finished/);
  assert.match(stdout, /RIM 6\/4, 144 units +0\.002 ± 0 \(3\) +\[0\.00\]/);
  assert.match(stdout, /blank 20 \(trained\) +\[paper, 50\] +blank 40 +blank 80 +\[paper, 200\]/);
  const html = tableFile(out, 'copying-small', 'table.html');
  assert.match(html, /Each seed is measured on 640 test sequences\. Bold: the best, where/);
  const [head, trained, , far] = rowOf(html, 'RIM 6/4');
  assert.match(head ?? '', /RIM 6\/4 144 units/);
  assert.match(trained ?? '', /^0\.002 ± 0 \(3\) paper 0\.00$/);
  assert.match(far ?? '', /paper 0\.00$/);
  assert.match(rowOf(html, '>LSTM <small>144')[3] ?? '', /^2\.495 ± 0 \(3\) paper 3\.56$/);
  assert.match(rowOf(html, '>GRU <')[3] ?? '', /^[\d.]+ ± [\d.]+ \(3\)$/, 'the paper has none');
  assert.equal(rowOf(html, 'nothing learned but'), ['nothing learned but the layout', '2.079', '2.079', '2.079']);
  const outcomes = [...html.matchAll(/<strong class="outcome">([^<]*)<\/strong> ([^<]*)\./g)].map(
    ([, outcome, claim]) => `${outcome}: ${claim}`,
  );
  assert.equal(outcomes.slice(0, 4), [
    'holds: RIM solves the task at the blank it was trained at',
    'holds: RIM holds at the longest blank',
    'holds: LSTM solves the task at the blank it was trained at',
    'holds: LSTM falls to within 5 % of the memoryless level or worse at the longest blank',
  ]);
  assert.match(html, /Share of the steps of each part of the sequence/);
  assert.match(html, /digits 4 of 6 used, 4 always/);
});

test('the same folders give the same bytes, and nothing comes from elsewhere', async () => {
  await tableJob(show);
  const [page, json] = (['table.html', 'table.json'] as const).map((file) => tableFile(out, 'copying-small', file));
  await tableJob(show);
  assert.ok(tableFile(out, 'copying-small', 'table.html') === page, 'another page');
  assert.ok(tableFile(out, 'copying-small', 'table.json') === json, 'another table');
  assert.not.match(page ?? '', /https?:|url\(|@import|<script|<link|<img|\ssrc=|\shref=/i);
  assert.not.match(page ?? '', /NaN|undefined|Infinity|\[object/);
  assert.ok(!(page ?? '').includes(tmpdir()), 'a folder of this machine');
  assert.ok((page ?? '').length < 2_000_000, `${page?.length} characters`);
});

test('other rules and figures are told as such', async () => {
  const last = await tableJob([...show, '--select', 'last', '--metric', 'accuracy', '--json']);
  const table = JSON.parse(last.stdout) as { select: string; metric: string; cells: number };
  assert.equal([table.select, table.metric, table.cells], ['last', 'accuracy', 39]);
  const html = tableFile(out, 'copying-small', 'table.html');
  assert.match(html, /The checkpoint that counts: the last checkpoint/);
  assert.not.match(rowOf(html, 'RIM 6/4')[1] ?? '', /paper/, 'the paper has no accuracies');
  const refused = await tableJob([...show, '--metric', 'acuracy']);
  assert.equal([refused.code, refused.stdout], [2, '']);
  assert.match(refused.stderr, /--metric acuracy: there is crossEntropy, accuracy, meanCrossEntropy/);
});

test('the page has all that there is, whatever is asked for', async () => {
  await tableJob(show);
  const whole = tableFile(out, 'copying-small', 'table.html');
  const { code, stdout } = await tableJob([...show, '--rows', 'gru', '--seeds', '2']);
  assert.is(code, 0);
  assert.match(stdout, /1 of 1 cells finished\n[\s\S]*\nGRU, .*\nnothing learned/);
  assert.ok(tableFile(out, 'copying-small', 'table.html') === whole, 'another page');
  const elsewhere = join(out, 'elsewhere');
  mkdirSync(elsewhere);
  renameSync(join(out, need(cells[0], 'a cell').name), join(elsewhere, need(cells[0], 'a cell').name));
  try {
    const less = await tableJob(show);
    assert.is(less.code, 1);
    assert.match(
      less.stderr,
      /table\.html is of 39 finished cells and stays as it is, for only 38 count now; give .*--merge/,
    );
    assert.ok(tableFile(out, 'copying-small', 'table.html') === whole, 'a page of less');
    assert.is((await tableJob([...show, '--merge', elsewhere])).code, 0);
  } finally {
    renameSync(join(elsewhere, need(cells[0], 'a cell').name), join(out, need(cells[0], 'a cell').name));
  }
});

test('more seeds of one row do not make the others incomplete', async () => {
  await tableJob(show);
  const verdictsOf = (): string[] => {
    const json = JSON.parse(tableFile(out, 'copying-small', 'table.json')) as { verdicts: { outcome: string }[] };
    return json.verdicts.map(({ outcome }) => outcome);
  };
  const before = verdictsOf();
  const more = cellsOf(DEFINITIONS.copying, { scale: 'small', rows: ['rim-6-4'], seeds: [4] });
  for (const cell of more) await writeCell(out, cell, held);
  try {
    const { stdout } = await tableJob([...show, '--rows', 'rim-6-4', '--seeds', '4']);
    assert.match(stdout, /1 of 1 cells finished/);
    assert.equal(verdictsOf(), before);
    const page = tableFile(out, 'copying-small', 'table.html');
    assert.not.match(page, /not complete|to come/);
    assert.equal(
      /"finished": (\d+),\n\s+"cells": (\d+)/.exec(tableFile(out, 'copying-small', 'table.json'))?.slice(1),
      ['40', '40'],
    );
  } finally {
    for (const { name } of more) rmSync(join(out, name), { recursive: true });
    rmSync(join(out, 'copying-small'), { recursive: true });
    await tableJob(show);
  }
});

test('what is damaged is told, not counted, and leaves no path on the page', async () => {
  const name = need(cells[0], 'a cell').name;
  const file = join(out, name, 'metrics.jsonl');
  const whole = readFileSync(file);
  try {
    writeFileSync(file, whole.subarray(0, whole.length - 7));
    rmSync(join(out, 'copying-small', 'table.json'));
    const { code, stdout, stderr } = await tableJob(show);
    assert.is(code, 1);
    assert.match(stdout, /38 of 39 cells finished/);
    assert.match(
      stderr,
      new RegExp(
        `^rimgrad: ${name} is not counted: .*metrics\\.jsonl: line \\d+ is cut off; train it anew with --cell ${name} --force\\n$`,
      ),
    );
    const html = tableFile(out, 'copying-small', 'table.html');
    assert.match(html, /1 not counted/);
    assert.match(rowOf(html, 'RIM 6/4')[1] ?? '', /\(2\)/);
    assert.ok(!html.includes(tmpdir()), 'a folder of this machine');
  } finally {
    writeFileSync(file, whole);
  }
});

test('whose data it is stands with every table, and not where they lie', async () => {
  const folder = join(out, 'data');
  const rows = ['smnist', '--scale', 'tiny', '--rows', 'lstm,rim', '--out', folder, '--show'];
  const digits = cellsOf(DEFINITIONS.smnist, { scale: 'tiny', rows: ['lstm', 'rim'] });
  for (const cell of digits) await writeCell(folder, cell);
  const drawn = await tableJob(rows);
  assert.match(drawn.stdout, /^Data: drawn digits \(.*not MNIST/m);
  const page = tableFile(folder, 'smnist-tiny', 'table.html');
  assert.match(page, /<p class="meta">Data: drawn digits/);
  assert.match(page, /stroke="var\(--rim\)"[^>]*>(?:<path[^>]*>)?<\/svg>RIM 6\/6<\/li>/, 'a line for each row');
  const foreign = need(digits.at(-1), 'a cell').name;
  for (const { name } of digits) {
    const file = join(folder, name, 'config.json');
    const config = JSON.parse(readFileSync(file, 'utf8')) as { options: object; task: object };
    const options = { ...config.options, mnist: `where ${name} was made` };
    const source = name === foreign ? 'MNIST, the test images alone' : 'MNIST, all of it';
    writeFileSync(file, JSON.stringify({ ...config, options, task: { ...config.task, source } }));
  }
  const given = join('no', 'such', 'folder');
  rmSync(join(folder, 'smnist-tiny'), { recursive: true }); // a page of fewer cells would not take its place
  const files = await tableJob([...rows, '--mnist', given]); // what is shown needs none of their files
  assert.is(files.code, 1, 'one does not count');
  const why =
    "made on other data than the table's, which is MNIST, all of it: on MNIST, the test images alone; add --mnist DIR";
  assert.match(files.stderr, new RegExp(`^rimgrad: ${foreign} is not counted: .*: ${why} [^\\n]*\\n$`));
  assert.match(files.stdout, /^Data: MNIST, all of it\n\n/m);
  assert.match(files.stdout, new RegExp(`${digits.length - 1} of ${digits.length} cells finished`));
  const html = tableFile(folder, 'smnist-tiny', 'table.html');
  assert.match(html, /Not counted:[\s\S]*made on other data than the table/);
  assert.is((await tableJob(rows)).stderr, files.stderr, 'nor does it need their folder');
  const drawing = await tableJob(rows.slice(0, -1));
  const told = drawing.stderr.split('\n').filter((line) => line.includes('made on other data'));
  assert.equal(
    [drawing.code, told.length],
    [1, digits.length],
    'no digits are drawn beside them; each is told of once',
  );
  assert.match(drawing.stderr, /which is drawn digits.*: on MNIST, all of it/);
  assert.ok(html.includes('--mnist DIR') && !html.includes(given), 'a folder of this machine');
});

test('a level that depends on the setting is drawn as no line', async () => {
  const lines = async (metric: string): Promise<number> => {
    await tableJob([...show, '--metric', metric]);
    const [, chart = ''] = tableFile(out, 'copying-small', 'table.html').split('id="generalisation"');
    return chart.split('</section>')[0]?.split('stroke-dasharray="4,4"').length ?? 0;
  };
  assert.equal([await lines('crossEntropy'), await lines('meanCrossEntropy')], [3, 1], 'wide and narrow');
});

test('no two rows of a chart look alike', async () => {
  await tableJob(show);
  const [, part = ''] = tableFile(out, 'copying-small', 'table.html').split('id="generalisation"');
  const looks = [...part.matchAll(/stroke="([^"]*)" stroke-width="2"([^>]*)\/><path d="([^"]*)"/g)].map(
    ([, colour, dashes, mark]) => `${colour}${dashes}${mark}`,
  );
  assert.equal([looks.length, new Set(looks).size], [13, 13]);
  assert.match(part, /LSTM <small>72 units<\/small>/);
});

const path = chromiumPath();
if (path === undefined) skip(test, 'the page in a browser', 'no Chromium found; RIMGRAD_CHROMIUM names one');
else {
  test('in a browser: on a phone nothing is cut off, and axe has no complaint in light and dark', async () => {
    await tableJob(show);
    const browser = await chromium.launch({ executablePath: path, headless: true });
    try {
      const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
      for (const colorScheme of ['light', 'dark'] as const) {
        for (const width of [360, 1280]) {
          // The page forbids scripts; a test may run its own.
          const context = await browser.newContext({ colorScheme, bypassCSP: true, viewport: { width, height: 800 } });
          const page = await context.newPage();
          await page.goto(pathToFileURL(join(out, 'copying-small', 'table.html')).href);
          await page.evaluate(`document.querySelectorAll('details').forEach((each) => { each.open = true; })`);
          const wide = await page.evaluate<number>('document.documentElement.scrollWidth');
          assert.ok(wide <= width, `${wide} of ${width} pixels, ${colorScheme}`);
          await screenshot(page, `table-${width}-${colorScheme}`);
          await page.evaluate(axe);
          const found = await page.evaluate<{ violations: { id: string; nodes: { html: string }[] }[] }>(
            `axe.run(document, { resultTypes: ['violations'] })`,
          );
          const complaints = found.violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
          assert.equal(complaints, [], `${colorScheme} at ${width}`);
          await context.close();
        }
      }
    } finally {
      await browser.close();
    }
  });
}

test.run();
