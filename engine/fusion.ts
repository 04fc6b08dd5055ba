// Fusion: elementwise nodes that only feed one another become one node, so that they are one kernel call and what lies
// between them never goes through memory. Part of planning: the graph stays as it is.
//
// A node goes into the one that reads it where that is its only reader and elementwise too, of the same shape, and nothing else
// wants it. What is merged is computed where its last node stands, to the same bits; not where that would keep more memory
// over the nodes between than the result would take (gradients that are added up chunk by chunk). How much one call holds is
// told by ops/element-list.ts.

import { at, need } from './errors.ts';
import { type ElementList, listOf, listOp } from './ops/element-list.ts';
import { constantOf } from './ops/leaf.ts';
import { scanOf } from './scan.ts';
import { Node, sameShape, type Tensor } from './tensor.ts';

/**
 * The nodes to be computed instead of some nodes in order.
 * @param kept tensors that are wanted beside what these nodes read
 */
export function fuse(order: readonly Node[], kept: ReadonlySet<Tensor>): Node[] {
  const readers = readersOf(order);
  const memory = new Memory(order, readers, kept);
  const groups = new Map<Node, readonly Node[]>();
  const lists = new Map<Node, ElementList>();
  for (const node of order) {
    if (node.op.elementwise?.(node) === undefined) continue;
    let group: readonly Node[] = [node];
    for (const input of new Set(node.inputs)) {
      const other = groups.get(input.node);
      if (other === undefined || kept.has(input) || readers.get(input)?.size !== 1) continue;
      if (!sameShape(input.shape, at(node.outputs, 0).shape) || memory.grows(other, node)) continue;
      const merged = [...group.slice(0, -1), ...other, node];
      const list = listOf(merged);
      if (list === undefined) continue;
      group = merged;
      groups.delete(input.node);
      lists.delete(input.node);
      lists.set(node, list);
    }
    groups.set(node, group);
  }
  const within = new Set([...groups.values()].flatMap((group) => group.slice(0, -1)));
  const fused = order.flatMap((node) => {
    if (within.has(node)) return [];
    const list = lists.get(node);
    return list === undefined ? [node] : [listNode(groups.get(node) ?? [], list)];
  });
  const read = readersOf(fused);
  // Constants that lists read by value need no memory.
  return fused.filter((node) => {
    const output = node.outputs[0];
    return output === undefined || constantOf(output) === undefined || read.has(output) || kept.has(output);
  });
}

/** What it would cost to compute nodes later than where they stand. */
class Memory {
  readonly #positions: ReadonlyMap<Node, number>;
  /** How many nodes before each position are no elementwise ones, and take their time. */
  readonly #others: number[] = [0];
  readonly #readers: ReadonlyMap<Tensor, ReadonlySet<Node>>;
  readonly #kept: ReadonlySet<Tensor>;

  constructor(order: readonly Node[], readers: ReadonlyMap<Tensor, ReadonlySet<Node>>, kept: ReadonlySet<Tensor>) {
    this.#positions = new Map(order.map((node, i) => [node, i]));
    for (const { op } of order) {
      const other = op.elementwise === undefined && op.alias !== true;
      this.#others.push(at(this.#others, this.#others.length - 1) + (other ? 1 : 0));
    }
    this.#readers = readers;
    this.#kept = kept;
  }

  /** True where some nodes, computed only at a later one, keep more alive over those between than their result would. */
  grows(group: readonly Node[], later: Node): boolean {
    const result = at(at(group, group.length - 1).outputs, 0);
    const [from, to] = [this.#positionOf(result.node), this.#positionOf(later)];
    if (at(this.#others, to) === at(this.#others, from + 1)) return false;
    const operands = new Set(group.flatMap((node) => node.inputs).filter(({ node }) => !group.includes(node)));
    let kept = 0;
    for (const operand of operands) if (this.#endsBy(operand, from)) kept += operand.size;
    return kept > result.size;
  }

  /** True for a tensor that was computed here and that nothing behind a position reads. */
  #endsBy(tensor: Tensor, position: number): boolean {
    const { op } = tensor.node;
    if (this.#kept.has(tensor) || (op.plan === undefined && op.alias !== true) || !this.#positions.has(tensor.node))
      return false;
    return [...(this.#readers.get(tensor) ?? [])].every((reader) => this.#positionOf(reader) <= position);
  }

  #positionOf(node: Node): number {
    return need(this.#positions.get(node), `the position of ${node.op.name}`);
  }
}

/** The nodes that read each tensor. */
function readersOf(order: readonly Node[]): Map<Tensor, Set<Node>> {
  const readers = new Map<Tensor, Set<Node>>();
  for (const node of order) {
    for (const input of [...node.inputs, ...(scanOf(node)?.captured ?? [])]) {
      const known = readers.get(input);
      if (known === undefined) readers.set(input, new Set([node]));
      else known.add(node);
    }
  }
  return readers;
}

/** A node that computes what the last of some nodes computes. */
function listNode(nodes: readonly Node[], list: ElementList): Node {
  const node = new Node<ElementList>(listOp(nodes.map(({ op }) => op.name).join('+')), list.operands, list);
  node.outputs.push(...at(nodes, nodes.length - 1).outputs);
  return node as Node;
}
