// Bad files: a seeded 500 cases of what `npm run fuzz` does, and that the rules are rules: a loader that breaks one of them is
// found out, each in its own way. The seed is printed; RIMGRAD_SEED=N repeats a run.

import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runCase } from '../bench/fuzz/cases.ts';
import { formatDefect } from '../bench/fuzz/format.ts';
import { allLoaders, type Loaded, type Loader } from '../bench/fuzz/loaders.ts';
import { Broken, judgeCase } from '../bench/fuzz/rules.ts';
import { parseConfig } from '../bench/run-config.ts';
import { FileError, OptionError } from '../engine/errors.ts';
import { readSafetensors, writeSafetensors } from '../engine/safetensors.ts';
import { checkTuning, untuned } from '../engine/tuning.ts';
import { presetOptions } from '../rims/index.ts';
import { factsFor } from './made-task.ts';
import { isError } from './on-adapter.ts';

const seed = Number(process.env.RIMGRAD_SEED ?? Date.now() % 1_000_000_007);
console.log(`seed ${seed} (RIMGRAD_SEED=${seed} repeats this run)`);

const loaders = allLoaders(fileURLToPath(new URL('../../test/golden/', import.meta.url)));

test('five hundred files break no rule, and every loader accepts some and refuses some', async () => {
  const outcomes = new Set<string>();
  for (let index = 0; index < 500; index++) {
    const { loader, outcome, broken } = await runCase(loaders, seed, index);
    assert.is(broken, undefined, `case ${index}, ${loader}, ${broken?.damage}: ${broken?.why}`);
    outcomes.add(`${loader} ${outcome === 'accepted' ? 'accepts' : 'refuses'}`);
  }
  for (const { name } of loaders) {
    assert.ok(outcomes.has(`${name} accepts`) && outcomes.has(`${name} refuses`), `${name}: ${[...outcomes].join()}`);
  }
});

test('a case depends on its seed and number alone', async () => {
  for (const index of [3, 11, 12]) {
    assert.equal(await runCase(loaders, 7, index), await runCase(loaders, 7, index));
  }
});

const bytes = writeSafetensors({ a: { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) } });
const fine: Loaded = { content: () => 'fine' };

/** A loader that does one thing. */
function planted(load: Loader['load'], more: Partial<Loader> = {}): Loader {
  const files = fc.constant({ bytes, damage: [] });
  return { name: 'planted', share: 1, files, refusals: [[FileError, /^FILE: .+; .+$/]], load, ...more };
}

const faults: readonly (readonly [what: string, loader: Loader, damage: readonly string[], why: RegExp])[] = [
  [
    'a crash',
    planted(() => {
      throw new TypeError('undefined is not an object');
    }),
    ['cut'],
    /TypeError instead of a typed error/,
  ],
  [
    'a whole file that is refused',
    planted((_, file) => {
      throw new FileError(`${file}: no; no`);
    }),
    [],
    /a whole file was refused/,
  ],
  [
    'a message without the file',
    planted(() => {
      throw new FileError('something is wrong');
    }),
    ['cut'],
    /without file or mend/,
  ],
  [
    'a message without end',
    planted((_, file) => {
      throw new FileError(`${file}: ${'x'.repeat(5000)}; no`);
    }),
    ['cut'],
    /a message of 5\d\d\d characters/,
  ],
  [
    'a message that a terminal obeys',
    planted((_, file) => {
      throw new FileError(`${file}: \u001b[2J; no`);
    }),
    ['cut'],
    /odd characters/,
  ],
  [
    'a read behind the end',
    planted((given) => ({ content: () => String(new Uint8Array(given.buffer)[given.byteOffset + given.length]) })),
    [],
    /depends on what lies around/,
  ],
  [
    'a view that reaches too far',
    planted((given) => ({ ...fine, views: [new Uint8Array(given.buffer, given.byteOffset, given.length + 1)] })),
    [],
    /a result reaches over/,
  ],
  [
    'a write',
    planted((given) => {
      given[0] = 255;
      return fine;
    }),
    [],
    /were written to/,
  ],
  [
    'a typed array of a size that the file does not allow',
    planted(() => {
      new Float32Array(1_000_000).fill(1);
      return fine;
    }),
    [],
    /made it allocate 4000000 in arrays/,
  ],
  [
    'a list that no collection of other garbage hides',
    planted(() => {
      const list = Array.from({ length: 8_000_000 }, (_, i) => i);
      return { content: () => String(list.length) };
    }),
    [],
    /made it allocate/,
  ],
  [
    'a polluted prototype',
    planted(() => {
      Reflect.set(Object.prototype, 'polluted', 1);
      return fine;
    }),
    [],
    /a prototype was changed/,
  ],
  [
    'a writer that writes something else',
    planted((given) => ({ content: () => String(given.length), again: () => given.subarray(1) })),
    [],
    /written and read again it is/,
  ],
  [
    'what is accepted and no right file',
    planted(() => fine, { defect: () => 'two of one name' }),
    ['twice'],
    /accepted, though it is no right file: two of one name/,
  ],
];

for (const [what, loader, damage, why] of faults) {
  test(`found out: ${what}`, async () => {
    const error = await judgeCase(loader, { bytes, damage }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.instance(error, Broken);
    assert.match(String(error), why);
    assert.not.ok('polluted' in {});
  });
}

test('a broken rule comes with the least file that breaks it', async () => {
  const nervous = planted(
    (given) => {
      if (given.includes(0xff)) throw new TypeError('crash');
      return fine;
    },
    { files: fc.uint8Array({ minLength: 20, maxLength: 40, min: 250 }).map((all) => ({ bytes: all, damage: [] })) },
  );
  const { outcome, broken } = await runCase([nervous], 1, 0);
  assert.is(outcome, 'BROKEN');
  assert.is(broken?.bytes.length, 20);
  assert.is(broken?.bytes.filter((byte) => byte > 250).length, 1);
});

test('the independent judge knows the format', () => {
  const file = (header: string, data = 0): Uint8Array => {
    const text = new TextEncoder().encode(header);
    const all = new Uint8Array(8 + text.length + data);
    new DataView(all.buffer).setBigUint64(0, BigInt(text.length), true);
    all.set(text, 8);
    return all;
  };
  assert.is(formatDefect(bytes), undefined);
  assert.is(formatDefect(file('{}  ')), undefined);
  assert.is(formatDefect(file('{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}', 1)), undefined);
  for (const header of [
    ' {}',
    '[]',
    '{"a":1}',
    '{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}',
    '{"a":{"dtype":"U9","shape":[1],"data_offsets":[0,1]}}',
    '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\\u0061":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}}',
    '{"\\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
    '{"__metadata__":{"a":1}}',
  ]) {
    assert.type(formatDefect(file(header, 1)), 'string', header);
    assert.throws(() => readSafetensors(file(header, 1)), isError(FileError));
  }
});

test('what the fuzzer found once stays refused', async () => {
  const nested = JSON.parse('['.repeat(20_000) + ']'.repeat(20_000)) as never;
  const odd = JSON.parse('{"toString":1,"valueOf":1}') as never;
  const refused = (act: () => unknown, type: new (message: string) => Error, message: RegExp): void => {
    try {
      act();
    } catch (error) {
      assert.instance(error, type);
      assert.match(String(error), message);
      return;
    }
    assert.unreachable(String(message));
  };
  const adapter = { vendor: '', architecture: '', device: '', description: '', software: true };
  for (const value of [nested, odd]) {
    refused(
      () => checkTuning({ format: 'rimgrad tuning 1', adapter: value } as never, adapter),
      OptionError,
      /is no string/,
    );
    refused(() => presetOptions('paper', { cell: value } as never), OptionError, /must be/);
  }
  refused(
    () => checkTuning({ ...untuned(adapter), more: nested } as never, adapter),
    OptionError,
    /unknown field "more"/,
  );
  for (const value of [null, [], 'lstm'])
    refused(() => presetOptions('paper', value as never), OptionError, /an object/);
  const long = 'k'.repeat(100_000);
  refused(() => presetOptions('paper', { [long]: 1 } as never), OptionError, /^.{0,1000}$/);
  const facts = await factsFor();
  const config = (text: string): Uint8Array =>
    new TextEncoder().encode(
      `{"format":"rimgrad run 2","task":${JSON.stringify(facts)},"started":"","status":"running","adapter":"","runtime":"",${text}}`,
    );
  const whole = parseConfig(config('"parameters":{"__proto__":3},"options":{}'), 'f');
  assert.equal(Object.entries(whole.parameters), [['__proto__', 3]]);
  refused(() => parseConfig(config('"parameters":{},"options":{},"task":"u"'), 'f'), FileError, /"task" stands twice/);
  refused(() => parseConfig(config('"parameters":{},"options":{"a":{}}'), 'f'), FileError, /'options' must be/);
});

test.run();
