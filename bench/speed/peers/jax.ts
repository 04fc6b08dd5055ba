// jax-js as a peer: one jitted function of forward, backward and update, on its WebGPU or its wasm backend.
//
// Written for speed, as measured: modules first ([N,B,H]), so that every product by a module's own weights is one batched
// matmul; value and gate matrices multiplied into one (the fold); the null row's part as a bias; products that read the same
// tensor done as one. The input side stays in the loop: taken out of it, its gradient is a sum of padded arrays, which costs
// more. Values are moved: `.ref` keeps one for later.
// Not here: the protocol (child.ts).

import type * as Jax from '@jax-js/jax';
import { need } from '../../../engine/core.ts';
import { adapterName, browserGPU, serve, type Trainer, versionOf } from './child.ts';
import { type ProblemData, WEIGHTS, type Weight } from './problem.ts';
import { provideWorker } from './worker.ts';

type NDArray = Jax.Array;
type Weights = Record<Weight, NDArray>;

async function make(mode: string, problem: ProblemData): Promise<Trainer> {
  const gpu = mode === 'webgpu' ? await browserGPU() : undefined;
  if (mode === 'wasm-threads') provideWorker();
  const backend = mode === 'webgpu' ? 'webgpu' : 'wasm';
  const jax = await import('@jax-js/jax');
  await jax.init(backend);
  jax.defaultDevice(backend);
  const { numpy: np, nn, lax } = jax;
  const { B, T, N, K, H, D, E, C, F, W } = problem.sizes;

  const load = (name: string): NDArray => {
    const { shape, data } = problem.tensor(name);
    return np.array(data).reshape([...shape]);
  };

  /** The loss; x [T,B,D], state and target [N,B,H]. */
  const lossOf = (p: Weights, x: NDArray, state: NDArray, target: NDArray): NDArray => {
    const folded = np.tensordot(p.value, p.inputGates.ref, [[1], [1]]).reshape([D, N * 3 * H]);
    const fromNull = np.tensordot(p.valueBias, p.inputGates, [[0], [1]]).reshape([N, 1, 3 * H]);
    const fromState = np.concatenate([p.query, p.stateGates], 2);
    const fromSource = np.concatenate([p.commQuery, p.commKey, p.commValue], 2);
    const nullKey = p.keyBias.ref.reshape([E, 1]);

    let h = state;
    for (let t = 0; t < T; t++) {
      const row = x.ref.slice(t);
      const ofState = np.matmul(h.ref, fromState.ref);
      const query = part(ofState.ref, 0, E);
      const score = query.ref.mul(np.matmul(row.ref, p.key.ref).add(p.keyBias.ref)).sum(2); // [N,B]
      const nullScore = np.matmul(query.reshape([N * B, E]), nullKey.ref).reshape([N, B]);
      const mask = active(score.ref);
      const share = nn.sigmoid(score.sub(nullScore).mul(1 / Math.sqrt(E)));
      const value = np
        .matmul(row, folded.ref)
        .reshape([B, N, 3 * H])
        .transpose([1, 0, 2]);
      const gx = share.reshape([N, B, 1]).mul(value).add(fromNull.ref);
      const candidate = gru(gx, part(ofState, E, E + 3 * H), h.ref);
      const source = np.where(mask.ref, candidate.ref, h.ref);
      const context = communicate(np.matmul(source, fromSource.ref));
      h = np.where(mask, candidate.add(np.matmul(context, p.commOutput.ref)), h);
    }
    for (const each of [x, folded, fromNull, nullKey, fromState, fromSource]) each.dispose();
    for (const each of [p.key, p.keyBias, p.commOutput]) each.dispose();
    return np.square(h.sub(target)).mean();
  };

  /** [N,B,1]: whether fewer than K modules have a greater score, or an equal one and come first. */
  const active = (score: NDArray): NDArray => {
    const s = lax.stopGradient(score);
    const earlier = np
      .tril(np.ones([N, N]), -1)
      .reshape([N, N, 1])
      .greater(0);
    const [own, other] = [s.ref.reshape([N, 1, B]), s.reshape([1, N, B])];
    const before = np.where(earlier, other.ref.greaterEqual(own.ref), other.greater(own));
    return before.astype(np.float32).sum(1).less(K).reshape([N, B, 1]);
  };

  const gru = (gx: NDArray, gh: NDArray, h: NDArray): NDArray => {
    const rz = nn.sigmoid(part(gx.ref, 0, 2 * H).add(part(gh.ref, 0, 2 * H)));
    const n = np.tanh(part(gx, 2 * H, 3 * H).add(part(rz.ref, 0, H).mul(part(gh, 2 * H, 3 * H))));
    return n.ref.add(part(rz, H, 2 * H).mul(h.sub(n)));
  };

  /** From queries, keys and values [N,B,2CF+CW] to the contexts [N,B,CW]. */
  const communicate = (talk: NDArray): NDArray => {
    const q = part(talk.ref, 0, C * F);
    const k = part(talk.ref, C * F, 2 * C * F);
    const v = part(talk, 2 * C * F, 2 * C * F + C * W);
    const heads = (x: NDArray, size: number): NDArray => x.reshape([N, B, C, size]).transpose([1, 2, 0, 3]);
    const scores = np.matmul(heads(q, F).mul(1 / Math.sqrt(F)), heads(k, F).transpose([0, 1, 3, 2]));
    const read = np.matmul(nn.softmax(scores, -1), heads(v, W)); // [B,C,N,W]
    return read.transpose([2, 0, 1, 3]).reshape([N, B, C * W]);
  };

  const update = jax.jit((p: Weights, x: NDArray, state: NDArray, target: NDArray): [NDArray, Weights] => {
    const kept = jax.tree.ref(p);
    const [loss, gradient] = jax.valueAndGrad(lossOf)(p, x, state, target);
    const next = WEIGHTS.map((name) => [name, kept[name].sub(gradient[name].mul(problem.learningRate))]);
    return [loss, Object.fromEntries(next) as Weights];
  });

  let parameters = Object.fromEntries(WEIGHTS.map((name) => [name, load(name)])) as Weights;
  const x = load('x');
  const state = load('state').transpose([1, 0, 2]);
  const target = load('target').reshape([B, N, H]).transpose([1, 0, 2]);
  await jax.blockUntilReady([x, state, target]);
  const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' });

  return {
    version: versionOf('@jax-js/jax'),
    ...(adapter && { adapter: adapterName(adapter.info) }),
    step: async () => {
      const [loss, next] = update(parameters, x.ref, state.ref, target.ref);
      parameters = next;
      await jax.blockUntilReady(parameters);
      const [value] = await loss.data();
      return need(value, 'the loss');
    },
  };
}

/** A range of the last of three axes: a view, where a split would copy. */
function part(x: NDArray, from: number, to: number): NDArray {
  return x.slice([], [], [from, to]);
}

await serve(['webgpu', 'wasm', 'wasm-threads'], make);
