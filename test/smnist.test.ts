// Sequential MNIST: pixels chosen as the protocol says, batches, passes and splits, its figures, and the drawn digits that stand in for
// MNIST. The images of these tests are made here, so that none of MNIST's files is needed.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { lstm } from '../bench/baselines/index.ts';
import { writeIdx } from '../bench/fuzz/idx-files.ts';
import {
  type DigitSource,
  drawnDigit,
  drawnDigits,
  mnistDigits,
  nearestPixels,
  type Split,
  smnistTask,
} from '../bench/tasks/index.ts';
import { at, OptionError } from '../engine/errors.ts';
import {
  adam,
  compile,
  embedding,
  evaluate,
  grad,
  initialisers,
  input,
  linear,
  reshape,
  slice,
} from '../engine/node.ts';
import { isError, onAdapter, theDevice } from './on-adapter.ts';

onAdapter(test);

const seed = Number(process.env.RIMGRAD_SEED ?? Date.now() % 1_000_000_007);
console.log(`seed ${seed} (RIMGRAD_SEED=${seed} repeats this run)`);

const SIZE = 28 * 28;
const splits: readonly Split[] = ['train', 'validation', 'test'];
const drawn = smnistTask({ digits: drawnDigits() });

/** Images that can be told apart in a batch at 28: the number of the image, in binary, in its first pixels. */
function numbered(train: number, tested: number): DigitSource {
  const pair = (count: number, first: number): { images: Uint8Array; labels: Uint8Array } => {
    const pixels = Uint8Array.from({ length: count * SIZE }, (_, i) => {
      const bit = ((Math.floor(i / SIZE) + first) >> (i % SIZE)) & 1;
      return i % SIZE < 16 && bit === 1 ? 128 : 127;
    });
    const labels = Uint8Array.from({ length: count }, (_, i) => (i + first) % 10);
    return { images: writeIdx([count, 28, 28], pixels), labels: writeIdx([count], labels) };
  };
  return mnistDigits({ train: pair(train, 0), test: pair(tested, train) });
}

/** The numbers of a batch's images. */
function numbersOf(source: DigitSource, split: Split, batch: number, index: number, trainingSeed = 1): number[] {
  const { x, y } = smnistTask({ digits: source }).batch({ split, setting: 28, batch, seed: trainingSeed, index });
  return Array.from({ length: batch }, (_, b) => {
    const number = Array.from({ length: 16 }, (_, t) => at(x, t * batch + b) << t).reduce((sum, bit) => sum + bit, 0);
    assert.is(at(y, b), number % 10, 'an image comes with its label');
    return number;
  });
}

test('nearest neighbour takes the pixels of the tables', () => {
  const tables: Readonly<Record<number, string>> = {
    7: '0 4 8 12 16 20 24',
    14: '0 2 4 6 8 10 12 14 16 18 20 22 24 26',
    16: '0 1 3 5 7 8 10 12 14 15 17 19 21 22 24 26',
    19: '0 1 2 4 5 7 8 10 11 13 14 16 17 19 20 22 23 25 26',
    24: '0 1 2 3 4 5 7 8 9 10 11 12 14 15 16 17 18 19 21 22 23 24 25 26',
    28: Array.from({ length: 28 }, (_, i) => i).join(' '),
  };
  for (const [resolution, table] of Object.entries(tables)) {
    assert.is(nearestPixels(Number(resolution)).join(' '), table, resolution);
    assert.is(drawn.steps(Number(resolution)), Number(resolution) ** 2);
  }
});

test('a sequence is its image row by row, black from 128 on', () => {
  const picture = Uint8Array.from({ length: 10 * SIZE }, (_, i) => (i * 37) % 256);
  const labels = Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
  const digits = mnistDigits({ test: { images: writeIdx([10, 28, 28], picture), labels: writeIdx([10], labels) } });
  for (const n of [3, 7, 14, 19, 28, 30]) {
    const { x, y } = smnistTask({ digits }).batch({ split: 'train', setting: n, batch: 8, seed: 1, index: 0 });
    assert.instance(x, Uint32Array);
    assert.is(x.length, n * n * 8);
    for (let b = 0; b < 8; b++) {
      const image = picture.subarray(at(y, b) * SIZE);
      for (let t = 0; t < n * n; t++) {
        const [row, column] = [Math.floor((Math.floor(t / n) * 28) / n), Math.floor(((t % n) * 28) / n)];
        assert.is(at(x, t * 8 + b), at(image, row * 28 + column) >= 128 ? 1 : 0, `${n}: step ${t}`);
      }
    }
  }
});

test('a pass over the training images shows each once, in an order of its own; what fills no batch is left out', () => {
  const source = numbered(63, 20);
  const [batch, batches] = [8, 6];
  assert.is(smnistTask({ digits: source }).sequences('train'), 51);
  const passOf = (pass: number, trainingSeed = 1): number[] =>
    Array.from({ length: batches }, (_, i) =>
      numbersOf(source, 'train', batch, pass * batches + i, trainingSeed),
    ).flat();
  const passes = [passOf(0), passOf(1), passOf(2), passOf(0, 2)];
  for (const pass of passes) assert.is(new Set(pass).size, 48);
  assert.is(new Set(passes.map((pass) => pass.join())).size, 4, 'orders differ by pass and seed');
  assert.equal(passOf(1), at(passes, 1), 'a batch is a function of its request');
  assert.is(new Set(passes.flat()).size, 51, 'what one pass leaves out, another shows');
});

test('validation and test walk through their images once, the same for every seed; splits are disjoint', () => {
  const source = numbered(60, 30);
  const walked = (split: Split, batches: number, trainingSeed: number): number[] =>
    Array.from({ length: batches }, (_, i) => numbersOf(source, split, 4, i, trainingSeed)).flat();
  const [validation, tested] = [walked('validation', 3, 1), walked('test', 7, 1)];
  assert.equal(
    tested,
    Array.from({ length: 28 }, (_, i) => 60 + i),
  );
  assert.is(new Set(validation).size, 12);
  assert.equal(walked('validation', 3, 2), validation);
  const train = new Set(walked('train', 36, 1));
  assert.is(train.size, 48);
  assert.ok(validation.every((number) => number < 60 && !train.has(number)));
  const past = (split: Split, index: number): unknown => numbersOf(source, split, 4, index);
  assert.throws(
    () => past('validation', 3),
    isError(OptionError, /no batch 3 in the validation split: its 12 images are 3/),
  );
  assert.throws(() => past('test', 7), isError(OptionError, /its 30 images are 7 batches of 4; ask for 0 to 6/));
});

test('every resolution shows the same images', () => {
  const request = { split: 'test', batch: 20, seed: 5, index: 3 } as const;
  const [small, large] = [drawn.batch({ ...request, setting: 7 }), drawn.batch({ ...request, setting: 14 })];
  assert.equal(small.y, large.y);
  for (let b = 0; b < 20; b++) {
    for (let t = 0; t < 49; t++) {
      const same = 2 * Math.floor(t / 7) * 14 + 2 * (t % 7);
      assert.is(at(small.x, t * 20 + b), at(large.x, same * 20 + b));
    }
  }
});

test('impossible requests are refused with their mend', () => {
  const task = smnistTask({ digits: numbered(60, 30) });
  const good = { split: 'train', setting: 5, batch: 4, seed: 1, index: 0 } as const;
  const refused: readonly (readonly [object, RegExp])[] = [
    [{ setting: 0 }, /smnist: resolution is 0; use a whole number from 1 to 1000/],
    [{ setting: 2.5 }, /resolution is 2.5/],
    [{ batch: 49 }, /the train split has 48 images, fewer than a batch of 49; take a smaller batch/],
    [{ seed: -1 }, /seed is -1/],
    [{ index: 2 ** 40 }, /pass over the training images is 91625968981/],
    [{ split: 'valid' }, /split is 'valid'/],
    [{ setting: 1000, batch: 1000 }, /too large/],
  ];
  for (const [wrong, message] of refused) {
    assert.throws(() => task.batch({ ...good, ...wrong }), isError(OptionError, message));
  }
  for (const ask of [task.steps, task.trivial, nearestPixels, (n: number) => task.target(n, 3)]) {
    assert.throws(() => ask(-1), isError(OptionError, /resolution is -1/));
  }
  assert.throws(
    () => smnistTask(Object.assign({ digit: 1 }, { digits: drawnDigits() })),
    isError(OptionError, /Did you mean 'digits'/),
  );
});

test('the figures are those of their definitions, and of one who knows only the classes', async () => {
  assert.equal(drawn.target(7, 3), { shape: [3], dtype: 'u32' });
  const [scores, y] = [input('scores', [3, 10]), input('y', [3], 'u32')];
  const { loss, figures } = drawn.measures(scores, y, 7);
  assert.equal(
    Object.keys(figures),
    drawn.figures.map(({ name }) => name),
  );
  // Rows that say 4, 2 and 9 with odds of e^2 against each other class.
  const given = Float32Array.from({ length: 30 }, (_, i) => (i === 4 || i === 12 || i === 29 ? 2 : 0));
  const measured = { loss, accuracy: at(Object.values(figures), 0), crossEntropy: at(Object.values(figures), 1) };
  const found = await evaluate(theDevice(), measured, { scores: given, y: Uint32Array.of(4, 3, 9) });
  const expected = Math.log(9 + Math.exp(2)) - 4 / 3;
  assert.ok(Math.abs(at(found.loss, 0) - expected) < 1e-6, `${found.loss}, not ${expected}`);
  assert.equal(found.crossEntropy, found.loss);
  assert.is(at(found.accuracy, 0), Math.fround(2 / 3));
  assert.is(drawn.trivial(7).accuracy, 0.1);
  assert.ok(Math.abs(at(Object.values(drawn.trivial(7)), 1) - Math.log(10)) < 1e-12);
  const lopsided = smnistTask({ digits: { ...drawnDigits(), shares: () => [0.5, 0.25, 0.25, 0, 0, 0, 0, 0, 0, 0] } });
  assert.is(lopsided.trivial(7).accuracy, 0.5);
  assert.ok(Math.abs(at(Object.values(lopsided.trivial(7)), 1) - 1.5 * Math.log(2)) < 1e-12);
});

test('a result says where its images come from', () => {
  assert.match(drawn.source ?? '', /^drawn digits .*not MNIST/);
  assert.match(smnistTask({ digits: numbered(60, 30) }).source ?? '', /^MNIST: /);
});

test('a drawn digit is a function of seed, split and number; classes come in turn; it lies within its image', () => {
  const seen = new Set<string>();
  for (const split of splits) {
    for (const ofSeed of [seed, seed + 1]) {
      for (let number = 0; number < 200; number++) {
        const { label, pixels } = drawnDigit({ split, number, seed: ofSeed });
        assert.is(label, number % 10);
        assert.ok(Math.max(...pixels) === 255 && pixels.filter((level) => level >= 128).length >= 20, 'ink');
        const edge = pixels.filter((_, i) => i % 28 === 0 || i % 28 === 27 || i < 28 || i >= 27 * 28);
        assert.ok(Math.max(...edge) === 0, `digit ${number} of seed ${ofSeed} touches the edge`);
        seen.add(pixels.join());
      }
    }
  }
  assert.is(seen.size, 1200);
  const again = drawnDigits().digit('test', 7, seed);
  assert.equal(drawnDigit({ split: 'test', number: 7, seed }), again);
});

test('a digit drawn at another side is the same digit', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.integer({ min: 10, max: 60 }), (number, side) => {
      const darkness = (pixels: Uint8Array): number => pixels.reduce((sum, level) => sum + level, 0) / pixels.length;
      const [own, other] = [
        drawnDigit({ split: 'train', number, seed }),
        drawnDigit({ split: 'train', number, seed, side }),
      ];
      assert.is(other.pixels.length, side * side);
      const fine = drawnDigit({ split: 'train', number, seed, side: 2 * 28 }).pixels;
      const average = own.pixels.map((_, i) => {
        const corner = 2 * 56 * Math.floor(i / 28) + 2 * (i % 28);
        return [0, 1, 56, 57].reduce((sum, step) => sum + at(fine, corner + step) / 4, 0);
      });
      const differing = own.pixels.reduce((sum, level, i) => sum + Math.abs(level - at(average, i)), 0);
      const all = own.pixels.reduce((sum, level) => sum + level, 0);
      assert.ok(differing < 0.1 * all, `digit ${number} at 56 is another picture: ${differing} of ${all}`);
      const ratio = darkness(other.pixels) / darkness(own.pixels);
      assert.ok(ratio > 0.85 && ratio < 1.15, `digit ${number} at ${side}: ${ratio}`);
    }),
    { seed, numRuns: 50 },
  );
  assert.throws(() => drawnDigit({ split: 'test', number: -1, seed }), isError(OptionError, /number is -1/));
  assert.throws(() => drawnDigit({ split: 'test', number: 1, seed, side: 0 }), isError(OptionError, /side is 0/));
});

test('drawn digits are neither trivial nor impossible: the nearest mean finds most of them', () => {
  const [n, count] = [14, 600];
  const request = { setting: n, batch: count, seed, index: 0 };
  const [learn, tell] = [drawn.batch({ ...request, split: 'train' }), drawn.batch({ ...request, split: 'test' })];
  const column = (x: ArrayLike<number>, b: number): number[] =>
    Array.from({ length: n * n }, (_, t) => at(x, t * count + b));
  const means = Array.from({ length: 10 }, () => Array.from({ length: n * n }, () => 0));
  for (let b = 0; b < count; b++) {
    const mean = at(means, at(learn.y, b));
    column(learn.x, b).forEach((value, t) => {
      mean[t] = at(mean, t) + value / (count / 10);
    });
  }
  let right = 0;
  for (let b = 0; b < count; b++) {
    const image = column(tell.x, b);
    const away = means.map((mean) => mean.reduce((sum, value, t) => sum + (value - at(image, t)) ** 2, 0));
    if (away.indexOf(Math.min(...away)) === at(tell.y, b)) right++;
  }
  // MNIST's own have 0.80 here, from 8,000 images.
  assert.ok(right / count > 0.7 && right / count < 0.9, `${right / count} right`);
});

test('an LSTM learns drawn digits at a small resolution: from chance to over a quarter right', async () => {
  const [resolution, batch, size, width] = [5, 32, 32, 8];
  const embed = embedding({ tokens: 2, size: width }, { seed: 1, weight: initialisers.normal(1) });
  const net = lstm({ inputSize: width, hiddenSize: size }, { seed: 1 });
  const readout = linear({ from: size, to: drawn.scores }, { seed: 1 });
  const steps = drawn.steps(resolution);
  const { hidden } = net(embed(input('x', [steps, batch], 'u32')));
  const scores = readout(reshape(slice(hidden, 0, steps - 1, 1), [batch, size]));
  const { shape, dtype } = drawn.target(resolution, batch);
  const { loss, figures } = drawn.measures(scores, input('y', shape, dtype), resolution);
  const weights = [...embed.variables, ...net.variables, ...readout.variables];
  const step = await compile(theDevice(), { loss }, adam(grad(loss, weights), { learningRate: 1e-2, clipNorm: 1 }));
  const measure = await compile(theDevice(), figures);
  const accuracy = async (): Promise<number> => {
    let sum = 0;
    for (let index = 0; index < 10; index++) {
      await measure.run(drawn.batch({ split: 'test', setting: resolution, batch, seed, index }));
      sum += at(await measure.read('accuracy'), 0);
    }
    return sum / 10;
  };
  const before = await accuracy();
  for (let index = 0; index < 120; index++) {
    await step.run(drawn.batch({ split: 'train', setting: resolution, batch, seed, index }));
  }
  const after = await accuracy();
  assert.ok(before < 0.2 && after > 0.25, `from ${before} to ${after}`);
  step.dispose();
  measure.dispose();
});

test.run();
