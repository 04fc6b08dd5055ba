// Calculus: the gradients that `grad` builds, evaluated in float64, against central differences in float64. It tells
// whether a backward is the derivative of its forward; whether kernels compute either is another question (gradcheck.ts).
// Meant for points away from kinks and ties; blocked values, masks and selections are held (interpret.ts).

import { at, need, ShapeError } from '../engine/errors.ts';
import { grad } from '../engine/grad.ts';
import { sizeOf, type Tensor } from '../engine/tensor.ts';
import { Interpretation, type InterpretOptions } from './interpret.ts';
import { largest, type Numbers, worse } from './value.ts';

/** Largest error that a right gradient may have: relative to the largest gradient of the tensor. */
export const CALCULUS_LIMIT = 1e-6;

/** Distance of the two points of a difference: errors of the second order and of rounding are then both near 1e-10. */
const STEP = 1e-5;

/** What the check of one tensor's gradient found. */
export interface CalculusResult {
  /** The leaf whose gradient was checked. */
  readonly tensor: Tensor;
  /** Largest difference, relative to `scale`. */
  readonly worst: number;
  /** Largest magnitude of the gradient, by either way, but at least 1e-3, so that a gradient of zeros can be judged. */
  readonly scale: number;
}

/** How a gradient is checked. */
export interface CalculusOptions extends InterpretOptions {
  /** Most elements of a tensor that are differenced, spread evenly over it; 64 by default. */
  readonly probes?: number;
}

/**
 * Checks the gradients of a scalar with respect to leaves (inputs, Variables) against central differences.
 * @throws ShapeError where the loss is no scalar, OptionError where an op has no meaning
 */
export async function checkCalculus(
  loss: Tensor,
  wrt: readonly Tensor[],
  options: CalculusOptions = {},
): Promise<CalculusResult[]> {
  if (loss.size !== 1) throw new ShapeError(`check: the loss has the shape [${loss.shape.join(',')}]; give a scalar`);
  const gradients = grad(loss, wrt);
  const interpretation = await Interpretation.of([loss, ...wrt, ...wrt.map((tensor) => gradients.of(tensor))], options);
  return wrt.map((tensor) => {
    const analytic = interpretation.value(gradients.of(tensor)).data;
    const probes = probesOf(sizeOf(tensor.shape), options.probes ?? 64);
    const numeric = probes.map((i) => difference(interpretation, loss, tensor, i));
    return { tensor, ...compare(analytic, probes, numeric) };
  });
}

function difference(interpretation: Interpretation, loss: Tensor, tensor: Tensor, i: number): number {
  const { data } = interpretation.value(tensor);
  const x = at(data, i);
  const lossAt = (value: number): number => {
    const moved = Float64Array.from(data);
    moved[i] = value;
    return at(interpretation.changed(loss, tensor, moved).data, 0);
  };
  return (lossAt(x + STEP) - lossAt(x - STEP)) / (x + STEP - (x - STEP));
}

function compare(
  analytic: Numbers,
  probes: readonly number[],
  numeric: readonly number[],
): { worst: number; scale: number } {
  const scale = Math.max(1e-3, largest(analytic), largest(numeric));
  const errors = probes.map((i, k) => Math.abs(at(analytic, i) - at(numeric, k)) / scale);
  return { worst: need(errors.reduce(worse), 'an error'), scale };
}

/** Evenly spread places, the first and the last among them. */
function probesOf(size: number, most: number): number[] {
  if (size <= most) return Array.from({ length: size }, (_, i) => i);
  const places = Array.from({ length: most }, (_, k) => Math.round((k * (size - 1)) / Math.max(1, most - 1)));
  return [...new Set(places)];
}
