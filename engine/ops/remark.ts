// A remark in a graph: the same tensor, and a sentence that `explain()` of every program that computes it tells. For what a
// person wants to know of a model's path through the library and cannot see in its kernel calls.

import { at } from '../errors.ts';
import { applyOne, type Op } from '../op.ts';
import type { Node, Tensor } from '../tensor.ts';

const remarkOp: Op<{ readonly text: string }> = {
  name: 'remark',
  alias: true,
  infer: (inputs) => {
    const { shape, dtype } = at(inputs, 0);
    return [{ shape, dtype }];
  },
  backward: (_, [d]) => [d],
  overTime: ({ sequence, attrs }) => [remark(sequence(0), attrs.text)],
  sumOverTime: ({ summed }) => summed(0),
};

/** The same tensor, of which `program.explain()` says `text`, once however often it is said. */
export function remark(x: Tensor, text: string): Tensor {
  return applyOne(remarkOp, [x], { text });
}

/** What a node remarks, where it is a remark. */
export function remarkOf(node: Node): string | undefined {
  return node.op === remarkOp ? (node.attrs as { readonly text: string }).text : undefined;
}

/** The row of this file, for tables of all ops. */
export const remarkOps: readonly Op[] = [remarkOp] as readonly Op[];
