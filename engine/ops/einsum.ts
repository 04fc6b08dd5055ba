// Products of tensors by named axes: `einsum('bnd,nde->bne', x, w)` is the matrix product of every module with its own
// weights. All matrix products of the library are this op: plain, transposed, batched, grouped per module, and weight
// gradients; so is its own backward, and so it is over time, where a further label does.
//
// The kernel (kernels/matmul.wgsl) multiplies [batch, m, k] by [batch, k, n] through strides, so that no operand is
// transposed in memory. Labels: those of both operands and the result are batch, those of one operand and the result are m
// (from a) or n (from b), those of both operands only are k and summed.

import { matmul as matmulKernel, matmulSubgroups } from '../../kernels/catalogue.ts';
import { at, formatShape, need, OptionError, ShapeError } from '../errors.ts';
import { applyOne, type Emitter, MAX_WORKGROUPS, type Op, type View } from '../op.ts';
import { type Shape, sizeOf, stridesOf, type Tensor } from '../tensor.ts';
import { emitCopy, reshape } from './shape.ts';

/** Rows that a subgroup computes in kernels/matmul-subgroups.wgsl. */
const SUBGROUP_ROWS: number = matmulSubgroups.constants.TILE_M.value;

interface EinsumAttrs {
  /** Labels of a, of b and of the result, one character an axis. */
  readonly a: string;
  readonly b: string;
  readonly y: string;
  /** Every product is multiplied by it. */
  readonly scale: number;
}

const einsumOp: Op<EinsumAttrs> = {
  name: 'einsum',
  infer: ([x, w], { a, b, y }) => {
    const sizes = sizesOf([a, x], [b, w]);
    return [{ shape: [...y].map((label) => need(sizes.get(label), 'a size')), dtype: 'f32' }];
  },
  plan: (emit, { inputs, attrs }) => emitProduct(emit, attrs, at(inputs, 0).shape, at(inputs, 1).shape),
  backward: ({ inputs, attrs: { a, b, y, scale } }, [d]) => {
    const [x, w] = [at(inputs, 0), at(inputs, 1)];
    return d === undefined ? [] : [product({ a: y, b, y: a, scale }, d, w), product({ a: y, b: a, y: b, scale }, d, x)];
  },
  overTime: (over) => {
    const { a, b, y, scale } = over.attrs;
    const t = freeLabel(a + b);
    const left = over.varies(0) ? t + a : a;
    const right = over.varies(1) ? t + b : b;
    const operand = (i: number): Tensor => (over.varies(i) ? over.sequence(i) : over.constant(i));
    return [product({ a: left, b: right, y: t + y, scale }, operand(0), operand(1))];
  },
  sumOverTime: (over) => {
    const { a, b, y, scale } = over.attrs;
    if (!over.varies(0)) return product({ a, b, y, scale }, over.constant(0), over.summed(1));
    if (!over.varies(1)) return product({ a, b, y, scale }, over.summed(0), over.constant(1));
    const t = freeLabel(a + b);
    return product({ a: t + a, b: t + b, y, scale }, over.sequence(0), over.sequence(1));
  },
};

/**
 * The product of two tensors by named axes, summed over the labels that the result does not name.
 * @param equation such as 'bnd,nde->bne': one letter an axis; a label of one operand only must be in the result, and no
 *   label may stand twice in one operand
 * @param options `scale`: a number that the result is multiplied by
 * @throws ShapeError where sizes of a label differ; OptionError where the equation cannot be read
 */
export function einsum(equation: string, x: Tensor, w: Tensor, options: { readonly scale?: number } = {}): Tensor {
  const match = /^([a-zA-Z]*),([a-zA-Z]*)->([a-zA-Z]*)$/.exec(equation);
  const [, a, b, y] = match ?? [];
  if (a === undefined || b === undefined || y === undefined) {
    throw new OptionError(`einsum: '${equation}' is no equation; write two operands and a result, as 'bnd,nde->bne'`);
  }
  for (const labels of [a, b, y]) {
    if (new Set(labels).size !== labels.length)
      throw new OptionError(`einsum: '${equation}' names an axis twice in '${labels}'`);
  }
  const lost = [...(a + b)].find((label) => !y.includes(label) && !(a.includes(label) && b.includes(label)));
  if (lost !== undefined) {
    throw new OptionError(
      `einsum: '${equation}' drops '${lost}', which only one operand has; sum over that axis first`,
    );
  }
  const unknown = [...y].find((label) => !(a + b).includes(label));
  if (unknown !== undefined) throw new OptionError(`einsum: '${equation}' asks for '${unknown}', which no operand has`);
  return product({ a, b, y, scale: options.scale ?? 1 }, x, w);
}

/**
 * Matrix product of the last two axes, leading axes as batch: [..., M, K] x [..., K, N] -> [..., M, N]. Leading axes
 * are equal, or the second operand has none (weights): then all rows of the first are one matrix.
 * @throws ShapeError where the inner sizes or the batch differ
 */
export function matmul(x: Tensor, w: Tensor): Tensor {
  const inner = x.shape.at(-1);
  if (inner === undefined || w.shape.length < 2 || inner !== w.shape.at(-2)) {
    throw new ShapeError(
      `matmul: inner sizes differ, ${formatShape(x.shape)}·${formatShape(w.shape)}; the last size of the first must be the last but one of the second`,
    );
  }
  if (w.shape.length === 2) {
    const rows = reshape(x, [x.size / inner, inner]);
    return reshape(einsum('mk,kn->mn', rows, w), [...x.shape.slice(0, -1), at(w.shape, 1)]);
  }
  const batch = x.shape.slice(0, -2);
  if (batch.length !== w.shape.length - 2 || !batch.every((size, i) => size === w.shape[i])) {
    throw new ShapeError(
      `matmul: the leading sizes differ, ${formatShape(x.shape)}·${formatShape(w.shape)}; make them equal`,
    );
  }
  const [m, n] = [at(x.shape, x.shape.length - 2), at(w.shape, w.shape.length - 1)];
  const count = sizeOf(batch);
  const y = einsum('bmk,bkn->bmn', reshape(x, [count, m, inner]), reshape(w, [count, inner, n]));
  return reshape(y, [...batch, m, n]);
}

/**
 * Each module's rows by its own weights: [..., N, I] x [N, I, O] -> [..., N, O] (the grouped linear map of RIMs).
 * @throws ShapeError where sizes differ
 */
export function groupedMatmul(x: Tensor, w: Tensor): Tensor {
  const [modules, from, to] = w.shape;
  if (
    modules === undefined ||
    from === undefined ||
    to === undefined ||
    x.shape.at(-1) !== from ||
    x.shape.at(-2) !== modules
  ) {
    throw new ShapeError(
      `groupedMatmul: ${formatShape(x.shape)} does not fit weights ${formatShape(w.shape)}; they must be [..., N, I] and [N, I, O]`,
    );
  }
  const rows = reshape(x, [x.size / (modules * from), modules, from]);
  return reshape(einsum('rni,nio->rno', rows, w), [...x.shape.slice(0, -1), to]);
}

/** The row of this file, for tables of all ops. */
export const einsumOps: readonly Op[] = [einsumOp] as readonly Op[];

function product(attrs: EinsumAttrs, x: Tensor, w: Tensor): Tensor {
  return applyOne(einsumOp, [x, w], attrs);
}

function sizesOf(...operands: readonly (readonly [string, Tensor | undefined])[]): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const [labels, tensor] of operands) {
    if (tensor === undefined) throw new ShapeError('einsum: takes two tensors');
    if (tensor.dtype !== 'f32' || tensor.shape.length !== labels.length) {
      throw new ShapeError(
        `einsum: '${labels}' does not name the axes of ${tensor.dtype} ${formatShape(tensor.shape)}`,
      );
    }
    [...labels].forEach((label, i) => {
      const size = at(tensor.shape, i);
      const known = sizes.get(label);
      if (known !== undefined && known !== size) {
        throw new ShapeError(
          `einsum: '${label}' is ${known} in one operand and ${size} in the other, ${formatShape(tensor.shape)}`,
        );
      }
      sizes.set(label, size);
    });
  }
  return sizes;
}

function freeLabel(used: string): string {
  const label = [...'tTzyxwvuZYXWVU'].find((each) => !used.includes(each));
  if (label === undefined) throw new OptionError('einsum: no label is left for time');
  return label;
}

/** One walk over elements: its size, and its stride in a, b and y (0 where an operand does not have it). */
type Walk = readonly [size: number, a: number, b: number, y: number];

/** The kernel calls of a product; an operand whose axes do not merge into one walk a class is copied first. */
function emitProduct(emit: Emitter, { a, b, y, scale }: EinsumAttrs, aShape: Shape, bShape: Shape): void {
  const sizes = new Map([
    ...[...a].map((l, i) => [l, at(aShape, i)] as const),
    ...[...b].map((l, i) => [l, at(bShape, i)] as const),
  ]);
  const yShape = [...y].map((label) => need(sizes.get(label), 'a size'));
  const classes = {
    batch: [...y].filter((l) => a.includes(l) && b.includes(l)),
    m: [...y].filter((l) => a.includes(l) && !b.includes(l)),
    n: [...y].filter((l) => !a.includes(l) && b.includes(l)),
    k: [...a].filter((l) => b.includes(l) && !y.includes(l)),
  };
  const strideIn = (labels: string, shape: Shape): ((label: string) => number) => {
    const strides = stridesOf(shape);
    return (label) => {
      const i = labels.indexOf(label);
      return i < 0 ? 0 : at(strides, i);
    };
  };
  const walksOf = (
    labels: readonly string[],
    left: string,
    leftShape: Shape,
    right: string,
    rightShape: Shape,
  ): Walk[] => {
    const [inA, inB, inY] = [strideIn(left, leftShape), strideIn(right, rightShape), strideIn(y, yShape)];
    const walks: Walk[] = [];
    for (const label of labels) {
      const own: Walk = [need(sizes.get(label), 'a size'), inA(label), inB(label), inY(label)];
      const last = walks.at(-1);
      if (own[0] === 1) continue;
      const merges = last !== undefined && [1, 2, 3].every((i) => at(last, i) === at(own, i) * own[0]);
      if (merges) walks[walks.length - 1] = [last[0] * own[0], own[1], own[2], own[3]];
      else walks.push(own);
    }
    return walks;
  };

  // Bring an operand into the order batch, m or n, k where its axes do not merge as they lie.
  const arranged = (view: View, labels: string, shape: Shape, own: readonly string[]): [View, string, Shape] => {
    const order = [...classes.batch, ...own, ...classes.k];
    const strides = strideIn(labels, shape);
    const size = order.map((label) => need(sizes.get(label), 'a size'));
    const copy = emit.scratch(sizeOf(size));
    emitCopy(emit, { view, strides: order.map(strides) }, { view: copy, strides: stridesOf(size) }, size);
    return [copy, order.join(''), size];
  };
  let left: [View, string, Shape] = [at(emit.inputs, 0), a, aShape];
  let right: [View, string, Shape] = [at(emit.inputs, 1), b, bShape];
  const walks = (labels: readonly string[]): Walk[] => walksOf(labels, left[1], left[2], right[1], right[2]);
  if (walks(classes.m).length > 1 || walks(classes.k).length > 1) left = arranged(...left, classes.m);
  if (walks(classes.n).length > 1 || walks(classes.k).length > 1) right = arranged(...right, classes.n);
  const target = walks(classes.m).length > 1 || walks(classes.n).length > 1 || walks(classes.batch).length > 3;
  if (target)
    throw new ShapeError(`einsum: '${a},${b}->${y}' scatters its result too widely; permute the operands first`);

  const only = (labels: readonly string[]): Walk => walks(labels)[0] ?? [1, 0, 0, 0];
  emitMatmul(emit, left[0], right[0], only(classes.m), only(classes.n), only(classes.k), walks(classes.batch), scale);
}

function emitMatmul(
  emit: Emitter,
  a: View,
  b: View,
  m: Walk,
  n: Walk,
  k: Walk,
  batch: readonly Walk[],
  scale: number,
): void {
  const batches = sizeOf(batch.map(([size]) => size));
  const uniforms = {
    m: m[0],
    n: n[0],
    k: k[0],
    batches,
    scale,
    aStrides: [m[1], k[1]],
    bStrides: [k[2], n[2]],
    yStrides: [m[3], n[3]],
    batchRank: batch.length,
    batch: batch.flat(),
  };
  const buffers = { a, b, y: at(emit.outputs, 0) };
  const operations = 2 * batches * m[0] * n[0] * k[0];
  const lanes = emit.subgroupSize;
  if (lanes >= 8 && lanes <= 64 && m[0] >= 8 && n[0] > 2 * lanes - 4) {
    emit.call(matmulSubgroups, {
      buffers,
      uniforms,
      constants: { WORKGROUP: lanes },
      workgroups: [Math.ceil(n[0] / (4 * lanes)), Math.ceil(m[0] / SUBGROUP_ROWS), Math.min(batches, MAX_WORKGROUPS)],
      operations,
    });
    return;
  }
  // Small results: smaller tiles, and a workgroup's lanes spread over the batch instead of past the edges.
  const tile = m[0] >= 16 ? 8 : m[0] >= 4 ? 4 : 1;
  const tileN = n[0] >= 32 ? 8 : 4;
  const [across, down] = [Math.ceil(n[0] / tileN), Math.ceil(m[0] / tile)];
  const lanesX = Math.min(8, powerOfTwo(across));
  const lanesY = Math.min(64 / lanesX, powerOfTwo(down));
  const layers = Math.ceil(batches / (64 / (lanesX * lanesY)));
  emit.call(matmulKernel, {
    buffers,
    uniforms: { ...uniforms, lanes: [lanesX, lanesY] },
    constants: { TILE_M: tile, TILE_N: tileN },
    workgroups: [Math.ceil(across / lanesX), Math.ceil(down / lanesY), Math.min(layers, MAX_WORKGROUPS)],
    operations,
  });
}

/** The smallest power of 2 that is at least x. */
function powerOfTwo(x: number): number {
  return 2 ** Math.ceil(Math.log2(x));
}
