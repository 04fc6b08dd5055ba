// Products of tensors by named axes: `einsum('bnd,nde->bne', x, w)` is the matrix product of every module with its own
// weights. All matrix products of the library are this op: plain, transposed, batched, grouped per module, and weight
// gradients; so is its own backward, and so it is over time, where a further label does.
//
// Here: labels, gradients, and products over time. How one is brought into the form of the kernels: einsum-plan.ts.

import { at, checkOptions, formatShape, need, OptionError, ShapeError } from '../errors.ts';
import { applyOne, type Op } from '../op.ts';
import { type Shape, sameShape, sizeOf, type Tensor } from '../tensor.ts';
import { type EinsumAttrs, planEinsum } from './einsum-plan.ts';
import { sum } from './reduce.ts';
import { reshape } from './shape.ts';

const einsumOp: Op<EinsumAttrs> = {
  name: 'einsum',
  infer: (inputs, { a, b, c, rows, y }) => {
    const sizes = sizesOf([a, b, ...(c === undefined ? [] : [c]), ...(rows === undefined ? [] : [rows])], inputs);
    return [{ shape: [...y].map((label) => need(sizes.get(label), 'a size')), dtype: 'f32' }];
  },
  plan: (emit, { inputs, attrs }) =>
    planEinsum(
      emit,
      attrs,
      inputs.map((input) => input.shape),
    ),
  backward: ({ inputs, attrs: { a, b, c, rows, y, scale } }, [d]) => {
    if (d === undefined) return [];
    if (rows !== undefined) {
      throw new OptionError(
        'einsum: the gradient of a product over some rows only is not written; multiply by the mask where you need one',
      );
    }
    const [x, w] = [at(inputs, 0), at(inputs, 1)];
    const products = [product({ a: y, b, y: a, scale }, d, w), product({ a: y, b: a, y: b, scale }, d, x)];
    return c === undefined ? products : [...products, sumOfOthers(d, y, c)];
  },
  overTime: (over) => {
    const own = over.attrs;
    const t = freeLabel(own.a + own.b);
    // Time is an axis of a factor, and of both where a mask over time leaves out terms, though only what is added may vary.
    const masked = own.rows !== undefined && over.varies(over.node.inputs.length - 1);
    const still = !over.varies(0) && !over.varies(1);
    const timed = (i: number): boolean => over.varies(i) || (masked && i < 2) || (still && i === 0);
    const operands = over.node.inputs.map((_, i) => (timed(i) ? over.sequence(i) : over.constant(i)));
    return [product({ ...inSequence(own, t, timed), y: t + own.y }, ...operands)];
  },
  sumOverTime: (over) => {
    const own = over.attrs;
    const plus = own.c === undefined ? [] : [over.summed(2)];
    if (own.rows !== undefined) {
      // The mask says for every step which terms there are: nothing is summed before it is known.
      const mask = over.node.inputs.length - 1;
      const t = freeLabel(own.a + own.b);
      const labels = inSequence(own, t, (i) => i < 2 || (i === mask && over.varies(i)));
      const last = over.varies(mask) ? over.sequence(mask) : over.constant(mask);
      const { c, ...rest } = labels;
      const kept = own.c === undefined ? rest : { ...rest, c: own.c };
      return product({ ...kept, y: own.y }, over.sequence(0), over.sequence(1), ...plus, last);
    }
    if (!over.varies(0)) return product(own, over.constant(0), over.summed(1), ...plus);
    if (!over.varies(1)) return product(own, over.summed(0), over.constant(1), ...plus);
    const t = freeLabel(own.a + own.b);
    return product({ ...own, a: t + own.a, b: t + own.b }, over.sequence(0), over.sequence(1), ...plus);
  },
};

/** The labels of inputs over time: those that vary have one more in front. */
function inSequence(own: EinsumAttrs, t: string, varies: (input: number) => boolean): EinsumAttrs {
  const { a, b, c, rows } = own;
  const labels = (i: number, of: string): string => (varies(i) ? t + of : of);
  return {
    ...own,
    a: labels(0, a),
    b: labels(1, b),
    ...(c === undefined ? {} : { c: labels(2, c) }),
    ...(rows === undefined ? {} : { rows: labels(c === undefined ? 2 : 3, rows) }),
  };
}

/** Which terms a product has, and what is done to it before it is stored. */
export interface EinsumOptions {
  /** A number that the result is multiplied by. */
  readonly scale?: number;
  /** A tensor that is then added, and the labels of its axes: some of the result's, in the same order. */
  readonly plus?: readonly [labels: string, tensor: Tensor];
  /** A mask of the terms, and the labels of its axes: what it is 0 for is left out and not read. */
  readonly rows?: readonly [labels: string, mask: Tensor];
}

/**
 * The product of two tensors by named axes, summed over the labels that the result does not name.
 * @param equation such as 'bnd,nde->bne': one letter an axis; a label of one operand only must be in the result, and no
 *   label may stand twice in one operand
 * @param options `scale`: a number that the result is multiplied by; `plus`: a tensor that is then added, and the labels of
 *   its axes, some of the result's in the same order (a bias: 'n' of 'mn'); `rows`: a mask, and the labels of its axes, which
 *   are summed labels and labels of all three (`einsum('bni,bno->nio', x, d, { rows: ['nb', mask] })`): the sum leaves out
 *   the terms whose mask is 0, and nothing of them is read
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
  checkOptions('einsum', options, ['scale', 'plus', 'rows']);
  const { scale = 1, plus, rows } = options;
  const shared = (label: string): boolean => a.includes(label) && b.includes(label);
  if (rows !== undefined && (![...rows[0]].every(shared) || new Set(rows[0]).size !== rows[0].length)) {
    throw new OptionError(
      `einsum: the mask's axes '${rows[0]}' must be axes of both '${a}' and '${b}', each named once`,
    );
  }
  if (plus !== undefined && [...y].filter((label) => plus[0].includes(label)).join('') !== plus[0]) {
    throw new OptionError(
      `einsum: what is added has the axes '${plus[0]}', which are not some of '${y}' in that order`,
    );
  }
  const labels = { ...(plus === undefined ? {} : { c: plus[0] }), ...(rows === undefined ? {} : { rows: rows[0] }) };
  const more = [...(plus === undefined ? [] : [plus[1]]), ...(rows === undefined ? [] : [rows[1]])];
  return product({ a, b, y, scale, ...labels }, x, w, ...more);
}

/** The sum of a tensor and a product that nothing is added to yet, as one product; undefined where it is no such product. @internal */
export function addToProduct(tensor: Tensor, result: Tensor): Tensor | undefined {
  const { op, attrs, inputs } = result.node;
  if (op !== einsumOp) return undefined;
  const own = attrs as EinsumAttrs;
  const free = own.c === undefined && own.rows === undefined;
  return free ? product({ ...own, c: own.y }, ...inputs, tensor) : undefined;
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

/** The row of this file, for tables of all ops. @internal */
export const einsumOps: readonly Op[] = [einsumOp] as readonly Op[];

function product(attrs: EinsumAttrs, ...inputs: readonly Tensor[]): Tensor {
  return applyOne(einsumOp, inputs, attrs);
}

/** The sum of d, whose axes are `labels`, over those that `kept` does not name. */
function sumOfOthers(d: Tensor, labels: string, kept: string): Tensor {
  const axes = [...labels].flatMap((label, i) => (kept.includes(label) ? [] : [i]));
  return axes.length === 0 ? d : sum(d, { axes });
}

function sizesOf(operands: readonly string[], inputs: readonly Tensor[]): Map<string, number> {
  const sizes = new Map<string, number>();
  operands.forEach((labels, operand) => {
    const tensor = inputs[operand];
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
  });
  return sizes;
}

function freeLabel(used: string): string {
  const label = [...'tTzyxwvuZYXWVU'].find((each) => !used.includes(each));
  if (label === undefined) throw new OptionError('einsum: no label is left for time');
  return label;
}
