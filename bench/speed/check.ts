// The check before the times: whoever computes something else is not timed.
//
// Always: the first losses of all contestants of a task agree with those of rimgrad's plain path, and so does the fall of the
// loss, which tells of the gradients; the fused path must also move every parameter as the plain one does.
// Not here: where the steps are taken (contestants.ts).

import { at } from '../../engine/errors.ts';
import type { Move } from './contestants.ts';

/** How far losses may lie apart, relative to the reference. */
const LOSS_TOLERANCE = 1e-4;
/** How far the fall of the loss from the first to the last checked step may lie apart, relative to it. */
const FALL_TOLERANCE = 0.02;
/** How far the change of a parameter may lie apart, as a vector, relative to its length. */
const MOVE_TOLERANCE = 0.01;
/** The rounding of one f32. */
const ROUNDING = 2 ** -23;

/** Why losses are not those of the reference; undefined where they are. */
export function lossesFault(losses: readonly number[], reference: readonly number[]): string | undefined {
  const count = Math.min(losses.length, reference.length);
  if (count < 2) return `gave ${losses.length} losses, and 2 are needed at least`;
  for (let step = 0; step < count; step++) {
    const [own, wanted] = [at(losses, step), at(reference, step)];
    if (!(Math.abs(own - wanted) <= LOSS_TOLERANCE * Math.abs(wanted))) {
      return `the loss of step ${step} is ${own}, the reference ${wanted}`;
    }
  }
  const fall = (values: readonly number[]): number => at(values, 0) - at(values, count - 1);
  const room = FALL_TOLERANCE * Math.abs(fall(reference)) + 4 * ROUNDING * Math.abs(at(reference, 0));
  if (Math.abs(fall(losses) - fall(reference)) <= room) return undefined;
  return `the loss fell by ${fall(losses)} in ${count} steps, the reference by ${fall(reference)}`;
}

/** Why parameters did not move as the reference's did; undefined where they did. */
export function movesFault(moves: readonly Move[], reference: readonly Move[], steps: number): string | undefined {
  const all = Math.hypot(...reference.map(({ change }) => norm(change)));
  for (const wanted of reference) {
    const own = moves.find(({ name }) => name === wanted.name);
    if (own === undefined || own.change.length !== wanted.change.length) return `has no parameter like ${wanted.name}`;
    const apart = norm(own.change.map((value, i) => value - at(wanted.change, i)));
    // What every store rounds away, and parameters that in truth do not move at all.
    const unseen = steps * ROUNDING * norm(wanted.before) + 1e-5 * all;
    if (!(apart <= MOVE_TOLERANCE * norm(wanted.change) + unseen)) {
      const share = (apart / norm(wanted.change)).toPrecision(2);
      return `${wanted.name} moved elsewhere in ${steps} steps: by ${share} of its way`;
    }
  }
  return undefined;
}

function norm(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}
