// A matrix product as rows of ops emit it: operands, result and what is added through explicit strides, so that an op that
// multiplies columns of a wider row, or a transposed operand, copies nothing.
// Always: every element of the result is one chain of multiply-adds over k in ascending order, whichever kernel computes it,
// so that the choice of a kernel never changes a bit of a result. Not here: axes with names (ops/einsum.ts).

import { productTerms } from '../kernels/catalogue.ts';
import { ShapeError } from './errors.ts';
import { MAX_WORKGROUPS, type View } from './op.ts';
import type { Form, FullWalk, ProductEmitter } from './product-kernels.ts';
import { sizeOf } from './tensor.ts';
import { chosenFor } from './tuning.ts';

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
export function emitProduct(emit: ProductEmitter, product: Product): void {
  emitForm(emit, formOf(product, termsOf(emit, product)));
}

/** One call, or, where no kernel has the workgroups, several: each computes some of the rows or columns. */
function emitForm(emit: ProductEmitter, form: Form): void {
  const chosen = chosenFor(form, emit.subgroupSize, emit.tuning);
  if (chosen.fits(form, emit.subgroupSize)) chosen.emit(emit, form);
  else for (const part of halvesOf(form)) emitForm(emit, part);
}

/** Active rows are packed within blocks of so many rows. */
const BLOCK = 64;

/** A product in two, along the longer side of its result; the first ends at a multiple of the blocks. */
function halvesOf(form: Form): readonly Form[] {
  const along = form.m.size >= form.n.size ? 'm' : 'n';
  const walk = form[along];
  const middle = BLOCK * Math.ceil(walk.size / (2 * BLOCK));
  return [0, middle].map((start): Form => {
    const { a, b, y, plus } = form.offsets;
    return {
      ...form,
      [along]: { ...walk, size: start === 0 ? middle : walk.size - middle },
      offsets: { a: a + start * walk.a, b: b + start * walk.b, y: y + start * walk.y, plus: plus + start * walk.plus },
      rows:
        form.rows === undefined || along === 'n'
          ? form.rows
          : { ...form.rows, offset: form.rows.offset + start * form.rows.stride },
    };
  });
}

/** A product with nothing left out, its result contiguous along n where it is along m or n. @throws ShapeError */
export function formOf(product: Product, lists: View | undefined): Form {
  const { a, b, y, plus, m, n, k, batch, offsets, scale = 1, rows, terms } = product;
  if (batch.length > 3)
    throw new ShapeError(`product: ${batch.length} batch walks; at most 3, merge or copy the others`);
  if (rows !== undefined && terms !== undefined)
    throw new ShapeError('product: takes a mask of rows or of terms, not both; give one');
  const form: Form = {
    a,
    b,
    y,
    plus,
    m: { ...STILL, ...m },
    n: { ...STILL, ...n },
    k: { ...STILL, ...k },
    batch: batch.map((walk) => ({ ...STILL, ...walk })),
    batches: batchesOf(product),
    offsets: { ...STILL, ...offsets },
    scale,
    rows: rows === undefined ? undefined : { stride: 1, offset: 0, ...rows },
    terms: lists ?? terms?.mask,
  };
  return form.n.y !== 1 && form.m.y === 1 && rows === undefined ? exchanged(form) : form;
}

/** The strides of a walk that are left out. */
const STILL = { a: 0, b: 0, y: 0, plus: 0 } as const;

function batchesOf({ batch }: Product): number {
  return sizeOf(batch.map(({ size }) => size));
}

/** The same product with its operands exchanged: the result's contiguous axis becomes n. */
function exchanged(form: Form): Form {
  const turned = ({ size, a, b, y, plus }: FullWalk): FullWalk => ({ size, a: b, b: a, y, plus });
  const { a, b, y, plus } = form.offsets;
  return {
    ...form,
    a: form.b,
    b: form.a,
    m: turned(form.n),
    n: turned(form.m),
    k: turned(form.k),
    batch: form.batch.map(turned),
    offsets: { a: b, b: a, y, plus },
  };
}

/** The lists of the terms that a mask leaves, made by a kernel call of their own. */
function termsOf(emit: ProductEmitter, product: Product): View | undefined {
  const { k, batch, terms } = product;
  if (terms === undefined) return undefined;
  const { mask, strides, walks } = terms;
  if (walks.length > 3 || sizeOf(walks.map(({ size }) => size)) !== k.size) {
    throw new ShapeError(`product: the mask of terms must walk over ${k.size} elements, by at most 3 walks`);
  }
  const batches = batchesOf(product);
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
