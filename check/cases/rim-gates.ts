// Cases of the fused choice and dynamics of a RIM step: either kind of module and of source, single modules and units, more
// units than a workgroup has lanes, all active, equal scores. Keys are drawn large, so that ranks lie well apart.

import { blockGradient, maskGradient } from '../../engine/ops/elementwise.ts';
import { reshape, slice } from '../../engine/ops/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { type RimGatesInputs, type RimGatesOptions, rimGates } from '../../rims/gates-op.ts';
import type { Case, Draw } from '../draw.ts';

/** Sizes in the letters of the design, and the options. */
export interface RimGatesSizes extends RimGatesOptions {
  readonly B: number;
  readonly N: number;
  readonly H: number;
  readonly E: number;
}

/** Drawn inputs of the op. */
export function drawRimGates(draw: Draw, { cell, B, N, H, E }: RimGatesSizes): RimGatesInputs {
  const gates = (cell === 'lstm' ? 4 : 3) * H;
  const [z, dU] = [draw.normal([B, N, gates + E]), draw.normal([B, N, gates])];
  const [keys, h] = [draw.normal([B, 2, E], { std: 1.5 }), draw.normal([B, N, H])];
  return cell === 'lstm'
    ? { z, dU, keys, h, c: draw.normal([B, N, H]) }
    : { z, dU, keys, h, u0: draw.normal([N, gates]) };
}

/**
 * The op's outputs. What others read of an inactive module's candidate has no gradient: differences would find one, so that
 * it is masked here, and the dropping itself is seen elsewhere (test/rim-ops.test.ts).
 */
function outputsOf(inputs: RimGatesInputs, sizes: RimGatesSizes): readonly Tensor[] {
  const { source, rest } = rimGates(inputs, sizes);
  if (sizes.sources === 'kept') return [source, rest];
  const [B, N] = [sizes.B, sizes.N];
  const mask = slice(rest, 2, (sizes.cell === 'lstm' ? 2 : 1) * sizes.H, 1);
  return [maskGradient(source, blockGradient(reshape(mask, [B, N, 1]))), rest];
}

function gates(name: string, sizes: RimGatesSizes): Case {
  return { name: `rimGates: ${name}`, graph: (draw) => outputsOf(drawRimGates(draw, sizes), sizes) };
}

const cells = ['lstm', 'gru'] as const;

/** Cases of rimGates and its backward. */
export const rimGatesCases: readonly Case[] = cells.flatMap((cell) => [
  gates(`${cell}, kept`, { cell, sources: 'kept', active: 2, B: 3, N: 4, H: 3, E: 5 }),
  gates(`${cell}, candidates`, { cell, sources: 'candidate', active: 2, B: 2, N: 3, H: 4, E: 3 }),
  gates(`${cell}, all active`, { cell, sources: 'kept', active: 3, B: 2, N: 3, H: 2, E: 17 }),
  gates(`${cell}, one module of one unit`, { cell, sources: 'candidate', active: 1, B: 1, N: 1, H: 1, E: 1 }),
  gates(`${cell}, several workgroups a row`, { cell, sources: 'kept', active: 2, B: 1, N: 3, H: 130, E: 7 }),
  {
    name: `rimGates: ${cell}, equal scores`,
    graph: (draw: Draw) => {
      const sizes = { cell, sources: 'kept', active: 2, B: 2, N: 4, H: 2, E: 2 } as const;
      const inputs = { ...drawRimGates(draw, sizes), keys: draw.given([2, 2, 2], [0, 0, 0, 0, 1, 0, 0, 0]) };
      // Ranks of 0, so that a difference would move the choice: only the forward is asked.
      draw.wrt.length = 0;
      return outputsOf(inputs, sizes);
    },
  },
]);
