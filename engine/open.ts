// Opening a device: an adapter of the runtime's GPU object, the features that the kernels can use, the limits asked for.
// Always: every refusal says what to do, in the words of the runtime's entry point (index.ts, node.ts), which brings the
// GPU object. A device that is given is taken as it is, and whoever made it destroys it. What a device is: device.ts.

import { type AdapterDescription, Device } from './device.ts';
import { checkOptions, DeviceError, LimitError, nearest, OptionError } from './errors.ts';
import { checkTuning, type Tuning } from './tuning.ts';

/** How to open a device. */
export interface DeviceOptions {
  /** An existing device: it is used and never destroyed. */
  readonly device?: GPUDevice;
  /** The GPU object of the runtime, where it is not `navigator.gpu`. */
  readonly gpu?: GPU;
  /** Which adapter to prefer where there are several; 'high-performance' by default. */
  readonly power?: 'high-performance' | 'low-power';
  /** False: kernels leave subgroups alone even where the adapter has them; results are the same to the bit. */
  readonly subgroups?: boolean;
  /** What `tune` measured on this adapter: which kernels products take. Results are the same to the bit. */
  readonly tuning?: Tuning;
  /** Limits above WebGPU's defaults, as `{ maxBufferSize: ... }`; refused where the adapter has less. */
  readonly limits?: Readonly<Record<string, number>>;
}

/**
 * Opens a device, or takes the one given.
 * @param gpu the runtime's GPU object; undefined where it has none
 * @param hint what to do where there is no adapter, in the words of the runtime
 * @throws DeviceError where there is no WebGPU or no adapter; LimitError where a limit asked for is not to be had;
 *   OptionError for an unknown option or power
 */
export async function openDeviceWith(gpu: GPU | undefined, hint: string, options: DeviceOptions): Promise<Device> {
  checkOptions('openDevice', options, ['device', 'gpu', 'power', 'subgroups', 'limits', 'tuning']);
  const { tuning } = options;
  if (options.device !== undefined) {
    const { device } = options;
    const size = subgroupSizeOf(device, device.adapterInfo, options);
    const description = describe(device.adapterInfo);
    if (tuning !== undefined) checkTuning(tuning, description);
    return new Device(device, description, size, false, tuning);
  }
  const { power = 'high-performance' } = options;
  if (power !== 'high-performance' && power !== 'low-power') {
    throw new OptionError(`openDevice: power must be 'high-performance' or 'low-power', not ${String(power)}`);
  }
  if (gpu === undefined) throw new DeviceError(`this runtime has no WebGPU; ${hint}`);
  const adapter = await gpu.requestAdapter({ powerPreference: power });
  if (adapter === null) throw new DeviceError(`WebGPU found no adapter; ${hint}`);
  const description = describe(adapter.info);
  if (tuning !== undefined) checkTuning(tuning, description);
  const requiredLimits: Record<string, number> = {};
  for (const [name, value] of Object.entries(options.limits ?? {})) {
    const most: unknown = adapter.limits[name as keyof GPUSupportedLimits];
    if (typeof most !== 'number') {
      const near = nearest(name, limitNames(adapter.limits));
      throw new LimitError(
        `openDevice: there is no limit called ${name}${near === undefined ? '' : `; did you mean '${near}'?`}`,
      );
    }
    if (value > most) throw new LimitError(`openDevice: ${name} ${value} was asked for, and the adapter has ${most}`);
    requiredLimits[name] = value;
  }
  const requiredFeatures = (['timestamp-query', 'subgroups'] as const).filter((feature) =>
    adapter.features.has(feature),
  );
  const device = await adapter
    .requestDevice({ label: 'rimgrad', requiredFeatures, requiredLimits })
    .catch((cause: unknown) => {
      throw new DeviceError(
        `the adapter gave no device (${cause instanceof Error ? cause.message : String(cause)}); ${hint}`,
        { cause },
      );
    });
  return new Device(device, description, subgroupSizeOf(device, adapter.info, options), true, tuning);
}

/** The names of all limits: properties of the prototype in every runtime. */
function limitNames(limits: GPUSupportedLimits): string[] {
  const names: string[] = [];
  for (const name in limits) names.push(name);
  return names;
}

/** 0 where the device has no subgroups, or of more than one size. */
function subgroupSizeOf(device: GPUDevice, info: GPUAdapterInfo | undefined, options: DeviceOptions): number {
  if (options.subgroups === false || !device.features.has('subgroups') || info === undefined) return 0;
  // Some runtimes have the feature and do not tell the sizes.
  const { subgroupMinSize: least, subgroupMaxSize: most } = info;
  return least > 0 && least === most ? least : 0;
}

function describe(info: GPUAdapterInfo | undefined): AdapterDescription {
  const { vendor = '', architecture = '', device = '', description = '' } = info ?? {};
  const software =
    info?.isFallbackAdapter === true ||
    /llvmpipe|lavapipe|swiftshader/i.test(`${device} ${description} ${architecture}`);
  return { vendor, architecture, device, description, software };
}
