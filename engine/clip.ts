// Clipping by the global norm: one factor for all gradients together, min(1, maxNorm / (norm + 1e-6)), as PyTorch's
// clip_grad_norm_ (Pascanu et al. 2013). Everything here is plain ops; the sums run in a fixed order.
// Optimisers hand the factor to their kernels; `clipByGlobalNorm` is for those who want scaled gradients as tensors.

import { formatShape, OptionError, ShapeError } from './errors.ts';
import { add, div, minimum, mul, sqrt } from './ops/elementwise.ts';
import { fill } from './ops/leaf.ts';
import { sum, sumOfSquares } from './ops/reduce.ts';
import { concat, reshape } from './ops/shape.ts';
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

/** The 2-norm over all elements of all tensors, []. @throws OptionError where there are none */
export function globalNorm(tensors: readonly Tensor[]): Tensor {
  if (tensors.length === 0) throw new OptionError('globalNorm: no tensors were given');
  return sqrt(
    sum(
      concat(
        tensors.map((t) => reshape(sumOfSquares(t), [1])),
        0,
      ),
    ),
  );
}

/**
 * Scales tensors together so that their global 2-norm is at most `maxNorm`: each times min(1, maxNorm / (norm + 1e-6)).
 * @param norm the norm to go by, where it is not that of these very tensors
 * @throws OptionError for no tensors or a bound that is not above 0; ShapeError where `norm` is no scalar
 */
export function clipByGlobalNorm(tensors: readonly Tensor[], maxNorm: number, norm?: Tensor): Clipped {
  const factor = clipFactor('clipByGlobalNorm', tensors, maxNorm, norm);
  return { clipped: tensors.map((t) => mul(t, factor.scale)), ...factor };
}

/** The norm and the factor alone. @param where what the messages start with */
export function clipFactor(
  where: string,
  tensors: readonly Tensor[],
  maxNorm: number,
  imposed: Tensor | undefined,
): { readonly norm: Tensor; readonly scale: Tensor } {
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
  const norm = imposed === undefined ? globalNorm(tensors) : reshape(imposed, []);
  return { norm, scale: minimum(div(fill(maxNorm, []), add(norm, 1e-6)), fill(1, [])) };
}
