// The limits of a device that a plan must keep, checked before anything is made: bytes of a binding, bytes of a buffer.
// Workgroups a dimension are checked as calls are recorded (recorder.ts).

import { LimitError, need } from './errors.ts';
import { dispatchesOf, type Plan, type Value } from './plan.ts';

/** What a user can do about a tensor that is too large. */
const SMALLER = 'use a smaller batch, fewer time steps, shorter chunks of them (the option chunk of a scan or RIM)';
/** The same of a Variable, which neither batch nor time change. */
const SMALLER_WEIGHTS =
  'make the weights smaller (fewer hidden units; of a RIM the options valueSize, hiddenSize, modules)';

const mendOf = ({ variable }: Value): string => (variable === undefined ? SMALLER : SMALLER_WEIGHTS);

/** What is checked, in bytes; a GPUDevice's `limits` have it. */
export interface PlanLimits {
  readonly maxStorageBufferBindingSize: number;
  readonly maxBufferSize: number;
}

/** Refuses a plan that a device cannot hold. @throws LimitError naming the tensor and the limit */
export function checkLimits(limits: PlanLimits, plan: Plan): void {
  const { maxStorageBufferBindingSize: most, maxBufferSize } = limits;
  const calls = dispatchesOf(plan);
  for (const { label, buffers } of calls) {
    const large = buffers.find(({ place }) => place.bytes > most);
    if (large !== undefined) {
      throw new LimitError(
        `${label}: binds ${large.place.bytes} bytes (${large.place.value.label}), and this device binds ${most} at most; ${mendOf(large.place.value)}, or open the device with a larger limits.maxStorageBufferBindingSize`,
      );
    }
  }
  const slot = plan.slots.findIndex((bytes) => bytes > maxBufferSize);
  if (slot < 0) return;
  const values = calls.flatMap(({ buffers }) => buffers.map(({ place }) => place.value));
  const { label } = need(
    values.find((value) => value.slot === slot && value.bytes === plan.slots[slot]),
    'a value',
  );
  throw new LimitError(
    `${label}: needs a buffer of ${plan.slots[slot]} bytes, and this device takes ${maxBufferSize}; ${SMALLER}, or open the device with a larger limits.maxBufferSize`,
  );
}
