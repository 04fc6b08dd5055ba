// The entry point for Node: the whole library, and `openDevice` by way of the optional package `webgpu` (Dawn).
// Only this file knows that package, so that bundlers for the browser never see it.

import type { Device } from './device.ts';
import { DeviceError } from './errors.ts';
import { type DeviceOptions, openDeviceWith } from './open.ts';

export * from './core.ts';

/** Kept for good: the process may end in the middle of an await once the binding's object is collected. */
let binding: GPU | undefined;

/**
 * Opens a device through the package `webgpu`, or takes the one given.
 * @throws DeviceError where the package or an adapter is missing, with what to install
 */
export async function openDevice(options: DeviceOptions = {}): Promise<Device> {
  if (options.device === undefined && options.gpu === undefined && binding === undefined) {
    let module: typeof import('webgpu');
    try {
      module = await import('webgpu');
    } catch (cause) {
      throw new DeviceError('Node has no WebGPU of its own; install the package that brings it: npm install webgpu', {
        cause,
      });
    }
    binding = module.create([]);
  }
  const hint = 'install a Vulkan driver for your GPU, or a software one (Mesa 23 or newer: mesa-vulkan-drivers)';
  return openDeviceWith(options.gpu ?? binding, hint, options);
}
