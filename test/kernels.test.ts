/**
 * The kernels' catalogue: fresh, typed, and within the limits of every WebGPU device; specialising, packing, and the
 * generator's refusals. It needs no adapter: what a kernel computes is tested elsewhere.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type BufferValues,
  type ConstantValues,
  type Kernel,
  KernelError,
  kernels,
  packUniforms,
  specialise,
  type UniformValues,
  workgroupSize,
} from '../kernels/index.ts';

interface Generator {
  catalogueOf(files: { readonly [file: string]: string }): string;
  sourcesIn(folder: string): { readonly [file: string]: string };
}

// The compiled test runs in dist/test; the generator and the sources are not compiled.
const folder = new URL('../../kernels/', import.meta.url);
const generator: Generator = await import(new URL('generate.mjs', folder).href);

const catalogue: readonly Kernel[] = Object.values(kernels);

/** A kernel with one of everything that the dialect allows. */
const SAMPLE = `// A sample.
struct Uniforms {
  count: u32,
  shift: vec2<i32>,
  scale: vec4f,
  dims: array<vec4<u32>, 2>,
  tail: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // x [B,H]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // y [B]
const TILE_X: u32 = 8u;
const TILE_Y: u32 = 4;
const AREA: u32 = TILE_X * TILE_Y;
const BIAS: i32 = -3;
const EPSILON: f32 = 1e-6;
const FLAG: bool = true;
var<workgroup> tile: array<f32, AREA>;
fn load(i: u32) -> f32 {
  return x[i].x;
}
@compute @workgroup_size(TILE_X, TILE_Y)
fn main(@builtin(local_invocation_index) i: u32) {
  tile[i] = load(i) + u.tail + EPSILON + f32(BIAS);
  if (FLAG) {
    y[i] = tile[i];
  }
}
`;

/** The same kernel as the catalogue would have it, written by hand. */
const sample = {
  name: 'sample',
  bindings: {
    x: { binding: 1, access: 'read', element: 'vec4<f32>' },
    y: { binding: 2, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 80,
    fields: {
      count: { offset: 0, type: 'u32' },
      shift: { offset: 8, type: 'vec2<i32>' },
      scale: { offset: 16, type: 'vec4<f32>' },
      dims: { offset: 32, type: 'array<vec4<u32>, 2>' },
      tail: { offset: 64, type: 'f32' },
    },
  },
  constants: {
    TILE_X: { type: 'u32', value: 8 },
    TILE_Y: { type: 'u32', value: 4 },
    BIAS: { type: 'i32', value: -3 },
    EPSILON: { type: 'f32', value: 0.000001 },
    FLAG: { type: 'bool', value: true },
  },
  workgroup: ['TILE_X', 'TILE_Y', 1],
  source: SAMPLE.replace('8u', '8'),
} as const satisfies Kernel;

/** The generator's output for one file, whose entry is read back as data. */
function generated(file: string, source: string): string {
  return generator.catalogueOf({ [file]: source });
}

function throwsKernelError(act: () => unknown, message: RegExp): void {
  assert.throws(act, (error: unknown) => error instanceof KernelError && message.test(error.message), String(message));
}

test('the catalogue is what the generator makes of the .wgsl files now', () => {
  const present = readFileSync(new URL('catalogue.ts', folder), 'utf8');
  assert.ok(
    present === generator.catalogueOf(generator.sourcesIn(fileURLToPath(folder))),
    "stale: run 'npm run kernels'",
  );
  const files = readdirSync(folder).filter((file) => file.endsWith('.wgsl'));
  assert.is(catalogue.length, files.length);
  for (const kernel of catalogue) {
    const file = `${kernel.name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}.wgsl`;
    // Without comments and indentation, and still line for line: what a compiler says of a line is true of the file's.
    const lines = readFileSync(new URL(file, folder), 'utf8').split('\n');
    assert.is(kernel.source, lines.map((line) => line.replace(/\/\/.*/, '').trim()).join('\n'), kernel.name);
  }
});

test('the catalogue does not depend on the order of the files', () => {
  const ab = { 'a.wgsl': SAMPLE, 'b.wgsl': SAMPLE };
  const ba = { 'b.wgsl': SAMPLE, 'a.wgsl': SAMPLE };
  assert.is(generator.catalogueOf(ab), generator.catalogueOf(ba));
});

test('an entry holds what the source declares', () => {
  const text = generated('sample.wgsl', SAMPLE).replace(/\s+/g, ' ');
  const { source, ...declared } = sample;
  assert.ok(source.length > 0);
  const flat = JSON.stringify(declared).replace(/[\s,"']/g, '');
  const start = text.indexOf('{ name:');
  const entry = text.slice(start, text.indexOf('source: `')).replace(/[\s,"']/g, '');
  assert.is(`${entry}}`, flat);
});

test('every kernel obeys the limits of every WebGPU device', () => {
  for (const kernel of catalogue) {
    const bindings = Object.values(kernel.bindings).map(({ binding }) => binding);
    assert.ok(bindings.length <= 8, kernel.name);
    assert.equal(
      bindings,
      [...bindings.keys()].map((index) => index + 1),
      kernel.name,
    );
    assert.is(kernel.uniforms.size % 16, 0, kernel.name);
    assert.ok(kernel.uniforms.size <= 65536, kernel.name);
    const [x, y, z] = workgroupSize(kernel, {});
    assert.ok(x * y * z >= 1 && x * y * z <= 256 && z <= 64, kernel.name);
  }
});

test('specialising with the defaults gives the source itself', () => {
  for (const kernel of [...catalogue, sample]) {
    const defaults = Object.fromEntries(Object.entries(kernel.constants).map(([name, { value }]) => [name, value]));
    const plain = (text: string): string => text.replace(/^const .*;/gm, '');
    assert.is(specialise<Kernel>(kernel, {}), kernel.source);
    assert.is(plain(specialise<Kernel>(kernel, defaults)), plain(kernel.source));
  }
});

test('specialising re-binds constants, and nothing else', () => {
  const text = specialise(sample, { TILE_X: 32, BIAS: 7, EPSILON: 1, FLAG: false });
  const expected = sample.source
    .replace('TILE_X: u32 = 8;', 'TILE_X: u32 = 32;')
    .replace('BIAS: i32 = -3;', 'BIAS: i32 = 7;')
    .replace('EPSILON: f32 = 1e-6;', 'EPSILON: f32 = 1.0;')
    .replace('FLAG: bool = true;', 'FLAG: bool = false;');
  assert.is(text, expected);
  assert.is(specialise(sample, { FLAG: false, EPSILON: 1, BIAS: 7, TILE_X: 32 }), text);
  for (const [value, literal] of [
    [0.1, '0.1'],
    [-2, '-2.0'],
    [1e-8, '1e-8'],
    [1e30, '1e+30'],
    [-0, '-0.0'],
  ] as const) {
    assert.match(specialise(sample, { EPSILON: value }), `const EPSILON: f32 = ${literal};`);
  }
});

test('a constant that the kernel cannot take is refused', () => {
  const untyped = (constants: { readonly [name: string]: number | boolean }): string =>
    specialise<Kernel>(sample, constants);
  throwsKernelError(() => untyped({ TILE_Z: 1 }), /sample: no constant TILE_Z .* TILE_X, TILE_Y, BIAS/);
  throwsKernelError(() => untyped({ AREA: 1 }), /no constant AREA/);
  throwsKernelError(() => untyped({ toString: 1 }), /no constant toString/);
  throwsKernelError(() => untyped({ TILE_X: -1 }), /TILE_X must be a whole number from 0/);
  throwsKernelError(() => untyped({ TILE_X: 1.5 }), /TILE_X must be a whole number/);
  throwsKernelError(() => untyped({ TILE_X: 2 ** 32 }), /to 4294967295/);
  throwsKernelError(() => untyped({ TILE_X: true }), /TILE_X must be a number, not true/);
  throwsKernelError(() => untyped({ FLAG: 1 }), /FLAG must be true or false/);
  throwsKernelError(() => untyped({ EPSILON: Number.NaN }), /EPSILON must be finite/);
  throwsKernelError(() => untyped({ EPSILON: 1e39 }), /beyond what an f32 holds/);
  throwsKernelError(() => specialise({ ...sample, source: '// stale' }, { TILE_X: 2 }), /npm run kernels/);
});

test('the workgroup size follows the constants, up to 256 invocations', () => {
  assert.equal(workgroupSize(sample, {}), [8, 4, 1]);
  assert.equal(workgroupSize(sample, { TILE_X: 64 }), [64, 4, 1]);
  throwsKernelError(() => workgroupSize(sample, { TILE_X: 128 }), /128 x 4 x 1 is over 256/);
  throwsKernelError(() => workgroupSize(sample, { TILE_Y: 0 }), /TILE_Y must be a whole number above 0/);
  throwsKernelError(() => workgroupSize<Kernel>(sample, { TILE: 2 }), /no constant TILE /);
});

test('uniforms are packed at their offsets', () => {
  const bytes = packUniforms(sample, {
    count: 0xffffffff,
    shift: [-1, 2],
    scale: [0.5, 1, 2, 3],
    dims: [1, 2, 3, 4, 5, 6, 7, 8],
    tail: -1.5,
  });
  assert.is(bytes.byteLength, 80);
  const view = new DataView(bytes);
  const words = Array.from({ length: 20 }, (_, word) => view.getUint32(4 * word, true));
  assert.equal(words.slice(0, 4), [0xffffffff, 0, 0xffffffff, 2]);
  assert.equal(
    [4, 5, 6, 7, 16].map((word) => view.getFloat32(4 * word, true)),
    [0.5, 1, 2, 3, -1.5],
  );
  assert.equal(words.slice(8, 16), [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.equal(words.slice(17), [0, 0, 0]);
});

test('an array of vectors may be given in part: the rest is zero', () => {
  const view = new DataView(packUniforms(sample, { ...sampleUniforms, dims: [1, 2, 3, 4] }));
  assert.equal(
    Array.from({ length: 8 }, (_, word) => view.getUint32(32 + 4 * word, true)),
    [1, 2, 3, 4, 0, 0, 0, 0],
  );
});

const sampleUniforms = { count: 1, shift: [0, 0], scale: [0, 0, 0, 0], dims: [], tail: 0 };

test('a uniform that its type cannot hold is refused', () => {
  const pack = (change: { readonly [name: string]: number | readonly number[] }): ArrayBuffer =>
    packUniforms<Kernel>(sample, { ...sampleUniforms, ...change });
  throwsKernelError(() => pack({ count: -1 }), /uniform count: u32 must be a whole number from 0/);
  throwsKernelError(() => pack({ count: [1] }), /count: u32 must be a number/);
  throwsKernelError(() => pack({ shift: [1] }), /shift: vec2<i32> takes 2 numbers, not 1/);
  throwsKernelError(() => pack({ shift: [2 ** 31, 0] }), /shift: vec2<i32> must be a whole number/);
  throwsKernelError(() => pack({ scale: 1 }), /scale: vec4<f32> takes an array/);
  throwsKernelError(() => pack({ scale: [0, 0, 0, 1e39] }), /beyond what an f32 holds/);
  throwsKernelError(() => pack({ dims: [1, 2, 3] }), /whole vectors of 4, at most 8 numbers, not 3/);
  throwsKernelError(() => pack({ dims: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] }), /at most 8 numbers, not 12/);
  throwsKernelError(() => pack({ counts: 1 }), /no uniform counts; it has count, shift/);
  throwsKernelError(() => packUniforms<Kernel>(sample, { count: 1 }), /shift: vec2<i32> is missing/);
});

test('the generator refuses what the dialect does not have', () => {
  const edits: readonly (readonly [from: string, to: string, message: RegExp])[] = [
    ['// A sample.\n', '', /begin with a \/\/ comment/],
    ['// A sample.', '// A `sample`.', /no backticks/],
    ['// y [B]', '// the output', /y: end its line with its shape/],
    ['const BIAS', '/* old */ const BIAS', /no block comments/],
    ['const BIAS', 'override BIAS', /no override/],
    ['const FLAG', 'const flag', /flag: name constants in SCREAMING_CASE/],
    ['FLAG: bool', 'FLAG', /FLAG: give it a type/],
    ['const FLAG', '  const FLAG', /FLAG: declare it on one line, at the margin/],
    ['FLAG: bool = ', 'FLAG: bool  = ', /with single spaces/],
    ['EPSILON: f32 = 1e-6', 'EPSILON: f32 = 1', /'1' is not a literal of type f32/],
    ['EPSILON: f32 = 1e-6', 'EPSILON: f32 = 1e39', /not finite in f32/],
    ['TILE_X, TILE_Y)', 'AREA)', /'AREA' must be a literal, or a u32 const/],
    ['TILE_X, TILE_Y)', 'TILE_X * TILE_Y)', /each must be a literal, or a u32 const/],
    ['TILE_X: u32 = 8u', 'TILE_X: u32 = 128', /at most 256 invocations/],
    ['f32, AREA>', 'vec4<f32>, 1025>', /16400 bytes of workgroup memory/],
    ['fn main', 'fn start', /one entry point/],
    ['@binding(2)', '@binding(3)', /count from 1 without gaps/],
    ['@group(0) @binding(2)', '@group(1) @binding(2)', /every binding is in @group\(0\)/],
    ['y: array<f32>', 'y: array<i32>', /y: a storage buffer is array<f32>/],
    ['y: array<f32>', 'y: array<atomic<u32>>', /no atomics/],
    ['y: array<f32>', 'y: array<f32, 4>', /y: a storage buffer is array<f32>/],
    ['= load(i)', '= 1.0', /x is declared but main does not use it/],
    ['shift: vec2<i32>', 'shift: vec3<i32>', /shift: vec3<i32> is not/],
    ['var<uniform> u:', 'var<uniform> params:', /declare one uniform/],
    ['fn load(i: u32)', 'fn load(p: ptr<storage, array<f32>>, i: u32)', /no pointers to storage/],
    ['y[i] = tile[i]', 'y[i] = subgroupAdd(tile[i])', /no subgroup functions/],
    ['fn load', 'fn fn load', /not WGSL/],
  ];
  for (const [from, to, message] of edits) {
    assert.ok(SAMPLE.includes(from), from);
    assert.throws(() => generated('sample.wgsl', SAMPLE.replace(from, to)), message);
    assert.throws(() => generated('sample.wgsl', SAMPLE.replace(from, to)), /^kernels\/sample\.wgsl: /);
  }
  assert.throws(() => generated('Sample.wgsl', SAMPLE), /kebab-case/);
  const buffers = Array.from(
    { length: 7 },
    (_, k) => `@group(0) @binding(${k + 3}) var<storage, read> z${k}: array<f32>; // z [B]\n`,
  );
  const crowded = SAMPLE.replace('const TILE_X', `${buffers.join('')}const TILE_X`);
  assert.throws(() => generated('sample.wgsl', crowded), /9 storage buffers; at most 8/);
});

test('mistakes in a call do not compile', () => {
  // What is tested is that the compiler reports each line below: an @ts-expect-error without an error is an error.
  type Fill = typeof kernels.fill;
  type Copy = typeof kernels.stridedCopy;
  const uniforms: UniformValues<Copy> = { count: 1, rank: 1, inOffset: 0, outOffset: 0, dims: [1, 1, 1, 0] };
  const buffers: BufferValues<Copy, string> = { input: 'a', output: 'b' };
  const constants: ConstantValues<typeof kernels.reduce> = { WORKGROUP: 32, COOPERATE: true };
  const wrong: readonly unknown[] = [
    uniforms,
    buffers,
    constants,
    // @ts-expect-error: a missing buffer
    { input: 'a' } satisfies BufferValues<Copy, string>,
    // @ts-expect-error: a misspelt buffer
    { input: 'a', output: 'b', outptu: 'b' } satisfies BufferValues<Copy, string>,
    // @ts-expect-error: a missing uniform
    { count: 1 } satisfies UniformValues<Fill>,
    // @ts-expect-error: a misspelt uniform
    { count: 1, value: 1, valeu: 1 } satisfies UniformValues<Fill>,
    // @ts-expect-error: an array where a number belongs
    { count: [1], value: 1 } satisfies UniformValues<Fill>,
    // @ts-expect-error: a number where an array belongs
    { count: 1, rank: 1, inOffset: 0, outOffset: 0, dims: 1 } satisfies UniformValues<Copy>,
    // @ts-expect-error: a misspelt constant
    { WORKGRUOP: 32 } satisfies ConstantValues<Fill>,
    // @ts-expect-error: a number where a truth value belongs
    { COOPERATE: 1 } satisfies ConstantValues<typeof kernels.reduce>,
    // @ts-expect-error: a constant for a kernel that has none
    { WORKGROUP: 32 } satisfies ConstantValues<Omit<Fill, 'constants'> & { readonly constants: Record<never, never> }>,
  ];
  assert.ok(wrong.length > 0);
  // @ts-expect-error: a misspelt constant in a call
  throwsKernelError(() => specialise(kernels.fill, { WORKGRUOP: 32 }), /no constant WORKGRUOP/);
  // @ts-expect-error: a missing uniform in a call
  throwsKernelError(() => packUniforms(kernels.fill, { count: 1 }), /value: f32 is missing/);
});

test.run();
