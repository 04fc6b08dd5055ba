// Parts of buffers on their way to the host: in which batches they are copied into staging buffers, and out of a mapped one.
//
// Always: the order of the parts is kept. Not here: the staging buffers themselves, and when they are used again (device.ts).

import type { BufferPart } from './device.ts';
import { LimitError } from './errors.ts';
import { formatBytes } from './limits.ts';
import { reasonOf } from './scopes.ts';

/** Most bytes of several Variables that are read by way of one staging buffer. */
const BATCH_BYTES = 2 ** 24;

/** Parts in their order, in as few batches as stay below BATCH_BYTES; a larger part is a batch by itself. */
export function batchesOf(parts: readonly BufferPart[]): readonly (readonly BufferPart[])[] {
  const batches: BufferPart[][] = [];
  let bytes = 0;
  for (const part of parts) {
    bytes += part.bytes;
    const last = batches.at(-1);
    if (last !== undefined && bytes <= BATCH_BYTES) last.push(part);
    else {
      batches.push([part]);
      bytes = part.bytes;
    }
  }
  return batches;
}

/** The bytes of a mapped buffer. @throws LimitError where the host has no memory for them */
export function copied(staging: GPUBuffer, parts: readonly BufferPart[], what: string): readonly ArrayBuffer[] {
  const total = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  try {
    const mapped = staging.getMappedRange(0, total);
    let end = 0;
    return parts.map(({ bytes }) => {
      end += bytes;
      return mapped.slice(end - bytes, end);
    });
  } catch (cause) {
    throw new LimitError(
      `reading ${what}: this runtime did not hold ${formatBytes(total)} of it (${reasonOf(cause)}); read a slice of it at a time`,
      { cause },
    );
  }
}
