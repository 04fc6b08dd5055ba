// The kernels that compute a product, each with the constants that make it a candidate of its own, what products it takes, and
// how it is called. The order of a sum is the same in all of them: candidates are equal to the bit.
// Not here: which candidate is chosen (tuning.ts), and what a product is (product.ts).

import { matmul, matmulShared, matmulSubgroups, matmulVec4, matmulVec4Subgroups } from '../kernels/catalogue.ts';
import { need } from './errors.ts';
import { type Emitter, MAX_WORKGROUPS, spreadLanes, type View } from './op.ts';

/** The strides of one walk in a, b, y and what is added, in elements, and its size. */
export interface FullWalk {
  readonly size: number;
  readonly a: number;
  readonly b: number;
  readonly y: number;
  readonly plus: number;
}

/** A product with nothing left out. */
export interface Form {
  readonly a: View;
  readonly b: View;
  readonly y: View;
  readonly plus: View | undefined;
  readonly m: FullWalk;
  readonly n: FullWalk;
  readonly k: FullWalk;
  readonly batch: readonly FullWalk[];
  readonly batches: number;
  readonly offsets: { readonly a: number; readonly b: number; readonly y: number; readonly plus: number };
  readonly scale: number;
  readonly rows:
    | { readonly mask: View; readonly strides: readonly number[]; readonly stride: number; readonly offset: number }
    | undefined;
  /** Lists of the terms, one a batch. */
  readonly terms: View | undefined;
}

/** What the calls of a product need of an emitter. */
export type ProductEmitter = Pick<Emitter, 'subgroupSize' | 'tuning' | 'scratch' | 'zero' | 'call'>;

/** A kernel with its constants. */
export interface Candidate {
  readonly name: string;
  /** Whether it computes such a product, in one call, on a device with subgroups of so many lanes (0: none). */
  fits(form: Form, lanes: number): boolean;
  /** Appends its call. */
  emit(emit: ProductEmitter, form: Form): void;
}

/** What all kernels are told alike. */
function common({ m, n, k, batch, batches, offsets, scale, rows }: Form) {
  return {
    m: m.size,
    n: n.size,
    k: k.size,
    batches,
    scale,
    batchRank: batch.length,
    offsets: [offsets.a, offsets.b, offsets.y, offsets.plus],
    batch: batch.flatMap((walk) => [walk.size, walk.a, walk.b, walk.y]),
    plusBatch: [0, 1, 2, 3].map((i) => batch[i]?.plus ?? 0),
    maskBatch: [0, 1, 2].map((i) => rows?.strides[i] ?? 0).concat(rows?.stride ?? 0),
    maskOffset: rows?.offset ?? 0,
  };
}

function buffersOf(emit: ProductEmitter, { a, b, y, plus, rows, terms }: Form) {
  return { a, b, y, plus: plus ?? emit.zero(), mask: rows?.mask ?? emit.zero(), terms: terms ?? emit.zero() };
}

function operationsOf({ m, n, k, batches }: Form): number {
  return 2 * batches * m.size * n.size * k.size;
}

function flagsOf({ plus, rows, terms }: Form) {
  return { PLUS: plus !== undefined, ROWS: rows !== undefined, TERMS: terms !== undefined };
}

/** Register tiles of scalars: any strides, any adapter. */
function scalarTile(tileM: number, tileN: 4 | 8): Candidate {
  return {
    name: `scalar-${tileM}x${tileN}`,
    fits: (form) => oneCall(spread(form, tileM, tileN).workgroups),
    emit: (emit, form) => {
      const { m, n, k } = form;
      const { lanes, workgroups } = spread(form, tileM, tileN);
      emit.call(matmul, {
        buffers: buffersOf(emit, form),
        uniforms: {
          ...common(form),
          lanes,
          aStrides: [m.a, k.a],
          bStrides: [k.b, n.b],
          yStrides: [m.y, n.y],
          plusStrides: [m.plus, n.plus],
        },
        constants: { TILE_M: tileM, TILE_N: tileN, ...flagsOf(form) },
        workgroups,
        operations: operationsOf(form),
      });
    },
  };
}

/** A subgroup's tile of scalars, a passed on between lanes. */
const scalarSubgroup: Candidate = {
  name: 'scalar-subgroup-16x4',
  fits: (form, lanes) =>
    form.rows === undefined && form.terms === undefined && usableLanes(lanes) && oneCall(tiles(form, 16, 4 * lanes)),
  emit: (emit, form) => {
    const { m, n, k, plus } = form;
    const { maskBatch, maskOffset, ...rest } = common(form);
    const lanes = emit.subgroupSize;
    emit.call(matmulSubgroups, {
      buffers: { a: form.a, b: form.b, y: form.y, plus: plus ?? emit.zero() },
      uniforms: {
        ...rest,
        aStrides: [m.a, k.a],
        bStrides: [k.b, n.b],
        yStrides: [m.y, n.y],
        plusStrides: [m.plus, n.plus],
      },
      constants: { WORKGROUP: lanes, PLUS: plus !== undefined },
      workgroups: tiles(form, 16, 4 * lanes),
      operations: operationsOf(form),
    });
  },
};

/** What the kernels of vectors are told alike. */
function inFours(form: Form, { alongM, alongK }: Vectors) {
  const { m, n, k } = form;
  return {
    uniforms: {
      ...common(form),
      aStride: alongM ? k.a : m.a,
      bStride: alongK ? n.b : k.b,
      yStride: m.y,
      plusStride: m.plus,
    },
    constants: { A_ALONG_M: alongM, B_ALONG_K: alongK, ...flagsOf(form) },
    operations: operationsOf(form),
  };
}

/** Register tiles of vectors, on any adapter. */
function vectorTile(tileM: number, tileN: 4 | 8): Candidate {
  return {
    name: `vector-${tileM}x${tileN}`,
    fits: (form) => inVectors(form) !== undefined && oneCall(spread(form, tileM, tileN).workgroups),
    emit: (emit, form) => {
      const { uniforms, constants, operations } = inFours(form, need(inVectors(form), 'a product of vectors'));
      const { lanes, workgroups } = spread(form, tileM, tileN);
      emit.call(matmulVec4, {
        buffers: buffersOf(emit, form),
        uniforms: { ...uniforms, lanes },
        constants: { TILE_M: tileM, TILE_N: tileN, ...constants },
        workgroups,
        operations,
      });
    },
  };
}

/** A subgroup's tile of vectors, a passed on between lanes. */
function vectorSubgroup(tileM: number): Candidate {
  const workgroupsOf = (form: Form, lanes: number): Workgroups => {
    const [across, down, deep] = tiles(form, tileM, 4 * lanes);
    // Active rows are packed within blocks of 64.
    return [across, form.rows === undefined ? down : Math.ceil(form.m.size / 64) * Math.ceil(64 / tileM), deep];
  };
  return {
    name: `vector-subgroup-${tileM}x4`,
    fits: (form, lanes) => usableLanes(lanes) && inVectors(form) !== undefined && oneCall(workgroupsOf(form, lanes)),
    emit: (emit, form) => {
      const lanes = emit.subgroupSize;
      const { uniforms, constants, operations } = inFours(form, need(inVectors(form), 'a product of vectors'));
      emit.call(matmulVec4Subgroups, {
        buffers: buffersOf(emit, form),
        uniforms,
        constants: { WORKGROUP: lanes, TILE_M: tileM, ...constants },
        workgroups: workgroupsOf(form, lanes),
        operations,
      });
    },
  };
}

/** A workgroup's square tile in its shared memory: span by span invocations, so many terms deep. */
function sharedTile(side: number, span: number, depth: number): Candidate {
  return {
    name: `shared-${side}-${span}-${depth}`,
    fits: (form) => oneCall(tiles(form, side, side)),
    emit: (emit, form) => {
      const { m, n, k } = form;
      emit.call(matmulShared, {
        buffers: buffersOf(emit, form),
        uniforms: {
          ...common(form),
          aStrides: [m.a, k.a],
          bStrides: [k.b, n.b],
          yStrides: [m.y, n.y],
          plusStrides: [m.plus, n.plus],
        },
        constants: { WORKGROUP: span * span, SPAN: span, SIDE: side, DEPTH: depth, ...flagsOf(form) },
        workgroups: tiles(form, side, side),
        operations: operationsOf(form),
      });
    },
  };
}

/** Workgroups along n, m and the batches; those walk over what is more. */
type Workgroups = readonly [number, number, number];

/** The workgroups of tiles of so many rows and columns. */
function tiles({ m, n, batches }: Form, rows: number, columns: number): Workgroups {
  return [Math.ceil(n.size / columns), Math.ceil(m.size / rows), Math.min(batches, MAX_WORKGROUPS)];
}

/** Whether every device takes them in one call. */
function oneCall(workgroups: Workgroups): boolean {
  return workgroups.every((count) => count <= MAX_WORKGROUPS);
}

/** The lanes of a workgroup along n and m, and the workgroups, of register tiles of so many rows and columns. */
function spread({ m, n, batches }: Form, tileM: number, tileN: number): ReturnType<typeof spreadLanes> {
  return spreadLanes(Math.ceil(n.size / tileN), Math.ceil(m.size / tileM), batches);
}

interface Vectors {
  readonly alongM: boolean;
  readonly alongK: boolean;
}

/** Along which axes a and b lie, in words of a class: `kn` where a is contiguous along k and b along n. */
export function liesAlong(form: Form): string {
  const vectors = inVectors(form);
  if (vectors === undefined) return 'any';
  return `${vectors.alongM ? 'm' : 'k'}${vectors.alongK ? 'k' : 'n'}`;
}

/** Along which axis a and b lie in vectors of four; undefined where a product does not lie so. */
function inVectors(form: Form): Vectors | undefined {
  const { m, n, k, batch, offsets, plus, rows, terms } = form;
  const fours = (...numbers: readonly number[]): boolean => numbers.every((x) => x % 4 === 0);
  const strides = (of: 'a' | 'b' | 'y' | 'plus'): boolean =>
    fours(offsets[of], ...batch.map((walk) => (walk.size === 1 ? 0 : walk[of])));
  if (!strides('a') || !strides('b') || !strides('y')) return undefined;
  if (n.y !== 1 || !fours(n.size, m.size === 1 ? 0 : m.y)) return undefined;
  if (plus !== undefined && (n.plus !== 1 || !fours(m.plus) || !strides('plus'))) return undefined;
  const alongM = m.a === 1 && fours(m.size, k.a);
  if (!alongM && !(k.a === 1 && fours(k.size, m.size === 1 ? 0 : m.a))) return undefined;
  const alongK = !(n.b === 1 && fours(k.size === 1 ? 0 : k.b));
  if (alongK && !(k.b === 1 && fours(k.size, n.b))) return undefined;
  if (rows !== undefined && alongM) return undefined;
  if (terms !== undefined && (!alongM || alongK)) return undefined;
  return { alongM, alongK };
}

function usableLanes(lanes: number): boolean {
  return lanes >= 8 && lanes <= 64;
}

/** All candidates, by name. */
export const candidates: ReadonlyMap<string, Candidate> = new Map(
  [
    ...([1, 2, 4, 8] as const).flatMap((tileM) => [scalarTile(tileM, 4), scalarTile(tileM, 8)]),
    ...([4, 8] as const).flatMap((tileM) => [vectorTile(tileM, 4), vectorTile(tileM, 8)]),
    scalarSubgroup,
    ...[4, 8, 12, 16].map(vectorSubgroup),
    sharedTile(64, 16, 16),
    sharedTile(64, 8, 16),
    sharedTile(64, 8, 8),
    sharedTile(32, 16, 32),
    sharedTile(32, 16, 16),
    sharedTile(32, 8, 32),
    sharedTile(32, 8, 16),
    sharedTile(16, 8, 32),
  ].map((candidate) => [candidate.name, candidate]),
);
