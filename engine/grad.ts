// Reverse-mode differentiation: adds the backward nodes of a loss to the same graph.
//
// The walk visits nodes from the newest to the oldest (ids are a topological order), so every gradient of an output is
// complete before its node's own rule is asked. Contributions are added in that order: the same graph gives the same
// sums, to the bit. The rules themselves are in the op table.

import { formatShape, OptionError, ShapeError } from './errors.ts';
import { addToProduct } from './ops/einsum.ts';
import { add } from './ops/elementwise.ts';
import { fill } from './ops/leaf.ts';
import { addPadded } from './ops/shape.ts';
import { buildAgain, isRecomputed } from './recompute.ts';
import { type Node, nextNodeId, sameShape, type Tensor } from './tensor.ts';

/** The gradients of one loss, by the tensor or Variable they belong to; iterates as [tensor, gradient] pairs. */
export class Gradients {
  /** What was differentiated, a scalar. */
  readonly loss: Tensor;
  readonly #of: ReadonlyMap<Tensor, Tensor>;

  constructor(loss: Tensor, of: ReadonlyMap<Tensor, Tensor>) {
    this.loss = loss;
    this.#of = of;
  }

  /** The gradient with respect to one of the tensors that were asked for. @throws OptionError for any other */
  of(wrt: Tensor): Tensor {
    const d = this.#of.get(wrt);
    if (d === undefined) {
      throw new OptionError(`grad: a tensor ${formatShape(wrt.shape)} was not among those asked for; name it in wrt`);
    }
    return d;
  }

  /** Pairs of a tensor and its gradient, in the order asked for. */
  [Symbol.iterator](): IterableIterator<[Tensor, Tensor]> {
    return this.#of.entries();
  }
}

/**
 * Gradients of a scalar with respect to tensors or Variables, as new nodes of the same graph. A tensor that the loss
 * does not depend on has a gradient of zeros.
 * @param loss a tensor of one f32 element
 * @throws ShapeError where the loss is no scalar; OptionError where a tensor holds integers
 */
export function grad(loss: Tensor, wrt: readonly Tensor[]): Gradients {
  if (loss.size !== 1 || loss.dtype !== 'f32') {
    throw new ShapeError(
      `grad: the loss must be one f32 number, not ${loss.dtype} ${formatShape(loss.shape)}; take its sum or mean first`,
    );
  }
  for (const tensor of wrt) {
    if (tensor.dtype !== 'f32') {
      throw new OptionError(
        `grad: a ${tensor.dtype} tensor ${formatShape(tensor.shape)} has no gradient; leave it out`,
      );
    }
  }
  const wanted = new Set(wrt);
  const adjoints = backpropagate(nodesBetween(loss, wanted), new Map([[loss, fill(1, loss.shape)]]));
  return new Gradients(loss, new Map(wrt.map((t) => [t, adjoints.get(t) ?? fill(0, t.shape)])));
}

/**
 * Walks `nodes` (ascending ids) from the last to the first and returns the gradients of every tensor reached.
 * @throws OptionError where a gradient reaches an op that has no backward: nothing is silently zero
 * @param seeds gradients that arrive from outside
 */
export function backpropagate(nodes: readonly Node[], seeds: ReadonlyMap<Tensor, Tensor>): Map<Tensor, Tensor> {
  const adjoints = new Map(seeds);
  const walked = new Set(nodes);
  const arrive = (tensor: Tensor, contribution: Tensor, mark: number): void => {
    const before = adjoints.get(tensor);
    adjoints.set(tensor, before === undefined ? contribution : accumulated(before, contribution, mark));
  };
  const walk = (each: readonly Node[]): void => {
    for (const node of each.toReversed()) {
      const d = node.outputs.map((output) => adjoints.get(output));
      if (node.inputs.every((input) => input.dtype !== 'f32') || d.every((one) => one === undefined)) continue;
      const mark = nextNodeId();
      if (isRecomputed(node)) {
        // What was computed is computed again, and the walk goes on through the copies, in the order of their originals.
        const { copies, results } = buildAgain(node);
        results.forEach((result, i) => {
          const arrived = d[i];
          if (arrived !== undefined) arrive(result, arrived, mark);
        });
        const own = [...copies].flatMap(([original, copy]) => (walked.has(original) ? [copy] : []));
        for (const copy of own) walked.add(copy);
        walk(own);
        continue;
      }
      if (node.op.backward === undefined) {
        throw new OptionError(
          `grad: ${node.op.name} has no derivative here; it is itself a backward op, whose gradient is not offered: differentiate once, or block it with blockGradient`,
        );
      }
      node.op.backward(node, d).forEach((contribution, i) => {
        const input = node.inputs[i];
        if (contribution === undefined || input === undefined || input.dtype !== 'f32') return;
        if (!sameShape(contribution.shape, input.shape)) {
          throw new ShapeError(
            `${node.op.name}: its backward gave ${formatShape(contribution.shape)} for input ${i} of ${formatShape(input.shape)}`,
          );
        }
        arrive(input, contribution, mark);
      });
    }
  };
  walk(nodes);
  return adjoints;
}

/**
 * A sum of gradients; where the later one is a product made just now, it adds the earlier one itself, and gradients of
 * neighbouring slices are laid side by side.
 */
function accumulated(before: Tensor, contribution: Tensor, mark: number): Tensor {
  const product = contribution.node.id >= mark ? addToProduct(before, contribution) : undefined;
  return product ?? addPadded(before, contribution) ?? add(before, contribution);
}

/** The nodes that read any of `from`, directly or not, and lead to the loss, in ascending order. */
function nodesBetween(loss: Tensor, from: ReadonlySet<Tensor>): Node[] {
  const reached = new Set<Node>([loss.node]);
  const queue = [loss.node];
  for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
    for (const input of node.inputs) {
      if (reached.has(input.node)) continue;
      reached.add(input.node);
      queue.push(input.node);
    }
  }
  const ascending = [...reached].sort((a, b) => a.id - b.id);
  const dependent = new Set<Node>();
  for (const node of ascending) {
    if (node.inputs.some((t) => from.has(t) || dependent.has(t.node))) dependent.add(node);
  }
  return ascending.filter((node) => dependent.has(node));
}
