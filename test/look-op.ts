// The kernel that looks through tensors in a replay, as an op, so that tests can plan calls of it. It tests nothing itself.

import { at } from '../engine/errors.ts';
import type { Op } from '../engine/op.ts';
import { nonFinite } from '../kernels/catalogue.ts';

/** Input x [any]; output the row of the report, u32 [4]. */
export const lookOp: Op = {
  name: 'look',
  infer: () => [{ shape: [4], dtype: 'u32' }],
  plan: (emit, { inputs: [x] }) => {
    emit.call(nonFinite, {
      buffers: { x: at(emit.inputs, 0), report: at(emit.outputs, 0) },
      uniforms: { count: x?.size ?? 0, row: 0 },
      workgroups: [1, 1, 1],
    });
  },
};
