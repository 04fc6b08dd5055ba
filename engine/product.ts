// A matrix product as rows of ops emit it: operands, result and what is added through explicit strides, so that an op that
// multiplies columns of a wider row, or a transposed operand, copies nothing.
// Always: every element of the result is one chain of multiply-adds over k in ascending order, whichever kernel computes it,
// so that the choice of a kernel never changes a bit of a result. Not here: axes with names (ops/einsum.ts).

import { matmul, matmulSubgroups, productTerms } from '../kernels/catalogue.ts';
import { ShapeError } from './errors.ts';
import { type Emitter, MAX_WORKGROUPS, type View } from './op.ts';
import { sizeOf } from './tensor.ts';

/** One walk over elements: its size, and its stride in each operand, in elements; 0 where it is left out. */
export interface Walk {
  readonly size: number;
  readonly a?: number;
  readonly b?: number;
  readonly y?: number;
  readonly plus?: number;
}

/** A stretch of a mask: how many elements, and the distance between them. */
export interface MaskWalk {
  readonly size: number;
  readonly stride: number;
}

/** y[batch,m,n] = scale * sum over k of a[batch,m,k] b[batch,k,n] + plus[batch,m,n]. */
export interface Product {
  readonly a: View;
  readonly b: View;
  readonly y: View;
  /** Added to the scaled product. */
  readonly plus?: View;
  readonly m: Walk;
  readonly n: Walk;
  readonly k: Walk;
  /** At most 3, outermost first. */
  readonly batch: readonly Walk[];
  /** The first element of each operand: columns of a wider row. */
  readonly offsets?: { readonly a?: number; readonly b?: number; readonly y?: number; readonly plus?: number };
  /** 1 where it is left out. */
  readonly scale?: number;
  /**
   * Rows of m to compute: f32, one element a row; where it is 0, nothing is read of that row and y keeps what it holds.
   * `strides`: of the batch walks in the mask; `stride`: of m, 1 where it is left out.
   */
  readonly rows?: {
    readonly mask: View;
    readonly strides: readonly number[];
    readonly stride?: number;
    readonly offset?: number;
  };
  /**
   * Terms of k to take: f32, one element a term; where it is 0, nothing is read of that term and the sum leaves it out.
   * `strides`: of the batch walks in the mask; `walks`: what k is made of in the mask, at most 3, outermost first.
   */
  readonly terms?: { readonly mask: View; readonly strides: readonly number[]; readonly walks: readonly MaskWalk[] };
}

/** Appends the kernel calls of a product. @throws ShapeError for more than 3 batch walks, or rows and terms at once */
export function emitProduct(emit: Emitter, product: Product): void {
  const { m, n, k, batch, offsets = {}, scale = 1, rows, terms } = product;
  if (batch.length > 3)
    throw new ShapeError(`product: ${batch.length} batch walks; at most 3, merge or copy the others`);
  if (rows !== undefined && terms !== undefined)
    throw new ShapeError('product: takes a mask of rows or of terms, not both; give one');
  const batches = sizeOf(batch.map(({ size }) => size));
  const common = {
    m: m.size,
    n: n.size,
    k: k.size,
    batches,
    scale,
    batchRank: batch.length,
    aStrides: [m.a ?? 0, k.a ?? 0],
    bStrides: [k.b ?? 0, n.b ?? 0],
    yStrides: [m.y ?? 0, n.y ?? 0],
    plusStrides: [m.plus ?? 0, n.plus ?? 0],
    offsets: [offsets.a ?? 0, offsets.b ?? 0, offsets.y ?? 0, offsets.plus ?? 0],
    batch: batch.flatMap((walk) => [walk.size, walk.a ?? 0, walk.b ?? 0, walk.y ?? 0]),
    plusBatch: [0, 1, 2, 3].map((i) => batch[i]?.plus ?? 0),
  };
  const plus = product.plus !== undefined;
  const dense = { a: product.a, b: product.b, plus: product.plus ?? emit.zero(), y: product.y };
  const operations = 2 * batches * m.size * n.size * k.size;
  const lanes = emit.subgroupSize;
  const masked = rows !== undefined || terms !== undefined;
  if (!masked && lanes >= 8 && lanes <= 64 && m.size >= 8 && n.size > 2 * lanes - 4) {
    const tile = matmulSubgroups.constants.TILE_M.value;
    emit.call(matmulSubgroups, {
      buffers: dense,
      uniforms: common,
      constants: { WORKGROUP: lanes, PLUS: plus },
      workgroups: [Math.ceil(n.size / (4 * lanes)), Math.ceil(m.size / tile), Math.min(batches, MAX_WORKGROUPS)],
      operations,
    });
    return;
  }
  // Small results: smaller tiles, and a workgroup's lanes spread over the batch instead of past the edges.
  const tile = m.size >= 16 ? 8 : m.size >= 4 ? 4 : 1;
  const tileN = n.size >= 32 ? 8 : 4;
  const [across, down] = [Math.ceil(n.size / tileN), Math.ceil(m.size / tile)];
  const lanesX = Math.min(8, powerOfTwo(across));
  const lanesY = Math.min(64 / lanesX, powerOfTwo(down));
  const layers = Math.ceil(batches / (64 / (lanesX * lanesY)));
  emit.call(matmul, {
    buffers: { ...dense, mask: rows?.mask ?? emit.zero(), terms: termsOf(emit, product, batches) ?? emit.zero() },
    uniforms: {
      ...common,
      lanes: [lanesX, lanesY],
      maskBatch: [0, 1, 2].map((i) => rows?.strides[i] ?? 0).concat(rows?.stride ?? 1),
      maskOffset: rows?.offset ?? 0,
    },
    constants: { TILE_M: tile, TILE_N: tileN, PLUS: plus, ROWS: rows !== undefined, TERMS: terms !== undefined },
    workgroups: [Math.ceil(across / lanesX), Math.ceil(down / lanesY), Math.min(layers, MAX_WORKGROUPS)],
    operations,
  });
}

/** The lists of the terms that a mask leaves, made by a kernel call of their own. */
function termsOf(emit: Emitter, { k, batch, terms }: Product, batches: number): View | undefined {
  if (terms === undefined) return undefined;
  const { mask, strides, walks } = terms;
  if (walks.length > 3 || sizeOf(walks.map(({ size }) => size)) !== k.size) {
    throw new ShapeError(`product: the mask of terms must walk over ${k.size} elements, by at most 3 walks`);
  }
  const lists = emit.scratch(batches * (k.size + 1));
  emit.call(productTerms, {
    buffers: { mask, terms: lists },
    uniforms: {
      lists: batches,
      k: k.size,
      listRank: batch.length,
      termRank: walks.length,
      list: batch.flatMap(({ size }, i) => [size, strides[i] ?? 0, 0, 0]),
      term: walks.flatMap(({ size, stride }) => [size, stride, 0, 0]),
    },
    workgroups: [Math.min(batches, MAX_WORKGROUPS), 1, 1],
  });
  return lists;
}

/** The smallest power of 2 that is at least x. */
function powerOfTwo(x: number): number {
  return 2 ** Math.ceil(Math.log2(x));
}
