// Whether a kernel object written by hand says what its source says. The catalogue is generated and needs no such check: the
// objects of users do, since WebGPU finds a wrong binding but never a wrong offset of a uniform.
// It reads declarations line by line, in the form that the head of kernel.ts describes; it does not read the code.

import { type Kernel, KernelError } from './kernel.ts';

/** Bytes of the scalars and vectors of a uniform struct, which are their alignments too. */
const BYTES: Readonly<Record<string, number>> = { u32: 4, i32: 4, f32: 4, vec2: 8, vec4: 16 };

/**
 * The same kernel, once its bindings, uniforms, constants and workgroup are seen to be those of its source.
 * @throws KernelError naming the first that is not, and what the source has
 */
export function checkKernel<K extends Kernel>(kernel: K): K;
export function checkKernel(kernel: Kernel): Kernel {
  const differ = (what: string, given: unknown, declared: unknown): void => {
    const [has, wants] = [JSON.stringify(given), JSON.stringify(declared)];
    if (has !== wants)
      throw new KernelError(
        `${kernel.name}: ${what}: the object has ${has ?? 'none'}, the source ${wants ?? 'none'}; correct one of them`,
      );
  };
  const code = kernel.source.replace(/\/\/.*$/gm, '');
  const bindings = [
    ...code.matchAll(/@group\(0\) @binding\((\d+)\) var<storage, (read|read_write)> (\w+): array<(.*)>;/g),
  ].map(([, binding, access, name, element = '']): [string, unknown] => [
    name ?? '',
    [Number(binding), access, fullName(element)],
  ]);
  differ('storage buffers', Object.keys(kernel.bindings), names(bindings));
  for (const [name, { binding, access, element }] of Object.entries(kernel.bindings)) {
    differ(`storage buffer '${name}'`, [binding, access, element], Object.fromEntries(bindings)[name]);
  }
  if (!/@group\(0\) @binding\(0\) var<uniform> u: Uniforms;/.test(code)) {
    throw new KernelError(
      `${kernel.name}: its source has no '@group(0) @binding(0) var<uniform> u: Uniforms;'; declare it`,
    );
  }
  const { fields, size } = uniformsOf(kernel.name, /struct Uniforms \{([^}]*)\}/.exec(code)?.[1] ?? '');
  differ('uniforms', Object.keys(kernel.uniforms.fields), names(fields));
  for (const [name, { offset, type }] of Object.entries(kernel.uniforms.fields)) {
    differ(`uniform '${name}', its offset and type`, [offset, type], Object.fromEntries(fields)[name]);
  }
  differ('bytes of the uniforms', kernel.uniforms.size, size);
  for (const [name, { type, value }] of Object.entries(kernel.constants)) {
    const declared = new RegExp(`^const ${name}: (\\w+) = ([^;]*);`, 'm').exec(code);
    differ(
      `constant '${name}', its type and default`,
      [type, value],
      declared && [declared[1], literalOf(declared[2])],
    );
  }
  const axes = (/@workgroup_size\(([^)]*)\)/.exec(code)?.[1] ?? '').split(',').map((axis) => axis.trim());
  const workgroup = [0, 1, 2].map((i) =>
    /^\d+u?$/.test(axes[i] || '1') ? Number.parseInt(axes[i] || '1', 10) : axes[i],
  );
  differ('workgroup', kernel.workgroup, workgroup);
  return kernel;
}

/** The fields of a uniform struct, each with its offset and type, and the bytes of its buffer (WGSL, section 14.4). */
function uniformsOf(kernel: string, body: string): { fields: (readonly [string, unknown])[]; size: number } {
  let end = 0;
  const fields = [...body.matchAll(/(\w+): (array<[^>]*>, \d+>|[^,\s]+),?/g)].map(([, name = '', written = '']) => {
    const type = fullName(written);
    const vectors = /^array<vec4<[uif]32>, (\d+)>$/.exec(type)?.[1];
    const align = BYTES[vectors === undefined ? type.replace(/<.*/, '') : 'vec4'];
    if (align === undefined) throw new KernelError(`${kernel}: uniform '${name}' has the type ${type}; see Kernel`);
    const offset = Math.ceil(end / align) * align;
    end = offset + align * Number(vectors ?? 1);
    return [name, [offset, type]] as const;
  });
  return { fields, size: Math.ceil(end / 16) * 16 };
}

/** `vec4f` as `vec4<f32>`, inside an array too. */
function fullName(type: string): string {
  return type.replace(/\b(vec[24])([uif])\b/g, '$1<$232>');
}

/** A literal of WGSL. */
function literalOf(literal = ''): number | boolean {
  if (literal === 'true' || literal === 'false') return literal === 'true';
  return Number(/^0[xX]/.test(literal) ? literal.replace(/[ui]$/, '') : literal.replace(/[uif]$/, ''));
}

function names(entries: readonly (readonly [string, unknown])[]): string[] {
  return entries.map(([name]) => name);
}
