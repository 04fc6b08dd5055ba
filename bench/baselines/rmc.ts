// The Relational Memory Core (Santoro et al. 2018, arXiv 1806.01822): a memory of slots that attend to each other and to the input at
// every step, and are then written through gates. Equations of its section 3 without an output gate, which the paper says was not needed
// in practice: there is no h beside the memory, gates read tanh of it, and it is what comes out. That, and what the paper leaves open, is
// as in the authors' code (Sonnet 1.36): layer norm over queries, keys and values together, gates that read the mapped input, one MLP for
// all blocks. Two points differ from that code: a gate has one bias, not two, and the normal numbers that weights begin with have their tails.
//
// Always: what depends on x alone leaves the loop, the keys and values of the input's row among it; that row gets a result only
// where a later block reads it.

import {
  add,
  broadcastTo,
  concat,
  constant,
  einsum,
  initialisers,
  layerNorm,
  mul,
  relu,
  reshape,
  scan,
  sigmoid,
  slice,
  type Tensor,
  tanh,
  type Variable,
} from '../../engine/core.ts';
import { at } from '../../engine/errors.ts';
import { attend } from './attention.ts';
import type { ModelState, SequenceModel, SequenceResult } from './sequence-model.ts';
import { checkChoice, checkSequence, checkSizes, startingState, stepsAtOnce } from './state.ts';
import { type WeightMaker, weightMaker } from './weights.ts';

/** Sizes and choices of a Relational Memory Core. The size of a slot is heads*headSize. */
export interface RMCOptions {
  /** D: size of the input. */
  readonly inputSize: number;
  /** Rows of the memory. */
  readonly slots: number;
  /** Heads of the attention. */
  readonly heads: number;
  /** Size of a query, key or value in one head. */
  readonly headSize: number;
  /** Rounds of attention in a step, each with weights of its own but for the MLP; 1 where left out. */
  readonly blocks?: number;
  /** Layers of the MLP behind the attention, ReLU between them; 2 where left out. */
  readonly mlpLayers?: number;
  /** A gate for every `unit` of the memory, where left out, or one for every slot (`memory`). */
  readonly gates?: 'unit' | 'memory';
}

/** The state of a Relational Memory Core. */
export type RMCState = {
  /** [B,slots,size] */
  readonly memory: Tensor;
};

/** One round of attention. */
export interface RMCBlockWeights {
  /** Maps a row to its query, key and value, heads one after the other in each, [size,3*size]. */
  readonly attention: Variable;
  /** [3*size] */
  readonly attentionBias: Variable;
  /** Layer norm of query, key and value together, [3*size]. */
  readonly attentionNorm: Variable;
  /** [3*size] */
  readonly attentionNormBias: Variable;
  /** Layer norm behind the attention's residual, [size]. */
  readonly norm1: Variable;
  /** [size] */
  readonly norm1Bias: Variable;
  /** Layer norm behind the MLP's residual, [size]. */
  readonly norm2: Variable;
  /** [size] */
  readonly norm2Bias: Variable;
}

/** One gate; gateSize is the size of a slot, or 1. */
export interface RMCGateWeights {
  /** For the mapped input, [size,gateSize]. */
  readonly input: Variable;
  /** For the memory, [size,gateSize]. */
  readonly memory: Variable;
  /** [gateSize] */
  readonly bias: Variable;
}

/** The weights of a Relational Memory Core. */
export interface RMCWeights {
  /** [D,size] */
  readonly input: Variable;
  /** [size] */
  readonly inputBias: Variable;
  /** By block. */
  readonly blocks: readonly RMCBlockWeights[];
  /** Layers of the MLP. */
  readonly mlp: readonly {
    /** [size,size] */
    readonly weight: Variable;
    /** [size] */
    readonly bias: Variable;
  }[];
  /** How much of what is new gets in. */
  readonly inputGate: RMCGateWeights;
  /** How much of the memory stays. */
  readonly forgetGate: RMCGateWeights;
}

/**
 * What a Relational Memory Core returns: `hidden` is the memory, slots one after the other, [T,B,slots*size]. Trace: `inputGate` and
 * `forgetGate` [T,B,slots,gateSize]; `attention1` and so on by block, [T,B,heads,rows,slots+1], where each slot looks: at the slots, and
 * last at the input, which is a row that looks itself in every block but the last.
 */
export type RMCResult = SequenceResult<RMCState>;

/** A Relational Memory Core over sequences; call it with x [T,B,D]. It begins with ones on the diagonal of its memory. */
export interface RMC extends SequenceModel<RMCState> {
  /** Its weights by what they are for. */
  readonly weights: RMCWeights;
}

/**
 * Makes a Relational Memory Core. With `r = x·input + inputBias`, and in each block over rows R, first `[M; r]`:
 * `[Q K V] = norm(R·attention + attentionBias); A = norm1(R + softmax(Q·Kᵀ/sqrt(headSize))·V); R' = norm2(A + MLP(A))`.
 * With M̃ the slots' rows of the last R': `M' = σ(r·W_f + tanh(M)·U_f + b_f) M + σ(r·W_i + tanh(M)·U_i + b_i) tanh(M̃)`.
 * Matrices begin as N(0, 1/fan-in), as the authors' do but for their cut tails; biases as 0, but for the forget gate's 1.
 * @throws OptionError for sizes that are none, or gates that do not exist; ShapeError at a call whose x or state does not fit
 */
export function rmc(options: RMCOptions, random: { readonly seed: number }): RMC {
  const { inputSize: D, slots, heads, headSize, blocks = 1, mlpLayers = 2, gates = 'unit' } = options;
  const known = ['inputSize', 'slots', 'heads', 'headSize', 'blocks', 'mlpLayers', 'gates'];
  checkSizes('RMC', options, known, { inputSize: D, slots, heads, headSize, blocks, mlpLayers });
  checkChoice('RMC', 'gates', gates, ['unit', 'memory']);
  const size = heads * headSize;
  const make = weightMaker('RMC', random.seed);
  const weights = weightsOf({ D, size, blocks, mlpLayers, gateSize: gates === 'unit' ? size : 1 }, make);

  /** Queries, keys and values of rows [..., size], side by side: [...,3,size]. */
  const project = (rows: Tensor, block: RMCBlockWeights): Tensor => {
    const norm = { weight: block.attentionNorm, bias: block.attentionNormBias };
    const maps = layerNorm(linear(rows, block.attention, block.attentionBias), norm);
    return reshape(maps, [...rows.shape.slice(0, -1), 3, size]);
  };

  const mlp = (rows: Tensor): Tensor => {
    return weights.mlp.reduce((x, { weight, bias }, i) => linear(i === 0 ? x : relu(x), weight, bias), rows);
  };

  /** All blocks of a step: the slots' new rows, and where the rows looked in each block. */
  const attended = (memory: Tensor, row: Tensor): { readonly rows: Tensor; readonly attention: readonly Tensor[] } => {
    let rows = blocks === 1 ? memory : concat([memory, reshape(row, [-1, 1, size])], 1);
    const attention = weights.blocks.map((block, i) => {
      const maps = project(i === 0 ? memory : rows, block);
      const below = i === 0 ? project(row, block) : undefined;
      const asking = i === blocks - 1 ? slots : slots + 1;
      const told = attend({
        queries: picked(maps, below, asking, QUERY),
        keys: picked(maps, below, slots + 1, KEY),
        values: picked(maps, below, slots + 1, VALUE),
        heads,
        first: 'batch',
        plus: slice(rows, 1, 0, asking),
      });
      const between = layerNorm(told.context, { weight: block.norm1, bias: block.norm1Bias });
      rows = layerNorm(add(between, mlp(between)), { weight: block.norm2, bias: block.norm2Bias });
      return told.attention;
    });
    return { rows, attention };
  };

  /** A gate [B,slots,gateSize]: the input's part is spread over the slots outside of the loop. */
  const gateOf = (row: Tensor, memory: Tensor, gate: RMCGateWeights): Tensor => {
    const ofInput = linear(row, gate.input, gate.bias);
    const [B, gateSize] = [at(ofInput.shape, 0), at(ofInput.shape, 1)];
    return sigmoid(linear(memory, gate.memory, broadcastTo(reshape(ofInput, [B, 1, gateSize]), [B, slots, gateSize])));
  };

  const run = (x: Tensor, start?: ModelState): RMCResult => {
    const { steps, batch: B } = checkSequence('RMC', x, D);
    const identity = initialisers.identity()([slots, size], { seed: 0, stream: 0 });
    const beginning = { memory: broadcastTo(constant(identity, [1, slots, size]), [B, slots, size]) };
    const { memory } = startingState<RMCState>('RMC', beginning, start);
    const result = scan(
      (input, state) => {
        const row = linear(input.x, weights.input, weights.inputBias);
        const { rows, attention } = attended(state.memory, row);
        const bent = tanh(state.memory);
        const inputGate = gateOf(row, bent, weights.inputGate);
        const forgetGate = gateOf(row, bent, weights.forgetGate);
        const next = add(mul(forgetGate, state.memory), mul(inputGate, tanh(rows)));
        const traced = attention.map((each, i): [string, Tensor] => [`attention${i + 1}`, each]);
        const output: Record<string, Tensor> & { readonly hidden: Tensor } = {
          hidden: reshape(next, [B, slots * size]),
          inputGate,
          forgetGate,
          ...Object.fromEntries(traced),
        };
        return { state: { memory: next }, output };
      },
      { x },
      { memory },
      { chunk: stepsAtOnce(steps, B * Math.max(3 * (slots + 1) * size, heads * slots * (slots + 1))) },
    );
    const { hidden, ...trace } = result.outputs;
    return { hidden, state: result.state, trace };
  };
  return Object.assign(run, { system: 'RMC', outputSize: slots * size, weights, variables: make.variables });
}

/**
 * x·weight + plus, of rows [B,from] or [B,rows,from]; plus is a bias, or as the result. As a product of three axes, so that what
 * arrives at x from elsewhere on the way back is added by the product itself.
 */
function linear(x: Tensor, weight: Tensor, plus: Tensor): Tensor {
  const rows = x.shape.length === 2 ? 'b' : 'br';
  return einsum(`${rows}i,io->${rows}o`, x, weight, { plus: [plus.shape.length === 1 ? 'o' : `${rows}o`, plus] });
}

/** Where the maps of a row stand. */
const [QUERY, KEY, VALUE] = [0, 1, 2];

/**
 * One map of the first `count` rows, [B,count,size], of some rows [B,rows,3,size] and one `below` them [B,3,size]. A product with
 * ones and zeros does it in one call, and so does its backward: what lies apart needs no copies to come together.
 */
function picked(maps: Tensor, below: Tensor | undefined, count: number, map: number): Tensor {
  const rows = at(maps.shape, 1);
  const ones = (shape: readonly number[], places: readonly number[]): Tensor => {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
    for (const place of places) values[place] = 1;
    return constant(values, shape);
  };
  const own = Array.from({ length: Math.min(rows, count) }, (_, row) => (row * rows + row) * 3 + map);
  const equation = 'jim,bimu->bju';
  const pick = ones([count, rows, 3], own);
  if (below === undefined || count <= rows) return einsum(equation, pick, maps);
  const last = einsum('jm,bmu->bju', ones([count, 3], [rows * 3 + map]), below);
  return einsum(equation, pick, maps, { plus: ['bju', last] });
}

interface Sizes {
  readonly D: number;
  readonly size: number;
  readonly blocks: number;
  readonly mlpLayers: number;
  readonly gateSize: number;
}

function weightsOf({ D, size, blocks, mlpLayers, gateSize }: Sizes, make: WeightMaker): RMCWeights {
  const matrix = (name: string, from: number, to: number): Variable =>
    make(name, [from, to], initialisers.normal(1 / Math.sqrt(from)));
  const row = (name: string, length: number, value = 0): Variable => make(name, [length], initialisers.constant(value));
  const gate = (name: string, bias: number): RMCGateWeights => ({
    input: matrix(`${name}.input`, size, gateSize),
    memory: matrix(`${name}.memory`, size, gateSize),
    bias: row(`${name}.bias`, gateSize, bias),
  });
  const block = (name: string): RMCBlockWeights => ({
    attention: matrix(`${name}.attention`, size, 3 * size),
    attentionBias: row(`${name}.attentionBias`, 3 * size),
    attentionNorm: row(`${name}.attentionNorm`, 3 * size, 1),
    attentionNormBias: row(`${name}.attentionNormBias`, 3 * size),
    norm1: row(`${name}.norm1`, size, 1),
    norm1Bias: row(`${name}.norm1Bias`, size),
    norm2: row(`${name}.norm2`, size, 1),
    norm2Bias: row(`${name}.norm2Bias`, size),
  });
  return {
    input: matrix('input', D, size),
    inputBias: row('inputBias', size),
    blocks: Array.from({ length: blocks }, (_, i) => block(`block${i + 1}`)),
    mlp: Array.from({ length: mlpLayers }, (_, i) => ({
      weight: matrix(`mlp${i + 1}.weight`, size, size),
      bias: row(`mlp${i + 1}.bias`, size),
    })),
    inputGate: gate('inputGate', 0),
    forgetGate: gate('forgetGate', 1),
  };
}
