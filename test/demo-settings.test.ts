// The settings of the page without a browser: the defaults of the command line, the round trip through an address, bad values
// replaced and told, a run's options; the files that a person may pick; the built folder.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { jobTasks } from '../bench/job-tasks.ts';
import type { Metric } from '../bench/metrics.ts';
import { systems } from '../bench/models.ts';
import { nameOf, type Row } from '../bench/option-rows.ts';
import { optionGroups } from '../bench/option-table.ts';
import { keptOptions, type MainOptions, parseMainOptions, usedOptions } from '../bench/options.ts';
import { readPicked, toCsv, toLines } from '../demo/files.ts';
import {
  defaults,
  type Field,
  fieldNames,
  fields,
  fromQuery,
  fromRunOptions,
  isUsed,
  modelOptions,
  type Settings,
  settingsOf,
  toQuery,
} from '../demo/settings.ts';
import { buildSite } from '../demo/site.ts';
import { pageTask } from '../demo/tasks.ts';
import { need } from '../engine/errors.ts';
import { factsFor } from './made-task.ts';
import { refused } from './on-adapter.ts';

const seed = process.env.RIMGRAD_SEED === undefined ? {} : { seed: Number(process.env.RIMGRAD_SEED) };

/** Any settings that the fields allow. */
const anySettings: fc.Arbitrary<Settings> = fc
  .record<Record<string, unknown>>(
    Object.fromEntries(
      fieldNames.map((name) => {
        const { kind, least = 0, most = 0, choices = [] }: Field<unknown> = fields[name];
        const values = {
          whole: () => fc.integer({ min: least, max: most }),
          real: () => fc.double({ min: least, max: most, noNaN: true }),
          choice: () => fc.constantFrom(...choices.map(({ value }) => value)),
        };
        return [name, values[kind]()];
      }),
    ),
  )
  .map((values) => settingsOf((name) => String(values[name])).settings);

/** The parsed options of a command line. */
function optionsOf(...args: string[]): MainOptions {
  const request = parseMainOptions(args);
  if (request.kind !== 'run') throw new Error(`${request.kind} was asked for`);
  return request.options;
}

test('the defaults are those of the command line', () => {
  const options = optionsOf();
  const main: Readonly<Record<string, unknown>> = {
    commOutput: 'preset',
    sources: 'preset',
    ...Object.fromEntries(
      ['layers', 'heads', 'slots', 'slotSize', 'positions', 'norm', 'betweenLayers', 'memory'].map((name) => [
        name,
        'own',
      ]),
    ),
    ...options,
    beside: options.models[1],
  };
  const own = new Set(['evaluateEvery', 'testBatches']); // a page is tested while somebody looks on
  for (const name of fieldNames) if (!own.has(name)) assert.is(defaults[name], main[name], name);
  const model: Readonly<Record<string, unknown>> = modelOptions(defaults);
  for (const [name, value] of Object.entries(main)) {
    if (value === 'preset' || value === 'own') assert.is(model[name], undefined, name);
  }
});

test('the command line takes whatever the page does, and has no task or model that the page has not', () => {
  const rows = new Map(Object.values(optionGroups).flatMap((group) => group.map((row) => [nameOf(row), row])));
  const isTaken = ({ parse, choices }: Row, value: string): boolean => {
    if (parse === undefined) return choices?.includes(value) === true;
    try {
      return parse(value) !== undefined;
    } catch {
      return false;
    }
  };
  for (const name of fieldNames) {
    const { least, most, choices = [] }: Field<unknown> = fields[name];
    const row = need(rows.get(name === 'beside' ? 'models' : name), name);
    const values = least === undefined ? choices.map(({ value }) => value) : [String(least), String(most)];
    // What no command line says: that nothing is said.
    const said = values.filter(
      (value) => !['own', 'preset'].includes(value) && !(name === 'beside' && value === 'none'),
    );
    assert.ok(said.length > 0, name);
    for (const value of said) assert.ok(isTaken(row, value), `${name} ${value}`);
  }
  assert.equal(
    fields.task.choices?.map(({ value }) => value),
    Object.keys(jobTasks),
  );
  const others = fields.beside.choices?.map(({ value }) => value);
  assert.equal(others, [...Object.keys(systems).filter((name) => name !== 'rim'), 'none']);
});

test('a task is trained and tested where the command line does, and only what is used is shown', () => {
  for (const [task, entry] of Object.entries(jobTasks)) {
    const options = optionsOf('--task', task);
    for (const query of [`task=${task}`, `task=${task}&blank=7&length=9&resolution=20`]) {
      const { settings, notes } = fromQuery(query);
      assert.equal(notes, []);
      const { facts, words } = pageTask(settings);
      const own = fieldNames.filter((name) => fields[name].task === task).map((name) => [name, settings[name]]);
      const wanted = entry.settings(keptOptions({ task, ...Object.fromEntries(own) }, 'a run'));
      assert.equal({ trained: facts.trained, tested: facts.tested }, wanted, query);
      assert.is(words.does, entry.about);
    }
    const { settings } = fromQuery(`task=${task}`);
    const used = usedOptions(options);
    const ofTasks = Object.values(jobTasks).flatMap(({ rows }) => rows.map(nameOf));
    for (const name of fieldNames) {
      if (ofTasks.includes(name) || name === 'embedding')
        assert.is(isUsed(name, settings), name in used, `${task} ${name}`);
    }
  }
  for (const [beside, { options }] of Object.entries(systems)) {
    if (beside === 'rim') continue;
    const shown = fieldNames.filter(
      (name) => fields[name].group === 'Beside it' && isUsed(name, { task: 'copying', beside }),
    );
    assert.equal(new Set(shown), new Set(['beside', ...options]), beside);
  }
});

test('an address carries every setting, and the usual one is empty', () => {
  assert.is(toQuery(defaults), '');
  fc.assert(
    fc.property(anySettings, (settings) => {
      const { settings: back, notes } = fromQuery(`?${toQuery(settings)}`);
      for (const name of fieldNames) {
        // What nothing comes of is not worth an address.
        assert.is(back[name], isUsed(name, settings) ? settings[name] : defaults[name], name);
      }
      assert.equal(notes, []);
    }),
    seed,
  );
});

test('whatever stands in an address, settings are complete, and what was refused is told', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom<string>(...fieldNames, 'x'), fc.string()), (given) => {
      const { settings, notes } = fromQuery(new URLSearchParams(given).toString());
      for (const name of fieldNames) {
        const field: Field<unknown> = fields[name];
        assert.ok(field.parse(String(settings[name])) !== undefined, name);
        if (given[name] !== undefined && field.parse(given[name]) === undefined)
          assert.ok(
            notes.some((note) => note.startsWith(field.label)),
            `${name} was not told`,
          );
      }
      assert.ok(settings.active <= settings.modules);
    }),
    seed,
  );
});

test('more active modules than there are become all there are, and that is told', () => {
  const { settings, notes } = fromQuery('modules=4&active=9');
  assert.equal([settings.modules, settings.active], [4, 4]);
  assert.match(notes.join(), /9 modules cannot be active of 4/);
});

test('a run of the command line gives its settings', () => {
  const request = parseMainOptions([
    '--modules',
    '3',
    '--active',
    '2',
    '--models',
    'rim',
    '--cell',
    'gru',
    '--comm-output',
    'gated',
    '--seed',
    '9',
  ]);
  assert.ok(request.kind === 'run');
  const { settings, notes } = fromRunOptions(JSON.parse(JSON.stringify(request.options)));
  assert.equal(notes, []);
  const { modules, active, beside, cell, commOutput, sources, seed: own } = settings;
  assert.equal([modules, active, beside, cell, commOutput, sources, own], [3, 2, 'none', 'gru', 'gated', 'preset', 9]);
  assert.is(fromRunOptions({ modules: 5000 }).settings.modules, defaults.modules);
  const many = fromRunOptions({
    ...optionsOf('--task', 'adding', '--length', '8', '--models', 'lstm,dnc,gru', '--slots', '4'),
  });
  assert.equal(
    [many.settings.task, many.settings.length, many.settings.beside, many.settings.slots],
    ['adding', 8, 'lstm', 4],
  );
  assert.match(many.notes.join(), /^The page trains one model beside the RIM: DNC, GRU is only shown\.$/);
});

test('metrics go out as rows and lines, and lines come in again', async () => {
  const metrics: readonly Metric[] = [
    { kind: 'train', model: 'RIM', step: 3, loss: 0.5, figures: { accuracy: 0.25 }, seconds: 1.5 },
    {
      kind: 'evaluation',
      model: 'LSTM',
      step: 3,
      split: 'test',
      setting: 20,
      figures: { crossEntropy: 2, accuracy: 0.125 },
    },
  ];
  assert.is(
    toCsv(metrics),
    'kind,model,step,split,setting,loss,seconds,accuracy,crossEntropy\ntrain,RIM,3,train,,0.5,1.5,0.25,\nevaluation,LSTM,3,test,20,,,0.125,2\n',
  );
  const picked = await readPicked([new File([toLines(metrics)], 'metrics.jsonl')]);
  assert.equal(picked.metrics, metrics);
  assert.is(picked.step, 3);
});

test('files that are none of a run, cut off or of another task are refused', async () => {
  const facts = await factsFor();
  const config = (task: string): File =>
    new File(
      [
        JSON.stringify({
          format: 'rimgrad run 2',
          task: { ...facts, name: task },
          started: '',
          status: 'finished',
          adapter: '',
          runtime: '',
          parameters: {},
          options: {},
        }),
      ],
      'config.json',
    );
  await refused(
    () => readPicked([new File(['x'], 'photo.png')]),
    'FileError',
    /no config\.json, metrics\.jsonl or \.safetensors.*pick/,
  );
  await refused(
    () => readPicked([new File(['{"kind":'], 'metrics.jsonl')]),
    'FileError',
    /metrics\.jsonl: line 1 is cut off/,
  );
  await refused(() => readPicked([config('juggling')]), 'FileError', /config\.json: the task is juggling/);
  assert.is((await readPicked([config('adding')])).settings?.task, 'adding');
  await refused(() => readPicked([new File(['{}'], 'config.json')]), 'FileError', /config\.json: 'format'/);
  await refused(() => readPicked([new File(['bytes'], 'a.safetensors')]), 'FileError', /a\.safetensors/);
});

test('the built folder stands alone: relative addresses only, nothing of Node', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rimgrad-site-'));
  try {
    await buildSite(folder);
    const files = readdirSync(folder);
    for (const file of ['index.html', 'style.css', 'page.js', 'train-worker.js', 'check-worker.js'])
      assert.ok(files.includes(file), file);
    const html = readFileSync(join(folder, 'index.html'), 'utf8');
    const addresses = [...html.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, address]) => address ?? '');
    const outside = addresses.filter(
      (address) => address.startsWith('/') || (/^https?:/.test(address) && !address.includes('arxiv.org')),
    );
    assert.equal(outside, []);
    for (const file of files.filter((name) => name.endsWith('.js'))) {
      const code = readFileSync(join(folder, file), 'utf8');
      assert.not.match(code, /["']node:|require\(/, file);
      assert.not.match(code, /new Worker\([^)]*["']\//, file);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
