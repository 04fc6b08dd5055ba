/**
 * What a kernel is, and what is done with one: specialise its source, pack its uniforms, tell its workgroup's size and memory.
 * A kernel is one file `kernels/kebab-name.wgsl`, valid WGSL that stands alone; `generate.mjs` reads all of them and writes
 * `catalogue.ts`, whose entries are literal types, so that a missing buffer or a misspelt constant does not compile.
 * Knows nothing of devices, buffers or shapes, and needs no WebGPU types.
 *
 * The dialect, which the generator enforces:
 * - A `//` head comment first; no block comments; one compute entry point, `main`.
 * - `struct Uniforms { ... }` and `@group(0) @binding(0) var<uniform> u: Uniforms;`, always. Its fields are u32, i32, f32,
 *   vec2 or vec4 of these, or `array<vec4<u32>, N>` (i32 and f32 likewise).
 * - Storage buffers from binding 1 on without gaps, at most 8, `var<storage, read>` or `var<storage, read_write>`, of
 *   `array<f32>`, `array<u32>` or these of `vec4`; the same line ends in a comment with the shape: `// gates [T,B,N,G*H]`.
 * - `const NAME: u32 = 64;` (also i32, f32, bool; a literal; one line, at the margin) is a constant of specialisation: its
 *   value here is a working default. A const computed from others follows them, and cannot be set itself.
 * - `@workgroup_size` takes literals or names of u32 constants, never an expression.
 * - The limits of every WebGPU device hold at the defaults: 256 invocations, 16 KiB of workgroup memory. No `override`,
 *   `enable`, `requires`, atomics, or pointers to storage as parameters.
 */

/** A scalar type of WGSL that a constant may have. */
export type ConstantType = 'u32' | 'i32' | 'f32' | 'bool';

/** A scalar type of WGSL that a uniform may have. */
export type UniformScalar = 'u32' | 'i32' | 'f32';

/** A type that a field of a uniform struct may have. */
export type UniformType =
  | UniformScalar
  | `vec2<${UniformScalar}>`
  | `vec4<${UniformScalar}>`
  | `array<vec4<${UniformScalar}>, ${number}>`;

/** A storage buffer of a kernel, in group 0. */
export interface KernelBinding {
  /** Its number, from 1: binding 0 is the uniform buffer. */
  readonly binding: number;
  /** Whether the kernel writes it. */
  readonly access: 'read' | 'read_write';
  /** The type of its elements. */
  readonly element: 'f32' | 'u32' | 'vec4<f32>' | 'vec4<u32>';
}

/** A field of a kernel's uniform struct. */
export interface KernelField {
  /** Bytes from the beginning of the struct. */
  readonly offset: number;
  /** Its type. */
  readonly type: UniformType;
}

/** A constant of specialisation. */
export interface KernelConstant {
  /** Its type. */
  readonly type: ConstantType;
  /** Its value in the source, the default. */
  readonly value: number | boolean;
}

/** An entry of the catalogue: a WGSL source and what its declarations say. */
export interface Kernel {
  /** Its name in the catalogue, in camelCase. */
  readonly name: string;
  /** The file line for line, without its comments and indentation, every constant at its default. */
  readonly source: string;
  /** Its storage buffers, by the names of its variables. */
  readonly bindings: { readonly [name: string]: KernelBinding };
  /** Its uniform struct. */
  readonly uniforms: {
    /** Bytes of the uniform buffer, a multiple of 16. */
    readonly size: number;
    /** Byte offset and type of each field, in the order of the struct. */
    readonly fields: { readonly [name: string]: KernelField };
  };
  /** The constants of specialisation, with their defaults. */
  readonly constants: { readonly [name: string]: KernelConstant };
  /** Invocations of a workgroup in x, y, z: numbers, or names of constants. */
  readonly workgroup: readonly [number | string, number | string, number | string];
}

/** The names of the storage buffers of a kernel. */
export type BufferNames<K extends Kernel> = keyof K['bindings'] & string;

/** One `Buffer` for each storage buffer of a kernel, none missing. */
export type BufferValues<K extends Kernel, Buffer> = { readonly [Name in BufferNames<K>]: Buffer };

/** A number for a scalar, the flattened components for a vector or an array of vectors. */
export type UniformValue<Type extends UniformType> = Type extends UniformScalar ? number : readonly number[];

/** A value for each field of a kernel's uniform struct, none missing. */
export type UniformValues<K extends Kernel> = {
  readonly [Name in keyof K['uniforms']['fields']]: UniformValue<K['uniforms']['fields'][Name]['type']>;
};

/** A value for a constant: true or false for a bool, else a number. */
export type ConstantValue<Type extends ConstantType> = Type extends 'bool' ? boolean : number;

/** Values for some of a kernel's constants; the others keep their defaults. */
export type ConstantValues<K extends Kernel> = [keyof K['constants']] extends [never]
  ? { readonly [name: string]: never }
  : { readonly [Name in keyof K['constants']]?: ConstantValue<K['constants'][Name]['type']> };

/** A kernel was given a constant or a uniform that it cannot take. The message names the kernel, the name and the mend. */
export class KernelError extends Error {
  /** The name of the class, which minifying leaves as it is. */
  override readonly name: string = 'KernelError';
}

type Unchecked = { readonly [name: string]: unknown };

/**
 * The WGSL source of a kernel with some of its constants set. Equal values give equal text, whatever their order, so the
 * text can be the key of a pipeline cache.
 * @throws KernelError for a constant that the kernel does not have, or a value that its type cannot hold.
 */
export function specialise<K extends Kernel>(kernel: K, constants: ConstantValues<K>): string;
export function specialise(kernel: Kernel, constants: Unchecked): string {
  let source = kernel.source;
  for (const [name, value] of Object.entries(constants)) {
    const { type } = constantOf(kernel, name);
    const literal = constantLiteral(type, value, `${kernel.name}: constant ${name}`);
    const declaration = new RegExp(`^const ${name}: ${type} = [^;]*;`, 'm');
    if (!declaration.test(source)) {
      throw new KernelError(
        `${kernel.name}: no line 'const ${name}: ${type} = ...;' in its source; run 'npm run kernels'`,
      );
    }
    source = source.replace(declaration, `const ${name}: ${type} = ${literal};`);
  }
  return source;
}

/**
 * The bytes of a kernel's uniform buffer, `kernel.uniforms.size` of them, little-endian as WebGPU has it. An array of
 * vectors may be given in part, by whole vectors from the first: the rest is zero.
 * @throws KernelError for a missing or unknown field, a wrong length, or a number that the type cannot hold.
 */
export function packUniforms<K extends Kernel>(kernel: K, values: UniformValues<K>): ArrayBuffer;
export function packUniforms(kernel: Kernel, values: Unchecked): ArrayBuffer {
  const { size, fields } = kernel.uniforms;
  for (const name of Object.keys(values)) {
    if (!Object.hasOwn(fields, name)) {
      throw new KernelError(`${kernel.name}: no uniform ${name}; it has ${Object.keys(fields).join(', ')}`);
    }
  }
  const bytes = new ArrayBuffer(size);
  const view = new DataView(bytes);
  for (const [name, { offset, type }] of Object.entries(fields)) {
    const label = `${kernel.name}: uniform ${name}: ${type}`;
    const value: unknown = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined) throw new KernelError(`${label} is missing`);
    const scalar = scalarOf(type);
    componentsOf(type, value, label).forEach((component, index) => {
      writeScalar(view, offset + 4 * index, scalar, component, label);
    });
  }
  return bytes;
}

/**
 * Invocations of one workgroup in x, y, z, for the constants given.
 * @throws KernelError for an unknown constant, or a size that not every WebGPU device has.
 */
export function workgroupSize<K extends Kernel>(kernel: K, constants: ConstantValues<K>): [number, number, number];
export function workgroupSize(kernel: Kernel, constants: Unchecked): [number, number, number] {
  for (const name of Object.keys(constants)) constantOf(kernel, name);
  const extent = (axis: number | string): number => {
    if (typeof axis === 'number') return axis;
    const value = Object.hasOwn(constants, axis) ? constants[axis] : constantOf(kernel, axis).value;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1) {
      throw new KernelError(
        `${kernel.name}: workgroup size ${axis} must be a whole number above 0, not ${String(value)}`,
      );
    }
    return value;
  };
  const [x, y, z] = kernel.workgroup;
  const size: [number, number, number] = [extent(x), extent(y), extent(z)];
  if (size[0] * size[1] * size[2] > 256 || size[2] > 64) {
    throw new KernelError(
      `${kernel.name}: workgroup ${size.join(' x ')} is over 256 invocations, or 64 in z; choose smaller constants`,
    );
  }
  return size;
}

const SCALAR_BYTES = 4;

/**
 * Bytes of workgroup memory that a specialised source declares: scalars, vec2 and vec4 of 4-byte components, and arrays of
 * them, whose lengths are literals, constants, or products of constants.
 * @throws KernelError for a length that is made otherwise
 */
export function workgroupBytes(source: string): number {
  const lengthOf = (text: string): number =>
    text
      .split('*')
      .map((factor) => factor.trim())
      .reduce((product, factor) => {
        if (/^\d+u?$/.test(factor)) return product * Number.parseInt(factor, 10);
        const declared = new RegExp(`^const ${factor}: u32 = ([^;]*);`, 'm').exec(source)?.[1];
        if (!/^\w+$/.test(factor) || declared === undefined) {
          throw new KernelError(`workgroup memory: ${text} is no product of u32 constants; give it as one`);
        }
        return product * lengthOf(declared);
      }, 1);
  const bytesOf = (type: string): number => {
    const array = /^array<(.*), ([^,]*)>$/.exec(type);
    if (array !== null) return bytesOf(array[1] ?? '') * lengthOf(array[2] ?? '');
    return SCALAR_BYTES * Number(/^vec([24])/.exec(type)?.[1] ?? 1);
  };
  return [...source.matchAll(/^var<workgroup> \w+: ([^;]*);/gm)].reduce(
    (sum, [, type]) => sum + bytesOf(type ?? ''),
    0,
  );
}

function constantOf(kernel: Kernel, name: string): Kernel['constants'][string] {
  const constant = Object.hasOwn(kernel.constants, name) ? kernel.constants[name] : undefined;
  if (constant !== undefined) return constant;
  const known = Object.keys(kernel.constants).join(', ') || 'none';
  throw new KernelError(`${kernel.name}: no constant ${name} that can be set; it has ${known}`);
}

/** A value as a WGSL literal without suffix: `32`, `-1`, `0.5`, `2.0`, `1e-8`, `true`. */
function constantLiteral(type: ConstantType, value: unknown, label: string): string {
  if (type === 'bool') {
    if (typeof value !== 'boolean') throw new KernelError(`${label} must be true or false, not ${String(value)}`);
    return String(value);
  }
  const number = checkedNumber(type, value, label);
  if (!Number.isFinite(number)) throw new KernelError(`${label} must be finite, not ${number}`);
  const text = Object.is(number, -0) && type === 'f32' ? '-0' : String(number);
  return type === 'f32' && /^-?\d+$/.test(text) ? `${text}.0` : text;
}

/** The value itself, if it is a number that the type holds: integers in range, floats that do not overflow to infinity. */
function checkedNumber(type: UniformScalar, value: unknown, label: string): number {
  if (typeof value !== 'number') throw new KernelError(`${label} must be a number, not ${String(value)}`);
  if (type === 'f32') {
    if (Number.isFinite(value) && !Number.isFinite(Math.fround(value))) {
      throw new KernelError(`${label}: ${value} is beyond what an f32 holds`);
    }
    return value;
  }
  const [low, high] = type === 'u32' ? [0, 0xffffffff] : [-0x80000000, 0x7fffffff];
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new KernelError(`${label} must be a whole number from ${low} to ${high}, not ${value}`);
  }
  return value;
}

function scalarOf(type: UniformType): UniformScalar {
  if (type.includes('u32')) return 'u32';
  return type.includes('i32') ? 'i32' : 'f32';
}

/** The components to write from the field's offset on: all scalars of a uniform are 4 bytes, vectors of 4 have no gaps. */
function componentsOf(type: UniformType, value: unknown, label: string): readonly unknown[] {
  if (type === 'u32' || type === 'i32' || type === 'f32') return [value];
  if (!Array.isArray(value)) throw new KernelError(`${label} takes an array of numbers, not ${String(value)}`);
  const components: readonly unknown[] = value;
  const vectors = /^array<vec4<...>, (\d+)>$/.exec(type)?.[1];
  if (vectors !== undefined) {
    if (components.length > 4 * Number(vectors) || components.length % 4 !== 0) {
      throw new KernelError(
        `${label} takes whole vectors of 4, at most ${4 * Number(vectors)} numbers, not ${components.length}`,
      );
    }
    return components;
  }
  const length = type.startsWith('vec2') ? 2 : 4;
  if (components.length !== length) {
    throw new KernelError(`${label} takes ${length} numbers, not ${components.length}`);
  }
  return components;
}

function writeScalar(view: DataView, offset: number, type: UniformScalar, value: unknown, label: string): void {
  const number = checkedNumber(type, value, label);
  if (type === 'f32') view.setFloat32(offset, number, true);
  else if (type === 'i32') view.setInt32(offset, number, true);
  else view.setUint32(offset, number, true);
}
