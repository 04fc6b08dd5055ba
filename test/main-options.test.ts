// The main job's command line: every option in the help with its default, everything checked, and errors that tell the
// mend in one line.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { flagOf } from '../bench/option-rows.ts';
import { keptOptions, lastingOptions, type MainOptions, parseMainOptions } from '../bench/options.ts';
import { FileError, OptionError } from '../engine/errors.ts';

/** Options that only their opposite is written for. */
const NEGATED = ['communication', 'inputAttention'];

function options(...args: string[]): MainOptions {
  const request = parseMainOptions(args);
  if (request.kind !== 'run') throw new Error(`${request.kind} was asked for`);
  return request.options;
}

function refused(args: readonly string[], ...words: string[]): void {
  try {
    parseMainOptions(args);
  } catch (error) {
    assert.instance(error, OptionError);
    const message = String(error);
    for (const word of words) assert.ok(message.includes(word), `${message} does not say: ${word}`);
    assert.not.match(message, /\n/);
    return;
  }
  assert.unreachable(`${args.join(' ')} was taken`);
}

test('the defaults are a size that a machine without a GPU trains', () => {
  assert.equal(options(), {
    task: 'copying',
    models: ['rim', 'lstm'],
    digits: 3,
    blank: 10,
    testBlanks: [10, 20, 40],
    length: 20,
    resolution: 14,
    batch: 64,
    modules: 6,
    active: 4,
    hidden: 24,
    embedding: 16,
    keySize: 16,
    valueSize: 32,
    commHeads: 2,
    commKeySize: 16,
    commValueSize: 16,
    cell: 'lstm',
    preset: 'default-mixture',
    attentionDropout: 0,
    communication: true,
    inputAttention: true,
    width: 144,
    validate: 'trained',
    validationBatches: 10,
    select: 'last',
    steps: 2000,
    learningRate: 0.003,
    clip: 1,
    dropout: 0,
    seed: 1,
    evaluateEvery: 500,
    testBatches: 10,
    checkpointEvery: 200,
    out: 'runs',
    force: false,
    json: false,
    paper: false,
  });
});

test('the options that a file keeps are those of the run again, whatever their order', () => {
  const line =
    '--sources kept --digits 5 --blank 7 --batch 8 --modules 9 --active 2 --hidden 11 --embedding 12 --cell gru --preset dido ' +
    '--seed 20 --comm-output residual --models rim --attention-dropout 0.2 --steps 19 --name other --out elsewhere --force --json';
  for (const begun of [options(), options(...line.split(' ')), options('--paper', '--clip', '0')]) {
    const text = JSON.stringify(lastingOptions(begun));
    const again = keptOptions(JSON.parse(text) as Record<string, unknown>, 'a file');
    assert.is(JSON.stringify(lastingOptions(again)), text);
    const { name: _, ...rest } = begun;
    const whole = keptOptions({ ...begun, testBlanks: [...begun.testBlanks] }, 'a file');
    assert.equal(
      whole,
      { ...rest, out: 'runs', force: false, json: false },
      'what belongs to a command line came back',
    );
  }
});

test('options of a file that are none of this version are refused with its name', () => {
  for (const [kept, said] of [
    [{ hiden: 4 }, /^a file: there is no option "hiden" in this version; it is damaged, or of another version$/],
    [{ hidden: 'x' }, /^a file: 'hidden' is "x"; /],
    [{ hidden: { toString: 1 } }, /^a file: 'hidden' is \{"toString":1\}; /],
    [{ cell: ['lstm'] }, /^a file: 'cell' is \["lstm"\]; /],
    [{ communication: 1 }, /^a file: 'communication' is 1; /],
    [{ models: ['rim', 'rom'] }, /^a file: 'models' is \["rim","rom"\]; /],
    [{ task: 'sorting' }, /^a file: 'task' is "sorting"; /],
    [{ active: 7 }, /^a file: --active 7: more than the 6 modules/],
  ] as const) {
    try {
      keptOptions(kept, 'a file');
    } catch (error) {
      assert.instance(error, FileError);
      assert.match(String(error).replace(/^FileError: /, ''), said);
      continue;
    }
    assert.unreachable(JSON.stringify(kept));
  }
});

test('every option is taken', () => {
  const line =
    '--digits 5 --blank 7 --test-blanks 30,14 --batch 8 --modules 9 --active 2 --hidden 11 --embedding 12 --key-size 13 ' +
    '--value-size 14 --comm-heads 3 --comm-key-size 15 --comm-value-size 17 --cell gru --preset dido --comm-output ' +
    'residual --sources kept --attention-dropout 0.2 --models lstm,rim --task copying --comm-top-k 3 --validate all --validation-batches 3 --select per-setting --width 18 --steps 19 --learning-rate 1e-4 --clip 0 ' +
    '--dropout 0.3 --seed 20 --evaluate-every 0 --test-batches 2 --checkpoint-every 7 --name a.b-c_1 --out elsewhere --force --json';
  assert.equal(options(...line.split(' ')), {
    digits: 5,
    blank: 7,
    testBlanks: [7, 14, 30],
    length: 20,
    resolution: 14,
    batch: 8,
    modules: 9,
    active: 2,
    hidden: 11,
    embedding: 12,
    keySize: 13,
    valueSize: 14,
    commHeads: 3,
    commKeySize: 15,
    commValueSize: 17,
    cell: 'gru',
    preset: 'dido',
    commOutput: 'residual',
    sources: 'kept',
    attentionDropout: 0.2,
    communication: true,
    inputAttention: true,
    commTopK: 3,
    models: ['lstm', 'rim'],
    task: 'copying',
    width: 18,
    validate: 'all',
    validationBatches: 3,
    select: 'per-setting',
    steps: 19,
    learningRate: 1e-4,
    clip: 0,
    dropout: 0.3,
    seed: 20,
    evaluateEvery: 0,
    testBatches: 2,
    name: 'a.b-c_1',
    checkpointEvery: 7,
    out: 'elsewhere',
    force: true,
    json: true,
    paper: false,
  });
});

test('--paper gives the sizes of the paper, and what is given wins over it', () => {
  const paper = options('--paper');
  assert.is(paper.digits, 10);
  assert.is(paper.blank, 50);
  assert.equal(paper.testBlanks, [50, 200]);
  assert.equal([paper.modules, paper.active, paper.hidden, paper.embedding], [6, 4, 100, 600]);
  assert.equal([paper.keySize, paper.valueSize], [64, 400]);
  assert.equal([paper.commHeads, paper.commKeySize, paper.commValueSize], [4, 32, 32]);
  assert.equal([paper.learningRate, paper.dropout, paper.attentionDropout], [1e-3, 0.5, 0.1]);
  assert.is(paper.preset, 'official');
  const mixed = options('--paper', '--hidden', '24', '--steps', '5', '--test-blanks', '60', '--dropout', '0');
  assert.equal([mixed.hidden, mixed.steps, mixed.dropout, mixed.embedding], [24, 5, 0, 600]);
  assert.equal(mixed.testBlanks, [50, 60]);
});

test('the test blanks follow the training blank, which is always among them', () => {
  assert.equal(options('--blank', '6').testBlanks, [6, 12, 24]);
  assert.equal(options('--test-blanks', '40,20,40').testBlanks, [10, 20, 40]);
});

test('the help names every option with its default', () => {
  const request = parseMainOptions(['--help']);
  assert.is(request.kind, 'help');
  const text = request.kind === 'help' ? request.text : '';
  for (const key of [...Object.keys(options()), 'name', 'commOutput', 'sources', 'commTopK', 'layers', 'positions']) {
    const flag = flagOf(key);
    assert.match(text, NEGATED.includes(key) ? `--no-${flag.slice(2)} ` : `${flag} `);
  }
  assert.match(text, '(default: 2000; --paper: 30000)');
  assert.match(text, /^Task copying:$/m);
  assert.match(text, /^Task adding \(--paper: --dropout 0\.2, --clip 0\.1, --steps 46800\):$/m);
  assert.match(text, /^Task smnist \(--paper: --learning-rate 0\.0001, --steps 75000, --evaluate-every 3000\):$/m);
});

test('what is shown of a pipe keeps the words of npm out of it', () => {
  const before = process.env.RIMGRAD_CALLED;
  const help = (): string => {
    const request = parseMainOptions(['--help']);
    return request.kind === 'help' ? request.text : '';
  };
  try {
    process.env.RIMGRAD_CALLED = 'npm start --';
    assert.match(help(), /^ {2}npm start --silent -- --json > result\.json /m);
    assert.match(help(), /^ {2}npm start -- --resume /m);
    delete process.env.RIMGRAD_CALLED;
    assert.match(help(), /^ {2}rimgrad train --json > result\.json /m);
  } finally {
    if (before === undefined) delete process.env.RIMGRAD_CALLED;
    else process.env.RIMGRAD_CALLED = before;
  }
});

test('bad values are refused with the option and the mend', () => {
  refused(['--steps', 'many'], "'--steps <n>'", "'many'", 'whole number from 1');
  refused(['--steps', '0'], '--steps', 'from 1');
  refused(['--steps', '1.5'], '--steps');
  refused(['--seed', '4294967296'], '--seed', '4294967295');
  refused(['--learning-rate', '-1'], '--learning-rate');
  refused(['--learning-rate', 'NaN'], '--learning-rate');
  refused(['--dropout', '1'], '--dropout', '0.95');
  refused(['--test-blanks', '10,,20'], '--test-blanks');
  refused(['--cell', 'rnn'], '--cell', 'lstm, gru');
  refused(['--preset', 'mine'], '--preset', 'official');
  refused(['--active', '7'], '--active 7', '6 modules');
  refused(['--name', '../elsewhere'], '--name');
  refused(['--name', '..'], '--name');
  refused(['--out', ''], '--out', 'folder');
  refused(['--steps'], '--steps', 'argument missing');
});

test('what the task or the models do not use is refused, and not kept', () => {
  refused(['--models', 'rim', '--width', '8'], '--width', 'for --models lstm', 'nothing with --models rim');
  refused(['--models', 'lstm', '--modules', '8'], '--modules', 'for --models rim', 'leave it out');
  refused(['--models', 'lstm', '--no-communication'], '--no-communication', 'leave it out');
  refused(['--heads', '2'], '--heads', 'for --models rmc or ntm', 'leave it out');
  refused(['--length', '9'], '--length', 'for --task adding', 'nothing with --task copying');
  refused(['--task', 'adding', '--embedding', '9'], '--embedding', 'a task of symbols');
  const kept = lastingOptions(options('--models', 'lstm'));
  assert.equal(
    Object.keys(kept).filter((name) => /modules|comm|cell|heads/.test(name)),
    [],
  );
  assert.equal([kept.width, kept.models, kept.blank], [144, ['lstm'], 10]);
});

test('every task has its own settings, and what follows from them', () => {
  const adding = options('--task', 'adding', '--length', '9', '--test-lengths', '30,12');
  assert.equal([adding.length, adding.testLengths, adding.select], [9, [9, 12, 30], 'last']);
  assert.equal(options('--task', 'adding').testLengths, [20, 40, 80]);
  const paper = options('--task', 'adding', '--paper', '--clip', '2');
  assert.equal([paper.length, paper.testLengths, paper.dropout, paper.clip], [50, [50, 200], 0.2, 2]);
  const lengths = (length: number): readonly number[] =>
    options('--task', 'adding', '--paper', '--length', `${length}`).testLengths;
  assert.equal([50, 500, 60].map(lengths), [
    [50, 200],
    [500, 1000],
    [60, 120, 240],
  ]);
  assert.equal(
    options('--paper', '--blank', '500').testBlanks,
    [500, 1000, 2000],
    "only the paper's blank has its test",
  );
  assert.is(paper.steps, 46_800, '468 whole batches of 64 in each of 100 passes');
  const digits = options('--task', 'smnist', '--resolution', '7', '--test-resolutions', '8', '--mnist', 'mine');
  assert.equal([digits.resolution, digits.testResolutions, digits.mnist], [7, [7, 8], 'mine']);
  assert.equal(options('--task', 'smnist').testResolutions, [14, 16, 19, 24]);
  assert.equal([digits.select, options('--task', 'smnist', '--paper').learningRate], ['validation', 1e-4]);
  for (const args of [
    ['--resolution', '29'],
    ['--mnist', ' '],
  ])
    refused(['--task', 'smnist', ...args], `${args[0]}`);
  const kept = lastingOptions(digits);
  assert.equal([kept.resolution, kept.mnist, kept.blank, kept.length], [7, 'mine', undefined, undefined]);
});

test('models are a list of known ones, each once', () => {
  assert.equal(options('--models', 'lstm').models, ['lstm']);
  assert.equal(options('--models', 'lstm, rim').models, ['lstm', 'rim']);
  for (const list of ['rim,rim', 'rim,', '', 'mamba']) refused(['--models', list], '--models', 'rim, lstm');
  refused(['--models', 'rim,lstmm'], "There is no 'lstmm'. Did you mean lstm? There are rim, lstm, ");
  refused(['--task', 'parity-bits'], "'parity-bits' is invalid. There are copying, adding, smnist; see --help");
  refused(['--task', 'addng'], 'Did you mean adding? There are copying, adding, smnist; see --help');
  refused(['--test-blanks', '10 20'], 'Give whole numbers from 1 to 100000 with commas between, as in 10,20; see');
});

test('a RIM without input attention has all modules active; who listens to more than there are is refused', () => {
  assert.is(options('--no-input-attention').active, 6);
  refused(['--no-input-attention', '--active', '4'], '--no-input-attention', 'leave out --active');
  refused(['--comm-top-k', '7'], '--comm-top-k 7', '6 modules');
  refused(['--comm-top-k', '2', '--no-communication'], '--comm-top-k', 'leave out one');
  assert.equal(options('--comm-top-k', '2', '--no-input-attention').commTopK, 2);
  const begun = lastingOptions(options('--no-input-attention', '--modules', '3'));
  assert.equal(lastingOptions(keptOptions(begun, 'a file')), begun);
});

test('validation follows the rule by which evaluations count', () => {
  assert.equal([options().validate, options('--test-batches', '3').validationBatches], ['trained', 3]);
  assert.is(options('--select', 'per-setting').validate, 'all');
  refused(['--select', 'per-setting', '--validate', 'trained'], '--select per-setting', '--validate all');
});

test('what does not exist is refused with the nearest that does', () => {
  refused(['--blnk', '3'], "'--blnk'", 'did you mean --blank?', '--help');
  refused(['--zzzzzzzzzzzzzzzzz'], "no option '--zzzzzzzzzzzzzzzzz'", '--help');
  refused(['train'], 'too many arguments', '--help');
});

test.run();
