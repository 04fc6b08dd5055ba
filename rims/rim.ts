// A RIM over sequences: layers of cells, in one or two directions, each a scan over time; long sequences in chunks that pass
// the state on (engine/chunks.ts), the same ones for all layers and both directions.

import { checkChunk, joined, overPieces, type Part, type Piece, pieceOf, piecesOf } from '../engine/chunks.ts';
import {
  blockGradient,
  concat,
  constant,
  fill,
  initialisers,
  mul,
  type RandomState,
  remark,
  reshape,
  scan,
  type Tensor,
  type TensorRecord,
  Variable,
  where,
} from '../engine/core.ts';
import { at, checkOptions, checkSwitch, formatShape, need, OptionError, quote, ShapeError } from '../engine/errors.ts';
import { type CellState, RIMCell } from './cell.ts';
import { chunkLength } from './chunk-length.ts';
import { fusedCell, plainReason } from './fused.ts';
import {
  CELL_OPTIONS,
  type CellOptions,
  checkChoice,
  type Preset,
  type PresetOptions,
  presetOptions,
} from './options.ts';

/** What concerns the sequence, besides the cell. */
export interface SequenceOptions {
  /** Cells above one another; 1 where left out. */
  readonly layers?: number;
  /** True: a second cell a layer runs from the last step to the first. */
  readonly bidirectional?: boolean;
  /** What the next layer reads: every h, or that of active modules only (the official code; others zero). */
  readonly layerFeed?: 'all' | 'active';
  /**
   * The state before the first step. 'zeros': all modules tie at the first step, the lowest indices win; 'learned': a weight
   * [N,H]; 'noise': seeded normal numbers, the same at every run, different for each batch row (dido draws anew).
   */
  readonly initialState?: 'zeros' | 'learned' | 'noise';
  /** 'auto': the fused path wherever the options allow it; 'plain': the cell in plain ops. Same numbers, to rounding. */
  readonly path?: 'auto' | 'plain';
  /**
   * Time steps that are computed as one sequence: no tensor of the network is longer, so that long sequences keep a
   * device's limits. 'auto': as many as keep the largest of them within 96 MiB, all where T is that short. The same
   * numbers, to rounding, but for dropout, whose masks differ from chunk to chunk.
   */
  readonly chunk?: number | 'auto';
  /**
   * True: the backward computes each chunk again instead of keeping what its steps computed: memory for a third to a half more
   * time. The same numbers, to the bit.
   */
  readonly recompute?: boolean;
}

const SEQUENCE_OPTIONS = [
  'layers',
  'bidirectional',
  'layerFeed',
  'initialState',
  'path',
  'chunk',
  'recompute',
] as const;
const CALL = ['state', 'mask', 'dropValues', 'dropProbabilities'] as const;

/** Options of a RIM by way of a preset. */
export type RIMOptions = PresetOptions & SequenceOptions;

/** Where its random numbers come from. */
export interface RIMRandom {
  /** Of its weights: an integer from 0 to 2^53 - 1. */
  readonly seed: number;
  /** Dropout draws from it; without one, there is no dropout. */
  readonly dropout?: RandomState;
}

/** What happened in one cell over time. */
export interface RIMTrace {
  /** Which modules were active, `[T,B,N]`: 1 or 0. */
  readonly mask: Tensor;
  /** Attention on the input rows, `[T,B,N,I,S]`, the null row first; missing without input attention. */
  readonly inputAttention?: Tensor;
  /** Attention on the modules, `[T,B,C,N,N]`, reader then source, of inactive readers 0; missing without communication. */
  readonly communicationAttention?: Tensor;
  /** h after each step, `[T,B,N,H]`. */
  readonly hidden: Tensor;
  /** c after each step, `[T,B,N,H]`, of an LSTM. */
  readonly cellState?: Tensor;
}

/** What a RIM returns. Cells are ordered layer by layer, forward before backward. */
export interface RIMResult {
  /** The last layer's h of every step, `[T,B,N*H]`, both directions side by side `[T,B,2*N*H]`. */
  readonly hidden: Tensor;
  /** The state of each cell after its last step. */
  readonly state: readonly CellState[];
  /** What happened in each cell. */
  readonly trace: readonly RIMTrace[];
  /** How each cell is computed: 'fused', or 'plain: ' and why. */
  readonly paths: readonly string[];
}

/** What a call may be given besides the input. */
export interface RIMCall {
  /** The state of each cell before its first step. */
  readonly state?: readonly CellState[];
  /** For each cell [T,B,N]: 1 active, 0 inactive, negative: as the modules' competition decides. */
  readonly mask?: readonly Tensor[];
  /** For each cell, factors on the attended values, `[T,B,N,I*V]`. */
  readonly dropValues?: readonly Tensor[];
  /** For each cell, factors on the input probabilities, `[T,B,N,I,S]`, the null row first. */
  readonly dropProbabilities?: readonly Tensor[];
}

/** A Recurrent Independent Mechanisms network over sequences; call it with a sequence. */
export interface RIM {
  /** @param x [T,B,D], or [T,B,R,D] */
  (x: Tensor, call?: RIMCall): RIMResult;
  /** Its cells, layer by layer, forward before backward. */
  readonly cells: readonly RIMCell[];
  /** All its weights, for `grad` and for files. */
  readonly variables: readonly Variable[];
}

/**
 * Makes a RIM from full cell options. The input size of the cells above the first layer follows from the layers.
 * @throws OptionError for options that do not go together
 */
export function makeRIM(options: CellOptions, random: RIMRandom, sequence: SequenceOptions = {}): RIM {
  checkOptions('RIM', random, ['seed', 'dropout']);
  checkOptions('RIM', sequence, SEQUENCE_OPTIONS);
  const { layers = 1, bidirectional = false, layerFeed = 'all', initialState = 'zeros', path = 'auto' } = sequence;
  const { chunk = 'auto', recompute = false } = sequence;
  if (chunk !== 'auto') checkChunk('RIM', chunk, " or 'auto'");
  if (!Number.isSafeInteger(layers) || layers < 1) {
    throw new OptionError(`RIM: layers must be a whole number of at least 1, not ${quote(layers)}`);
  }
  for (const [name, flag] of Object.entries({ bidirectional, recompute })) checkSwitch('RIM', name, flag);
  checkChoice('layerFeed', layerFeed, ['all', 'active']);
  checkChoice('initialState', initialState, ['zeros', 'learned', 'noise']);
  checkChoice('path', path, ['auto', 'plain']);
  const directions = bidirectional ? 2 : 1;
  const { modules: N, hiddenSize: H } = options;
  const cells: RIMCell[] = [];
  const learned: Variable[] = [];
  for (let layer = 0; layer < layers; layer++) {
    for (let direction = 0; direction < directions; direction++) {
      const own = layer === 0 ? options : { ...options, inputSize: directions * N * H, inputRows: 1 };
      const name = layers * directions === 1 ? 'rim' : `rim.${cells.length}`;
      const stream = 32 * cells.length;
      const dropout = random.dropout === undefined ? {} : { dropout: random.dropout };
      cells.push(new RIMCell(own, { seed: random.seed, stream, ...dropout }, name));
      if (initialState === 'learned') {
        const initial = initialisers.uniform(1 / Math.sqrt(H))([N, H], { seed: random.seed, stream: stream + 16 });
        learned.push(new Variable(`${name}.initial`, [N, H], initial));
      }
    }
  }

  const startOf = (index: number, batch: number): CellState => {
    const zeros = fill(0, [batch, N, H]);
    const memory = options.cell === 'lstm' ? { c: zeros } : {};
    if (initialState === 'zeros') return { h: zeros, ...memory };
    if (initialState === 'learned') {
      return { h: mul(reshape(at(learned, index), [1, N, H]), fill(1, [batch, N, H])), ...memory };
    }
    const noise = initialisers.normal(1)([batch, N, H], { seed: random.seed, stream: 32 * index + 17 });
    return { h: constant(noise, [batch, N, H]), ...memory };
  };

  const run = (x: Tensor, call: RIMCall = {}): RIMResult => {
    const [steps, batch] = x.shape;
    if (steps === undefined || batch === undefined || x.shape.length < 3) {
      throw new ShapeError(
        `RIM: x must be [T,B,${options.inputSize}] or [T,B,R,${options.inputSize}], not ${formatShape(x.shape)}`,
      );
    }
    checkOptions('RIM: a call', call, CALL);
    for (const name of CALL) {
      const given = call[name];
      if (given !== undefined && given.length !== cells.length) {
        throw new OptionError(
          `RIM: ${name} has ${given.length} entries for ${cells.length} cells; give one for each layer and direction`,
        );
      }
    }
    const state: CellState[] = [];
    const trace: RIMTrace[] = [];
    const paths: string[] = [];
    const length = chunk === 'auto' ? Math.min(...cells.map((cell) => chunkLength(cell, steps, batch))) : chunk;
    const pieces = piecesOf(steps, length);
    let layerInput: readonly Tensor[] = pieces.map((piece) => pieceOf(x, piece));
    for (let layer = 0; layer < layers; layer++) {
      const outputs: (readonly Tensor[])[] = [];
      for (let direction = 0; direction < directions; direction++) {
        const index = layer * directions + direction;
        const start = call.state?.[index] ?? startOf(index, batch);
        const cell = at(cells, index);
        const imposed = {
          mask: call.mask?.[index],
          dropValues: call.dropValues?.[index],
          dropProbabilities: call.dropProbabilities?.[index],
        };
        checkSteps(imposed, steps);
        const plain = path === 'plain' ? 'asked for' : (plainReason(cell, batch) ?? imposedReason(imposed));
        paths.push(plain === undefined ? 'fused' : `plain: ${plain}`);
        const backwards = direction === 1;
        const fused = plain === undefined ? fusedCell(cell, batch) : undefined;
        const fed = layerInput;
        const run = (piece: Piece, before: CellState): { state: CellState; trace: RIMTrace } => {
          const input = at(fed, piece.index);
          if (fused !== undefined) return fused(input, before, backwards, piece);
          return runCell(cell, input, before, backwards, piece, pieceOfEach(imposed, piece));
        };
        const { results, state: after } = overPieces(pieces, start, run, { reverse: backwards, recompute });
        const how = plain === undefined ? 'fused' : `plain, ${plain}`;
        const text = `RIM, layer ${layer + 1} of ${layers}${backwards ? ', backwards' : ''}: ${how}`;
        state.push({ ...after, h: remark(after.h, text) });
        trace.push(joined(results.map((result) => result.trace)));
        const masked = layerFeed === 'active' && layer < layers - 1;
        outputs.push(results.map((result) => remark(feedOf(result.trace, masked), text)));
      }
      layerInput = pieces.map(({ index }) =>
        concat(
          outputs.map((each) => at(each, index)),
          2,
        ),
      );
    }
    return { hidden: concat(layerInput, 0), state, trace, paths };
  };
  const variables = [...cells.flatMap((cell) => cell.variables), ...learned];
  return Object.assign(run, { cells, variables });
}

/** RIMs by preset. */
export const RIM: Readonly<Record<Preset, (options: RIMOptions, random: RIMRandom) => RIM>> = {
  /** The paper's choices. */
  paper: (options, random) => fromPreset('paper', options, random),
  /** The choices of the official code. */
  official: (options, random) => fromPreset('official', options, random),
  /** The choices of dido's code. */
  dido: (options, random) => fromPreset('dido', options, random),
};

function fromPreset(preset: Preset, options: RIMOptions, random: RIMRandom): RIM {
  checkOptions('RIM', options, [...CELL_OPTIONS, ...SEQUENCE_OPTIONS]);
  const { layers, bidirectional, layerFeed, initialState, path, chunk, recompute, ...cell } = options;
  const usual = {
    layerFeed: preset === 'official' ? 'active' : 'all',
    initialState: preset === 'dido' ? 'noise' : 'zeros',
  } as const;
  const given = { layers, bidirectional, layerFeed, initialState, path, chunk, recompute };
  const sequence = {
    ...usual,
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  };
  return makeRIM(presetOptions(preset, cell), random, sequence);
}

interface Sequences {
  readonly mask: Tensor | undefined;
  readonly dropValues: Tensor | undefined;
  readonly dropProbabilities: Tensor | undefined;
}

/** Why what a caller imposes needs the plain path. */
function imposedReason(imposed: Sequences): string | undefined {
  const name = Object.entries(imposed).find(([, tensor]) => tensor !== undefined)?.[0];
  return name === undefined ? undefined : `${name} is imposed`;
}

/** @throws ShapeError where what a caller imposes has other steps than the input: a piece of it would fit */
function checkSteps(imposed: Sequences, steps: number): void {
  for (const [name, tensor] of Object.entries(imposed) as [string, Tensor | undefined][]) {
    if (tensor === undefined || tensor.shape[0] === steps) continue;
    const shape = formatShape(tensor.shape);
    throw new ShapeError(`RIM: ${name} ${shape} has ${tensor.shape[0]} steps where ${steps} were expected`);
  }
}

/** One piece of what a caller imposes. */
function pieceOfEach({ mask, dropValues, dropProbabilities }: Sequences, piece: Piece): Sequences {
  const own = (t: Tensor | undefined): Tensor | undefined => t && pieceOf(t, piece);
  return { mask: own(mask), dropValues: own(dropValues), dropProbabilities: own(dropProbabilities) };
}

/** What the next layer reads of a cell, [T,B,N*H]. No gradient passes through the choice. */
function feedOf({ hidden, mask }: RIMTrace, masked: boolean): Tensor {
  const [T, B, N, H] = [at(hidden.shape, 0), at(hidden.shape, 1), at(hidden.shape, 2), at(hidden.shape, 3)];
  const fed = masked ? mul(hidden, blockGradient(reshape(mask, [T, B, N, 1]))) : hidden;
  return reshape(fed, [T, B, N * H]);
}

/** One cell over time, in plain ops. */
function runCell(
  cell: RIMCell,
  x: Tensor,
  start: CellState,
  reverse: boolean,
  part: Part,
  imposed: Sequences,
): { state: CellState; trace: RIMTrace } {
  const inputs: Record<string, Tensor> = { x };
  for (const [name, tensor] of Object.entries(imposed)) if (tensor !== undefined) inputs[name] = tensor;
  const state: TensorRecord = start.c === undefined ? { h: start.h } : { h: start.h, c: start.c };
  const result = scan(
    ({ x: step, ...given }: TensorRecord, { h, c }: TensorRecord) => {
      const before: CellState = { h: need(h, 'h'), ...(c && { c }) };
      const { state: after, trace } = cell.step(need(step, 'x'), before, given);
      const output: Record<string, Tensor> = { mask: trace.mask, hidden: after.h };
      if (after.c !== undefined) output.cellState = after.c;
      if (trace.probabilities !== undefined) output.inputAttention = trace.probabilities;
      if (trace.commProbabilities !== undefined) {
        const [B = 1, N = 1] = trace.mask.shape;
        output.communicationAttention = where(
          reshape(trace.mask, [B, 1, N, 1]),
          trace.commProbabilities,
          fill(0, trace.commProbabilities.shape),
        );
      }
      const next: TensorRecord = after.c === undefined ? { h: after.h } : { h: after.h, c: after.c };
      return { state: next, output: output as TensorRecord };
    },
    inputs as TensorRecord,
    state,
    { reverse, part },
  );
  const { h, c } = result.state;
  return {
    state: { h: need(h, 'h'), ...(c && { c }) },
    trace: result.outputs as unknown as RIMTrace,
  };
}
