// Which values a fed index may take: the least bound of all ops that use it, wherever its values went on their way there,
// through changes of shape, slices, concatenations, and the loops of scans. WebGPU would clamp an index that is out of
// range silently, so feeds are checked on the host at each run (feeds.ts).
// The answer is for the whole input: where only a part of it is used as an index, all of it must be below.

import { at } from './errors.ts';
import { inputOf } from './ops/leaf.ts';
import { type ScanAttrs, scanOf } from './scan.ts';
import type { Node, Tensor } from './tensor.ts';

/** The bound that the values of an input must be below, or undefined where there is none. @param nodes ascending */
export function boundOf(input: Tensor, nodes: readonly Node[]): number | undefined {
  const bounds: number[] = [];
  const own = inputOf(input)?.below;
  if (own !== undefined) bounds.push(own);
  if (input.dtype !== 'u32') return own;
  /** Tensors that may hold values of the input. */
  const same = new Set([input]);
  const visit = (node: Node): void => {
    const scan = scanOf(node);
    if (scan !== undefined) {
      visitScan(node, scan);
      return;
    }
    const indices = new Set<number>();
    for (const { input: i, below } of node.op.bounds?.(node) ?? []) {
      indices.add(i);
      if (same.has(at(node.inputs, i))) bounds.push(below);
    }
    if (node.inputs.some((t, i) => !indices.has(i) && same.has(t))) addAll(node.outputs);
  };
  const addAll = (tensors: readonly Tensor[]): void => {
    for (const t of tensors) if (t.dtype === 'u32') same.add(t);
  };
  const visitScan = (node: Node, { stateIn, stateOut, slices, taps, body }: ScanAttrs): void => {
    slices.forEach((slice, i) => {
      if (same.has(at(node.inputs, stateIn.length + i))) same.add(slice);
    });
    // A state hands values on from step to step: until nothing new is reached.
    for (let before = -1; before < same.size; ) {
      before = same.size;
      stateIn.forEach((state, i) => {
        if (same.has(at(node.inputs, i)) || same.has(at(stateOut, i))) same.add(state);
      });
      for (const each of body) visit(each);
    }
    [...stateOut, ...taps].forEach((t, i) => {
      if (same.has(t) || (i < stateIn.length && same.has(at(stateIn, i)))) addAll([at(node.outputs, i)]);
    });
  };
  for (const node of nodes) visit(node);
  return bounds.length === 0 ? undefined : Math.min(...bounds);
}
