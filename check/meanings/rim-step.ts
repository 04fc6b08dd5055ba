// The meaning of rims/step-op.ts: one step of a RIM for every batch row by itself, from the equations (Goyal et al., arXiv
// 1909.10893, sections 2.2 to 2.4), module after module. What a step leaves undefined for an inactive module is 0 here.
// Where a step is given what uk and side were made of, for their gradients, it is a function of that: uk and side are then
// not read, so that differences see what the gradient is of.

import { at, need } from '../../engine/errors.ts';
import { type Shape, sizeOf } from '../../engine/tensor.ts';
import { layoutOf, type StepLayout } from '../../rims/step-layout.ts';
import { inputNamed, type StepAttrs, type StepInputs } from '../../rims/step-op.ts';
import { read, type Value } from '../value.ts';
import { sigmoidOf } from './elementwise.ts';
import { type Meanings, meansAll } from './meaning.ts';

/** 0, 1, ... below a size. */
export function upTo(size: number): number[] {
  return Array.from({ length: size }, (_, i) => i);
}

/** Elements [from, from + size) of the row of a value at leading coordinates. */
export function columns(value: Value, place: readonly number[], from: number, size: number): number[] {
  return upTo(size).map((i) => read(value, [...place, from + i]));
}

/** The sum of products of two rows of equal length. */
export function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((total, x, i) => total + x * at(b, i), 0);
}

/** Sums of the elements of rows of equal length. */
export function plus(...rows: readonly (readonly number[])[]): number[] {
  return at(rows, 0).map((_, i) => rows.reduce((total, row) => total + at(row, i), 0));
}

/** A row times a matrix of that many columns. */
export function rowTimes(row: readonly number[], size: number, w: (k: number, column: number) => number): number[] {
  return upTo(size).map((column) => row.reduce((total, x, k) => total + x * w(k, column), 0));
}

/** Zeros to be filled row by row. */
export class Rows {
  readonly shape: Shape;
  readonly data: Float64Array;

  constructor(shape: Shape) {
    this.shape = shape;
    this.data = new Float64Array(sizeOf(shape));
  }

  /** Writes numbers into the row at leading coordinates, from a column on. */
  put(place: readonly number[], from: number, numbers: readonly number[]): void {
    const row = place.reduce((index, i, axis) => index * at(this.shape, axis) + i, 0);
    this.data.set(numbers, row * at(this.shape, place.length) + from);
  }
}

/** Where the parts of the rows of a step begin. */
export interface StepPlaces {
  /** In a row of the memory, behind the gates. */
  readonly query: number;
  readonly keys: number;
  readonly values: number;
  readonly cell: number;
  /** In a row of saved, behind the candidate. */
  readonly savedGates: number;
  readonly savedBefore: number;
  readonly savedQuery: number;
  readonly odds: number;
  /** In a row of qkv, behind the queries. */
  readonly talkKeys: number;
  readonly talkValues: number;
}

/** The places in the rows of a step with these options. */
export function placesOf(
  { hidden: H, keySize: E, heads: C, talkKey: F }: StepAttrs,
  { gates, scored, memory }: StepLayout,
): StepPlaces {
  const ofMemory = { query: gates * H, keys: scored, values: scored + C * F, cell: memory - H };
  const ofSaved = { savedGates: H, savedBefore: 5 * H, savedQuery: 6 * H, odds: 6 * H + E };
  return { ...ofMemory, ...ofSaved, talkKeys: C * F, talkValues: 2 * C * F };
}

/** The projection's weights of a module: its own, or those of all. */
export function outputOf(w: Value, n: number): (k: number, column: number) => number {
  return (k, column) => read(w, w.shape.length === 2 ? [k, column] : [n, k, column]);
}

/** The `count` greatest of some scores; of equal ones the first. */
function greatest(scores: readonly number[], count: number): ReadonlySet<number> {
  const order = upTo(scores.length).sort((a, b) => at(scores, b) - at(scores, a) || a - b);
  return new Set(order.slice(0, count));
}

/** What a module's dynamics gives: its candidate, four numbers for each of its units, and of an LSTM its c. */
interface Dynamics {
  readonly candidate: number[];
  /** GRU: r, z, n and the state's part of n; LSTM: i, f, g, o; all before their functions. */
  readonly gates: readonly number[][];
  readonly cell?: number[];
}

/** A GRU's units from both halves of their gates; n of the input has its bias already. */
function gru(ofInput: readonly number[], ofState: readonly number[], before: readonly number[]): Dynamics {
  const H = before.length;
  const sum = (gate: number, k: number): number => at(ofInput, gate * H + k) + at(ofState, gate * H + k);
  const [reset, renew] = [upTo(H).map((k) => sum(0, k)), upTo(H).map((k) => sum(1, k))];
  const recurrent = ofState.slice(2 * H, 3 * H);
  const fresh = recurrent.map((x, k) => at(ofInput, 2 * H + k) + sigmoidOf(at(reset, k)) * x);
  const candidate = before.map((old, k) => {
    const z = sigmoidOf(at(renew, k));
    return (1 - z) * Math.tanh(at(fresh, k)) + z * old;
  });
  return { candidate, gates: [reset, renew, fresh, recurrent] };
}

/** An LSTM's units from both halves of their gates. */
function lstm(ofInput: readonly number[], ofState: readonly number[], before: readonly number[]): Dynamics {
  const H = before.length;
  const gates = upTo(4).map((gate) => plus(ofInput, ofState).slice(gate * H, (gate + 1) * H));
  const [i, f, g, o] = gates as [number[], number[], number[], number[]];
  const cell = before.map((old, k) => sigmoidOf(at(f, k)) * old + sigmoidOf(at(i, k)) * Math.tanh(at(g, k)));
  return { candidate: cell.map((c, k) => sigmoidOf(at(o, k)) * Math.tanh(c)), gates, cell };
}

/** The operands of a step as functions of places. */
class Operands {
  readonly attrs: StepAttrs;
  readonly layout: StepLayout;
  readonly places: StepPlaces;
  readonly #inputs: readonly Value[];

  constructor(inputs: readonly Value[], attrs: StepAttrs) {
    this.attrs = attrs;
    this.layout = layoutOf(attrs);
    this.places = placesOf(attrs, this.layout);
    this.#inputs = inputs;
  }

  find(name: keyof StepInputs): Value | undefined {
    return inputNamed(this.#inputs, this.attrs, name);
  }

  of(name: keyof StepInputs): Value {
    return need(this.find(name), name);
  }

  /** Products of a module's h with the weights of its state. */
  products(h: readonly number[], n: number): number[] {
    const { products } = this.layout;
    const w = this.of('wState');
    const result = rowTimes(h, products, (k, column) => read(w, [n, k, column]));
    const constant = this.find('constant');
    return constant === undefined ? result : plus(result, columns(constant, [n], 0, products));
  }

  /** dU and key of a module: the change of its gates between null row and input, and the difference of the keys. */
  change(b: number, n: number): number[] {
    const { scored } = this.layout;
    const [x, w, input] = [this.find('x'), this.find('wInput'), this.find('input')];
    if (x !== undefined && w !== undefined) {
      return rowTimes(columns(x, [b], 0, at(x.shape, 1)), scored, (k, column) => read(w, [n, k, column]));
    }
    return columns(input ?? this.of('uk'), [b, n], 0, scored);
  }

  /** The factors of dropout on the attention to the input and to the null row. */
  factors(b: number, n: number): readonly [ofInput: number, ofNull: number] {
    const uk = this.of('uk');
    const { scored } = this.layout;
    return at(uk.shape, 2) === scored + 4 ? [read(uk, [b, n, scored]), read(uk, [b, n, scored + 1])] : [1, 1];
  }

  /** The gates of the null row: of a row of uk its own, or those of the module. */
  nullGates(b: number, n: number): number[] {
    const size = this.layout.gates * this.attrs.hidden;
    const { scored } = this.layout;
    const own = this.find('input') ?? this.of('uk');
    if (at(own.shape, 2) === scored + size) return columns(own, [b, n], scored, size);
    const given = this.find('nullGates');
    return given === undefined ? columns(this.of('side'), [], n * size, size) : columns(given, [n], 0, size);
  }

  /** What a GRU's n of the input has in addition, whatever is read. */
  nBias(n: number): number[] {
    const { hidden: H, modules: N } = this.attrs;
    const given = this.find('nBias');
    if (given !== undefined) return columns(given, [n], 0, H);
    return columns(this.of('side'), [], N * this.layout.gates * H + n * H, H);
  }

  /** The key by which a raw score is more than the log-odds. */
  rankingKey(): number[] {
    const { keySize: E } = this.attrs;
    const side = this.of('side');
    return columns(side, [], at(side.shape, 0) - E, E);
  }
}

/** Softmax of the kept scores; the others have 0. */
function softmaxOf(scores: readonly number[], kept: ReadonlySet<number>): number[] {
  const peak = Math.max(...scores);
  const e = scores.map((score, m) => (kept.has(m) ? Math.exp(score - peak) : 0));
  const total = e.reduce((sum, x) => sum + x, 0);
  return e.map((x) => x / total);
}

/** The meaning of a step. */
export const rimStepMeanings: Meanings = {
  rimStep: meansAll<StepAttrs>((inputs, attrs, specs) => {
    const given = new Operands(inputs, attrs);
    const { layout, places } = given;
    const { rows, modules: N, hidden: H, keySize: E, heads: C, talkKey: F, talkValue: W } = attrs;
    const outputs = specs.map(({ shape }) => new Rows(shape));
    const [next, after, saved, mask, qkv, contexts, probabilities, pre] = outputs as [
      ...[Rows, Rows, Rows, Rows, Rows, Rows, Rows, Rows],
    ];
    const all = upTo(N);
    const memory = given.find('memory');
    const talkFactors = given.find('talkFactors');
    const outputFactors = given.find('outputFactors');
    const bias = given.find('bias');
    const projects = attrs.gated || bias !== undefined || outputFactors !== undefined;
    const candidates = layout.sparse && attrs.sources === 'candidate';

    for (const b of upTo(rows)) {
      const before = all.map((n) => columns(given.of('h'), [b, n], 0, H));
      const state = all.map((n) =>
        layout.cached ? columns(need(memory, 'memory'), [b, n], 0, layout.products) : given.products(at(before, n), n),
      );
      const cell = all.map((n) =>
        attrs.cell === 'gru' ? [] : columns(need(memory, 'memory'), [b, n], places.cell, H),
      );

      // Input attention, and the choice: by the log-odds of the input against the null row, or by the score itself.
      const queries = state.map((row) => row.slice(places.query, places.query + E));
      const changes = all.map((n) => given.change(b, n));
      const odds = queries.map((query, n) => dot(query, at(changes, n).slice(places.query)));
      const ranking = odds.map((z, n) => (attrs.rawScore ? z + dot(at(queries, n), given.rankingKey()) : z));
      const active = greatest(ranking, attrs.active);
      const share = odds.map(sigmoidOf);

      // Dynamics.
      const dynamics = all.map((n): Dynamics | undefined => {
        if (!active.has(n) && !candidates) return undefined;
        const silent = attrs.zeroInput && !active.has(n);
        const [ofX, ofNull] = given.factors(b, n);
        const p = silent ? 0 : ofX * at(share, n);
        const rest = silent ? 0 : p + ofNull * (1 - at(share, n));
        const nulls = given.nullGates(b, n);
        const ofInput = nulls.map((gate, i) => rest * gate + p * at(at(changes, n), i));
        const ofState = at(state, n).slice(0, layout.gates * H);
        if (attrs.cell === 'lstm') return lstm(ofInput, ofState, at(cell, n));
        const biased = plus(ofInput, [...new Array<number>(2 * H).fill(0), ...given.nBias(n)]);
        return gru(biased, ofState, at(before, n));
      });
      const candidate = (n: number): number[] => need(dynamics[n], 'a candidate').candidate;

      for (const n of all) {
        const one = dynamics[n];
        mask.put([n], b, [active.has(n) ? 1 : 0]);
        saved.put([b, n], places.odds, [at(odds, n), active.has(n) ? 1 : 0, at(share, n)]);
        if (active.has(n)) saved.put([b, n], places.savedQuery, at(queries, n));
        if (one === undefined) continue;
        saved.put([b, n], 0, one.candidate);
        saved.put([b, n], places.savedGates, one.gates.flat());
        saved.put([b, n], places.savedBefore, attrs.cell === 'gru' ? at(before, n) : at(cell, n));
        const w = given.of('wTalk');
        const talk = rowTimes(one.candidate, layout.talk, (k, column) => read(w, [n, k, column]));
        if (active.has(n) || !layout.cached) qkv.put([b, n], 0, talk);
      }

      // Communication: what others read of an inactive module is of its h where it was last active, or of its candidate.
      const kept = (n: number): boolean => layout.cached && !active.has(n);
      for (const n of all.filter(kept)) {
        qkv.put([b, n], places.talkKeys, columns(need(memory, 'memory'), [b, n], places.keys, C * (F + W)));
      }
      const readKey = (n: number, head: number): number[] => columns(qkv, [b, n], places.talkKeys + head * F, F);
      const readValue = (n: number, head: number): number[] => columns(qkv, [b, n], places.talkValues + head * W, W);
      for (const head of upTo(C)) {
        for (const reader of all) {
          const factors = talkFactors === undefined ? undefined : columns(talkFactors, [b, head, reader], 0, N);
          if (factors !== undefined) probabilities.put([1, b, head, reader], 0, factors);
          if (!active.has(reader)) continue;
          const query = columns(qkv, [b, reader], head * F, F);
          const scores = all.map((m) => attrs.talkScale * dot(query, readKey(m, head)));
          const p = softmaxOf(scores, greatest(scores, attrs.topK));
          probabilities.put([...(factors === undefined ? [] : [0]), b, head, reader], 0, p);
          const weights = p.map((x, m) => x * (factors === undefined ? 1 : at(factors, m)));
          contexts.put(
            [b, reader],
            head * W,
            rowTimes(weights, W, (m, w) => at(readValue(m, head), w)),
          );
        }
      }

      // The update of the active modules, and what later steps read of them.
      for (const n of all) {
        if (!active.has(n)) {
          next.put([b, n], 0, at(before, n));
          if (layout.cached) after.put([b, n], 0, columns(need(memory, 'memory'), [b, n], 0, layout.memory));
          else after.put([b, n], 0, [...at(state, n), ...at(cell, n)]);
          continue;
        }
        const context = columns(contexts, [b, n], 0, layout.context);
        const product = rowTimes(context, layout.projected, outputOf(given.of('wOutput'), n));
        const own = bias?.shape.length === 1 ? [] : [n];
        const x = bias === undefined ? product : plus(product, columns(bias, own, 0, layout.projected));
        if (projects) pre.put([b, n], 0, x);
        const h = candidate(n).map((base, k) => {
          const read_ = at(x, k) * (outputFactors === undefined ? 1 : read(outputFactors, [b, n, k]));
          return base + (attrs.gated ? sigmoidOf(at(x, H + k)) * Math.tanh(read_) : read_);
        });
        next.put([b, n], 0, h);
        const products = layout.cached ? given.products(h, n) : at(state, n);
        after.put([b, n], 0, [...products, ...(dynamics[n]?.cell ?? [])]);
      }
    }
    return outputs;
  }),
};
