// TensorFlow.js as a peer: gradients by its tape, on its WebGPU or its wasm backend.
//
// Written for speed, like jax.ts: modules first ([N,B,H]); the input side of all steps before the loop, with value and gate
// matrices multiplied into one (the fold); the null row's part as a bias; products that read the same tensor done as one.
// Always: what the choice of modules computes is no part of the gradient: tfjs has no stopGradient, so a custom gradient
// of zero stands for it. Not here: the protocol (child.ts).

import type * as TF from '@tensorflow/tfjs';
import { at, need } from '../../../engine/core.ts';
import { adapterName, browserGPU, serve, type Trainer, versionOf } from './child.ts';
import { type ProblemData, WEIGHTS, type Weight } from './problem.ts';

type Weights = Record<Weight, TF.Variable>;

async function make(mode: string, problem: ProblemData): Promise<Trainer> {
  const gpu = mode === 'webgpu' ? await browserGPU() : undefined;
  const tf = await import('@tensorflow/tfjs');
  await (mode === 'webgpu' ? import('@tensorflow/tfjs-backend-webgpu') : import('@tensorflow/tfjs-backend-wasm'));
  if (!(await tf.setBackend(mode))) throw new Error(`TensorFlow.js has no backend ${mode} here`);
  await tf.ready();
  // Fewer submits than the default of one for every 15 dispatches: measured faster.
  if (mode === 'webgpu') tf.env().set('WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE', 500);
  const { B, T, N, K, H, D, E, V, C, F, W } = problem.sizes;

  const load = (name: string): TF.Tensor => {
    const { shape, data } = problem.tensor(name);
    return tf.tensor(data, [...shape], 'float32');
  };
  const x = load('x').reshape([T * B, D]);
  const start = load('state').transpose([1, 0, 2]);
  const target = load('target').reshape([B, N, H]).transpose([1, 0, 2]);
  const p = Object.fromEntries(WEIGHTS.map((name) => [name, tf.variable(load(name), true, name)])) as Weights;
  const most = tf.scalar(K);

  const loss = (): TF.Scalar => {
    const keys = x.matMul(p.key).add(p.keyBias).reshape([T, 1, B, E]).unstack(0);
    const columns = p.inputGates.transpose([1, 0, 2]).reshape([V, N * 3 * H]);
    const folded = p.value.matMul(columns); // [D,N*3H]
    const fromInput = x
      .matMul(folded)
      .reshape([T, B, N, 3 * H])
      .transpose([0, 2, 1, 3])
      .unstack(0);
    const fromNull = p.valueBias
      .reshape([1, V])
      .matMul(columns)
      .reshape([N, 1, 3 * H]);
    const fromState = tf.concat([p.query, p.stateGates], 2);
    const fromSource = tf.concat([p.commQuery, p.commKey, p.commValue], 2);
    const nullKey = p.keyBias.reshape([E, 1]);

    let h: TF.Tensor = start;
    for (let t = 0; t < T; t++) {
      const [query, gh] = two(tf.split(h.matMul(fromState), [E, 3 * H], 2));
      const score = query.mul(at(keys, t)).sum(2, true); // [N,B,1]
      const nullScore = query
        .reshape([N * B, E])
        .matMul(nullKey)
        .reshape([N, B, 1]);
      const share = score
        .sub(nullScore)
        .mul(1 / Math.sqrt(E))
        .sigmoid();
      const mask = active(score);
      const candidate = gru(share.mul(at(fromInput, t)).add(fromNull), gh, h);
      const source = candidate.sub(h).mul(mask).add(h);
      const context = communicate(source.matMul(fromSource));
      h = context.matMul(p.commOutput).mul(mask).add(source);
    }
    return h.sub(target).square().mean();
  };

  /**
   * [N,B,1]: 1 where fewer than K modules have a greater score; no part of the tape. In floats, because the WebGPU backend
   * writes a shader that does not compile for the transpose of a cast bool.
   */
  const active = (score: TF.Tensor): TF.Tensor =>
    tf.customGrad(() => {
      const rank = score.transpose([2, 1, 0]).sub(score).step().sum(2, true);
      return { value: most.sub(rank).step(), gradFunc: () => [] };
    })();

  const gru = (gx: TF.Tensor, gh: TF.Tensor, h: TF.Tensor): TF.Tensor => {
    const [xrz, xn] = two(tf.split(gx, [2 * H, H], 2));
    const [hrz, hn] = two(tf.split(gh, [2 * H, H], 2));
    const [r, z] = two(tf.split(xrz.add(hrz).sigmoid(), 2, 2));
    const n = xn.add(r.mul(hn)).tanh();
    return h.sub(n).mul(z).add(n);
  };

  /** From queries, keys and values [N,B,2CF+CW] to the contexts [N,B,CW]. */
  const communicate = (talk: TF.Tensor): TF.Tensor => {
    const [q, k, v] = tf.split(talk, [C * F, C * F, C * W], 2);
    const heads = (part: TF.Tensor | undefined, size: number): TF.Tensor =>
      need(part, 'a part').reshape([N, B, C, size]).transpose([1, 2, 0, 3]);
    const scores = heads(q, F)
      .mul(1 / Math.sqrt(F))
      .matMul(heads(k, F), false, true);
    const read = tf.softmax(scores).matMul(heads(v, W)); // [B,C,N,W]
    return read.transpose([2, 0, 1, 3]).reshape([N, B, C * W]);
  };

  const optimizer = tf.train.sgd(problem.learningRate);
  const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' });
  return {
    version: [versionOf('@tensorflow/tfjs'), versionOf(`@tensorflow/tfjs-backend-${mode}`)].join(', '),
    ...(adapter && { adapter: adapterName(adapter.info) }),
    step: async () => {
      const cost = need(optimizer.minimize(loss, true) ?? undefined, 'the loss');
      const [value] = await cost.data();
      cost.dispose();
      return need(value, 'the loss');
    },
  };
}

function two(parts: readonly TF.Tensor[]): [TF.Tensor, TF.Tensor] {
  return [at(parts, 0), at(parts, 1)];
}

await serve(['webgpu', 'wasm'], make);
