// The entry point for browsers and Deno: the whole library, and `openDevice` by way of `navigator.gpu`.

import type { Device } from './device.ts';
import { type DeviceOptions, openDeviceWith } from './open.ts';

export * from './core.ts';

/**
 * Opens a device through `navigator.gpu`, or takes the one given.
 * @throws DeviceError where the runtime has no WebGPU or no adapter
 */
export async function openDevice(options: DeviceOptions = {}): Promise<Device> {
  const gpu = options.gpu ?? (typeof navigator === 'undefined' ? undefined : navigator.gpu);
  const hint =
    'use a browser that has it (Chrome, Edge, Safari 26, Firefox 141), or Deno, and check that graphics drivers are installed';
  return openDeviceWith(gpu, hint, options);
}
