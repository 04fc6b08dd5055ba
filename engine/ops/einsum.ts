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
import { type Shape, sameShape, sizeOf, stridesOf, type Tensor } from '../tensor.ts';
import { sum } from './reduce.ts';
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
  /** Labels of the third input, which is added to the result: some of the result's, in its order. */
  readonly c?: string;
}

const einsumOp: Op<EinsumAttrs> = {
  name: 'einsum',
  infer: ([x, w, plus], { a, b, c, y }) => {
    const sizes = sizesOf([a, x], [b, w], ...(c === undefined ? [] : [[c, plus] as const]));
    return [{ shape: [...y].map((label) => need(sizes.get(label), 'a size')), dtype: 'f32' }];
  },
  plan: (emit, { inputs, attrs }) =>
    emitProduct(
      emit,
      attrs,
      inputs.map((input) => input.shape),
    ),
  backward: ({ inputs, attrs: { a, b, c, y, scale } }, [d]) => {
    if (d === undefined) return [];
    const [x, w] = [at(inputs, 0), at(inputs, 1)];
    const products = [product({ a: y, b, y: a, scale }, d, w), product({ a: y, b: a, y: b, scale }, d, x)];
    return c === undefined ? products : [...products, sumOfOthers(d, y, c)];
  },
  overTime: (over) => {
    const { a, b, c, y, scale } = over.attrs;
    const t = freeLabel(a + b);
    const labels = (i: number, own: string): string => (over.varies(i) ? t + own : own);
    const operand = (i: number): Tensor => (over.varies(i) ? over.sequence(i) : over.constant(i));
    const plus = c === undefined ? {} : { c: labels(2, c) };
    const attrs = { a: labels(0, a), b: labels(1, b), y: t + y, scale, ...plus };
    return [product(attrs, ...over.node.inputs.map((_, i) => operand(i)))];
  },
  sumOverTime: (over) => {
    const { a, b, c, y, scale } = over.attrs;
    const rest = c === undefined ? [] : [over.summed(2)];
    const plus = c === undefined ? {} : { c };
    if (!over.varies(0)) return product({ a, b, y, scale, ...plus }, over.constant(0), over.summed(1), ...rest);
    if (!over.varies(1)) return product({ a, b, y, scale, ...plus }, over.summed(0), over.constant(1), ...rest);
    const t = freeLabel(a + b);
    return product({ a: t + a, b: t + b, y, scale, ...plus }, over.sequence(0), over.sequence(1), ...rest);
  },
};

/** What is done to a product before it is stored. */
export interface EinsumOptions {
  readonly scale?: number;
  readonly plus?: readonly [labels: string, tensor: Tensor];
}

/**
 * The product of two tensors by named axes, summed over the labels that the result does not name.
 * @param equation such as 'bnd,nde->bne': one letter an axis; a label of one operand only must be in the result, and no
 *   label may stand twice in one operand
 * @param options `scale`: a number that the result is multiplied by; `plus`: a tensor that is then added, and the labels of
 *   its axes, some of the result's in the same order (a bias: 'n' of 'mn')
 * @throws ShapeError where sizes of a label differ; OptionError where the equation cannot be read
 */
export function einsum(equation: string, x: Tensor, w: Tensor, options: EinsumOptions = {}): Tensor {
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
  const { scale = 1, plus } = options;
  if (plus === undefined) return product({ a, b, y, scale }, x, w);
  const [c, addend] = plus;
  if ([...y].filter((label) => c.includes(label)).join('') !== c) {
    throw new OptionError(`einsum: what is added has the axes '${c}', which are not some of '${y}' in that order`);
  }
  return product({ a, b, y, scale, c }, x, w, addend);
}

/** The sum of a tensor and a product that nothing is added to yet, as one product; undefined where it is no such product. */
export function addToProduct(tensor: Tensor, result: Tensor): Tensor | undefined {
  const { op, attrs, inputs } = result.node;
  if (op !== einsumOp) return undefined;
  const own = attrs as EinsumAttrs;
  return own.c === undefined ? product({ ...own, c: own.y }, ...inputs, tensor) : undefined;
}

/**
 * Matrix product of the last two axes, leading axes as batch: [..., M, K] x [..., K, N] -> [..., M, N]. Leading axes
 * are equal, or the second operand has none (weights): then all rows of the first are one matrix.
 * @param plus added to the result, for weights only: a bias [N], or a tensor of the result's shape
 * @throws ShapeError where the inner sizes, the batch or what is added differ
 */
export function matmul(x: Tensor, w: Tensor, plus?: Tensor): Tensor {
  const inner = x.shape.at(-1);
  if (inner === undefined || w.shape.length < 2 || inner !== w.shape.at(-2)) {
    throw new ShapeError(
      `matmul: inner sizes differ, ${formatShape(x.shape)}·${formatShape(w.shape)}; the last size of the first must be the last but one of the second`,
    );
  }
  if (w.shape.length === 2) {
    const rows = reshape(x, [x.size / inner, inner]);
    const shape = [...x.shape.slice(0, -1), at(w.shape, 1)];
    return reshape(einsum('mk,kn->mn', rows, w, addedTo('matmul', 'mn', shape, 1, plus)), shape);
  }
  if (plus !== undefined) throw new ShapeError('matmul: only a product with weights takes something added; use add');
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
 * @param plus added to the result: a bias [N, O], or a tensor of the result's shape
 * @throws ShapeError where sizes differ
 */
export function groupedMatmul(x: Tensor, w: Tensor, plus?: Tensor): Tensor {
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
  const shape = [...x.shape.slice(0, -1), to];
  return reshape(einsum('rni,nio->rno', rows, w, addedTo('groupedMatmul', 'rno', shape, 2, plus)), shape);
}

/** What is added to a product of rows, as an option of `einsum`: `inner` axes of the result, or all of them. */
function addedTo(where: string, labels: string, shape: Shape, inner: number, plus: Tensor | undefined): EinsumOptions {
  if (plus === undefined) return {};
  const tail = shape.slice(-inner);
  if (sameShape(plus.shape, tail)) return { plus: [labels.slice(-inner), plus] };
  if (!sameShape(plus.shape, shape)) {
    throw new ShapeError(
      `${where}: ${formatShape(plus.shape)} cannot be added to ${formatShape(shape)}; give ${formatShape(tail)} or all of it`,
    );
  }
  return { plus: [labels, reshape(plus, [sizeOf(shape) / sizeOf(tail), ...tail])] };
}

/** The row of this file, for tables of all ops. */
export const einsumOps: readonly Op[] = [einsumOp] as readonly Op[];

function product(attrs: EinsumAttrs, ...inputs: readonly Tensor[]): Tensor {
  return applyOne(einsumOp, inputs, attrs);
}

/** The sum of d, whose axes are `labels`, over those that `kept` does not name. */
function sumOfOthers(d: Tensor, labels: string, kept: string): Tensor {
  const axes = [...labels].flatMap((label, i) => (kept.includes(label) ? [] : [i]));
  return axes.length === 0 ? d : sum(d, { axes });
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

/** One walk over elements: its size, and its stride in a, b, y and what is added (0 where an operand does not have it). */
type Walk = readonly [size: number, a: number, b: number, y: number, plus: number];

/** The walk over no axis. */
const STILL: Walk = [1, 0, 0, 0, 0];

/** The kernel calls of a product; an operand whose axes do not merge into one walk a class is copied first. */
function emitProduct(emit: Emitter, { a, b, c, y, scale }: EinsumAttrs, shapes: readonly Shape[]): void {
  const [aShape, bShape, plusShape] = [at(shapes, 0), at(shapes, 1), shapes[2] ?? []];
  const sizes = new Map([
    ...[...a].map((l, i) => [l, at(aShape, i)] as const),
    ...[...b].map((l, i) => [l, at(bShape, i)] as const),
  ]);
  const yShape = [...y].map((label) => need(sizes.get(label), 'a size'));
  const together = (labels: readonly string[]): readonly string[] => {
    const inY = stridesOf(yShape);
    const wide = labels.filter((label) => need(sizes.get(label), 'a size') > 1);
    const strideOf = (label: string): number => at(inY, y.indexOf(label));
    const apart = wide.findLastIndex((label, i) => {
      const next = wide[i + 1];
      return next !== undefined && strideOf(label) !== strideOf(next) * need(sizes.get(next), 'a size');
    });
    return wide.slice(apart + 1);
  };
  // Of the labels of m or n, those that lie together innermost in the result are one walk; the others are walked as batches,
  // in which the operand that does not have them stands still.
  const m = together([...y].filter((l) => a.includes(l) && !b.includes(l)));
  const n = together([...y].filter((l) => !a.includes(l) && b.includes(l)));
  const classes = {
    batch: [...y].filter((l) => !m.includes(l) && !n.includes(l)),
    m,
    n,
    k: [...a].filter((l) => b.includes(l) && !y.includes(l)),
  };
  const strideIn = (labels: string, shape: Shape): ((label: string) => number) => {
    const strides = stridesOf(shape);
    return (label) => {
      const i = labels.indexOf(label);
      return i < 0 ? 0 : at(strides, i);
    };
  };
  let added: [View, string, Shape] = c === undefined ? [emit.zero(), '', []] : [at(emit.inputs, 2), c, plusShape];
  const walksOf = (
    labels: readonly string[],
    left: string,
    leftShape: Shape,
    right: string,
    rightShape: Shape,
  ): Walk[] => {
    const [inA, inB, inY] = [strideIn(left, leftShape), strideIn(right, rightShape), strideIn(y, yShape)];
    const inPlus = strideIn(added[1], added[2]);
    const walks: Walk[] = [];
    for (const label of labels) {
      const own: Walk = [need(sizes.get(label), 'a size'), inA(label), inB(label), inY(label), inPlus(label)];
      const last = walks.at(-1);
      if (own[0] === 1) continue;
      const merges = last !== undefined && [1, 2, 3, 4].every((i) => at(last, i) === at(own, i) * own[0]);
      if (merges) walks[walks.length - 1] = [last[0] * own[0], own[1], own[2], own[3], own[4]];
      else walks.push(own);
    }
    return walks;
  };

  // Bring an operand into the order batch, m or n, k where its axes do not merge as they lie.
  const arranged = (view: View, labels: string, shape: Shape, own: readonly string[]): [View, string, Shape] => {
    const order = [...classes.batch, ...own, ...classes.k].filter((label) => labels.includes(label));
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
  // What is added is spread over the result where it repeats along only some of the axes that are one walk.
  const wide = (): boolean =>
    walks(classes.m).length > 1 || walks(classes.n).length > 1 || walks(classes.batch).length > 3;
  if (c !== undefined && wide()) {
    const spread = emit.scratch(sizeOf(yShape));
    const strides = [...y].map(strideIn(c, plusShape));
    emitCopy(emit, { view: added[0], strides }, { view: spread, strides: stridesOf(yShape) }, yShape);
    added = [spread, y, yShape];
  }
  if (wide())
    throw new ShapeError(`einsum: '${a},${b}->${y}' scatters its result too widely; permute the operands first`);

  const only = (labels: readonly string[]): Walk => walks(labels)[0] ?? STILL;
  emitMatmul(emit, {
    views: [left[0], right[0], added[0]],
    m: only(classes.m),
    n: only(classes.n),
    k: only(classes.k),
    batch: walks(classes.batch),
    scale,
    plus: c !== undefined,
  });
}

/** A product as the kernels take it. */
interface Product {
  readonly views: readonly [a: View, b: View, plus: View];
  readonly m: Walk;
  readonly n: Walk;
  readonly k: Walk;
  readonly batch: readonly Walk[];
  readonly scale: number;
  readonly plus: boolean;
}

function emitMatmul(emit: Emitter, { views: [a, b, added], m, n, k, batch, scale, plus }: Product): void {
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
    plusStrides: [m[4], n[4]],
    batchRank: batch.length,
    batch: batch.flatMap((walk) => walk.slice(0, 4)),
    plusBatch: [0, 1, 2, 3].map((i) => (batch[i] ?? STILL)[4]),
  };
  const buffers = { a, b, plus: added, y: at(emit.outputs, 0) };
  const operations = 2 * batches * m[0] * n[0] * k[0];
  const lanes = emit.subgroupSize;
  if (lanes >= 8 && lanes <= 64 && m[0] >= 8 && n[0] > 2 * lanes - 4) {
    emit.call(matmulSubgroups, {
      buffers,
      uniforms,
      constants: { WORKGROUP: lanes, PLUS: plus },
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
    constants: { TILE_M: tile, TILE_N: tileN, PLUS: plus },
    workgroups: [Math.ceil(across / lanesX), Math.ceil(down / lanesY), Math.min(layers, MAX_WORKGROUPS)],
    operations,
  });
}

/** The smallest power of 2 that is at least x. */
function powerOfTwo(x: number): number {
  return 2 ** Math.ceil(Math.log2(x));
}
