// The peers of the benchmark do the same training step as rimgrad: equal losses over steps long enough for every gradient to
// show in them, and a clear error from a peer that fails. Here on their wasm backends, which are quick to start; the
// benchmark itself checks the others before it times them. Times are no matter here.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeProblem, type Peer, type PeerName, peersFound, startPeer } from '../bench/speed/peers/index.ts';
import { readProblem } from '../bench/speed/peers/problem.ts';
import { benchmarkWork, LEARNING_RATE, type Sizes } from '../bench/speed/work.ts';
import { at } from '../engine/errors.ts';
import { compile, grad, sgd } from '../engine/node.ts';
import { onAdapter, refused, theDevice } from './on-adapter.ts';
import { skip } from './runtimes.ts';

// All sizes differ, so that no peer can take one for another.
const sizes: Sizes = { B: 4, T: 3, N: 5, K: 2, H: 8, D: 6, E: 7, V: 9, C: 2, F: 4, W: 3 };
const STEPS = 6;
const RATE = 5;

const test = suite('peers');
onAdapter(test);

/** The losses of rimgrad's plain path. */
async function ownLosses(feeds: Readonly<Record<string, Float32Array>>): Promise<number[]> {
  const { rim, loss } = benchmarkWork(sizes, 'plain');
  const program = await compile(theDevice(), { loss }, sgd(grad(loss, rim.variables), { learningRate: RATE }));
  const losses: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    await program.run(feeds);
    losses.push(at(await program.read('loss'), 0));
  }
  return losses;
}

const names: readonly PeerName[] = ['jax-js-wasm', 'tfjs-wasm'];
const found = await peersFound();
for (const name of names) {
  const peer = found.find((each) => each.name === name);
  const what = `${name} trains as rimgrad does`;
  if (peer?.available !== true) {
    skip(test, what, peer?.reason ?? 'no such peer');
    continue;
  }
  test(what, async () => {
    const problem = await makeProblem(sizes, RATE);
    let started: Peer | undefined;
    try {
      const wanted = await ownLosses(problem.feeds);
      assert.ok(at(wanted, 2) < 0.9 * at(wanted, 0), `the steps are too short to compare gradients: ${wanted}`);
      started = await startPeer(name, problem);
      assert.is(started.name, name);
      assert.match(started.version, /\d+\.\d+\.\d+/);
      assert.ok(started.firstStepMs > 0);
      started.losses.forEach((loss, step) => {
        const gap = Math.abs(loss - at(wanted, step)) / at(wanted, step);
        assert.ok(gap < 1e-5, `loss ${step} is ${loss}, rimgrad's ${at(wanted, step)}`);
      });
      assert.is(started.losses.length, 3);
      const times = await started.run(2);
      assert.is(times.length, 2);
      assert.ok(times.every((ms) => ms > 0));
    } finally {
      await started?.close();
      problem.dispose();
    }
  });
}

test('a problem reads back as it was made', async () => {
  const problem = await makeProblem(sizes);
  try {
    const data = readProblem(problem.file);
    assert.equal(data.sizes, sizes);
    assert.is(data.learningRate, LEARNING_RATE);
    assert.equal(data.tensor('x'), { shape: [3, 4, 6], data: problem.feeds.x });
    assert.equal(data.tensor('query').shape, [5, 8, 7]);
  } finally {
    problem.dispose();
  }
});

test('a peer that dies says why', async () => {
  const problem = await makeProblem(sizes);
  problem.dispose();
  await refused(() => startPeer('jax-js-wasm', problem), 'RimgradError', /peer jax-js-wasm ended with 1; .*ENOENT/);
});

test.run();
