// How many steps of a long sequence a RIM computes as one: so many that no tensor of a chunk passes what every WebGPU device
// binds, and no call works for long. By sizes alone, and the same for both paths, whose dropout draws chunk by chunk.
// Not here: what is done with chunks (engine/chunks.ts), and limits of a device that was opened (engine/limits.ts).

import type { RIMCell } from './cell.ts';
import { plainReason, quads, widestRow } from './fused.ts';
import type { CellOptions } from './options.ts';
import { gateCount } from './weights.ts';

/** Bytes that the largest sequence of a chunk may take: three quarters of what every device binds. */
const CHUNK_BYTES = 96 * 2 ** 20;
/** Multiplications and additions of the largest product of a chunk: two seconds where a device does 10 G a second. */
const CHUNK_OPERATIONS = 2e10;

/**
 * The steps of a chunk: the fewest chunks of about equal lengths that keep both bounds.
 * @param T all steps
 * @param B batch rows
 */
export function chunkLength(cell: RIMCell, T: number, B: number): number {
  const { options } = cell;
  const { modules: N, hiddenSize: H, inputSize: D, inputHeads: I, keySize: E, valueSize: V } = options;
  const fused = plainReason(cell, B) === undefined ? widestRow(cell) : 0;
  const width = Math.max(fused, plainWidest(options));
  const operations = 2 * N * (gateCount(options.cell) * H + I * E) * Math.max(I * V, H, D);
  const most = Math.min(CHUNK_BYTES / (4 * B * width), CHUNK_OPERATIONS / (B * operations));
  return Math.ceil(T / Math.ceil(T / Math.max(1, Math.floor(most))));
}

/** Elements of the largest sequence of the plain path for one batch row at one step. */
function plainWidest(options: CellOptions): number {
  const { modules: N, hiddenSize: H, inputSize: D, inputRows: R, inputHeads: I, keySize: E, valueSize: V } = options;
  const { commHeads: C, commKeySize: F, commValueSize: W } = options;
  // What the modules carry side by side (states and their products), read, and say; what all read.
  const carried = (gateCount(options.cell) + 2) * quads(H) + I * quads(E) + C * (quads(F) + quads(W));
  return Math.max(N * carried, N * I * V, N * C * (2 * F + W), C * N * N, R * D, (R + 1) * I * (E + V));
}
