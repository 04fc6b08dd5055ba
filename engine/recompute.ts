// Recomputation (Griewank and Walther, "revolve", 2000; Chen et al., arXiv 1604.06174: checkpointing, rematerialisation):
// memory for time. What is made inside of `recompute` is made a second time by the backward, so that nothing of the first
// time has to last until then but what the function read and what it returned.
//
// A row of its own stands between the function's results and whoever reads them; no memory moves through it, and gradients
// go into copies of the function's nodes instead of the nodes. Copies have the attributes of their originals: the same
// random numbers, the same bits, and gradients summed in the same order. They are made where the backward needs them, so
// that the planner, which takes nodes in order of creation, computes them late and frees them soon.

import { at, OptionError } from './errors.ts';
import { apply, type Op } from './op.ts';
import { Node, nextNodeId, Tensor } from './tensor.ts';

interface RecomputeAttrs {
  /** Number of results. */
  readonly results: number;
}

/** Inputs: the results, which the outputs are under another name; then everything that they were made from before. */
const recomputeOp: Op<RecomputeAttrs> = {
  name: 'recompute',
  alias: true,
  infer: (inputs, { results }) => inputs.slice(0, results).map(({ shape, dtype }) => ({ shape, dtype })),
};

/** True for the row that stands between a recomputed function and its readers. */
export function isRecomputed(node: Node): boolean {
  return node.op === recomputeOp;
}

/**
 * Builds what `build` returns; the backward computes it again instead of keeping what lies between. Same results and same
 * gradients, to the bit. Its forward costs one more evaluation in training and nothing else.
 * @param build makes tensors from tensors that were there before. Those are kept, and the results that are read elsewhere
 * @returns what `build` returned, a record or list (nested as it likes) of tensors, in the same form
 * @throws OptionError where there is no tensor in it. The cell of a scan may not use it: put the scan inside
 */
export function recompute<R extends object>(build: () => R): R {
  const start = nextNodeId();
  const built = build();
  const results = [...tensorsIn(built)];
  if (results.length === 0) throw new OptionError('recompute: nothing was returned; return the tensors to compute');
  const given = new Set<Tensor>();
  const isGiven = (t: Tensor): boolean => t.node.id < start || t.node.inputs.length === 0;
  const visited = new Set<Node>();
  const queue = [...results];
  for (let t = queue.pop(); t !== undefined; t = queue.pop()) {
    if (isGiven(t)) given.add(t);
    else if (!visited.has(t.node)) {
      visited.add(t.node);
      queue.push(...t.node.inputs);
    }
  }
  const outputs = apply(recomputeOp, [...results, ...given], { results: results.length });
  const renamed = new Map(results.map((t, i) => [t, at(outputs, i)]));
  return replaced(built, renamed) as R;
}

/** Copies of the nodes behind a row of recomputation: of each original, and of the results, in the order of the outputs. */
export function buildAgain(node: Node): {
  readonly copies: ReadonlyMap<Node, Node>;
  readonly results: readonly Tensor[];
} {
  const { results: count } = node.attrs as RecomputeAttrs;
  const results = node.inputs.slice(0, count);
  const given = new Set(node.inputs.slice(count));
  const originals = new Set<Node>();
  const queue = [...results];
  for (let t = queue.pop(); t !== undefined; t = queue.pop()) {
    if (given.has(t) || originals.has(t.node)) continue;
    originals.add(t.node);
    queue.push(...t.node.inputs);
  }
  const copyOf = new Map<Tensor, Tensor>();
  const renamed = (t: Tensor): Tensor => copyOf.get(t) ?? t;
  const copies = new Map<Node, Node>();
  for (const original of [...originals].sort((a, b) => a.id - b.id)) {
    const outputs = madeAgain(original, original.inputs.map(renamed));
    original.outputs.forEach((output, i) => {
      copyOf.set(output, at(outputs, i));
    });
    copies.set(original, at(outputs, 0).node);
  }
  return { copies, results: results.map(renamed) };
}

/** The outputs of the same node from other inputs of the same shapes. */
export function madeAgain(node: Node, inputs: readonly Tensor[]): readonly Tensor[] {
  if (node.op.again !== undefined) return node.op.again(node, inputs);
  const copy = new Node(node.op, inputs, node.attrs);
  copy.outputs.push(...node.outputs.map((output, i) => new Tensor(copy, i, output)));
  return copy.outputs;
}

/** The tensors in a record, list or tensor, each once. */
function tensorsIn(value: unknown, found: Set<Tensor> = new Set()): Set<Tensor> {
  if (value instanceof Tensor) found.add(value);
  else if (typeof value === 'object' && value !== null) for (const each of Object.values(value)) tensorsIn(each, found);
  return found;
}

/** The same record, list or tensor with other tensors in it. */
function replaced(value: unknown, by: ReadonlyMap<Tensor, Tensor>): unknown {
  if (value instanceof Tensor) return by.get(value) ?? value;
  if (Array.isArray(value)) return value.map((each) => replaced(each, by));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, replaced(each, by)]));
}
