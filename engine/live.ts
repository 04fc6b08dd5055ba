// What of a graph is needed for what is wanted: nodes that nothing wanted depends on are left out, inside scans too, where
// taps, states, slices and body nodes that nobody asks for cost nothing.

import { at, need } from './errors.ts';
import { type ScanAttrs, scanOf } from './scan.ts';
import type { Node, Tensor } from './tensor.ts';

/** What of a scan is wanted: indices into its taps, states and slices, and the nodes of its body. */
export interface LiveScan {
  readonly attrs: ScanAttrs;
  readonly body: readonly Node[];
  readonly taps: readonly number[];
  readonly states: readonly number[];
  readonly slices: readonly number[];
}

/** The nodes that the wanted tensors need, ascending, and what each scan among them has to do. */
export function liveNodes(wanted: readonly Tensor[]): { order: Node[]; scans: Map<Node, LiveScan> } {
  const demanded = new Map<Node, Set<number>>();
  const heap: Node[] = [];
  const demand = (tensor: Tensor): void => {
    const known = demanded.get(tensor.node);
    if (known !== undefined) known.add(tensor.index);
    else {
      demanded.set(tensor.node, new Set([tensor.index]));
      heap.push(tensor.node);
    }
  };
  for (const tensor of wanted) demand(tensor);
  // Newest first: when a node is taken, all that read it have been.
  const taken: Node[] = [];
  const scans = new Map<Node, LiveScan>();
  while (heap.length > 0) {
    let newest = 0;
    heap.forEach((node, i) => {
      if (node.id > at(heap, newest).id) newest = i;
    });
    const [node] = heap.splice(newest, 1);
    if (node === undefined) break;
    taken.push(node);
    const attrs = scanOf(node);
    const outputs = need(demanded.get(node), 'a demand');
    if (node.op.alias === true) {
      for (const i of outputs) demand(at(node.inputs, i));
      continue;
    }
    if (attrs === undefined) {
      for (const input of node.inputs) demand(input);
      continue;
    }
    const live = liveScan(attrs, outputs);
    scans.set(node, live);
    const states = attrs.stateIn.length;
    for (const i of live.states) demand(at(node.inputs, i));
    for (const i of live.slices) demand(at(node.inputs, states + i));
    const read = new Set(live.body.flatMap((each) => each.inputs));
    for (const each of attrs.captured) if (read.has(each)) demand(each);
  }
  return { order: taken.reverse(), scans };
}

function liveScan(attrs: ScanAttrs, demanded: ReadonlySet<number>): LiveScan {
  const { body, stateIn, stateOut, slices } = attrs;
  const taps = attrs.taps.flatMap((_, i) => (demanded.has(stateIn.length + i) ? [i] : []));
  const needed = new Set<Tensor>(taps.map((i) => at(attrs.taps, i)));
  const states = new Set(stateIn.flatMap((_, i) => (demanded.has(i) ? [i] : [])));
  const nodes = new Set<Node>();
  for (let grew = true; grew; ) {
    const before = nodes.size + states.size;
    stateIn.forEach((t, i) => {
      if (needed.has(t)) states.add(i);
    });
    for (const i of states) needed.add(at(stateOut, i));
    for (const node of body.toReversed()) {
      if (!node.outputs.some((t) => needed.has(t))) continue;
      nodes.add(node);
      for (const input of node.inputs) needed.add(input);
    }
    grew = nodes.size + states.size > before;
  }
  return {
    attrs,
    body: body.filter((node) => nodes.has(node)),
    taps,
    states: [...states].sort((a, b) => a - b),
    slices: slices.flatMap((t, i) => (needed.has(t) ? [i] : [])),
  };
}
