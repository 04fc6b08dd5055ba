// jax-js as a peer: one jitted function of forward, backward and update, on its WebGPU or its wasm backend.
//
// Written for speed: modules first ([N,B,H]), so that every product by a module's own weights is one batched matmul without
// a transpose; the input side of all steps before the loop, with value and gate matrices multiplied into one (the fold); the
// null row's part as a bias; products that read the same tensor done as one. Values are moved: `.ref` keeps one for later.
// Not here: the protocol (child.ts).

import type * as Jax from '@jax-js/jax';
import { at, need } from '../../../engine/core.ts';
import { adapterName, browserGPU, type Mode, serve, type Trainer, versionOf } from './child.ts';
import { type ProblemData, WEIGHTS, type Weight } from './problem.ts';
import { provideWorker } from './worker.ts';

type NDArray = Jax.Array;
type Weights = Record<Weight, NDArray>;
type InputWeight = 'key' | 'keyBias' | 'value' | 'valueBias' | 'inputGates';
/** [T*B,E], [T*B,N*3H], [N,1,3H], [E,1]; the keys with their bias, the gates' input without. */
type Front = Record<'keys' | 'fromInput' | 'fromNull' | 'nullKey', NDArray>;

async function make(mode: Mode, problem: ProblemData): Promise<Trainer> {
  const gpu = mode === 'webgpu' ? await browserGPU() : undefined;
  if (mode === 'wasm') provideWorker();
  const jax = await import('@jax-js/jax');
  await jax.init(mode);
  jax.defaultDevice(mode);
  const { numpy: np, nn, lax } = jax;
  const { B, T, N, K, H, D, E, C, F, W } = problem.sizes;

  const load = (name: string): NDArray => {
    const { shape, data } = problem.tensor(name);
    return np.array(data).reshape([...shape]);
  };

  /** What the steps need of the input, for all of them at once; x [T*B,D]. */
  const front = (p: Pick<Weights, InputWeight>, x: NDArray): Front => {
    const folded = np.tensordot(p.value, p.inputGates.ref, [[1], [1]]).reshape([D, N * 3 * H]);
    return {
      keys: np.matmul(x.ref, p.key).add(p.keyBias.ref),
      fromInput: np.matmul(x, folded),
      fromNull: np.tensordot(p.valueBias, p.inputGates, [[0], [1]]).reshape([N, 1, 3 * H]),
      nullKey: p.keyBias.reshape([E, 1]),
    };
  };

  /** The loss; state and target [N,B,H]. */
  const lossOf = (p: Omit<Weights, InputWeight>, input: Front, state: NDArray, target: NDArray): NDArray => {
    const fromState = np.concatenate([p.query, p.stateGates], 2);
    const fromSource = np.concatenate([p.commQuery, p.commKey, p.commValue], 2);
    const { fromNull, nullKey } = input;
    // Split, not sliced: the gradients of slices are sums of padded arrays, those of a split are one concatenation.
    const keys = np.split(input.keys, T);
    const fromInput = np.split(input.fromInput, T);

    let h = state;
    for (let t = 0; t < T; t++) {
      const [query, gh] = two(np.split(np.matmul(h.ref, fromState.ref), [E], 2));
      const score = query.ref.mul(at(keys, t)).sum(2); // [N,B]
      const nullScore = np.matmul(query.reshape([N * B, E]), nullKey.ref).reshape([N, B]);
      const mask = active(score.ref);
      const share = nn.sigmoid(score.sub(nullScore).mul(1 / Math.sqrt(E)));
      const value = at(fromInput, t).reshape([B, N, 3 * H]).transpose([1, 0, 2]);
      const gx = share.reshape([N, B, 1]).mul(value).add(fromNull.ref);
      const candidate = gru(gx, gh, h.ref);
      const source = np.where(mask.ref, candidate.ref, h.ref);
      const context = communicate(np.matmul(source, fromSource.ref));
      h = np.where(mask, candidate.add(np.matmul(context, p.commOutput.ref)), h);
    }
    for (const each of [fromNull, nullKey, fromState, fromSource, p.commOutput]) each.dispose();
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
    const [xr, xz, xn] = three(np.split(gx, 3, 2));
    const [hr, hz, hn] = three(np.split(gh, 3, 2));
    const z = nn.sigmoid(xz.add(hz));
    const n = np.tanh(xn.add(nn.sigmoid(xr.add(hr)).mul(hn)));
    return n.ref.add(z.mul(h.sub(n)));
  };

  /** From queries, keys and values [N,B,2CF+CW] to the contexts [N,B,CW]. */
  const communicate = (talk: NDArray): NDArray => {
    const [q, k, v] = three(np.split(talk, [C * F, 2 * C * F], 2));
    const heads = (x: NDArray, size: number): NDArray => x.reshape([N, B, C, size]).transpose([1, 2, 0, 3]);
    const scores = np.matmul(heads(q, F).mul(1 / Math.sqrt(F)), heads(k, F).transpose([0, 1, 3, 2]));
    const read = np.matmul(nn.softmax(scores, -1), heads(v, W)); // [B,C,N,W]
    return read.transpose([2, 0, 1, 3]).reshape([N, B, C * W]);
  };

  const update = jax.jit((p: Weights, x: NDArray, state: NDArray, target: NDArray): [NDArray, Weights, Front] => {
    const kept = jax.tree.ref(p);
    const { key, keyBias, value, valueBias, inputGates, ...others } = p;
    const inputs = { key, keyBias, value, valueBias, inputGates };
    const [input, backward] = jax.vjp((w: typeof inputs) => front(w, x), [inputs]);
    const [loss, [dOthers, dInput]] = jax.valueAndGrad(lossOf, { argnums: [0, 1] })(others, input, state, target);
    const [dInputs] = backward(jax.tree.ref(dInput));
    backward.dispose();
    const gradient: Weights = { ...dInputs, ...dOthers };
    const next = WEIGHTS.map((name) => [name, kept[name].sub(gradient[name].mul(problem.learningRate))]);
    // The gradients of the input side are returned so that they are computed once: else the compiler would compute them
    // anew for each element of the product that reads them.
    return [loss, Object.fromEntries(next) as Weights, dInput];
  });

  let parameters = Object.fromEntries(WEIGHTS.map((name) => [name, load(name)])) as Weights;
  const x = load('x').reshape([T * B, D]);
  const state = load('state').transpose([1, 0, 2]);
  const target = load('target').reshape([B, N, H]).transpose([1, 0, 2]);
  await jax.blockUntilReady([x, state, target]);
  const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' });

  return {
    version: versionOf('@jax-js/jax'),
    ...(adapter && { adapter: adapterName(adapter.info) }),
    step: async () => {
      const [loss, next, dInput] = update(parameters, x.ref, state.ref, target.ref);
      parameters = next;
      jax.tree.dispose(dInput);
      await jax.blockUntilReady(parameters);
      const [value] = await loss.data();
      return need(value, 'the loss');
    },
  };
}

function two(parts: NDArray[]): [NDArray, NDArray] {
  const [a, b] = parts;
  return [need(a, 'a part'), need(b, 'a part')];
}

function three(parts: NDArray[]): [NDArray, NDArray, NDArray] {
  return [...two(parts), need(parts[2], 'a part')];
}

await serve(make);
