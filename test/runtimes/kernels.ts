// Compiles every kernel of the catalogue, constants at their defaults, and says which ones a runtime refuses. The shader
// compilers differ (Tint in Node and Chromium, naga in Deno): a kernel is portable only when all of them take it.
// Runtime-neutral: it imports the catalogue alone and is given a device. What a kernel computes is tested elsewhere.
import { type Kernel, kernels } from '../../kernels/index.ts';

/**
 * Tries to make a pipeline of each kernel; a line for each message of the shader compiler, none where all is well. Left
 * out are variants that `enable` a feature that the device has not: the engine never chooses them there.
 */
export async function refusedKernels(device: GPUDevice): Promise<string[]> {
  const refused: string[] = [];
  for (const kernel of Object.values<Kernel>(kernels)) {
    const features = [...kernel.source.matchAll(/^enable\s+(\w+)/gm)].map(
      ([, name]) => featureOf.get(name ?? '') ?? '',
    );
    if (features.every((feature) => device.features.has(feature))) refused.push(...(await complaints(device, kernel)));
  }
  return refused;
}

/** The feature of a device behind each extension of the language that a kernel may enable. */
const featureOf: ReadonlyMap<string, string> = new Map([
  ['subgroups', 'subgroups'],
  ['f16', 'shader-f16'],
]);

async function complaints(device: GPUDevice, { name, source }: Kernel): Promise<string[]> {
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ label: name, code: source });
  const { messages } = await module.getCompilationInfo();
  let failure = '';
  try {
    await device.createComputePipelineAsync({ label: name, layout: 'auto', compute: { module, entryPoint: 'main' } });
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
  }
  const reported = await device.popErrorScope();
  const lines = messages
    .filter(({ type }) => type !== 'info')
    .map(({ type, lineNum, linePos, message }) => `${name}.wgsl:${lineNum}:${linePos} ${type}: ${message}`);
  if (lines.length > 0) return lines;
  const why = failure || reported?.message || '';
  return why === '' ? [] : [`${name}.wgsl: ${why}`];
}
