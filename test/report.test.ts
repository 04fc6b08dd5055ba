// The report page: well-formed, alone, complete, and honest about runs that ended early; and the command that renders it again.
// How it looks is judged by eye.

import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { lineChart } from '../bench/charts.ts';
import type { Metric } from '../bench/metrics.ts';
import { type Report, renderReport } from '../bench/report.ts';
import { RunFolder } from '../bench/runs.ts';
import { at } from '../engine/errors.ts';
import { factsFor } from './made-task.ts';

const config = {
  task: await factsFor('--digits', '2', '--blank', '4', '--test-blanks', '8'),
  started: '2026-01-31T23:59:59.000Z',
  status: 'finished',
  adapter: 'an <adapter> & "more"',
  runtime: 'Node 20',
  parameters: { RIM: 61234, LSTM: 96777 },
  options: { digits: 2, blank: 4, keySize: 16, testBlanks: [4, 8], communication: true },
} as const;

const symbols = [5, 7, 0, 0, 0, 9, 0, 0];
const activation: Metric = {
  kind: 'activation',
  model: 'RIM',
  setting: 4,
  inputs: symbols,
  mask: symbols.map((_, t) => [t < 2 ? 1 : 0, 1, t < 2 ? 0 : 1]),
};

function curves(model: string, steps: number): Metric[] {
  const train = Array.from({ length: steps }, (_, i): Metric => {
    return { kind: 'train', model, step: i + 1, loss: 2 / (i + 1), figures: { accuracy: i / steps }, seconds: i };
  });
  const evaluations = [4, 8].flatMap((blank) =>
    [10, 20].map((step): Metric => {
      const accuracy = (model === 'RIM' ? 0.9 : 0.6) / (blank / 4) + step / 1000;
      const figures = { crossEntropy: 0.25 * blank, accuracy, meanCrossEntropy: 0.5 };
      return { kind: 'evaluation', model, step, split: 'test', setting: blank, figures };
    }),
  );
  return [...train, ...evaluations];
}

const full: Report = { name: 'a-run', config, metrics: [...curves('RIM', 900), ...curves('LSTM', 900), activation] };

const VOID = new Set(['meta', 'br', 'hr', 'img', 'input', 'link']);

// Every element that is opened is closed in order; returns how often each occurs.
function elements(html: string): Map<string, number> {
  const counts = new Map<string, number>();
  const open: string[] = [];
  const body = html.replace(/<!doctype html>/, '').replace(/<style>[\s\S]*?<\/style>/g, '<style></style>');
  for (const [tag, slash, name = '', , closed] of body.matchAll(
    /<(\/?)([a-zA-Z][\w-]*)((?:\s+[\w:-]+(?:="[^"<>]*")?)*)\s*(\/?)>/g,
  )) {
    if (slash === '/') assert.is(open.pop(), name, `${tag} closes another element`);
    else {
      counts.set(name, (counts.get(name) ?? 0) + 1);
      if (closed !== '/' && !VOID.has(name)) open.push(name);
    }
  }
  assert.equal(open, []);
  const texts = body.replaceAll(/<\/?[a-zA-Z][\w-]*(?:\s+[\w:-]+(?:="[^"<>]*")?)*\s*\/?>/g, '');
  assert.not.match(texts, /[<>]/, 'a stray bracket');
  assert.not.match(texts, /&(?!amp;|lt;|gt;|quot;|#\d+;)/, 'a bare ampersand');
  return counts;
}

test('the page is well-formed and has all its parts', async () => {
  const html = await renderReport(full);
  const counts = elements(html);
  assert.is(counts.get('h1'), 1);
  // Generalisation, loss, accuracy, the longer blank, and one strip; two lines of the legend.
  assert.is(counts.get('svg'), 5 + 2);
  assert.is(counts.get('figure'), 5);
  assert.is(counts.get('figcaption'), 5);
  // A table for each figure, and that of the strip.
  assert.is(counts.get('table'), 3 + 1);
  assert.is(counts.get('caption'), 3 + 1);
  for (const part of ['Results', 'Curves', 'Which modules were active', 'What was run']) {
    assert.match(html, new RegExp(`<h2 id="[a-z]+">${part}</h2>`));
  }
  assert.match(html, '<title>a-run - rimgrad</title>');
  assert.match(html, '<html lang="en">');
  assert.match(html, 'name="viewport"');
  assert.match(html, 'prefers-color-scheme: dark');
});

test('nothing comes from anywhere else', async () => {
  const html = await renderReport(full);
  assert.not.match(html, /https?:|\/\/[a-z]|url\(|@import|<script|<link|<img|\ssrc=|\shref=/i);
  assert.match(html, "default-src 'none'");
  assert.not.match(html, /\sid="(?!results|curves|modules|setup)/, 'ids of charts would clash');
});

test('the table and the summary hold the last evaluations beside the level without memory', async () => {
  const html = await renderReport(full);
  const tables = [...html.matchAll(/<table class="results">[\s\S]*?<\/table>/g)].map(([table]) => table);
  assert.equal(
    tables.map((table) => /<caption>(.*)<\/caption>/.exec(table)?.[1]),
    ['Cross-entropy (nats)', 'Accuracy', 'Cross-entropy over all steps (nats)'],
  );
  const row = (table: number, start: string): string => {
    const rows = [...at(tables, table).matchAll(/<tr[^>]*>.*?<\/tr>/g)].map(([text]) => text);
    return (rows.find((text) => text.includes(start)) ?? '').replaceAll(/<[^>]*>/g, '|').replaceAll(/\|+/g, '|');
  };
  assert.is(row(0, 'blank'), '|blank|RIM|LSTM|trivial|');
  assert.is(row(0, '>4 <'), '|4 |trained|1.000|1.000|2.079|');
  assert.is(row(0, '>8 <'), '|8 |× 2|2.000|2.000|2.079|');
  assert.is(row(1, '>4 <'), '|4 |trained|92.0 %|62.0 %|12.5 %|');
  assert.is(row(1, '>8 <'), '|8 |× 2|47.0 %|32.0 %|12.5 %|');
  assert.match(at(tables, 1), '<td class="best">92.0 %</td>');
  assert.match(
    html,
    'After 20 training steps, the RIM has accuracy of 92.0 % at the training blank of 4 and 47.0 % at a',
  );
  assert.match(html, 'On test sequences, after the last step.');
});

test('the strip shows each active span, the input and what is wanted', async () => {
  const html = await renderReport({ ...full, metrics: [activation] });
  assert.is(elements(html).get('svg'), 1);
  const dark = [...html.matchAll(/<path[^>]*fill="var\(--on\)"/g)].length;
  assert.is(dark, 3, 'modules 1, 2 and 3 are active in one span each');
  const texts = [...html.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text]) => text);
  for (const text of ['digits', 'blank, 4 steps', 'recall', 'input', 'wanted', 'module', 'step', '9']) {
    assert.ok(texts.includes(text), `no text ${text}`);
  }
  assert.is(texts.filter((text) => text === '5').length >= 2, true, 'shown and wanted');
  assert.match(html, /module 1<\/th><td>100 %<\/td><td>0 %<\/td><td>0 %/);
  assert.match(html, /module 2<\/th><td>100 %<\/td><td>100 %<\/td><td>100 %/);
});

test('text from outside is escaped', async () => {
  const html = await renderReport({ ...full, name: '<b>&"', config: { ...config, note: 'stopped at <i>' } });
  elements(html);
  assert.match(html, 'an &lt;adapter&gt; &amp; &quot;more&quot;');
  assert.match(html, '<strong>&lt;b&gt;&amp;&quot;</strong>');
  assert.match(html, 'stopped at &lt;i&gt;');
});

test('a run that ended early says so and shows what there is', async () => {
  const note = 'stopped at step 1 of the RIM';
  const one: Metric = { kind: 'train', model: 'RIM', step: 1, loss: 2, figures: { accuracy: 0.1 }, seconds: 1 };
  const html = await renderReport({ name: 'a', config: { ...config, status: 'stopped', note }, metrics: [one] });
  elements(html);
  assert.match(html, `not complete: ${note}`);
  assert.match(html, 'There is no evaluation of this run.');
  const empty = await renderReport({ name: 'a', config: { ...config, status: 'running' }, metrics: [] });
  assert.match(empty, 'still running, or killed');
});

test('models that were evaluated at different steps are told apart', async () => {
  const evaluation = (model: string, step: number): Metric => {
    return { kind: 'evaluation', model, step, split: 'test', setting: 4, figures: { crossEntropy: 1, accuracy: 0.5 } };
  };
  const html = await renderReport({ name: 'a', config, metrics: [evaluation('RIM', 20), evaluation('LSTM', 5)] });
  assert.match(html, 'at the training blank of 4 after 20 training steps; the LSTM 50.0 % after 5 training steps.');
});

test('curves are thinned by means, so a long run stays a small page', async () => {
  const html = await renderReport({ ...full, metrics: [...curves('RIM', 30_000), ...curves('LSTM', 30_000)] });
  assert.ok(html.length < 200_000, `${html.length} characters`);
});

test('a chart of zeros and huge values is drawn', async () => {
  const points = [[0, 0] as const, [1, 1e30] as const, [2, 1e-30] as const];
  const lines = [{ name: 'RIM', colour: 'var(--rim)', points }];
  const svg = await lineChart({ text: 'a chart', x: 'step', y: 'nats', lines, scale: 'log' });
  assert.match(svg, '<svg role="img" aria-label="a chart"');
  assert.not.match(svg, /NaN|Infinity|undefined/);
});

test('the chosen checkpoint is told, and so is what it was chosen by', async () => {
  const validation = (step: number, crossEntropy: number): Metric => {
    return { kind: 'evaluation', model: 'RIM', step, split: 'validation', setting: 4, figures: { crossEntropy } };
  };
  const metrics = [...curves('RIM', 30), validation(10, 0.1), validation(20, 0.3)];
  const options = { ...config.options, select: 'validation' };
  const html = await renderReport({ name: 'a', config: { ...config, options }, metrics });
  elements(html);
  assert.match(html, 'After 10 training steps, the RIM has accuracy of 91.0 %');
  assert.match(html, 'after the step that did best in validation at the training blank of 4');
  assert.match(html, 'Weights are of: RIM step 10.');
  assert.match(html, '<h3>Validation</h3>');
});

test('any task and nine models fit, channels are drawn as shades', async () => {
  const figures = [{ name: 'meanSquaredError', label: 'mean squared error', unit: '', better: 'lower' }] as const;
  const task = {
    ...{ name: 'adding', setting: 'length', trained: 6, tested: [6, 12], figures, loss: 'meanSquaredError' },
    ...{ headline: 'Adding two of 6 numbers', explanation: 'Sums.', trivial: [{ meanSquaredError: 0.167 }, {}] },
    source: 'made <here>',
  };
  const names = ['RIM', 'LSTM', 'GRU', 'NTM', 'DNC', 'RMC', 'Transformer', 'EntNet', 'IndRNN', 'a <new> one'];
  const metrics = names.flatMap((model, i): Metric[] => [
    ...[1, 2].map((step): Metric => {
      return { kind: 'train', model, step, loss: 1 / step, figures: { meanSquaredError: 1 / step }, seconds: step };
    }),
    ...[6, 12].map((setting): Metric => {
      const measured = { meanSquaredError: (i + 1) / setting };
      return { kind: 'evaluation', model, step: 2, split: 'test', setting, figures: measured };
    }),
  ]);
  const inputs = Array.from({ length: 6 }, (_, t) => [t / 6, t === 2 ? 1 : 0]);
  const strip: Metric = { kind: 'activation', model: 'RIM', setting: 6, inputs, mask: inputs.map(() => [1, 0]) };
  const html = await renderReport({ name: 'a', config: { ...config, task }, metrics: [...metrics, strip] });
  assert.match(html, 'Data: made &lt;here&gt;');
  const counts = elements(html);
  // Generalisation, the loss (the only figure) and the strip, beside the legend.
  assert.is(counts.get('svg'), 3 + names.length);
  assert.match(html, 'Adding two of 6 numbers, and beyond');
  assert.match(html, 'the RIM has mean squared error 0.167 at the training length of 6 and 0.0833 at a length of 12');
  assert.match(html, 'a row for each channel');
  assert.match(html, /module 1<\/th><td>100 %<\/td><\/tr>/);
  const lines = [...html.matchAll(/<line [^>]*stroke="(var\(--\w+\))" stroke-width="3"( stroke-dasharray="[^"]*")?/g)];
  assert.is(new Set(lines.map(([, colour, dash]) => `${colour}${dash}`)).size, names.length);
  const shades = [...html.matchAll(/<path[^>]*fill="var\(--accent\)"/g)].length;
  assert.is(shades, 5 + 1, 'five values above the least, one mark');
});

/** Runs `npm run report` without npm. */
function report(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const command = fileURLToPath(new URL('../bench/rimgrad.js', import.meta.url));
  return spawnSync(process.execPath, [command, 'report', ...args], { encoding: 'utf8' });
}

test('the command renders the page of a run folder again, and refuses what is none in one line', async () => {
  const out = mkdtempSync(join(tmpdir(), 'rimgrad-report-'));
  try {
    const folder = RunFolder.create({ out, name: 'a-run' }, config);
    for (const metric of full.metrics) folder.append(metric);
    folder.close();
    const page = join(folder.path, 'report.html');
    assert.not(existsSync(page));
    const { status, stdout, stderr } = report(folder.path);
    assert.equal([status, stdout, stderr], [0, `Report: ${page}\n`, '']);
    assert.is(readFileSync(page, 'utf8'), await renderReport(full));

    appendFileSync(join(folder.path, 'metrics.jsonl'), '{"kind": "tra');
    writeFileSync(page, 'as it was');
    const refusals: readonly (readonly [args: readonly string[], status: number, message: RegExp])[] = [
      [[folder.path], 1, /metrics\.jsonl: line \d+ is cut off; remove that line/],
      [[out], 1, /no config\.json in it, so this is no run folder; give the folder of a run/],
      [[join(out, 'none')], 1, /no such folder; give the folder of a run/],
      [[], 2, /missing required argument 'folder'; see --help/],
      [['--fodler', out], 2, /there is no option '--fodler'; see --help/],
    ];
    for (const [args, code, message] of refusals) {
      const refused = report(...args);
      assert.is(refused.status, code, refused.stderr);
      assert.match(refused.stderr, message);
      assert.match(refused.stderr, /^rimgrad: [^\n]*\n$/, 'one line');
    }
    assert.is(readFileSync(page, 'utf8'), 'as it was');
    assert.match(report('--help').stdout, 'Usage: rimgrad report ');
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});

test.run();
