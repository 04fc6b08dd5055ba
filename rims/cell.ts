// The RIM cell, one step, written in plain ops: readable, with every option, and the reference for the fused op.
//
// Order of a step (Goyal et al. 2019, sections 2.2 to 2.4): input attention with a null row, choice of the K active
// modules, dynamics of each module by its own LSTM or GRU, communication, and the update of the active modules only.
// Nothing but the mask decides what is kept: an inactive module's h and c come out bit for bit as they went in.

import {
  add,
  broadcastTo,
  concat,
  einsum,
  fill,
  greaterEqual,
  groupedMatmul,
  gruGates,
  lstmGates,
  maskGradient,
  matmul,
  mean,
  mul,
  type RandomState,
  reshape,
  type Shape,
  slice,
  softmax,
  type Tensor,
  topKMask,
  type Variable,
  where,
} from '../engine/core.ts';
import { at, formatShape, need, OptionError, ShapeError } from '../engine/errors.ts';
import { sameShape } from '../engine/tensor.ts';
import { type Communication, communicate, dropped } from './communication.ts';
import { type CellOptions, checkCell, type PresetOptions, presetOptions } from './options.ts';
import { acrossModules, rankingScore, sparseAttention, sparseRanking } from './selection.ts';
import { makeWeights, type Weights } from './weights.ts';

/** The state of a cell: h, and c of an LSTM, both [B,N,H]. */
export type CellState = {
  /** What the modules put out, [B,N,H]. */
  readonly h: Tensor;
  /** An LSTM's memory, [B,N,H]. */
  readonly c?: Tensor;
};

/** What a caller may impose on a step. */
export interface Imposed {
  /** `[B,N]`: 1 active, 0 inactive, negative: as the modules' competition decides. */
  readonly mask?: Tensor;
  /** Factors on the attended values, `[B,N,I*V]`. */
  readonly dropValues?: Tensor;
  /** Factors on the input probabilities, `[B,N,I,S]`, the null row first. */
  readonly dropProbabilities?: Tensor;
}

/** Every intermediate of a step, by name; what an option leaves out is missing. */
export interface CellTrace extends Partial<Communication> {
  /** Keys of the input rows, `[B,S,I*E]`, the null row first. */
  readonly keys?: Tensor;
  /** Values of the input rows, `[B,S,I*V]`, the null row first. */
  readonly values: Tensor;
  /** Queries of the modules, `[B,N,I*E]`. */
  readonly query?: Tensor;
  /** `[B,N,I,S]`, scaled by 1/sqrt(E); [B,N,1,S] where heads are averaged. */
  readonly scores?: Tensor;
  /** The softmax of the scores, before the sparse rule and dropout. */
  readonly softmax?: Tensor;
  /** `[B,N,I,S]`: the input attention, before dropout. */
  readonly probabilities?: Tensor;
  /** `[B,N,I,S]`: the input attention that the values are read with, after dropout. */
  readonly readProbabilities?: Tensor;
  /** `[B,N,I*V]`: the attended values, before dropout and before inactive modules are silenced. */
  readonly attended?: Tensor;
  /** `[B,N]`: 1 for an active module. */
  readonly mask: Tensor;
  /** `[B,N,I*V]`: what enters the gates. */
  readonly moduleInput: Tensor;
  /** `[B,N,H]`: h after the dynamics, of all modules. */
  readonly candidate: Tensor;
  /** An LSTM's memory after the dynamics, of all modules, `[B,N,H]`. */
  readonly candidateCell?: Tensor;
  /** `[B,N,H]`: what others read of each module. */
  readonly source?: Tensor;
  /** `[B,N,H]`: the candidate after communication. */
  readonly communicated: Tensor;
}

/** What a step returns. */
export interface CellStep {
  /** The state after it. */
  readonly state: CellState;
  /** What was computed on the way. */
  readonly trace: CellTrace;
}

/** Where a cell's random numbers come from: its weights' seed, and the state that its dropout draws from. */
export interface CellRandom {
  /** Of its weights: an integer from 0 to 2^53 - 1. */
  readonly seed: number;
  /** The first stream of random numbers that its weights take; they take 16. 0 where left out. */
  readonly stream?: number;
  /** What its dropout draws from; without it there is none. */
  readonly dropout?: RandomState;
}

/** One Recurrent Independent Mechanisms cell. */
export class RIMCell {
  /** Its options, complete. */
  readonly options: CellOptions;
  /** Its weights, by name. */
  readonly weights: Weights;
  readonly #random: RandomState | undefined;

  /** @throws OptionError for options that do not go together */
  constructor(options: CellOptions, random: CellRandom, name = 'rim') {
    this.options = checkCell(options);
    this.weights = makeWeights(options, name, { seed: random.seed, stream: random.stream ?? 0 });
    this.#random = random.dropout;
  }

  /** The paper's choices. */
  static paper(options: PresetOptions, random: CellRandom): RIMCell {
    return new RIMCell(presetOptions('paper', options), random);
  }

  /** The choices of the official code. */
  static official(options: PresetOptions, random: CellRandom): RIMCell {
    return new RIMCell(presetOptions('official', options), random);
  }

  /** The choices of dido's code. */
  static dido(options: PresetOptions, random: CellRandom): RIMCell {
    return new RIMCell(presetOptions('dido', options), random);
  }

  /** What its dropout draws from, where it is to act. */
  get random(): RandomState | undefined {
    return this.#random;
  }

  /** All weights, in the order of weights.ts. */
  get variables(): readonly Variable[] {
    return Object.values(this.weights);
  }

  /**
   * Batch, input rows and input size of a step.
   * @param x the shape of one step of input
   * @throws ShapeError, OptionError where input or state do not fit the options
   */
  check(x: Shape, state: CellState): [number, number, number] {
    const { inputSize: D, inputRows: R, hiddenSize: H, modules: N } = this.options;
    const [B] = state.h.shape;
    if (B === undefined || state.h.shape.length !== 3 || state.h.shape[1] !== N || state.h.shape[2] !== H) {
      throw new ShapeError(`RIM: h must be [B,${N},${H}], not ${formatShape(state.h.shape)}`);
    }
    if (!sameShape(x, [B, R, D]) && !(R === 1 && sameShape(x, [B, D]))) {
      throw new ShapeError(`RIM: x must be [${B},${R},${D}]${R === 1 ? ` or [${B},${D}]` : ''}, not ${formatShape(x)}`);
    }
    if (state.c !== undefined) expect('c', state.c, state.h.shape);
    if (state.c !== undefined && this.options.cell === 'gru')
      throw new OptionError('RIM: a GRU cell has no state c; leave it out');
    if (state.c === undefined && this.options.cell === 'lstm')
      throw new OptionError('RIM: an LSTM cell needs the state c beside h');
    return [B, R, D];
  }

  /**
   * One step.
   * @param x [B,R,D], or [B,D] where R is 1
   * @param state h, and c for an LSTM, [B,N,H]
   * @throws ShapeError where a shape does not fit the options
   */
  step(x: Tensor, state: CellState, imposed: Imposed = {}): CellStep {
    const [B, R, D] = this.check(x.shape, state);
    const { modules: N } = this.options;
    if (imposed.mask !== undefined) expect('the imposed mask', imposed.mask, [B, N]);
    const rows = reshape(x, [B, R, D]);
    const input = this.options.inputAttention ? this.#attend(rows, state.h, imposed) : this.#readAll(rows, imposed);
    const { mask } = input;
    const wide = reshape(mask, [B, N, 1]);
    const moduleInput = this.options.inactiveInput === 'zero' ? mul(input.moduleInput, wide) : input.moduleInput;
    const { candidate, candidateCell } = this.#dynamics(moduleInput, state);

    let source: Tensor | undefined;
    let talk: Communication | undefined;
    if (this.options.communication) {
      source = this.options.sources === 'kept' ? where(wide, candidate, state.h) : maskGradient(candidate, wide);
      talk = communicate(source, this.weights, this.options, this.#random);
    }
    const communicated = talk === undefined ? candidate : add(candidate, talk.commOutput);
    const h = where(wide, communicated, state.h);
    const trace: CellTrace = {
      ...input,
      moduleInput,
      candidate,
      communicated,
      ...(candidateCell && { candidateCell }),
      ...(source && { source }),
      ...talk,
    };
    if (candidateCell === undefined) return { state: { h }, trace };
    return { state: { h, c: where(wide, candidateCell, need(state.c, 'c')) }, trace };
  }

  /** Input attention over the null row and the R input rows, and the choice of the active modules. */
  #attend(
    x: Tensor,
    h: Tensor,
    imposed: Imposed,
  ): Pick<
    CellTrace,
    | 'keys'
    | 'values'
    | 'query'
    | 'scores'
    | 'softmax'
    | 'probabilities'
    | 'readProbabilities'
    | 'attended'
    | 'mask'
    | 'moduleInput'
  > {
    const {
      modules: N,
      inputHeads: I,
      inputRows: R,
      keySize: E,
      valueSize: V,
      active,
      selection,
      headRule,
    } = this.options;
    const B = at(x.shape, 0);
    const S = R + 1;
    const keys = this.#rows(x, 'key');
    const values = this.#rows(x, 'value');
    const query = groupedMatmul(h, need(this.weights.query, 'query'));
    const perHead = einsum('bnie,bsie->bnis', reshape(query, [B, N, I, E]), reshape(keys, [B, S, I, E]), {
      scale: 1 / Math.sqrt(E),
    });
    const averaged = headRule === 'averaged' && I > 1;
    const scores = averaged ? mean(perHead, { axes: [2], keepAxes: true }) : perHead;
    const smooth = selection === 'across-modules' ? acrossModules(scores, active) : softmax(scores);
    const probabilities = this.options.sparseInput ? sparseAttention(smooth, 2) : smooth;
    // The official sparse rule, where it acts, comes before the choice and can cut several null rows to the same 0.
    const cut = probabilities !== smooth && selection === 'least-null';
    const ranking = cut ? sparseRanking(probabilities) : rankingScore(scores, selection);
    const chosen = active === N ? fill(1, [B, N]) : topKMask(ranking, active);
    const mask = imposeMask(chosen, imposed.mask);

    const onProbabilities = this.options.dropoutOn === 'probabilities';
    const rate = this.options.inputDropout;
    const kept = onProbabilities ? dropped(probabilities, rate, this.#random) : probabilities;
    const read = times(kept, imposed.dropProbabilities, 'dropProbabilities');
    const byHead = reshape(values, [B, S, I, V]);
    const attended =
      headRule === 'averaged'
        ? einsum(
            'bns,bsv->bnv',
            reshape(read, [B, N, S]),
            I === 1 ? reshape(byHead, [B, S, V]) : mean(byHead, { axes: [2] }),
          )
        : reshape(einsum('bnis,bsiv->bniv', read, byHead), [B, N, I * V]);
    const moduleInput = times(
      onProbabilities ? attended : dropped(attended, rate, this.#random),
      imposed.dropValues,
      'dropValues',
    );
    return {
      keys,
      values,
      query,
      scores,
      softmax: smooth,
      probabilities,
      readProbabilities: read,
      attended,
      mask,
      moduleInput,
    };
  }

  /** Without input attention: every module reads the input's value, and all are active. */
  #readAll(x: Tensor, imposed: Imposed): Pick<CellTrace, 'values' | 'mask' | 'moduleInput'> {
    const { modules: N, inputHeads: I, valueSize: V, headRule } = this.options;
    const B = at(x.shape, 0);
    const values = this.#rows(x, 'value');
    const own = slice(values, 1, 1, 1);
    const value = headRule === 'averaged' ? mean(reshape(own, [B, 1, I, V]), { axes: [2] }) : own;
    const size = at(value.shape, 2);
    const moduleInput = dropped(broadcastTo(value, [B, N, size]), this.options.inputDropout, this.#random);
    return { values, mask: imposeMask(fill(1, [B, N]), imposed.mask), moduleInput };
  }

  /** Keys or values of all rows [B,S,·], the null row first: zeros, or the bias. */
  #rows(x: Tensor, name: 'key' | 'value'): Tensor {
    const { inputRows: R, rowWeights } = this.options;
    const w = need(this.weights[name], name);
    const bias = this.weights[name === 'key' ? 'keyBias' : 'valueBias'];
    const product = rowWeights ? einsum('brd,rdk->brk', x, slice(w, 0, 1, R)) : matmul(x, w);
    const rows = bias === undefined ? product : add(product, bias);
    const size = at(rows.shape, 2);
    const shape = [at(x.shape, 0), 1, size];
    const nullRow = bias === undefined ? fill(0, shape) : broadcastTo(reshape(bias, [1, 1, size]), shape);
    return concat([nullRow, rows], 1);
  }

  /** Every module's own LSTM or GRU, of all modules. */
  #dynamics(moduleInput: Tensor, state: CellState): { candidate: Tensor; candidateCell?: Tensor } {
    const { inputGates, stateGates, inputGatesBias, stateGatesBias } = this.weights;
    const ofInput = (bias?: Tensor): Tensor => groupedMatmul(moduleInput, need(inputGates, 'inputGates'), bias);
    const ofState = (plus?: Tensor): Tensor => groupedMatmul(state.h, need(stateGates, 'stateGates'), plus);
    if (this.options.cell === 'gru') {
      return { candidate: gruGates(ofInput(inputGatesBias), ofState(stateGatesBias), state.h) };
    }
    // The two biases of an LSTM only ever act as their sum, which does not depend on the step.
    const bias = inputGatesBias && stateGatesBias && add(inputGatesBias, stateGatesBias);
    const { h, c } = lstmGates(ofState(ofInput(bias)), need(state.c, 'c'));
    return { candidate: h, candidateCell: c };
  }
}

/** @throws ShapeError where a tensor that a caller gave has another shape */
function expect(what: string, tensor: Tensor, shape: Shape): void {
  if (!sameShape(tensor.shape, shape))
    throw new ShapeError(`RIM: ${what} must be ${formatShape(shape)}, not ${formatShape(tensor.shape)}`);
}

/** A tensor times factors of its shape, where there are any. */
function times(x: Tensor, factors: Tensor | undefined, what: string): Tensor {
  if (factors === undefined) return x;
  expect(what, factors, x.shape);
  return mul(x, factors);
}

/** The chosen mask, but for entries that are imposed. */
function imposeMask(chosen: Tensor, imposed: Tensor | undefined): Tensor {
  return imposed === undefined ? chosen : where(greaterEqual(imposed, fill(0, imposed.shape)), imposed, chosen);
}
