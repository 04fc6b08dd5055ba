// Faults to plant in rows of the op table: in backward rules, which the calculus of the gradient check must find, and in plans,
// which its kernels must; and in what a loop binds at a step of time. A list; who plants is planted.ts.

import { at, need } from '../engine/errors.ts';
import type { Emitter, Op } from '../engine/op.ts';
import { affine, mul } from '../engine/ops/elementwise.ts';
import { opTable } from '../engine/ops/index.ts';
import { fill } from '../engine/ops/leaf.ts';
import { scan } from '../engine/scan.ts';
import type { Node, Tensor } from '../engine/tensor.ts';
import { rimOps } from '../rims/ops.ts';
import type { StepAttrs } from '../rims/step-op.ts';
import type { RowFault } from './planted.ts';

type Gradients = readonly (Tensor | undefined)[];

/** The row of that name. */
function row(name: string): Op {
  return need(
    [...opTable, ...rimOps].find((op) => op.name === name),
    `the row ${name}`,
  );
}

/** A fault in what a backward returns. */
function returned(
  op: Op,
  what: string,
  cases: readonly string[],
  change: (gradients: Gradients, node: Node, d: Gradients) => Gradients,
): RowFault {
  return {
    op,
    what,
    cases,
    wrong: ({ backward }) => ({
      backward: (node, d) => change(need(backward, 'a backward')(node, d), node, d),
    }),
  };
}

/** A fault in the attributes that a backward believes its node to have. */
function believed(op: Op, what: string, cases: readonly string[], change: (attrs: object) => object): RowFault {
  const other = (node: Node): Node => Object.create(node, { attrs: { value: change(node.attrs as object) } }) as Node;
  return {
    op,
    what,
    cases,
    wrong: ({ backward }) => ({ backward: (node, d) => need(backward, 'a backward')(other(node), d) }),
  };
}

const without = (gradients: Gradients, i: number): Gradients => gradients.map((d, k) => (k === i ? undefined : d));

/** The row of a scan, which no table has: a scan is no kernel call. */
const scanOp = scan((_, { h }) => ({ state: { h }, output: {} }), {}, { h: fill(0, [1]) }, { steps: 1 }).state.h.node
  .op;

/** Faults in rules of the engine's rows. */
export const rowFaults: readonly RowFault[] = [
  returned(row('mul'), 'each operand with its own value', ['mul: equal shapes'], (d) => d.toReversed()),
  returned(row('sub'), 'the wrong sign', ['sub: equal shapes'], ([a]) => [a, a]),
  returned(row('div'), 'the divisor has no gradient', ['div: equal shapes'], (d) => without(d, 1)),
  returned(row('sumOfSquares'), 'the factor 2 is lost', ['sumOfSquares'], ([d]) => [d && affine(d, 0.5, 0)]),
  returned(row('broadcastTo'), 'a mean instead of the sum', ['broadcastTo'], ([dx], { inputs, outputs }) => [
    dx && affine(dx, at(inputs, 0).size / at(outputs, 0).size, 0),
  ]),
  returned(row('flip'), 'the gradient is not turned', ['flip'], (_, _node, d) => d),
  returned(row('blockGradient'), 'a blocked gradient flows', ['scan: the state before, blocked'], (_, _node, d) => d),
  returned(row('maskGradient'), 'the mask is left out', ['scan: a gradient masked step by step'], (_, _node, d) => d),
  returned(row('softmax'), 'the sum over the row is dropped', ['softmax: short rows'], (_, { outputs }, [d]) => [
    d && mul(d, at(outputs, 0)),
  ]),
  returned(row('layerNorm'), 'weight and bias change places', ['layerNorm: weight and bias'], ([x, w, b]) => [x, b, w]),
  returned(row('gather'), 'the table has no gradient', ['gather: rows'], () => []),
  returned(row('gruGates'), 'the halves of the gates change places', ['gruGates'], ([x, h, s]) => [h, x, s]),
  returned(row('lstmGates'), 'the old state has no gradient', ['lstmGates'], (d) => without(d, 1)),
  returned(row('crossEntropy'), 'the wrong sign', ['crossEntropy: of each row'], ([d]) => [d && affine(d, -1, 0)]),
  believed(row('einsum'), 'the scale is lost', ['einsum bmk,bkn->bmn + n'], (attrs) => ({ ...attrs, scale: 1 })),
  believed(scanOp, 'the direction of the backward', ['scan: recurrent network'], (attrs) => ({
    ...attrs,
    reverse: !('reverse' in attrs && attrs.reverse === true),
  })),
];

const kept = ['rimStep: gru, kept'];

/** The gradient of one operand of a step is missing. */
function missing(name: StepAttrs['names'][number], cases: readonly string[]): RowFault {
  return returned(row('rimStep'), `${name} has no gradient`, cases, (d, { attrs }) =>
    without(d, (attrs as StepAttrs).names.indexOf(name)),
  );
}

/** A plan whose kernel calls are changed: `change` is given the arguments of each, in order. */
function calls(
  op: Op,
  what: string,
  cases: readonly string[],
  change: (all: readonly Planned[]) => readonly Planned[],
): RowFault {
  return {
    op,
    what,
    cases,
    wrong: ({ plan }) => ({
      plan: (emit, node) => {
        const all: Planned[] = [];
        const call: Emitter['call'] = (kernel, given) => {
          all.push({
            kernel: kernel.name,
            call: (constants) =>
              emit.call(kernel, { ...given, constants: { ...given.constants, ...constants } as never }),
          });
        };
        need(plan, 'a plan')({ ...emit, call }, node);
        for (const each of change(all)) each.call(each.constants ?? {});
      },
    }),
  };
}

interface Planned {
  readonly kernel: string;
  readonly call: (constants: Readonly<Record<string, boolean>>) => void;
  readonly constants?: Readonly<Record<string, boolean>>;
}

/** Faults in rules of the rows of RIMs. */
export const rimRowFaults: readonly RowFault[] = [
  missing('memory', kept),
  missing('wState', kept),
  missing('constant', kept),
  missing('x', kept),
  missing('nullGates', ['rimStep: lstm, kept, two sources, of a tensor']),
  calls(row('rimStep'), 'stale projections: the memory of active modules is not made anew', kept, (all) =>
    all.slice(0, -1),
  ),
  calls(row('rimStepBackward'), 'discarded candidates have gradients', ['rimStep: gru, candidates'], (all) =>
    all.map((each) => (each.kernel.startsWith('matmul') ? { ...each, constants: { ROWS: false } } : each)),
  ),
  {
    op: row('activeOuter'),
    what: 'rows of inactive modules join the gradient of the weights',
    cases: ['activeOuter: a mask, columns', ...kept],
    wrong: ({ plan }) => ({
      plan: (emit, node) => need(plan, 'a plan')({ ...emit, inputs: emit.inputs.slice(0, 2) }, node),
    }),
  },
];

/** A kernel whose binding is, at every step of time but the first, that of 256 bytes before: of the step before. */
export const timeFaults: readonly {
  readonly kernel: string;
  readonly what: string;
  readonly binding: number;
  readonly cases: readonly string[];
}[] = [
  { kernel: 'gruGates', what: 'the input of the step before', binding: 1, cases: ['scan: GRU'] },
  { kernel: 'lstmGatesBackward', what: 'the gates of the step before', binding: 1, cases: ['scan: LSTM modules'] },
  { kernel: 'rimGru', what: 'the input of the step before', binding: 3, cases: ['RIM: paper, GRU, fused'] },
];
