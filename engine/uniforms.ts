// The uniforms of a program: those of all kernel calls in one buffer.

import { type Dispatch, dispatchesOf, type Plan } from './plan.ts';
import { ALIGNMENT, roundUp } from './recorder.ts';

/** The uniforms of all calls, and where those of each begin. */
export interface Uniforms {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly offsets: ReadonlyMap<Dispatch, number>;
}

/** All uniforms in one buffer, equal ones once, each at a multiple of the alignment. */
export function packAll(plan: Plan): Uniforms {
  const known = new Map<string, number>();
  const offsets = new Map<Dispatch, number>();
  const chunks: { offset: number; bytes: Uint8Array }[] = [];
  let end = 0;
  for (const dispatch of dispatchesOf(plan)) {
    const bytes = new Uint8Array(dispatch.uniforms);
    const key = bytes.join();
    let offset = known.get(key);
    if (offset === undefined) {
      offset = end;
      known.set(key, offset);
      chunks.push({ offset, bytes });
      end += roundUp(bytes.length, ALIGNMENT);
    }
    offsets.set(dispatch, offset);
  }
  const all = new Uint8Array(Math.max(end, 16));
  for (const { offset, bytes } of chunks) all.set(bytes, offset);
  return { bytes: all, offsets };
}
