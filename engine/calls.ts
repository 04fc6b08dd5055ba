// Kernel calls that are ready for a device: how they are encoded, and where a list of them is cut into submits of bounded
// work, for a driver's watchdog ends what takes too long (2 s on Windows).

import { at } from './errors.ts';
import { bytesOf, type Dispatch } from './plan.ts';

/** One kernel call, ready to be encoded. */
export interface Call {
  readonly dispatch: Dispatch;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
}

/**
 * Work of one submit: operations or bytes, whichever are more. 2e10 take a software adapter or a weak integrated GPU about two
 * seconds, any other a tenth.
 */
export const WORK_A_SUBMIT = 2e10;
const CALLS_A_SUBMIT = 20_000;

/** Encodes the calls from one index up to another. */
export function encodeCalls(pass: GPUComputePassEncoder, calls: readonly Call[], begin: number, end: number): void {
  let last: GPUComputePipeline | undefined;
  for (let i = begin; i < end; i++) {
    const { dispatch, pipeline, group } = at(calls, i);
    if (pipeline !== last) {
      pass.setPipeline(pipeline);
      last = pipeline;
    }
    pass.setBindGroup(0, group);
    const [x, y, z] = dispatch.workgroups;
    pass.dispatchWorkgroups(x, y, z);
  }
}

/** Where a list of calls is cut into submits of bounded work; a single call is never cut. */
export function cutsOf(calls: readonly Pick<Call, 'dispatch'>[]): number[] {
  const cuts: number[] = [];
  let work = 0;
  let first = 0;
  calls.forEach(({ dispatch }, i) => {
    const own = workOf(dispatch);
    if (i > first && (work + own > WORK_A_SUBMIT || i - first >= CALLS_A_SUBMIT)) {
      cuts.push(i);
      first = i;
      work = 0;
    }
    work += own;
  });
  cuts.push(calls.length);
  return cuts;
}

/** The work of a call: its operations, or the bytes that it binds where those are more. */
export function workOf(dispatch: Dispatch): number {
  return Math.max(dispatch.operations, bytesOf(dispatch));
}
