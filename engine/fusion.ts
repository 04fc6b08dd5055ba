// Fusion: elementwise nodes that only feed one another become one node, so that they are one kernel call and what lies
// between them never goes through memory. Part of planning: the graph stays as it is.
//
// A node goes into the one that reads it where that is its only reader and elementwise too, of the same shape, and nothing else
// wants it. What is merged is computed where its last node stands, to the same bits. How much one call
// holds is told by ops/element-list.ts.

import { at } from './errors.ts';
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
  const groups = new Map<Node, readonly Node[]>();
  const lists = new Map<Node, ElementList>();
  for (const node of order) {
    if (node.op.elementwise?.(node) === undefined) continue;
    let group: readonly Node[] = [node];
    for (const input of new Set(node.inputs)) {
      const other = groups.get(input.node);
      if (other === undefined || kept.has(input) || readers.get(input)?.size !== 1) continue;
      if (!sameShape(input.shape, at(node.outputs, 0).shape)) continue;
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
