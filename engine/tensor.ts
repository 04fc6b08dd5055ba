// Tensors and the graph they stand in.
//
// A Tensor is one output of a Node: an operation applied to other tensors. Building one does no GPU work and
// allocates nothing; `compile` turns wanted tensors into a Program. Always true: a node is created after its inputs,
// so ascending ids are a topological order; a node never changes, except that a scan's node may be asked for the
// history of further tensors of its body (see scan.ts). What an operation does is in its row of the op table (op.ts).

import { formatShape, ShapeError } from './errors.ts';
import type { Op } from './op.ts';

/** Element type of a tensor. Both take 4 bytes; only f32 carries gradients. */
export type Dtype = 'f32' | 'u32';

/** Sizes of a tensor, outermost first; every size is at least 1. `[]` is a scalar. */
export type Shape = readonly number[];

/** The shape and element type of one tensor. */
export interface Spec {
  /** Its sizes, outermost first. */
  readonly shape: Shape;
  /** Its element type. */
  readonly dtype: Dtype;
}

let nextId = 0;

/** One application of an op. */
export class Node<A = unknown> {
  /** Position in creation order: inputs always have smaller ids. */
  readonly id: number = nextId++;
  /** The row of the op. */
  readonly op: Op<A>;
  /** What the op is told beside its inputs. */
  readonly attrs: A;
  /** What it reads. */
  readonly inputs: readonly Tensor[];
  /** What it gives. */
  readonly outputs: Tensor[] = [];

  constructor(op: Op<A>, inputs: readonly Tensor[], attrs: A) {
    this.op = op;
    this.inputs = inputs;
    this.attrs = attrs;
  }
}

/** An immutable value of the graph, known by its node, its output number, its shape and its element type. */
export class Tensor {
  /** The application of an op that gives it. */
  readonly node: Node;
  /** Which output of the node this is. */
  readonly index: number;
  /** Its sizes, outermost first. */
  readonly shape: Shape;
  /** Its element type. */
  readonly dtype: Dtype;

  constructor(node: Node, index: number, spec: Spec) {
    for (const size of spec.shape) {
      if (!Number.isSafeInteger(size) || size < 1) {
        throw new ShapeError(
          `${node.op.name}: ${formatShape(spec.shape)} is no shape: every size must be a whole number of at least 1`,
        );
      }
    }
    if (!Number.isSafeInteger(4 * sizeOf(spec.shape))) {
      throw new ShapeError(
        `${node.op.name}: ${formatShape(spec.shape)} has more elements than a number counts exactly; make its sizes smaller`,
      );
    }
    this.node = node;
    this.index = index;
    this.shape = Object.freeze([...spec.shape]);
    this.dtype = spec.dtype;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }
}

/** The id that the next node will get: a mark to tell later nodes from earlier ones. */
export function nextNodeId(): number {
  return nextId;
}

/** Number of elements of a shape. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const s of shape) size *= s;
  return size;
}

/** True where two shapes are equal size by size. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

/** Row-major element strides of a shape. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i] as number;
  }
  return strides;
}

/**
 * The shape that two or more shapes broadcast to: aligned at the right, a size of 1 stretches (NumPy's rule).
 * @throws ShapeError naming the op where the shapes do not fit
 */
export function broadcastShapes(where: string, ...shapes: readonly Shape[]): number[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  const result = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    shape.forEach((size, i) => {
      const at = rank - shape.length + i;
      if (size === 1 || size === result[at]) return;
      if (result[at] !== 1) {
        throw new ShapeError(
          `${where}: the shapes ${shapes.map(formatShape).join(' and ')} do not broadcast: sizes ${result[at]} and ${size} meet; make them equal, or one of them 1`,
        );
      }
      result[at] = size;
    });
  }
  return result;
}

/**
 * A non-negative axis of a shape, from an axis that may count from the end.
 * @throws ShapeError where there is no such axis
 */
export function normaliseAxis(where: string, axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(normal) || normal < 0 || normal >= rank) {
    throw new ShapeError(`${where}: axis ${axis} does not exist in a tensor of ${rank} dimensions`);
  }
  return normal;
}
