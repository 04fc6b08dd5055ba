// Cases of rims/talk-op.ts and rims/update-op.ts: head counts, sizes of 1, odd sizes, ties, few sources and all, many
// modules, every kind of update, and tiles and their edges.

import { concat } from '../../engine/ops/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { rimTalk } from '../../rims/talk-op.ts';
import { type RimUpdateOptions, rimUpdate } from '../../rims/update-op.ts';
import type { Case, Draw } from '../draw.ts';

/** Batch rows, modules, heads, key size, value size, sources kept. */
type TalkSizes = readonly [B: number, N: number, C: number, F: number, W: number, topK: number];

function talk(name: string, [B, N, C, F, W, topK]: TalkSizes, outputs: 'context' | 'probabilities' | 'both'): Case {
  return {
    name: `rimTalk: ${name}`,
    graph: (draw) => {
      const qkv = draw.normal([B, N, C * (2 * F + W)]);
      const { context, probabilities } = rimTalk(qkv, { heads: C, keySize: F, valueSize: W, topK });
      if (outputs === 'both') return [context, probabilities];
      return [outputs === 'context' ? context : probabilities];
    },
  };
}

/** Cases of the attention among modules. */
export const rimTalkCases: readonly Case[] = [
  talk('heads', [2, 4, 2, 3, 5, 4], 'context'),
  talk('heads, two sources, and the probabilities', [3, 5, 3, 2, 1, 2], 'both'),
  talk('only the probabilities', [1, 3, 2, 4, 2, 3], 'probabilities'),
  talk('one source', [2, 4, 1, 3, 2, 1], 'context'),
  talk('one module', [9, 1, 2, 1, 3, 1], 'both'),
  talk('many heads', [3, 3, 3, 1, 2, 2], 'context'),
  talk('many modules', [1, 16, 1, 3, 4, 5], 'context'),
  {
    // Scores of small whole numbers, equal in many places: the lowest module wins. No gradient at a tie.
    name: 'rimTalk: ties',
    graph: (draw) => {
      const { context, probabilities } = rimTalk(draw.mask([4, 5, 16]), {
        heads: 2,
        keySize: 2,
        valueSize: 4,
        topK: 2,
      });
      return [context, probabilities];
    },
  },
  {
    name: 'rimTalk: large scores',
    graph: (draw) => {
      const { context } = rimTalk(draw.normal([2, 4, 12], { std: 4 }), { heads: 1, keySize: 4, valueSize: 4, topK: 3 });
      return [context];
    },
  },
];

/** rest of a cell: states, of an LSTM the cell states, the mask and p. */
export function drawRest(draw: Draw, B: number, N: number, { cell, hidden }: RimUpdateOptions): Tensor {
  const states = draw.normal([B, N, cell === 'lstm' ? 2 * hidden : hidden]);
  return concat([states, draw.mask([B, N, 1]), draw.between(0, 1, [B, N, 1])], 2);
}

interface UpdateSizes {
  /** Batch rows, modules, elements read (C*W). */
  readonly sizes: readonly [B: number, N: number, inner: number];
  readonly shared?: boolean;
  readonly biased?: boolean;
  /** Only the first outputs, in the order h, c (LSTM), pre; all of them where it is left out. */
  readonly outputs?: readonly ('h' | 'c' | 'pre')[];
}

/** An update of drawn operands. */
export function drawUpdate(draw: Draw, options: RimUpdateOptions, update: UpdateSizes): readonly Tensor[] {
  const [B, N, inner] = update.sizes;
  const outputs = options.gated ? 2 * options.hidden : options.hidden;
  const own = update.shared === true ? [] : [N];
  const context = draw.normal([B, N, inner]);
  const w = draw.normal([...own, inner, outputs], { std: 0.5 });
  const bias = update.biased === true ? { bias: draw.normal([...own, outputs]) } : {};
  const { h, c, pre } = rimUpdate({ context, w, ...bias, rest: drawRest(draw, B, N, options) }, options);
  const named = { h, c, pre };
  return (update.outputs ?? ['h', 'c', 'pre']).flatMap((name) => named[name] ?? []);
}

function update(name: string, options: RimUpdateOptions, sizes: UpdateSizes): Case {
  return { name: `rimUpdate: ${name}`, graph: (draw) => drawUpdate(draw, options, sizes) };
}

const lstm = { cell: 'lstm', gated: false, hidden: 3 } as const;
const gru = { cell: 'gru', gated: false, hidden: 3 } as const;

/** Cases of the update. */
export const rimUpdateCases: readonly Case[] = [
  update('LSTM', lstm, { sizes: [2, 4, 5], outputs: ['h', 'c'] }),
  update('GRU', gru, { sizes: [2, 4, 5], outputs: ['h'] }),
  update('LSTM, gated, shared, biased', { ...lstm, gated: true }, { sizes: [3, 2, 4], shared: true, biased: true }),
  update('GRU, gated, a bias each', { ...gru, gated: true }, { sizes: [5, 3, 2], biased: true, outputs: ['h'] }),
  update('GRU, shared, biased', gru, { sizes: [4, 2, 3], shared: true, biased: true }),
  update('only c', lstm, { sizes: [2, 2, 3], outputs: ['c'] }),
  update('only what is before the gates', { ...lstm, gated: true }, { sizes: [2, 2, 3], outputs: ['pre'] }),
  update('one of everything', { ...lstm, hidden: 1 }, { sizes: [1, 1, 1], biased: true }),
  update('tiles of eight states', { ...lstm, hidden: 34 }, { sizes: [4, 2, 3], biased: true }),
  update('tiles of eight rows', { ...gru, gated: true, hidden: 5 }, { sizes: [17, 2, 3], shared: true }),
];
