// The Neural Turing Machine and the Differentiable Neural Computer a second time, in float64 and plain loops, one sequence at a time,
// written from the papers' equations (arXiv 1410.5401 section 3; Nature 538:471, Methods). They share no code with the
// models, sharpen by powers and sort with a comparison. It tests nothing itself.

import { at, need } from '../engine/errors.ts';

/** Numbers of any shape, row-major. */
export type Nest = number | readonly Nest[];

/** Weights by name, without the system's. */
export type Weights = Readonly<Record<string, ArrayLike<number>>>;

type Row = readonly number[];
type Matrix = readonly Row[];

/** What a sequence gave: per step what is put out and traced, and the state at the end. */
export interface Told {
  readonly steps: readonly Readonly<Record<string, Nest>>[];
  readonly state: Readonly<Record<string, Nest>>;
}

/** Added under the root of a cosine's norms. */
const LEAST = 1e-6;

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const softplus = (x: number): number => Math.log(1 + Math.exp(x));
const dot = (a: Row, b: Row): number => a.reduce((sum, x, i) => sum + x * at(b, i), 0);
const total = (a: Row): number => a.reduce((sum, x) => sum + x, 0);
const range = (size: number): number[] => Array.from({ length: size }, (_, i) => i);
const column = (m: Matrix, j: number): number[] => m.map((row) => at(row, j));

export function softmax(scores: Row): number[] {
  const peak = Math.max(...scores);
  const e = scores.map((x) => Math.exp(x - peak));
  return e.map((x) => x / total(e));
}

/** x·w, w [x.length, size]. */
function times(x: Row, w: ArrayLike<number>, size: number): number[] {
  return range(size).map((j) => x.reduce((sum, each, i) => sum + each * at(w, i * size + j), 0));
}

function plus(...rows: readonly ArrayLike<number>[]): number[] {
  return Array.from(at(rows, 0), (_, i) => rows.reduce((sum, row) => sum + at(row, i), 0));
}

/** h and c after a step of the LSTM that controls a memory. */
function controlled(w: Weights, x: Row, reads: Row, h: Row, c: Row): { h: number[]; c: number[] } {
  const H = h.length;
  const by = (name: string): ArrayLike<number> => need(w[name], name);
  const gates = plus(
    times(x, by('inputGates'), 4 * H),
    times(reads, by('readGates'), 4 * H),
    times(h, by('stateGates'), 4 * H),
    by('inputBias'),
    by('stateBias'),
  );
  const gate = (k: number, i: number): number => at(gates, k * H + i);
  const next = c.map((each, i) => sigmoid(gate(1, i)) * each + sigmoid(gate(0, i)) * Math.tanh(gate(2, i)));
  return { h: next.map((each, i) => sigmoid(gate(3, i)) * Math.tanh(each)), c: next };
}

/** What the controller says: one row for each head. */
function said(w: Weights, part: string, h: Row, heads: number): number[][] {
  const bias = need(w[`${part}Bias`], part);
  const flat = plus(times(h, need(w[part], part), bias.length), bias);
  const size = bias.length / heads;
  return range(heads).map((k) => flat.slice(k * size, (k + 1) * size));
}

const single = (rows: readonly Row[]): number[] => rows.map((row) => at(row, 0));

/** C(M, k, β), with a guarded norm. */
function byContent(memory: Matrix, key: Row, strength: number): number[] {
  return softmax(
    memory.map((slot) => (strength * dot(key, slot)) / Math.sqrt(dot(key, key) * dot(slot, slot) + LEAST)),
  );
}

const readBy = (memory: Matrix, weights: Row): number[] =>
  range(at(memory, 0).length).map((j) => dot(weights, column(memory, j)));

/** Erases by all heads, then adds by all. */
function rewritten(memory: Matrix, weights: Matrix, erases: Matrix, adds: Matrix): number[][] {
  return memory.map((slot, i) =>
    slot.map((each, j) => {
      let value = each;
      weights.forEach((w, k) => {
        value *= 1 - at(w, i) * at(at(erases, k), j);
      });
      weights.forEach((w, k) => {
        value += at(w, i) * at(at(adds, k), j);
      });
      return value;
    }),
  );
}

/** Sizes that the oracles ask for. */
export interface OracleSizes {
  readonly hiddenSize: number;
  readonly slots: number;
  readonly slotSize: number;
  readonly readHeads: number;
  readonly writeHeads: number;
}

const rowsOf = (nest: Nest | undefined, what: string): Matrix => need(nest, what) as Matrix;
const rowOf = (nest: Nest | undefined, what: string): Row => need(nest, what) as Row;
const zeros = (rows: number, columns: number): number[][] => range(rows).map(() => new Array<number>(columns).fill(0));

/** The state of an NTM before its first step. */
export function ntmStart({ hiddenSize, slots, slotSize, readHeads, writeHeads }: OracleSizes): Record<string, Nest> {
  return {
    h: at(zeros(1, hiddenSize), 0),
    c: at(zeros(1, hiddenSize), 0),
    memory: zeros(slots, slotSize).map((row) => row.map(() => 1e-6)),
    weights: zeros(readHeads + writeHeads, slots).map((row) => row.map((_, i) => (i === 0 ? 1 : 0))),
    reads: zeros(readHeads, slotSize),
  };
}

/** A Neural Turing Machine over one sequence. */
export function ntmOracle(
  { slots, readHeads, writeHeads }: OracleSizes,
  w: Weights,
  xs: Matrix,
  start: Readonly<Record<string, Nest>>,
): Told {
  const heads = readHeads + writeHeads;
  let [h, c] = [rowOf(start.h, 'h'), rowOf(start.c, 'c')];
  let [memory, weights, reads] = [
    rowsOf(start.memory, 'memory'),
    rowsOf(start.weights, 'weights'),
    rowsOf(start.reads, 'reads'),
  ];
  const steps = xs.map((x) => {
    ({ h, c } = controlled(w, x, reads.flat(), h, c));
    const keys = said(w, 'keys', h, heads);
    const strength = single(said(w, 'strengths', h, heads)).map(softplus);
    const gate = single(said(w, 'gates', h, heads)).map(sigmoid);
    const shift = said(w, 'shifts', h, heads).map(softmax);
    const sharpening = single(said(w, 'sharpenings', h, heads)).map((each) => 1 + softplus(each));
    const before = weights;
    weights = range(heads).map((k) => {
      const content = byContent(memory, at(keys, k), at(strength, k));
      const g = at(gate, k);
      const mixed = content.map((each, i) => g * each + (1 - g) * at(at(before, k), i));
      const s = at(shift, k);
      const moved = range(slots).map((i) =>
        s.reduce((sum, share, d) => {
          const from = (i - (d - (s.length - 1) / 2) + slots) % slots;
          return sum + share * at(mixed, from);
        }, 0),
      );
      const sharp = moved.map((each) => each ** at(sharpening, k));
      return sharp.map((each) => each / total(sharp));
    });
    const [readWeights, writeWeights] = [weights.slice(0, readHeads), weights.slice(readHeads)];
    reads = readWeights.map((each) => readBy(memory, each));
    const erases = said(w, 'erases', h, writeHeads).map((row) => row.map(sigmoid));
    memory = rewritten(memory, writeWeights, erases, said(w, 'adds', h, writeHeads));
    return { hidden: [...h, ...reads.flat()], readWeights, writeWeights, strength, gate, shift, sharpening };
  });
  return { steps, state: { h, c, memory, weights, reads } };
}

/** The state of a DNC before its first step. */
export function dncStart({ hiddenSize, slots, slotSize, readHeads }: OracleSizes): Record<string, Nest> {
  return {
    h: at(zeros(1, hiddenSize), 0),
    c: at(zeros(1, hiddenSize), 0),
    memory: zeros(slots, slotSize),
    usage: at(zeros(1, slots), 0),
    precedence: at(zeros(1, slots), 0),
    links: zeros(slots, slots),
    writeWeights: zeros(1, slots),
    readWeights: zeros(readHeads, slots),
    reads: zeros(readHeads, slotSize),
  };
}

/** Slots from the least used to the most; of equal ones the first comes first. */
function byUsage(usage: Row): number[] {
  return range(usage.length).sort((i, j) => at(usage, i) - at(usage, j) || i - j);
}

/** A Differentiable Neural Computer over one sequence. */
export function dncOracle(
  { slots, readHeads }: OracleSizes,
  w: Weights,
  xs: Matrix,
  start: Readonly<Record<string, Nest>>,
): Told {
  let [h, c, usage, precedence] = [
    rowOf(start.h, 'h'),
    rowOf(start.c, 'c'),
    rowOf(start.usage, 'usage'),
    rowOf(start.precedence, 'precedence'),
  ];
  let [memory, links, writeWeights, readWeights, reads] = [
    rowsOf(start.memory, 'memory'),
    rowsOf(start.links, 'links'),
    rowsOf(start.writeWeights, 'writeWeights'),
    rowsOf(start.readWeights, 'readWeights'),
    rowsOf(start.reads, 'reads'),
  ];
  const oneplus = (x: number): number => 1 + softplus(x);
  const steps = xs.map((x) => {
    ({ h, c } = controlled(w, x, reads.flat(), h, c));
    const one = (part: string): number[] => at(said(w, part, h, 1), 0);
    const all = (part: string): number[][] => said(w, part, h, readHeads);
    const freeGates = single(all('freeGates')).map(sigmoid);
    const [allocationGate, writeGate] = [one('allocationGate').map(sigmoid), one('writeGate').map(sigmoid)];
    const [a, g] = [at(allocationGate, 0), at(writeGate, 0)];

    const [lastWritten, lastRead] = [at(writeWeights, 0), readWeights];
    usage = usage.map((u, i) => {
      const retained = freeGates.reduce((product, f, r) => product * (1 - f * at(at(lastRead, r), i)), 1);
      const wrote = at(lastWritten, i);
      return (u + wrote - u * wrote) * retained;
    });
    const allocated = new Array<number>(slots).fill(0);
    let product = 1;
    for (const slot of byUsage(usage)) {
      allocated[slot] = (1 - at(usage, slot)) * product;
      product *= at(usage, slot);
    }
    const content = byContent(memory, one('writeKey'), oneplus(at(one('writeStrength'), 0)));
    const wrote = content.map((each, i) => g * (a * at(allocated, i) + (1 - a) * each));
    memory = rewritten(memory, [wrote], [one('erase').map(sigmoid)], [one('add')]);

    const [lastLinks, lastPrecedence] = [links, precedence];
    links = lastLinks.map((row, i) =>
      row.map((each, j) =>
        i === j ? 0 : (1 - at(wrote, i) - at(wrote, j)) * each + at(wrote, i) * at(lastPrecedence, j),
      ),
    );
    precedence = lastPrecedence.map((each, i) => (1 - total(wrote)) * each + at(wrote, i));
    const readModes = all('readModes').map(softmax);
    const [keys, strengths] = [all('readKeys'), single(all('readStrengths')).map(oneplus)];
    readWeights = range(readHeads).map((r) => {
      const looked = byContent(memory, at(keys, r), at(strengths, r));
      const [back, found, on] = at(readModes, r) as [number, number, number];
      return looked.map(
        (each, i) =>
          back * dot(column(links, i), at(lastRead, r)) + found * each + on * dot(at(links, i), at(lastRead, r)),
      );
    });
    reads = readWeights.map((each) => readBy(memory, each));
    writeWeights = [wrote];
    return {
      ...{ hidden: [...h, ...reads.flat()], readWeights, writeWeights, usage },
      ...{ allocationGate, writeGate, freeGates, readModes },
    };
  });
  return { steps, state: { h, c, memory, usage, precedence, links, writeWeights, readWeights, reads } };
}
