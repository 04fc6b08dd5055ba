// Picking rows of a table by u32 indices, and its transpose, the sum of rows by index. Each is the backward of the other.
// Leading axes may be shared by table and index (a table for every group): so takeAlong, which picks elements of the last
// axis row by row, is a gather of single elements, and so a table that changes from step to step is one over time.
// Always: sums are in the order of the positions, no atomics; an index past the table gives NaN, and no gradient.

import {
  fill as fillKernel,
  gather as gatherKernel,
  reduce as reduceKernel,
  segmentChain as segmentChainKernel,
  segmentSum as segmentSumKernel,
  segmentWalk as segmentWalkKernel,
} from '../../kernels/catalogue.ts';
import { at, formatShape, ShapeError } from '../errors.ts';
import { applyOne, type Emitter, gridOf, type Op } from '../op.ts';
import { BINDING_BYTES } from '../recorder.ts';
import { type Shape, sameShape, sizeOf, type Tensor } from '../tensor.ts';
import { NAN_BITS } from './rows.ts';
import { permute } from './shape.ts';

const WORKGROUP = 64;

interface GatherAttrs {
  /** Leading axes that table and index share. */
  readonly shared: number;
}

/** Inputs: table [...groups, V, ...rest] and index [...groups, ...positions]; output [...groups, ...positions, ...rest]. */
const gatherOp: Op<GatherAttrs> = {
  name: 'gather',
  infer: ([table, index], { shared }) => {
    if (table === undefined || index === undefined) throw new ShapeError('gather: takes a table and an index');
    if (table.dtype !== 'f32' || index.dtype !== 'u32') {
      throw new ShapeError(`gather: takes an f32 table and a u32 index, not ${table.dtype} and ${index.dtype}`);
    }
    if (table.shape.length <= shared || !sameShape(table.shape.slice(0, shared), index.shape.slice(0, shared))) {
      throw new ShapeError(
        `gather: a table ${formatShape(table.shape)} and an index ${formatShape(index.shape)} do not share ${shared} leading axes and leave an axis to pick from`,
      );
    }
    return [{ shape: [...index.shape, ...table.shape.slice(shared + 1)], dtype: 'f32' }];
  },
  bounds: ({ inputs, attrs }) => [{ input: 1, below: at(at(inputs, 0).shape, attrs.shared) }],
  plan: (emit, { inputs, outputs, attrs: { shared } }) => {
    const [table, index] = [at(inputs, 0).shape, at(inputs, 1).shape];
    const count = at(outputs, 0).size;
    emit.call(gatherKernel, {
      buffers: { table: at(emit.inputs, 0), index: at(emit.inputs, 1), y: at(emit.outputs, 0) },
      uniforms: {
        count,
        positions: sizeOf(index.slice(shared)),
        rows: at(table, shared),
        columns: sizeOf(table.slice(shared + 1)),
        nan: NAN_BITS,
      },
      workgroups: gridOf(count, WORKGROUP),
    });
  },
  backward: ({ inputs, attrs: { shared } }, [d]) => {
    const [table, index] = [at(inputs, 0), at(inputs, 1)];
    return [
      d &&
        applyOne(segmentSumOp, [d, index], {
          shared,
          positions: index.shape.length - shared,
          rows: at(table.shape, shared),
        }),
    ];
  },
  overTime: (over) => {
    const { shared } = over.attrs;
    if (shared === 0 && !over.varies(0)) return [applyOne(gatherOp, [over.constant(0), over.sequence(1)], { shared })];
    return [applyOne(gatherOp, [over.sequence(0), over.sequence(1)], { shared: shared + 1 })];
  },
};

interface SegmentSumAttrs extends GatherAttrs {
  /** How many axes, after the shared ones, hold positions. */
  readonly positions: number;
  /** V, rows of the result in each group. */
  readonly rows: number;
}

/** Inputs: d [...groups, ...positions, ...rest] and index [...groups, ...positions]; output [...groups, V, ...rest]. */
const segmentSumOp: Op<SegmentSumAttrs> = {
  name: 'segmentSum',
  infer: ([d, index], { shared, positions, rows }) => {
    if (d === undefined || index === undefined || d.dtype !== 'f32' || index.dtype !== 'u32') {
      throw new ShapeError('segmentSum: takes f32 rows and a u32 index');
    }
    if (!sameShape(d.shape.slice(0, shared + positions), index.shape)) {
      throw new ShapeError(`segmentSum: rows ${formatShape(d.shape)} do not fit the index ${formatShape(index.shape)}`);
    }
    return [{ shape: [...d.shape.slice(0, shared), rows, ...d.shape.slice(shared + positions)], dtype: 'f32' }];
  },
  bounds: ({ attrs }) => [{ input: 1, below: attrs.rows }],
  plan: (emit, { inputs, attrs }) => emitSegmentSum(emit, at(inputs, 0).shape, attrs),
  backward: ({ inputs, attrs: { shared } }, [d]) => [d && applyOne(gatherOp, [d, at(inputs, 1)], { shared })],
  overTime: ({ sequence, attrs }) => [
    applyOne(segmentSumOp, [sequence(0), sequence(1)], { ...attrs, shared: attrs.shared + 1 }),
  ],
  sumOverTime: ({ sequence, summed, varies, constant, attrs }) => {
    if (!varies(1)) return applyOne(segmentSumOp, [summed(0), constant(1)], attrs);
    // The steps are one more axis of positions, behind the shared ones.
    const parts = [sequence(0), sequence(1)].map((t) =>
      permute(
        t,
        t.shape.map((_, i) => (i < attrs.shared ? i + 1 : i === attrs.shared ? 0 : i)),
      ),
    );
    return applyOne(segmentSumOp, parts, { ...attrs, positions: attrs.positions + 1 });
  },
};

/** Positions that one invocation of the direct kernel reads. */
const PART = 512;

/**
 * Kernel calls of a segment sum. Few rows: every element of the result reads all indices, the positions cut into parts that
 * a second pass adds in order. Many rows: the positions of each row are chained first. Which it is depends on the shape.
 */
function emitSegmentSum(emit: Emitter, shape: Shape, { shared, positions, rows }: SegmentSumAttrs): void {
  const groups = sizeOf(shape.slice(0, shared));
  const length = sizeOf(shape.slice(shared, shared + positions));
  const columns = sizeOf(shape.slice(shared + positions));
  const [d, index, y] = [at(emit.inputs, 0), at(emit.inputs, 1), at(emit.outputs, 0)];
  const table = rows * columns;
  if (rows <= 64 || table * length <= 1 << 22) {
    const cut = Math.ceil(length / PART);
    // Parts that no device binds together are one.
    const parts = 4 * groups * cut * table > BINDING_BYTES ? 1 : cut;
    const partLength = parts === 1 ? length : PART;
    const count = groups * parts * table;
    const target = parts === 1 ? y : emit.scratch(count);
    emit.call(segmentSumKernel, {
      buffers: { d, index, y: target },
      uniforms: { count, positions: length, parts, partLength, rows, columns },
      workgroups: gridOf(count, WORKGROUP),
      operations: groups * table * length,
    });
    if (parts === 1) return;
    emit.call(reduceKernel, {
      buffers: { x: target, y },
      uniforms: {
        results: groups * table,
        count: parts,
        parts: 1,
        keptRank: 2,
        reducedRank: 1,
        kept: [groups, parts * table, 0, 0, table, 1, 0, 0],
        reduced: [parts, table, 0, 0],
      },
      workgroups: gridOf(groups * table, WORKGROUP),
      operations: count,
    });
    return;
  }
  const nexts = groups * length;
  const links = emit.scratch(nexts + groups * rows);
  // The bits of 0.0 are those of the integer 0: no link.
  emit.call(fillKernel, {
    buffers: { output: links },
    uniforms: { count: nexts + groups * rows, value: 0 },
    workgroups: gridOf(nexts + groups * rows, WORKGROUP),
  });
  emit.call(segmentChainKernel, {
    buffers: { index, links },
    uniforms: { count: nexts, positions: length, rows },
    workgroups: gridOf(nexts, WORKGROUP),
    operations: nexts * Math.min(rows, length),
  });
  emit.call(segmentWalkKernel, {
    buffers: { d, links, y },
    uniforms: { count: groups * table, links: nexts, columns },
    workgroups: gridOf(groups * table, WORKGROUP),
    operations: groups * (table + length * columns),
  });
}

/**
 * Rows of a table by index: element [...i] of the index picks table[index[...i]]. The gradient of the table is the sum of the
 * rows that each entry was picked for, in the order of the positions.
 * @param table [V, ...rest]
 * @param index u32 [...i], values below V: checked where the index is fed, NaN where it was computed
 * @returns [...i, ...rest]
 * @throws ShapeError where dtypes do not fit or the table is a scalar
 */
export function gather(table: Tensor, index: Tensor): Tensor {
  return applyOne(gatherOp, [table, index], { shared: 0 });
}

/**
 * Elements of the last axis by index, row by row: y[..., m] = x[..., index[..., m]]. With gradient; what is picked more than
 * once gets the sum.
 * @param x [..., N]
 * @param index u32 [..., M], values below N; leading sizes equal those of x
 * @throws ShapeError where shapes or dtypes do not fit
 */
export function takeAlong(x: Tensor, index: Tensor): Tensor {
  if (x.shape.length === 0 || x.shape.length !== index.shape.length) {
    throw new ShapeError(
      `takeAlong: x ${formatShape(x.shape)} and index ${formatShape(index.shape)} must have the same number of axes, at least 1`,
    );
  }
  return applyOne(gatherOp, [x, index], { shared: x.shape.length - 1 });
}

/** The backward of `takeAlong`: rows of `columns` elements, each the sum of what the index puts there, else 0. */
export function putAlong(d: Tensor, index: Tensor, columns: number): Tensor {
  return applyOne(segmentSumOp, [d, index], { shared: d.shape.length - 1, positions: 1, rows: columns });
}

/** The rows of this file, for tables of all ops. */
export const gatherOps: readonly Op[] = [gatherOp, segmentSumOp] as readonly Op[];
