// Which modules are active: scores to rank the modules by, the mask of the K best, and the sparse rules that go with it.
// Everything here ranks by quantities that do not saturate: a probability rounds to exactly 1 in f32 when its logit passes
// 17, and distinct modules would tie. No gradient passes through a choice.

import {
  add,
  affine,
  blockGradient,
  concat,
  constant,
  div,
  einsum,
  exp,
  log,
  max,
  permute,
  relu,
  reshape,
  slice,
  softmax,
  softplus,
  sort,
  sub,
  sum,
  type Tensor,
} from '../engine/core.ts';
import { at } from '../engine/errors.ts';
import type { CellOptions } from './options.ts';

/**
 * The score by which modules are ranked, greatest first.
 *
 * 'least-null': the mean over heads of the attention on the null row is p0 = mean_i sigmoid(-z_i), where z_i is the
 * log-odds of the input rows against the null row. Ranking by least p0 is ranking by log(mean sigmoid(z_i)) - log(mean
 * sigmoid(-z_i)), which for one head is z itself.
 * 'raw-score': the mean over heads of the score of the input, log-sum-exp over its rows.
 * 'across-modules': the mean over heads of the share that a module has in the softmax over the modules, in logarithms: for
 * one head the order of the scores.
 * @param scores [B,N,I,S], the null row first; S = R + 1
 * @returns [B,N]
 */
export function rankingScore(scores: Tensor, selection: CellOptions['selection']): Tensor {
  const [batch, modules, heads, rows] = sizes4(scores);
  const each = [batch, modules, heads] as const;
  // With one input row the log-odds are a difference of two columns: one product, exact.
  if (rows === 2 && heads === 1 && selection === 'least-null') {
    return reshape(einsum('bnis,s->bni', scores, constant([-1, 1], [2])), [batch, modules]);
  }
  const input = logSumExp(slice(scores, 3, 1, rows - 1));
  if (selection === 'across-modules' && heads > 1) {
    const total = reshape(logSumExp(permute(input, [0, 2, 1])), [batch, 1, heads]);
    return logSumExp(sub(input, total));
  }
  if (selection !== 'least-null') return affine(sum(input, { axes: [2] }), 1 / heads, 0);
  const odds = sub(input, reshape(slice(scores, 3, 0, 1), each));
  if (heads === 1) return reshape(odds, [batch, modules]);
  const logSigmoid = (z: Tensor): Tensor => affine(softplus(affine(z, -1, 0)), -1, 0);
  return sub(logSumExp(logSigmoid(odds)), logSumExp(logSigmoid(affine(odds, -1, 0))));
}

/**
 * The official code's sparse attention: with t = topK + 1, and rows longer than t, w = relu(p - (t-th greatest + 1e-7)),
 * result w / (sum w + 1e-7). The gradient passes through the t-th greatest too.
 * @param p [..., S], rows of probabilities
 */
export function sparseAttention(p: Tensor, topK: number): Tensor {
  const last = p.shape.length - 1;
  const t = topK + 1;
  if (at(p.shape, last) <= t) return p;
  const threshold = slice(sort(p, { descending: true }).values, last, t - 1, 1);
  const w = relu(sub(p, add(threshold, 1e-7)));
  return div(w, add(sum(w, { axes: [last], keepAxes: true }), 1e-7));
}

/**
 * The ranking after the sparse rule: by the least share of the null row, the mean over heads.
 * @param probabilities [B,N,I,S], the null row first
 * @returns [B,N]
 */
export function sparseRanking(probabilities: Tensor): Tensor {
  const [batch, modules, heads] = sizes4(probabilities);
  const nullShare = reshape(slice(probabilities, 3, 0, 1), [batch, modules, heads]);
  return affine(sum(nullShare, { axes: [2] }), -1 / heads, 0);
}

/**
 * The ICLR version's competition: a softmax over the modules for the one input row of each head, kept to the K greatest by
 * the sparse rule.
 * @param scores [B,N,I,S] with S = 2, the null row first and unused
 * @returns [B,N,I,2], the null row's share 0
 */
export function acrossModules(scores: Tensor, active: number): Tensor {
  const [batch, modules, heads] = sizes4(scores);
  const input = reshape(slice(scores, 3, 1, 1), [batch, modules, heads]);
  const shares = sparseAttention(softmax(permute(input, [0, 2, 1])), active);
  const share = reshape(permute(shares, [0, 2, 1]), [batch, modules, heads, 1]);
  return concat([affine(share, 0, 0), share], 3);
}

/** log(sum(e^x)) over the last axis, safe for large x. */
function logSumExp(x: Tensor): Tensor {
  const last = x.shape.length - 1;
  if (at(x.shape, last) === 1) return reshape(x, x.shape.slice(0, -1));
  const top = blockGradient(max(x, { axes: [last], keepAxes: true }));
  const total = log(sum(exp(sub(x, top)), { axes: [last] }));
  return add(total, reshape(top, x.shape.slice(0, -1)));
}

function sizes4(x: Tensor): [number, number, number, number] {
  return [at(x.shape, 0), at(x.shape, 1), at(x.shape, 2), at(x.shape, 3)];
}
