// Recurrence as an op: `scan(cell, inputs, state)` traces the cell once and stands in the graph as one node.
//
// What does not need the loop leaves it. A node of the body that does not depend on the state (a product of weights with
// the inputs, a dropout mask) is computed for all T steps at once before the loop; one that no later state needs (a
// readout, a weight gradient) is computed for all T steps after it, from the saved history of what it reads. Both use the
// op's rule over time (op.ts). The backward of a scan is a scan in the other direction, made by the same function: so
// its weight gradients leave the loop by themselves, as sums over time.
//
// Words: the *body* is the graph of one step; a *slice* is a body tensor whose value at step t is element t of a
// sequence [T, ...] outside; a *tap* is a body tensor whose value of every step is wanted outside.

import { checkChunk, joined, overPieces, type Part, type Piece, pieceOf, piecesOf, stepsOf } from './chunks.ts';
import { at, checkOptions, OptionError, RimgradError } from './errors.ts';
import { backpropagate } from './grad.ts';
import type { Op, OverTime } from './op.ts';
import { add, affine, identity } from './ops/elementwise.ts';
import { fill, placeholder } from './ops/leaf.ts';
import { sum } from './ops/reduce.ts';
import { broadcastTo, reshape } from './ops/shape.ts';
import { isRecomputed, madeAgain } from './recompute.ts';
import { checkState, checkStep, mapRecord, named, type TensorRecord, type Tensors } from './records.ts';
import { Node, nextNodeId, Tensor } from './tensor.ts';

/** What one step of a scan returns: the next state, by the same names, and what is wanted of every step. */
export interface Step<S extends TensorRecord, O extends TensorRecord> {
  /** The state after this step. */
  readonly state: S;
  /** What is wanted of every step. */
  readonly output: O;
}

/** What a scan returns. */
export interface ScanResult<S extends TensorRecord, O extends TensorRecord> {
  /** The outputs of all steps, `[T, ...]`, by name. */
  readonly outputs: O;
  /** The state after the last step. */
  readonly state: Tensors<S>;
}

/** How a scan runs; see `scan`. */
export interface ScanOptions {
  /** From the last step to the first; sequences keep their order. */
  readonly reverse?: boolean;
  /** T, where there are no inputs to tell it. */
  readonly steps?: number;
  /** Steps of one loop at most. */
  readonly chunk?: number;
  /** The backward computes chunks again instead of keeping what they computed. */
  readonly recompute?: boolean;
  /** Of which longer sequence these are steps, for messages. @internal */
  readonly part?: Part;
}

/** The loop that a scan node carries out. Inputs of the node: `init`, then the sequences of `slices`, then `captured`. */
export interface ScanAttrs {
  readonly steps: number;
  /** True where the loop runs from the last step to the first. Sequences keep their order. */
  readonly reverse: boolean;
  readonly part: Part;
  /** The nodes of the body that stay in the loop, ascending. */
  readonly body: readonly Node[];
  readonly stateIn: readonly Tensor[];
  readonly stateOut: readonly Tensor[];
  readonly slices: readonly Tensor[];
  readonly captured: readonly Tensor[];
  /** Body tensors whose history is wanted; output `stateIn.length + i` of the node is that of tap i. Grows by `tap`. */
  readonly taps: Tensor[];
}

/** The op of a scan's node. Its kernel calls are the planner's business (plan.ts), its meaning check/'s. */
const scanOp: Op<ScanAttrs> = {
  name: 'scan',
  infer: (_inputs, { stateIn }) => stateIn.map(({ shape, dtype }) => ({ shape, dtype })),
  backward: scanBackward,
  again: scanAgain,
};

/** The scan's attributes where a node is one. */
export function scanOf(node: Node): ScanAttrs | undefined {
  return node.op === scanOp ? (node.attrs as ScanAttrs) : undefined;
}

/**
 * Runs `cell` over the first axis of every input, carrying a state.
 * @param cell one step, written with ops: from the inputs of that step (without T) and the state to the next state and
 *   the outputs of the step. It is called once, to be traced.
 * @param inputs sequences `[T, ...]`, time first
 * @param state the state before the first step
 * @param options `reverse`: from the last step to the first (sequences keep their order); `steps`: T, where there are
 *   no inputs to tell it; `chunk`: so many steps at most in one loop, that no sequence within is longer (chunks.ts): the
 *   same numbers, but that the cell is traced, and draws its streams of random numbers, once a chunk; `recompute`: the
 *   backward computes each chunk again instead of keeping what its steps computed (recompute.ts); `part`: of which longer
 *   sequence these are steps, for messages
 * @returns the outputs of all steps, `[T, ...]`, and the state after the last one
 * @throws ShapeError where lengths differ or the cell changes the shape of its state; OptionError where it returns no state or no
 *   output
 */
export function scan<X extends TensorRecord, S extends TensorRecord, O extends TensorRecord>(
  cell: (inputs: Tensors<X>, state: Tensors<S>) => Step<Tensors<S>, O>,
  inputs: X,
  state: S,
  options: ScanOptions = {},
): ScanResult<S, O> {
  checkOptions('scan', options, ['reverse', 'steps', 'chunk', 'recompute', 'part']);
  const steps = stepsOf(inputs, options.steps);
  const { reverse = false, chunk = steps, recompute = false, part = { start: 0, total: steps } } = options;
  checkChunk('scan', chunk);
  const pieces = piecesOf(steps, chunk);
  if (pieces.length === 1 && !recompute) return wholeScan(cell, inputs, state, steps, reverse, part);
  const run = (piece: Piece, before: Tensors<S>): ScanResult<S, O> => {
    const own = mapRecord(inputs, (sequence) => pieceOf(sequence, piece));
    return wholeScan(cell, own as unknown as X, before as unknown as S, piece.length, reverse, piece);
  };
  const { results, state: last } = overPieces(pieces, state as unknown as Tensors<S>, run, { reverse, recompute });
  return { outputs: joined(results.map(({ outputs }) => outputs)), state: last };
}

/** `scan` in one loop. */
function wholeScan<X extends TensorRecord, S extends TensorRecord, O extends TensorRecord>(
  cell: (inputs: Tensors<X>, state: Tensors<S>) => Step<Tensors<S>, O>,
  inputs: X,
  state: S,
  steps: number,
  reverse: boolean,
  part: Part,
): ScanResult<S, O> {
  const start = nextNodeId();
  const slices = new Map<Tensor, Tensor>();
  const traced = mapRecord(inputs, (sequence) => {
    const slice = placeholder('slice', sequence.shape.slice(1), sequence.dtype);
    slices.set(slice, sequence);
    return slice;
  });
  const names = Object.keys(state);
  const stateIn = mapRecord(state, (t) => placeholder('state', t.shape, t.dtype));
  const step = cell(traced, stateIn);
  checkStep(step);
  for (const name of names) checkState(name, named(state, name), step.state[name]);
  const unknown = Object.keys(step.state).find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new OptionError(`scan: the cell returned the state '${unknown}', which has no initial value`);

  const outputNames = Object.keys(step.output);
  const result = buildScan({
    steps,
    reverse,
    part,
    start,
    isSlice: (t) => slices.has(t),
    sequenceOf: (t) => get(slices, t),
    stateIn: names.map((name) => named(stateIn, name)),
    init: names.map((name) => named(state, name)),
    stateOut: names.map((name) => named(step.state, name)),
    outputs: outputNames.map((name) => ({ tensor: named(step.output, name), summed: false })),
  });
  const record = <R extends TensorRecord>(keys: readonly string[], values: readonly Tensor[]): R =>
    Object.fromEntries(keys.map((key, i) => [key, at(values, i)])) as unknown as R;
  return { outputs: record<O>(outputNames, result.outputs), state: record<Tensors<S>>(names, result.state) };
}

/** The tensor that holds the history `[T, ...]` of a tensor of the body. */
export function tap(node: Node, tensor: Tensor): Tensor {
  const attrs = scanOf(node);
  if (attrs === undefined) throw new RimgradError(`scan: ${node.op.name} is no scan`);
  const slice = attrs.slices.indexOf(tensor);
  if (slice >= 0) return at(node.inputs, attrs.stateIn.length + slice);
  const known = attrs.taps.indexOf(tensor);
  if (known >= 0) return at(node.outputs, attrs.stateIn.length + known);
  attrs.taps.push(tensor);
  const history = new Tensor(node, node.outputs.length, { shape: [attrs.steps, ...tensor.shape], dtype: tensor.dtype });
  node.outputs.push(history);
  return history;
}

interface ScanParts {
  readonly steps: number;
  readonly reverse: boolean;
  readonly part: Part;
  /** Nodes with smaller ids are no part of the body, unless their outputs are slices. */
  readonly start: number;
  /** True for a tensor that stands for one element of a sequence, which `sequenceOf` gives. */
  isSlice(tensor: Tensor): boolean;
  sequenceOf(tensor: Tensor): Tensor;
  readonly stateIn: readonly Tensor[];
  readonly init: readonly Tensor[];
  readonly stateOut: readonly Tensor[];
  /** Wanted of every step: stacked to `[T, ...]`, or summed over the steps. */
  readonly outputs: readonly { readonly tensor: Tensor; readonly summed: boolean }[];
}

/** Sorts a traced body into what leaves the loop and what stays, and makes the nodes of both. */
function buildScan(parts: ScanParts): { state: readonly Tensor[]; outputs: readonly Tensor[] } {
  const states = new Set(parts.stateIn);
  const body = traceBody(parts, states);
  // A state that is passed on as it came, or under another shape, has no kernel call of its own to write it.
  const stateOut = parts.stateOut.map((t) => (body.has(aliasRoot(t).node) ? t : identity(t)));
  for (const t of stateOut) body.add(t.node);
  const timed = (t: Tensor): boolean => states.has(t) || parts.isSlice(t) || body.has(t.node);

  // Needed in the loop: the next state, all that leads to it, and what has no rule over time.
  const ascending = [...body].sort((a, b) => a.id - b.id);
  const needed = new Set<Node>(stateOut.map((t) => t.node));
  for (const node of ascending.toReversed()) {
    if (isRecomputed(node))
      throw new OptionError('scan: its cell cannot recompute a part of itself; give the scan recompute: true instead');
    if (node.op === scanOp)
      throw new OptionError('scan: a scan inside the cell of a scan is not supported; unroll the inner one');
    if (node.op.overTime === undefined) needed.add(node);
    if (needed.has(node)) for (const input of node.inputs) if (body.has(input.node)) needed.add(input.node);
  }
  // Of those, in the loop: what depends on the state, or on something in the loop, or has no rule over time.
  const finals = new Set(stateOut.map((t) => t.node));
  const loop = new Set<Node>();
  for (const node of ascending) {
    const tied = node.inputs.some((t) => states.has(t) || loop.has(t.node)) || finals.has(node);
    if (needed.has(node) && (tied || node.op.overTime === undefined)) loop.add(node);
  }

  const lifted = new Map<Node, readonly Tensor[]>();
  let scanNode: Node<ScanAttrs> | undefined;
  const sequence = (t: Tensor): Tensor => {
    if (parts.isSlice(t)) return parts.sequenceOf(t);
    if (!timed(t)) return broadcastTo(reshape(t, [1, ...t.shape]), [parts.steps, ...t.shape]);
    if (states.has(t) || loop.has(t.node)) {
      if (scanNode === undefined) throw new RimgradError('scan: a history was asked for before its loop was made');
      return tap(scanNode as Node, t);
    }
    let outputs = lifted.get(t.node);
    if (outputs === undefined) {
      outputs = t.node.op.overTime?.(over(t.node));
      if (outputs === undefined) throw new RimgradError(`scan: ${t.node.op.name} has no rule over time`);
      lifted.set(t.node, outputs);
    }
    return at(outputs, t.index);
  };
  const summed = (t: Tensor): Tensor => {
    if (!timed(t)) return affine(t, parts.steps, 0);
    const inner = states.has(t) || parts.isSlice(t) || loop.has(t.node);
    const rule = inner || t.index !== 0 ? undefined : t.node.op.sumOverTime;
    return rule === undefined ? sum(sequence(t), { axes: [0] }) : rule(over(t.node));
  };
  const over = (node: Node): OverTime<unknown> => ({
    steps: parts.steps,
    attrs: node.attrs,
    node,
    varies: (i) => timed(at(node.inputs, i)),
    sequence: (i) => sequence(at(node.inputs, i)),
    constant: (i) => at(node.inputs, i),
    summed: (i) => summed(at(node.inputs, i)),
  });

  const loopNodes = ascending.filter((node) => loop.has(node));
  const read = new Set(loopNodes.flatMap((node) => node.inputs));
  const slices = [...read].filter((t) => timed(t) && !states.has(t) && !loop.has(t.node));
  const captured = [...read].filter((t) => !timed(t));
  const inputs = [...parts.init, ...slices.map(sequence), ...captured];
  if (loopNodes.length > 0 || parts.stateIn.length > 0) {
    scanNode = makeScan(inputs, {
      steps: parts.steps,
      reverse: parts.reverse,
      part: parts.part,
      body: loopNodes,
      stateIn: parts.stateIn,
      stateOut,
      slices,
      captured,
      taps: [],
    });
  }
  const state = scanNode === undefined ? [] : scanNode.outputs.slice(0, parts.stateIn.length);
  return {
    state,
    outputs: parts.outputs.map(({ tensor, summed: whole }) => (whole ? summed(tensor) : sequence(tensor))),
  };
}

/** The tensor whose memory an alias shares. */
function aliasRoot(tensor: Tensor): Tensor {
  let root = tensor;
  while (root.node.op.alias === true) root = at(root.node.inputs, root.index);
  return root;
}

function makeScan(inputs: readonly Tensor[], attrs: ScanAttrs): Node<ScanAttrs> {
  const node = new Node<ScanAttrs>(scanOp, inputs, attrs);
  scanOp.infer(inputs, attrs).forEach((spec, i) => {
    node.outputs.push(new Tensor(node as Node, i, spec));
  });
  return node;
}

/** The same scan from other inputs. Its body reads what it captured directly: where that is another, it is built again. */
function scanAgain({ attrs, outputs, inputs: before }: Node<ScanAttrs>, inputs: readonly Tensor[]): readonly Tensor[] {
  const first = attrs.stateIn.length + attrs.slices.length;
  const other = new Map<Tensor, Tensor>();
  inputs.forEach((t, i) => {
    if (i >= first && t !== before[i]) other.set(at(before, i), t);
  });
  const renamed = (t: Tensor): Tensor => other.get(t) ?? t;
  const body = attrs.body.map((each) => {
    if (!each.inputs.some((t) => other.has(t))) return each;
    const made = madeAgain(each, each.inputs.map(renamed));
    each.outputs.forEach((t, i) => {
      other.set(t, at(made, i));
    });
    return at(made, 0).node;
  });
  const { stateOut, captured, taps } = attrs;
  const own = { body, stateOut: stateOut.map(renamed), captured: captured.map(renamed), taps: taps.map(renamed) };
  const node = new Node<ScanAttrs>(scanOp, inputs, { ...attrs, ...own });
  node.outputs.push(...outputs.map((output, i) => new Tensor(node as Node, i, output)));
  return node.outputs;
}

/** The nodes of the body whose value differs from step to step. */
function traceBody(parts: ScanParts, states: ReadonlySet<Tensor>): Set<Node> {
  const made = new Set<Node>();
  const visited = new Set<Node>();
  const roots = [...parts.stateOut, ...parts.outputs.map((o) => o.tensor)];
  const found: Node[] = [];
  const isLeaf = (t: Tensor): boolean => states.has(t) || parts.isSlice(t) || t.node.id < parts.start;
  const queue = roots.filter((t) => !isLeaf(t)).map((t) => t.node);
  for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
    if (visited.has(node)) continue;
    visited.add(node);
    found.push(node);
    for (const input of node.inputs) if (!isLeaf(input)) queue.push(input.node);
  }
  for (const node of found.sort((a, b) => a.id - b.id)) {
    const varies = node.inputs.some((t) => states.has(t) || parts.isSlice(t) || made.has(t.node));
    if (varies || node.op.random === true) made.add(node);
  }
  return made;
}

/** The backward of a scan: a scan over the same steps in the other direction, whose state is the state's gradient. */
function scanBackward(node: Node<ScanAttrs>, d: readonly (Tensor | undefined)[]): readonly (Tensor | undefined)[] {
  const { steps, reverse, part, body, stateIn, stateOut, slices, captured, taps } = node.attrs;
  const start = nextNodeId();
  const carried = stateIn.flatMap((t, i) => (t.dtype === 'f32' ? [i] : []));
  const carry = carried.map((i) => placeholder('state', at(stateIn, i).shape, 'f32'));
  const arriving = new Map<Tensor, Tensor>();
  const seeds = new Map<Tensor, Tensor>();
  const seed = (t: Tensor, gradient: Tensor): void => {
    const before = seeds.get(t);
    seeds.set(t, before === undefined ? gradient : add(before, gradient));
  };
  carried.forEach((i, k) => {
    seed(at(stateOut, i), at(carry, k));
  });
  taps.forEach((t, i) => {
    const gradient = d[stateIn.length + i];
    if (gradient === undefined) return;
    const slice = placeholder('slice', t.shape, 'f32');
    arriving.set(slice, gradient);
    seed(t, slice);
  });
  const adjoints = backpropagate(body, seeds);

  const forward = new Set([...stateIn, ...slices, ...body.flatMap((each) => each.outputs)]);
  const zeros = (t: Tensor): Tensor => fill(0, t.shape);
  const outer = [
    ...slices.map((tensor) => ({ tensor, summed: false })),
    ...captured.map((tensor) => ({ tensor, summed: true })),
  ];
  const result = buildScan({
    steps,
    reverse: !reverse,
    part,
    start,
    isSlice: (t) => arriving.has(t) || forward.has(t),
    sequenceOf: (t) => arriving.get(t) ?? tap(node as Node, t),
    stateIn: carry,
    init: carried.map((i) => d[i] ?? zeros(at(stateIn, i))),
    stateOut: carried.map((i) => adjoints.get(at(stateIn, i)) ?? zeros(at(stateIn, i))),
    outputs: outer.flatMap(({ tensor, summed }) => {
      const adjoint = adjoints.get(tensor);
      return adjoint === undefined ? [] : [{ tensor: adjoint, summed }];
    }),
  });
  const gradients = new Map<Tensor, Tensor>();
  carried.forEach((i, k) => {
    gradients.set(at(stateIn, i), at(result.state, k));
  });
  outer
    .filter(({ tensor }) => adjoints.has(tensor))
    .forEach(({ tensor }, k) => {
      gradients.set(tensor, at(result.outputs, k));
    });
  return [...stateIn, ...slices, ...captured].map((t) => gradients.get(t));
}

function get<K, V>(map: ReadonlyMap<K, V>, key: K): V {
  const value = map.get(key);
  if (value === undefined) throw new RimgradError('scan: a tensor of the body has no sequence');
  return value;
}
