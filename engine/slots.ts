// Slots: values of a program whose lives do not overlap share a buffer. A value's life is the span of kernel calls from its
// first to its last use; one that must keep its content for good lives for ever.

import { at } from './errors.ts';
import type { Value } from './plan.ts';

/** Gives every value a slot; values whose lives do not overlap may share one. Returns the bytes of each slot. */
export function assignSlots(values: readonly Value[]): number[] {
  const slots: { bytes: number; freeAt: number }[] = [];
  const used = values.filter((value) => value.last >= 0 && value.variable === undefined);
  for (const value of used.sort((a, b) => a.first - b.first || b.bytes - a.bytes)) {
    let best = -1;
    slots.forEach((slot, i) => {
      if (slot.freeAt >= value.first) return;
      if (best < 0 || fit(slot.bytes, value.bytes) < fit(at(slots, best).bytes, value.bytes)) best = i;
    });
    if (best < 0) {
      best = slots.length;
      slots.push({ bytes: 0, freeAt: -1 });
    }
    const slot = at(slots, best);
    slot.bytes = Math.max(slot.bytes, value.bytes);
    slot.freeAt = value.last;
    value.slot = best;
  }
  return slots.map((slot) => slot.bytes);
}

/** How badly a value fits a free slot: bytes left over, or bytes by which the slot must grow, which count more. */
function fit(slot: number, bytes: number): number {
  return slot >= bytes ? slot - bytes : 2 * (bytes - slot);
}
