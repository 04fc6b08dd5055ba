// Cases of the RIM cell: every preset with either kind of module over a few steps, and the options that no preset takes.
// Weights are drawn large, so that scores lie well apart and rounding does not change a choice.

import { RandomState } from '../../engine/ops/random.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { type CellState, type Preset, RIM, RIMCell, type RIMOptions } from '../../rims/index.ts';
import type { Case, Draw } from '../draw.ts';

/** As for PyTorch's numbers: rounding grows from step to step, and where gradients of many steps cancel. */
const LIMIT = 1e-4;

// biome-ignore format: sizes side by side
const sizes: RIMOptions = {
  inputSize: 4, hiddenSize: 3, modules: 4, active: 2, keySize: 3, valueSize: 5,
  commHeads: 2, commKeySize: 2, commValueSize: 3, initialState: 'learned',
};

/** A RIM over three steps of two sequences: its outputs, last state, and mask. */
function sequence(draw: Draw, preset: Preset, options: Partial<RIMOptions>, dropout: boolean): readonly Tensor[] {
  const random = dropout ? { seed: 1, dropout: new RandomState({ seed: 2 }) } : { seed: 1 };
  const rim = RIM[preset]({ ...sizes, ...options }, random);
  draw.variables(rim.variables);
  const rows = options.inputRows === undefined ? [] : [options.inputRows];
  const { hidden, state, trace } = rim(draw.normal([3, 2, ...rows, 4]));
  return [hidden, ...state.flatMap(({ h, c }) => (c === undefined ? [h] : [h, c])), ...trace.map(({ mask }) => mask)];
}

function rim(name: string, preset: Preset, options: Partial<RIMOptions>, training = false): Case {
  return {
    name: `RIM: ${name}`,
    training,
    graph: (draw) => sequence(draw, preset, options, training),
    limit: LIMIT,
    probes: 8,
  };
}

/** One step of one cell from a drawn state, its readers reading from two of the four sources. */
function step(preset: Preset, cell: 'lstm' | 'gru'): Case {
  const graph = (draw: Draw): readonly Tensor[] => {
    const { initialState: _, ...options } = sizes;
    const one = RIMCell[preset]({ ...options, cell, commTopK: 2 }, { seed: 1 });
    draw.variables(one.variables);
    const h = draw.normal([2, 4, 3]);
    const before: CellState = cell === 'lstm' ? { h, c: draw.normal([2, 4, 3]) } : { h };
    const { state, trace } = one.step(draw.normal([2, 4]), before);
    return [...Object.values(state), trace.mask, trace.candidate, trace.communicated];
  };
  return { name: `RIM: ${preset}, one step, ${cell.toUpperCase()}, two sources`, graph, probes: 12 };
}

const presets = ['paper', 'official', 'dido'] as const;

const cells = ['lstm', 'gru'] as const;

/**
 * A RIM by the fused path, held against the plain one. What others read of a discarded candidate has no gradient, which the
 * plain path says to differences, but not the op of a step.
 */
function fused(name: string, preset: Preset, options: Partial<RIMOptions>, training = false): Case {
  const kept = (options.sources ?? (preset === 'paper' ? 'kept' : 'candidate')) === 'kept';
  return {
    ...rim(`${name}, fused`, preset, options, training),
    expected: (draw) => sequence(draw, preset, { ...options, path: 'plain' }, training),
    ...(kept || options.active === sizes.modules ? {} : { blocked: true }),
  };
}

/** A preset over a few steps by either path. */
function paths(preset: Preset, cell: 'lstm' | 'gru'): readonly Case[] {
  const name = `${preset}, ${cell.toUpperCase()}`;
  return [rim(name, preset, { cell, path: 'plain' }), fused(name, preset, { cell })];
}

/** A preset that drops. */
const drops = { inputDropout: 0.3, commDropout: 0.3 } as const;

/** Cases of the cell. */
export const rimCases: readonly Case[] = [
  ...presets.flatMap((preset) => cells.flatMap((cell) => paths(preset, cell))),
  ...presets.map((preset) => rim(`${preset}, dropout`, preset, { cell: 'gru', ...drops, path: 'plain' }, true)),
  ...presets.flatMap((preset) =>
    cells.map((cell) => fused(`${preset}, ${cell.toUpperCase()}, dropout`, preset, { cell, ...drops }, true)),
  ),
  ...presets.flatMap((preset) => cells.map((cell) => step(preset, cell))),
  fused('all active', 'paper', { active: 4, commTopK: 3 }),
  fused('all active, GRU, biases', 'dido', { active: 4, cell: 'gru', cellBias: true }),
  fused(
    'dropout of probabilities, null gates and biases',
    'paper',
    {
      ...drops,
      ...{ cell: 'gru', inputBias: true, dropoutOn: 'probabilities', selection: 'raw-score', valueSize: 2 },
    },
    true,
  ),
  rim('chosen across the modules', 'paper', { selection: 'across-modules' }),
  rim('two input heads, three rows, two sources', 'paper', { inputHeads: 2, inputRows: 3, commTopK: 2 }),
  rim('three rows, sparse', 'official', { inputRows: 3 }),
  rim('no input attention', 'paper', { inputAttention: false, active: 4 }),
  rim('no communication', 'official', { communication: false }),
  fused('two layers, two directions', 'dido', { layers: 2, bidirectional: true, layerFeed: 'active', cell: 'gru' }),
  rim('two layers, two directions', 'dido', {
    ...{ layers: 2, bidirectional: true, layerFeed: 'active', cell: 'gru', path: 'plain' },
  }),
];
