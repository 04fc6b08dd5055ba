// Clipping by the global norm: one factor for all gradients together, min(1, maxNorm / (norm + 1e-6)), as PyTorch's
// clip_grad_norm_ (Pascanu et al. 2013). The sums run in a fixed order (ops/global-norm.ts).
// Optimisers take the norm alone and make the factor themselves, in the kernel call that prepares their step;
// `clipByGlobalNorm` is for those who want scaled gradients as tensors.

import { formatShape, OptionError, ShapeError } from './errors.ts';
import { add, div, minimum, mul } from './ops/elementwise.ts';
import { globalNorm } from './ops/global-norm.ts';
import { fill } from './ops/leaf.ts';
import { reshape } from './ops/shape.ts';
import type { Tensor } from './tensor.ts';

/** Tensors scaled to a largest norm, the norm before, and the factor. */
export interface Clipped {
  /** The tensors times the factor, in the order given. */
  readonly clipped: readonly Tensor[];
  /** [] */
  readonly norm: Tensor;
  /** [], at most 1. */
  readonly scale: Tensor;
}

/**
 * Scales tensors together so that their global 2-norm is at most `maxNorm`: each times min(1, maxNorm / (norm + 1e-6)).
 * @param norm the norm to go by, where it is not that of these very tensors
 * @throws OptionError for no tensors or a bound that is not above 0; ShapeError where `norm` is no scalar
 */
export function clipByGlobalNorm(tensors: readonly Tensor[], maxNorm: number, norm?: Tensor): Clipped {
  const by = normToClip('clipByGlobalNorm', tensors, maxNorm, norm);
  const scale = minimum(div(fill(maxNorm, []), add(by, 1e-6)), fill(1, []));
  return { clipped: tensors.map((t) => mul(t, scale)), norm: by, scale };
}

/** The norm to clip by, []. @param where what the messages start with */
export function normToClip(
  where: string,
  tensors: readonly Tensor[],
  maxNorm: number,
  imposed: Tensor | undefined,
): Tensor {
  if (!(maxNorm > 0 && Number.isFinite(maxNorm))) {
    throw new OptionError(
      `${where}: the largest norm must be a number above 0, not ${String(maxNorm)}; leave it out for no clipping`,
    );
  }
  if (imposed !== undefined && (imposed.size !== 1 || imposed.dtype !== 'f32')) {
    throw new ShapeError(
      `${where}: the norm must be one f32 number, not ${imposed.dtype} ${formatShape(imposed.shape)}`,
    );
  }
  return imposed === undefined ? globalNorm(tensors) : reshape(imposed, []);
}
