// Ops of users: a kernel object written by hand is held against its source, every kind of difference is found, and a check
// asks what an op of theirs means instead of taking a meaning of the library's. docs/your-own-op.md is the long form.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { gradientCheck, interpret } from '../check/index.ts';
import { applyOne, constant, input, mul, type Op, type Tensor } from '../engine/core.ts';
import { at } from '../engine/errors.ts';
import { checkKernel, type Kernel, kernels } from '../kernels/index.ts';
import { isError, onAdapter, refused, theDevice } from './on-adapter.ts';

onAdapter(test);

const twice = {
  name: 'twice',
  bindings: {
    x: { binding: 1, access: 'read', element: 'f32' },
    y: { binding: 2, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 32,
    fields: {
      count: { offset: 0, type: 'u32' },
      factor: { offset: 8, type: 'vec2<f32>' },
      last: { offset: 16, type: 'vec4<u32>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    SCALE: { type: 'f32', value: 2 },
    ON: { type: 'bool', value: true },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// y = 2 x
struct Uniforms {
  count: u32, // elements
  factor: vec2f,
  last: vec4<u32>,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [any]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [any]

const WORKGROUP: u32 = 64;
const SCALE: f32 = 2.0;
const ON: bool = true;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < u.count && ON && u.last.x == 0u) {
    y[id.x] = SCALE * u.factor.y * x[id.x];
  }
}
`,
} as const;

test('kernel objects agree with their sources: the catalogue, and one by hand', () => {
  for (const kernel of Object.values(kernels)) assert.is(checkKernel<Kernel>(kernel), kernel);
  assert.is(checkKernel(twice), twice);
});

test('every difference between a kernel object and its source is found', () => {
  const { bindings, uniforms, constants } = twice;
  const { fields } = uniforms;
  const wrong: readonly (readonly [Partial<Kernel>, RegExp])[] = [
    [{ bindings: { x: bindings.x } }, /storage buffers: the object has \["x"\], the source \["x","y"\]/],
    [{ bindings: { ...bindings, x: { ...bindings.x, binding: 3 } } }, /storage buffer 'x'/],
    [{ bindings: { ...bindings, y: { ...bindings.y, access: 'read' } } }, /storage buffer 'y'/],
    [{ bindings: { ...bindings, y: { ...bindings.y, element: 'u32' } } }, /storage buffer 'y'/],
    [{ uniforms: { size: 32, fields: { count: fields.count } } }, /uniforms: the object/],
    [{ uniforms: { size: 32, fields: { ...fields, factor: { offset: 4, type: 'vec2<f32>' } } } }, /uniform 'factor'/],
    [{ uniforms: { size: 32, fields: { ...fields, count: { offset: 0, type: 'f32' } } } }, /uniform 'count'/],
    [{ uniforms: { size: 16, fields } }, /bytes of the uniforms: the object has 16, the source 32/],
    [{ constants: { ...constants, SCALE: { type: 'f32', value: 3 } } }, /constant 'SCALE'/],
    [{ constants: { ...constants, ON: { type: 'bool', value: false } } }, /constant 'ON'/],
    [{ constants: { ...constants, LANES: { type: 'u32', value: 64 } } }, /constant 'LANES'.*the source none|null/],
    [{ workgroup: [64, 1, 1] }, /workgroup: the object has \[64,1,1\]/],
    [{ source: twice.source.replace('var<uniform> u', 'var<uniform> other') }, /declare it/],
    [{ source: twice.source.replace('factor: vec2f', 'factor: vec3f') }, /uniform 'factor' has the type vec3f/],
  ];
  for (const [change, message] of wrong) {
    assert.throws(
      () => checkKernel({ ...twice, ...change } as Kernel),
      (error: Error) => error.name === 'KernelError' && message.test(error.message),
      `${message} was not said`,
    );
  }
});

const twiceOp: Op = {
  name: 'twice',
  infer: ([x]) => [{ shape: x?.shape ?? [], dtype: 'f32' }],
  plan: (emit, { outputs }) => {
    const count = at(outputs, 0).size;
    emit.call(twice, {
      buffers: { x: at(emit.inputs, 0), y: at(emit.outputs, 0) },
      uniforms: { count, factor: [0, 1], last: [0, 0, 0, 0] },
      workgroups: [Math.ceil(count / 64), 1, 1],
    });
  },
  backward: (_, [d]) => [d && mul(d, 2)],
};
const doubled = (x: Tensor): Tensor => applyOne(twiceOp, [x], {});

test('a check asks what an own op means, and finds a wrong one', async () => {
  const graph = {
    name: 'twice',
    graph: (draw: { normal(shape: number[]): Tensor }) => [doubled(draw.normal([3, 30]))],
  };
  const meaning = (factor: number) => ({
    twice: ([x]: readonly { shape: readonly number[]; data: Float64Array | Uint32Array }[]) =>
      x ? [{ shape: x.shape, data: x.data.map((v) => factor * v) }] : [],
  });
  const right = await gradientCheck(theDevice(), { cases: [{ ...graph, meanings: meaning(2) }] });
  assert.equal(
    right.lines.map(({ what, ok, problem }) => [what, ok, problem]),
    [
      ['kernel', true, undefined],
      ['calculus', true, undefined],
    ],
  );
  const wrong = await gradientCheck(theDevice(), { cases: [{ ...graph, meanings: meaning(3) }] });
  assert.equal(
    wrong.lines.map(({ ok }) => ok),
    [false, false],
  );
  const none = await gradientCheck(theDevice(), { cases: [graph] });
  assert.match(at(none.lines, 0).problem ?? '', /'twice' has no float64 meaning; give one in meanings/);
});

test('the library’s own ops keep their meanings', async () => {
  const x = constant([1, 2], [2]);
  const meanings = { mul: () => [{ shape: [2], data: Float64Array.of(0, 0) }] };
  await refused(
    () => interpret([mul(x, x)], { meanings }),
    'OptionError',
    /has an op 'mul' of its own; give yours another name/,
  );
  assert.throws(() => applyOne({ ...twiceOp, infer: () => [] }, [input('x', [1])], {}), isError(TypeError));
});

test.run();
