// How a product by named axes becomes one product of the kernels, [batch, m, k] by [batch, k, n] through strides, so that no
// operand is transposed in memory. Labels: those of both operands and the result are batch, those of one operand and the
// result are m (from a) or n (from b), those of both operands only are k and summed.
// Always: an operand is copied only where its axes do not merge into one walk a class as they lie.

import { at, need, ShapeError } from '../errors.ts';
import type { Emitter, View } from '../op.ts';
import { emitProduct, type Walk } from '../product.ts';
import { type Shape, sizeOf, stridesOf } from '../tensor.ts';
import { emitCopy } from './shape.ts';

/** What a product by named axes is. */
export interface EinsumAttrs {
  /** Labels of a, of b and of the result, one character an axis. */
  readonly a: string;
  readonly b: string;
  readonly y: string;
  /** Every product is multiplied by it. */
  readonly scale: number;
  /** Labels of the input that is added to the result: some of the result's, in its order. */
  readonly c?: string;
  /** Labels of the last input, the mask of the terms: some that both operands have. */
  readonly rows?: string;
}

/** Walks of a batch that a kernel takes. */
const MOST_BATCHES = 3;

/** The least size of a walk that is not joined with another by a copy. */
const LEAST = 32;

/** A tensor where it lies: its labels and its shape. */
interface Operand {
  readonly view: View;
  readonly labels: string;
  readonly shape: Shape;
}

/** One walk over elements: its size, and its stride in a, b, y, what is added and the mask (0 where one does not have it). */
interface Strides {
  readonly size: number;
  readonly strides: readonly number[];
}

/** The kernel calls of a product; an operand whose axes do not merge into one walk a class is copied first. */
export function planEinsum(emit: Emitter, attrs: EinsumAttrs, shapes: readonly Shape[]): void {
  const { a, b, c, rows, y, scale } = attrs;
  const operand = (i: number, labels: string): Operand => ({ view: at(emit.inputs, i), labels, shape: at(shapes, i) });
  let left = operand(0, a);
  let right = operand(1, b);
  let added = c === undefined ? undefined : operand(2, c);
  const mask = rows === undefined ? undefined : operand(shapes.length - 1, rows);
  const sizes = new Map(
    [left, right].flatMap(({ labels, shape }) => [...labels].map((l, i) => [l, at(shape, i)] as const)),
  );
  const sizeOfLabel = (label: string): number => need(sizes.get(label), 'a size');
  const yShape = [...y].map(sizeOfLabel);
  const result = { labels: y, shape: yShape };
  const together = (labels: readonly string[], from: Operand | undefined): readonly string[] => {
    const wide = labels.filter((label) => sizeOfLabel(label) > 1);
    const apart = wide.findLastIndex((label, i) => {
      const next = wide[i + 1];
      const steps = (of: Pick<Operand, 'labels' | 'shape'>): boolean =>
        next !== undefined && strideOf(of, label) !== strideOf(of, next) * sizeOfLabel(next);
      return (
        steps(result) || (from !== undefined && steps(from) && sizeOf(wide.slice(i + 1).map(sizeOfLabel)) >= LEAST)
      );
    });
    return wide.slice(apart + 1);
  };
  // Of the labels of m or n, those that lie together innermost in the result are one walk; the others are walked as batches,
  // in which the operand that does not have them stands still. So are those that lie apart in their own operand, if enough is left.
  const inM = [...y].filter((l) => a.includes(l) && !b.includes(l));
  const inN = [...y].filter((l) => !a.includes(l) && b.includes(l));
  const apart = [together(inM, left), together(inN, right)].flat();
  const few = [...y].filter((l) => !apart.includes(l) && sizeOfLabel(l) > 1).length <= 3;
  const m = together(inM, few ? left : undefined);
  const n = together(inN, few ? right : undefined);
  const batch = [...y].filter((l) => !m.includes(l) && !n.includes(l));
  const k = [...a].filter((l) => b.includes(l) && !y.includes(l));
  /** The labels as walks; neighbours that step alike in everything are one. The mask has its own walks over k. */
  const walks = (labels: readonly string[]): readonly Strides[] => {
    const masks = labels === k ? [] : [mask];
    const merged: Strides[] = [];
    for (const label of labels) {
      const size = sizeOfLabel(label);
      if (size === 1) continue;
      const strides = [left, right, result, added, ...masks].map((each) => strideOf(each, label));
      const last = merged.at(-1);
      if (last?.strides.every((stride, i) => stride === at(strides, i) * size) === true) {
        merged[merged.length - 1] = { size: last.size * size, strides };
      } else merged.push({ size, strides });
    }
    return merged;
  };
  // Bring an operand into the order batch, m or n, k where its axes do not merge as they lie.
  const arranged = (from: Operand, own: readonly string[]): Operand => {
    const order = [...batch, ...own, ...k].filter((label) => from.labels.includes(label));
    const shape = order.map(sizeOfLabel);
    const view = emit.scratch(sizeOf(shape));
    const strides = order.map((label) => strideOf(from, label));
    emitCopy(emit, { view: from.view, strides }, { view, strides: stridesOf(shape) }, shape);
    return { view, labels: order.join(''), shape };
  };
  if (walks(m).length > 1 || walks(k).length > 1) left = arranged(left, m);
  if (walks(n).length > 1 || walks(k).length > 1) right = arranged(right, n);
  if (walks(batch).length > MOST_BATCHES) [left, right] = [arranged(left, m), arranged(right, n)];
  // What is added is spread over the result where it repeats along only some of the axes that are one walk.
  const wide = (): boolean => walks(m).length > 1 || walks(n).length > 1 || walks(batch).length > MOST_BATCHES;
  if (added !== undefined && wide()) {
    const view = emit.scratch(sizeOf(yShape));
    const strides = [...y].map((label) => strideOf(added, label));
    emitCopy(emit, { view: added.view, strides }, { view, strides: stridesOf(yShape) }, yShape);
    added = { view, ...result };
  }
  if (wide()) {
    // With its batch first, then m, then n, a result is one walk a class: it is made so, and copied to where it belongs.
    const ordered = [...[...y].filter((l) => a.includes(l) && b.includes(l)), ...inM, ...inN].join('');
    if (ordered === y) {
      throw new ShapeError(`einsum: '${a},${b}->${y}' scatters its result too widely; permute the operands first`);
    }
    const made = { view: emit.scratch(sizeOf(yShape)), labels: ordered, shape: [...ordered].map(sizeOfLabel) };
    planEinsum({ ...emit, outputs: [made.view] }, { ...attrs, y: ordered }, shapes);
    const strides = [...y].map((label) => strideOf(made, label));
    emitCopy(emit, { view: made.view, strides }, { view: at(emit.outputs, 0), strides: stridesOf(yShape) }, yShape);
    return;
  }

  const only = (labels: readonly string[]): Walk => walkOf(walks(labels)[0] ?? { size: 1, strides: [] });
  const batches = walks(batch);
  emitProduct(emit, {
    a: left.view,
    b: right.view,
    y: at(emit.outputs, 0),
    ...(added === undefined ? {} : { plus: added.view }),
    m: only(m),
    n: only(n),
    k: only(k),
    batch: batches.map(walkOf),
    scale,
    ...(mask === undefined
      ? {}
      : {
          terms: {
            mask: mask.view,
            strides: batches.map(({ strides }) => at(strides, 4)),
            walks: k.map((label) => ({ size: sizeOfLabel(label), stride: strideOf(mask, label) })),
          },
        }),
  });
}

function walkOf({ size, strides: [a = 0, b = 0, y = 0, plus = 0] }: Strides): Walk {
  return { size, a, b, y, plus };
}

/** How far one step of a label moves in a tensor: 0 where it does not have it. */
function strideOf(operand: { readonly labels: string; readonly shape: Shape } | undefined, label: string): number {
  const i = operand?.labels.indexOf(label) ?? -1;
  return operand === undefined || i < 0 ? 0 : at(stridesOf(operand.shape), i);
}
