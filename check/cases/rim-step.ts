// Cases of one step of a RIM as one op, and of the sums of outer products that its gradient is made of: either kind of module
// and of source, everything that may be done to the projection, dropout in each of its places, tiles and their edges, ties.
// A case looks at what a step defines only. Its memory is drawn freely: a step is a function of what it is given.

import { at } from '../../engine/errors.ts';
import { einsum } from '../../engine/ops/einsum.ts';
import { affine, blockGradient, tanh, where } from '../../engine/ops/elementwise.ts';
import { fill } from '../../engine/ops/leaf.ts';
import { concat, permute, reshape, slice } from '../../engine/ops/shape.ts';
import type { Shape, Tensor } from '../../engine/tensor.ts';
import { activeOuter } from '../../rims/active-outer.ts';
import { layoutOf, type StepOptions } from '../../rims/step-layout.ts';
import { rimStep, type StepInputs } from '../../rims/step-op.ts';
import type { Case, Draw } from '../draw.ts';

/** What a drawn step has beside its options. */
export interface StepParts {
  /** The gates of the null row, and of a GRU the bias of n. */
  readonly nulls?: boolean;
  readonly constant?: boolean;
  /** The projection: one for all modules, and with a bias. */
  readonly shared?: boolean;
  readonly biased?: boolean;
  readonly dropped?: readonly ('input' | 'talk' | 'output')[];
  /** What uk is made of: D, the size of x, or 0 where it is a tensor. */
  readonly inputSize?: number;
  /** True: every row has null gates of its own, behind the key; needs inputSize 0. */
  readonly ownNulls?: boolean;
  /** Standard deviation of the inputs; 1 where it is left out. */
  readonly std?: number;
  /** True: h' is read twice, so that two gradients arrive. */
  readonly twice?: boolean;
}

export type DrawnStep = StepOptions & StepParts;

/** 2 or 0. */
function factors(draw: Draw, shape: Shape): Tensor {
  return affine(draw.mask(shape, 0.7), 2, 0);
}

/** Drawn inputs of a step. */
export function drawStep(draw: Draw, sizes: DrawnStep): StepInputs {
  const { rows: B, modules: N, hidden: H, keySize: E, heads: C, cell, inputSize: D = 3, dropped = [], std = 1 } = sizes;
  const layout = layoutOf(sizes);
  const gates = layout.gates * H;
  const own = sizes.shared === true ? [] : [N];
  const products = layout.cached ? draw.normal([B, N, layout.products], { std }) : fill(0, [B, N, layout.products]);
  const cells = cell === 'lstm' ? [draw.normal([B, N, H])] : [];
  const hasMemory = layout.cached || cell === 'lstm';
  const fan = (size: number): { readonly std: number } => ({ std: 1 / Math.sqrt(size) });

  const x = D > 0 ? { x: draw.normal([B, D], { std }), wInput: draw.normal([N, D, layout.scored]) } : undefined;
  const width = layout.scored + (sizes.ownNulls === true ? gates : 0);
  const input = x === undefined ? { input: draw.normal([B, N, width], { std }) } : {};
  const made = x === undefined ? input.input : einsum('bd,ndc->bnc', x.x, x.wInput);
  const change = blockGradient(made ?? fill(0, [B, N, layout.scored]));
  const twoFactors = (): Tensor => concat([factors(draw, [B, N, 2]), fill(0, [B, N, 2])], 2);
  const uk = dropped.includes('input') ? concat([change, twoFactors()], 2) : change;

  const nullGates = sizes.nulls === true ? { nullGates: draw.normal([N, gates]) } : {};
  const nBias = sizes.nulls === true && cell === 'gru' ? { nBias: draw.normal([N, H]) } : {};
  const flat = (tensor: Tensor | undefined, size: number): Tensor =>
    tensor === undefined ? fill(0, [size]) : blockGradient(reshape(tensor, [size]));
  const key = sizes.rawScore ? blockGradient(draw.normal([E])) : fill(0, [E]);
  const ofN = cell === 'gru' ? [flat(nBias.nBias, N * H)] : [];
  return {
    h: draw.normal([B, N, H]),
    ...(hasMemory && { memory: concat([products, ...cells], 2) }),
    uk,
    side: concat([flat(nullGates.nullGates, N * gates), ...ofN, key], 0),
    wState: draw.normal([N, H, layout.products], fan(H)),
    ...(sizes.constant === true && { constant: draw.normal([N, layout.products], fan(4)) }),
    wTalk: draw.normal([N, H, layout.talk], fan(H)),
    wOutput: draw.normal([...own, layout.context, layout.projected], fan(layout.context)),
    ...(sizes.biased === true && { bias: draw.normal([...own, layout.projected]) }),
    ...(dropped.includes('talk') && { talkFactors: factors(draw, [B, C, N, N]) }),
    ...(dropped.includes('output') && { outputFactors: factors(draw, [B, N, H]) }),
    ...x,
    ...input,
    ...nullGates,
    ...nBias,
  };
}

/** What a step defines: h' and what of the memory is a state, with gradients; the rest without. */
function definedOf(inputs: StepInputs, sizes: DrawnStep): readonly Tensor[] {
  const { rows: B, modules: N, hidden: H, cell } = sizes;
  const layout = layoutOf(sizes);
  const { h, memory, saved, mask, probabilities } = rimStep(inputs, sizes);
  const state = layout.cached ? [memory] : cell === 'lstm' ? [slice(memory, 2, layout.products, H)] : [];
  const active = reshape(permute(mask, [1, 0]), [B, N, 1]);
  const own = slice(saved, 2, 0, layout.saved - 4);
  const seen = [where(active, own, fill(0, own.shape)), slice(saved, 2, layout.saved - 4, 4), mask, probabilities];
  return [h, ...(sizes.twice === true ? [tanh(h)] : []), ...state, ...seen.map(blockGradient)];
}

/** The case of a step. What is read of a candidate that is discarded has no gradient: differences would find one. */
export function stepCase(name: string, sizes: DrawnStep): Case {
  const { sparse, cached } = layoutOf(sizes);
  return {
    name: `rimStep: ${name}`,
    graph: (draw) => definedOf(drawStep(draw, sizes), sizes),
    probes: 24,
    ...(sparse && !cached ? { blocked: true } : {}),
  };
}

// biome-ignore format: sizes side by side
const small = {
  rows: 2, modules: 3, active: 2, hidden: 4, keySize: 4, heads: 2, talkKey: 4, talkValue: 4, talkScale: 0.5, topK: 3,
  sources: 'kept', zeroInput: false, rawScore: false, gated: false,
} as const;

const candidates = { sources: 'candidate' } as const;

/** A case whose gradients are not asked for: at a tie a difference would move the choice. */
function forward({ name, graph, ...rest }: Case): Case {
  return {
    ...rest,
    name,
    graph: (draw) => {
      const outputs = graph(draw);
      draw.wrt.length = 0;
      return outputs;
    },
  };
}

/** Scores that are all 0, of the input and among the modules. */
function tied(cell: 'lstm' | 'gru', sizes: DrawnStep): Case {
  return forward({
    name: `rimStep: ${cell}, equal scores`,
    graph: (draw) => {
      const inputs = drawStep(draw, { ...sizes, inputSize: 0 });
      const layout = layoutOf(sizes);
      const shape = [sizes.rows, sizes.modules, layout.scored];
      const gates = slice(inputs.uk, 2, 0, layout.scored - sizes.keySize);
      const uk = concat([gates, fill(0, [...shape.slice(0, 2), sizes.keySize])], 2);
      const wTalk = affine(inputs.wTalk, 0, 0);
      const { input: _, ...rest } = inputs;
      return definedOf({ ...rest, uk, wTalk }, sizes);
    },
  });
}

/** Sums of outer products; their own gradient is not written. */
function outer(name: string, graph: Case['graph']): Case {
  return forward({ name: `activeOuter: ${name}`, graph });
}

/** Cases of the step and its gradient. */
export const rimStepCases: readonly Case[] = [
  ...(['lstm', 'gru'] as const).flatMap((cell) => {
    const base = { ...small, cell };
    return [
      stepCase(`${cell}, kept`, { ...base, constant: true }),
      stepCase(`${cell}, kept, two sources, of a tensor`, { ...base, topK: 2, nulls: true, inputSize: 0, twice: true }),
      stepCase(`${cell}, kept, gated, shared, biased`, { ...base, gated: true, shared: true, biased: true }),
      stepCase(`${cell}, kept, dropout of output, gated`, { ...base, gated: true, dropped: ['output'] }),
      stepCase(`${cell}, kept, dropout of attention and output`, {
        ...base,
        ...{ biased: true, nulls: true, constant: true, dropped: ['input', 'talk', 'output'] },
      }),
      stepCase(`${cell}, candidates`, { ...base, ...candidates, constant: true, nulls: true, twice: true }),
      stepCase(`${cell}, candidates that read no input, ranked by the score, dropout`, {
        ...base,
        ...candidates,
        ...{ zeroInput: true, rawScore: true, nulls: true, dropped: ['input', 'talk'] },
      }),
      stepCase(`${cell}, candidates, gated, shared, biased, dropout`, {
        ...base,
        ...candidates,
        ...{ gated: true, shared: true, biased: true, constant: true, dropped: ['output'] },
      }),
      stepCase(`${cell}, all active`, {
        ...base,
        ...candidates,
        active: 3,
        constant: true,
        nulls: true,
        rawScore: true,
      }),
      stepCase(`${cell}, all active, gated, dropout`, {
        ...base,
        ...{ active: 3, topK: 1, gated: true, biased: true, inputSize: 0, dropped: ['input', 'output'] },
      }),
      stepCase(`${cell}, null gates of every row`, {
        ...base,
        ...{ inputSize: 0, ownNulls: true, constant: true, dropped: ['output'] },
      }),
      stepCase(`${cell}, kept, ranked by the score`, { ...base, rows: 6, modules: 5, topK: 2, rawScore: true }),
      stepCase(`${cell}, one module`, { ...base, rows: 5, modules: 1, active: 1, topK: 1, heads: 1 }),
      stepCase(`${cell}, saturated`, { ...base, std: 5 }),
      tied(cell, { ...base, modules: 4, topK: 2 }),
    ];
  }),
  stepCase('keys longer than values', { ...small, cell: 'gru', talkKey: 20, talkValue: 12, topK: 2 }),
  stepCase('values longer than keys', { ...small, ...candidates, cell: 'gru', active: 3, talkValue: 8, heads: 1 }),
  stepCase('tiles of four rows', { ...small, cell: 'lstm', rows: 5, hidden: 8, gated: true, keySize: 8 }),
  stepCase('tiles of eight rows', {
    ...small,
    ...{ cell: 'gru', rows: 17, modules: 2, active: 1, topK: 2, hidden: 8, heads: 1, biased: true },
  }),
  outer('a mask, columns', (draw) => {
    const [x, d] = [draw.normal([3, 2, 6]), draw.normal([3, 2, 5])];
    const columns = { tensor: d, columns: { from: 1, size: 3 } };
    return [activeOuter({ tensor: x, columns: { from: 2, size: 4 } }, columns, draw.mask([2, 3]))];
  }),
  outer('one x for all modules, with a mask and without', (draw) => {
    const [x, d] = [{ tensor: draw.normal([5, 3]) }, { tensor: draw.normal([5, 2, 4]) }];
    return [activeOuter(x, d, draw.mask([2, 5])), activeOuter(x, d, undefined)];
  }),
  outer('the modules together, with a mask and without', (draw) => {
    const [x, d] = [{ tensor: draw.normal([3, 4, 5]) }, { tensor: draw.normal([3, 4, 2]) }];
    return [activeOuter(x, d, draw.mask([4, 3]), true), activeOuter(x, d, undefined, true)];
  }),
  outer('nothing active', (draw) => [
    activeOuter({ tensor: draw.normal([3, 2, 4]) }, { tensor: draw.normal([3, 2, 4]) }, fill(0, [2, 3])),
  ]),
];

/** h' of a step of more batch rows than a block of 64, whose products take active rows only: for the kernels of products. */
export function activeProduct(draw: Draw): Tensor {
  const sizes = { ...small, cell: 'gru', rows: 70, modules: 2, active: 1, topK: 2, heads: 1 } as const;
  return at(definedOf(drawStep(draw, sizes), sizes), 0);
}
