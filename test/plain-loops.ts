// Vectors and matrices in float64 and plain loops, in which the tests of sequence models write equations a second time, and what
// several of those equations have in common. It shares no code with the models, and tests nothing itself.

import { at, need } from '../engine/errors.ts';
import { softmaxOf } from './on-adapter.ts';

export type Row = readonly number[];
export type Matrix = readonly Row[];
/** Numbers of any shape, row-major. */
export type Nest = number | readonly Nest[];
/** Numbers by name. */
export type Numbers = Readonly<Record<string, Nest>>;

/** A model's weights by their names without the system's, each as its rows along the last axis. */
export interface Weights {
  matrix(name: string): Matrix;
  /** One that has one row. */
  row(name: string): Row;
}

/** What a sequence gave: per step what is put out and traced, and the state at the end. */
export interface Told {
  readonly steps: readonly Numbers[];
  readonly state: Numbers;
}

/** A model's equations, for one sequence: x [T,D], and a state to go on from, else the model's own beginning. */
export type Oracle = (weights: Weights, xs: Matrix, start?: Numbers) => Told;

export const range = (size: number): number[] => Array.from({ length: size }, (_, i) => i);
export const zeros = (size: number): number[] => new Array<number>(size).fill(0);
export const dot = (a: Row, b: Row): number => a.reduce((sum, x, i) => sum + x * at(b, i), 0);
export const total = (a: Row): number => a.reduce((sum, x) => sum + x, 0);
export const column = (m: Matrix, j: number): number[] => m.map((row) => at(row, j));
export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
export const softplus = (x: number): number => Math.log(1 + Math.exp(x));
export const relu = (x: number): number => Math.max(x, 0);
export const softmax = (scores: Row): number[] => softmaxOf(scores);

/** Element by element. */
export function plus(...rows: readonly Row[]): number[] {
  return at(rows, 0).map((_, i) => rows.reduce((sum, row) => sum + at(row, i), 0));
}

/** x·w, plus a bias where there is one. */
export function mapped(x: Row, w: Matrix, bias?: Row): number[] {
  return at(w, 0).map((_, o) => x.reduce((sum, value, i) => sum + value * at(at(w, i), o), bias ? at(bias, o) : 0));
}

/** Layer norm of a row. */
export function normalised(x: Row, scale: Row, shift: Row): number[] {
  const mean = total(x) / x.length;
  const variance = total(x.map((value) => (value - mean) ** 2)) / x.length;
  return x.map((value, i) => ((value - mean) / Math.sqrt(variance + 1e-5)) * at(scale, i) + at(shift, i));
}

/** Attention of several heads: what each row of queries is told, and where it looks, [heads][rows][sources]. */
export function attended(
  queries: Matrix,
  keys: Matrix,
  values: Matrix,
  heads: number,
  more: (head: number, row: number, source: number) => number = () => 0,
): { readonly context: number[][]; readonly looks: number[][][] } {
  const size = at(keys, 0).length / heads;
  const part = (rows: Matrix, head: number): Matrix => rows.map((row) => row.slice(head * size, (head + 1) * size));
  const looks = range(heads).map((head) =>
    part(queries, head).map((query, i) =>
      softmax(part(keys, head).map((key, j) => dot(query, key) / Math.sqrt(size) + more(head, i, j))),
    ),
  );
  const context = queries.map((_, i) => looks.flatMap((each, head) => mapped(at(each, i), part(values, head))));
  return { context, looks };
}

/** A step of an LSTM from what its gates i, f, g, o are before their functions. */
export function lstmStep(gates: Row, c: Row): Readonly<Record<'h' | 'c' | 'i' | 'f' | 'o', number[]>> {
  const H = c.length;
  const gate = (k: number): number[] => gates.slice(k * H, (k + 1) * H);
  const [i, f, o] = [gate(0).map(sigmoid), gate(1).map(sigmoid), gate(3).map(sigmoid)];
  const g = gate(2).map(Math.tanh);
  const next = c.map((each, k) => at(f, k) * each + at(i, k) * at(g, k));
  return { h: next.map((each, k) => at(o, k) * Math.tanh(each)), c: next, i, f, o };
}

/** The numbers of a state by their names. */
export const rowIn = (start: Numbers, name: string): Row => need(start[name], name) as Row;
export const matrixIn = (start: Numbers, name: string): Matrix => need(start[name], name) as Matrix;

/** What the models with an LSTM and a memory of slots have in common (arXiv 1410.5401 section 3; Nature 538:471, Methods). */
export const memories = {
  /** h and c after a step of the LSTM. */
  controlled(w: Weights, x: Row, reads: Row, h: Row, c: Row): { h: number[]; c: number[] } {
    const gates = plus(
      mapped(x, w.matrix('inputGates'), w.row('inputBias')),
      mapped(reads, w.matrix('readGates')),
      mapped(h, w.matrix('stateGates'), w.row('stateBias')),
    );
    return lstmStep(gates, c);
  },
  /** What it says: one row for each head. */
  said(w: Weights, part: string, h: Row, heads: number): number[][] {
    const flat = mapped(h, w.matrix(part), w.row(`${part}Bias`));
    const size = flat.length / heads;
    return range(heads).map((k) => flat.slice(k * size, (k + 1) * size));
  },
  /** C(M, k, β), with a guarded norm. */
  byContent(memory: Matrix, key: Row, strength: number): number[] {
    return softmax(
      memory.map((slot) => (strength * dot(key, slot)) / Math.sqrt(dot(key, key) * dot(slot, slot) + 1e-6)),
    );
  },
  read(memory: Matrix, weights: Row): number[] {
    return mapped(weights, memory);
  },
  /** Erased by all heads, then added to by all. */
  written(memory: Matrix, weights: Matrix, erases: Matrix, adds: Matrix): number[][] {
    return memory.map((slot, i) =>
      slot.map((each, j) => {
        const kept = weights.reduce((value, w, k) => value * (1 - at(w, i) * at(at(erases, k), j)), each);
        return weights.reduce((value, w, k) => value + at(w, i) * at(at(adds, k), j), kept);
      }),
    );
  },
};
