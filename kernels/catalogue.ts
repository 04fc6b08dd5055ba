/**
 * Generated from the .wgsl files of this folder by `npm run kernels`: do not edit. A test fails when it is stale.
 */
import type { Kernel } from './kernel.ts';

export const adamCorrection = {
  name: 'adamCorrection',
  bindings: {
    d: { binding: 1, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      betas: { offset: 0, type: 'vec2<f32>' },
      complements: { offset: 8, type: 'vec2<f32>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 2 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// Advances Adam's bias corrections by one step: d = beta * d + (1 - beta), which is 1 - beta^t after t steps from d = 0.
// Raising beta to a power on the device would lose digits. Runs before the parameters of the same step read d.
// 1 - beta comes from the host, rounded once, as in adam.wgsl: its rounding then cancels in v / d.

struct Uniforms {
  betas: vec2<f32>,
  complements: vec2<f32>, // 1 - beta
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> d: array<f32>; // d [2]

const WORKGROUP: u32 = 2;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) local: u32) {
  let beta = select(u.betas.x, u.betas.y, local == 1u);
  let complement = select(u.complements.x, u.complements.y, local == 1u);
  d[local] = fma(beta, d[local], complement);
}
` as string,
} as const;

export const adam = {
  name: 'adam',
  bindings: {
    gradient: { binding: 1, access: 'read', element: 'f32' },
    rate: { binding: 2, access: 'read', element: 'f32' },
    scale: { binding: 3, access: 'read', element: 'f32' },
    d: { binding: 4, access: 'read', element: 'f32' },
    p: { binding: 5, access: 'read_write', element: 'f32' },
    m: { binding: 6, access: 'read_write', element: 'f32' },
    v: { binding: 7, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 32,
    fields: {
      count: { offset: 0, type: 'u32' },
      decay: { offset: 4, type: 'f32' },
      epsilon: { offset: 8, type: 'f32' },
      betas: { offset: 16, type: 'vec2<f32>' },
      complements: { offset: 24, type: 'vec2<f32>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    ELEMENTS: { type: 'u32', value: 4 },
    DECOUPLED: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// One step of Adam (Kingma and Ba 2014, algorithm 1) on one parameter, in place:
// g = scale * gradient, m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
// p = p - rate * (m / d1) / (sqrt(v / d2) + epsilon), with d from adam-correction.wgsl.
// Weight decay is added to g as decay * p; DECOUPLED adds it to the step instead (AdamW, Loshchilov and Hutter 2017).
// scale clips the gradients without a copy of them. Every element is one invocation's, ELEMENTS of them WORKGROUP apart.

struct Uniforms {
  count: u32, // elements of the parameter
  decay: f32, // weight decay
  epsilon: f32,
  betas: vec2<f32>,
  complements: vec2<f32>, // 1 - beta
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gradient: array<f32>; // gradient [count]
@group(0) @binding(2) var<storage, read> rate: array<f32>; // rate [1]
@group(0) @binding(3) var<storage, read> scale: array<f32>; // scale [1]
@group(0) @binding(4) var<storage, read> d: array<f32>; // d [2]
@group(0) @binding(5) var<storage, read_write> p: array<f32>; // p [count]
@group(0) @binding(6) var<storage, read_write> m: array<f32>; // m [count]
@group(0) @binding(7) var<storage, read_write> v: array<f32>; // v [count]

const WORKGROUP: u32 = 64;
const ELEMENTS: u32 = 4;
const DECOUPLED: bool = false;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let first = (group.y * groups.x + group.x) * WORKGROUP * ELEMENTS + local;
  for (var k = 0u; k < ELEMENTS; k++) {
    let i = first + k * WORKGROUP;
    if (i < u.count) {
      let shrink = u.decay * p[i];
      let g = scale[0] * gradient[i] + select(shrink, 0.0, DECOUPLED);
      let mNext = fma(u.betas.x, m[i], u.complements.x * g);
      let vNext = fma(u.betas.y, v[i], u.complements.y * g * g);
      let step = (mNext / d[0]) / (sqrt(vNext / d[1]) + u.epsilon) + select(0.0, shrink, DECOUPLED);
      m[i] = mNext;
      v[i] = vNext;
      p[i] = fma(-rate[0], step, p[i]);
    }
  }
}
` as string,
} as const;

export const binaryCrossEntropy = {
  name: 'binaryCrossEntropy',
  bindings: {
    x: { binding: 1, access: 'read', element: 'f32' },
    t: { binding: 2, access: 'read', element: 'f32' },
    y: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// Binary cross-entropy of logits x with targets t from 0 to 1: y = max(x, 0) - x t + log(1 + e^-|x|), which keeps its digits at
// both ends and at any size of x. One invocation an element.

struct Uniforms {
  count: u32, // elements
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [count]
@group(0) @binding(2) var<storage, read> t: array<f32>; // [count]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [count]

const WORKGROUP: u32 = 64;

// log(1 + e) for e from 0 to 1, as 2 artanh(s) with s = e / (2 + e) of at most 1/3: the first term left out is below 2e-8 of it.
fn logOnePlus(e: f32) -> f32 {
  let s = e / (2.0 + e);
  let q = s * s;
  let series = 0.33333333 + q * (0.2 + q * (0.14285714 + q * (0.11111111 + q * (0.090909091 + q * 0.076923077))));
  return 2.0 * s * (1.0 + q * series);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.count) {
    return;
  }
  let logit = x[i];
  y[i] = select(0.0, logit, logit > 0.0) - logit * t[i] + logOnePlus(exp(-abs(logit)));
}
` as string,
} as const;

export const binary = {
  name: 'binary',
  bindings: {
    a: { binding: 1, access: 'read', element: 'vec4<f32>' },
    b: { binding: 2, access: 'read', element: 'vec4<f32>' },
    y: { binding: 3, access: 'read_write', element: 'vec4<f32>' },
  },
  uniforms: {
    size: 112,
    fields: {
      vectors: { offset: 0, type: 'u32' },
      count: { offset: 4, type: 'u32' },
      rank: { offset: 8, type: 'u32' },
      dims: { offset: 16, type: 'array<vec4<u32>, 6>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    VECTORS: { type: 'u32', value: 4 },
    OP: { type: 'u32', value: 0 },
    LAYOUT: { type: 'u32', value: 0 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// One function of two numbers, for every element: y[i] = f(a[i], b[i]). OP chooses the function. An invocation computes
// VECTORS vectors of 4 elements of y; what it writes behind the last element is padding. LAYOUT tells how operands lie:
// 0, as y does; 1, through strides, with 4 neighbours of y in one dimension, where an operand runs along or repeats;
// 2, through strides, element by element. A stride is 0 where an operand repeats. The greater and the smaller of two
// numbers are NaN where one is; a negative base takes whole powers only, and else gives NaN.

struct Uniforms {
  vectors: u32, // elements of y / 4, rounded up
  count: u32, // elements of y
  rank: u32, // dimensions in use, 1 to 6
  dims: array<vec4<u32>, 6>, // x size, y stride of a, z stride of b (elements), outermost first
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>; // [any] that broadcasts to y
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>; // [any] that broadcasts to y
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>; // [vectors]

const WORKGROUP: u32 = 64;
const VECTORS: u32 = 4;
const OP: u32 = 0;
const LAYOUT: u32 = 0;

// Tested by bits: a compiler may take it that no number is a NaN.
fn isNaN(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

fn powOf(base: f32, exponent: f32) -> f32 {
  if (exponent == 0.0) {
    return 1.0;
  }
  if (exponent == 1.0 || isNaN(base)) {
    return base;
  }
  if (isNaN(exponent)) {
    return exponent;
  }
  if (base < 0.0 && exponent != trunc(exponent)) {
    return bitcast<f32>(bitcast<u32>(base) | 0x7fc00000u);
  }
  if (base == 0.0) {
    return select(1.0 / base, 0.0, exponent > 0.0);
  }
  let size = exp2(exponent * log2(abs(base)));
  let odd = fract(abs(exponent) * 0.5) == 0.5;
  return select(size, -size, base < 0.0 && odd);
}

fn greaterOf(p: f32, q: f32) -> f32 {
  return select(select(max(p, q), q, isNaN(q)), p, isNaN(p));
}

fn smallerOf(p: f32, q: f32) -> f32 {
  return select(select(min(p, q), q, isNaN(q)), p, isNaN(p));
}

fn apply(p: f32, q: f32) -> f32 {
  switch OP {
    case 1u: { return p - q; }
    case 2u: { return p * q; }
    case 3u: { return p / q; }
    case 4u: { return powOf(p, q); }
    case 5u: { return greaterOf(p, q); }
    case 6u: { return smallerOf(p, q); }
    case 7u: { return select(0.0, 1.0, p > q); }
    case 8u: { return select(0.0, 1.0, p >= q); }
    case 9u: { return select(0.0, 1.0, p < q); }
    case 10u: { return select(0.0, 1.0, p <= q); }
    case 11u: { return select(0.0, 1.0, p == q); }
    case 12u: { return p * q * (1.0 - q); } // sigmoid backward: p = dy, q = y
    case 13u: { return p * (1.0 - q * q); } // tanh backward: p = dy, q = y
    case 14u: { return select(p, 0.0, q <= 0.0); } // relu backward: p = dy, q = x
    case 15u: { return select(p * log(q), 0.0, p == 0.0); } // p log q, 0 where p is 0
    default: { return p + q; }
  }
}

// Where element i of y lies in a (x) and b (y).
fn offsetsOf(i: u32) -> vec2<u32> {
  var rest = i;
  var offsets = vec2<u32>(0u);
  for (var k = u.rank; k > 0u; k--) {
    let dim = u.dims[k - 1u];
    offsets += (rest % dim.x) * dim.yz;
    rest = rest / dim.x;
  }
  return offsets;
}

fn element(i: u32) -> f32 {
  let offsets = offsetsOf(min(i, u.count - 1u));
  return apply(a[offsets.x / 4u][offsets.x % 4u], b[offsets.y / 4u][offsets.y % 4u]);
}

fn applied(p: vec4<f32>, q: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(apply(p.x, q.x), apply(p.y, q.y), apply(p.z, q.z), apply(p.w, q.w));
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let first = (group.y * groups.x + group.x) * WORKGROUP * VECTORS + local;
  for (var j = 0u; j < VECTORS; j++) {
    let i = first + j * WORKGROUP;
    if (i < u.vectors) {
      if (LAYOUT == 0u) {
        y[i] = applied(a[i], b[i]);
      } else if (LAYOUT == 1u) {
        let offsets = offsetsOf(4u * i);
        let along = u.dims[u.rank - 1u].yz;
        var p = a[offsets.x / 4u];
        var q = b[offsets.y / 4u];
        if (along.x == 0u) {
          p = vec4<f32>(p[offsets.x % 4u]);
        }
        if (along.y == 0u) {
          q = vec4<f32>(q[offsets.y % 4u]);
        }
        y[i] = applied(p, q);
      } else {
        y[i] = vec4<f32>(element(4u * i), element(4u * i + 1u), element(4u * i + 2u), element(4u * i + 3u));
      }
    }
  }
}
` as string,
} as const;

export const conv2dInput = {
  name: 'conv2dInput',
  bindings: {
    y: { binding: 1, access: 'read', element: 'f32' },
    w: { binding: 2, access: 'read', element: 'f32' },
    x: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 48,
    fields: {
      count: { offset: 0, type: 'u32' },
      images: { offset: 4, type: 'u32' },
      channels: { offset: 8, type: 'vec2<u32>' },
      xSize: { offset: 16, type: 'vec2<u32>' },
      ySize: { offset: 24, type: 'vec2<u32>' },
      kernelSize: { offset: 32, type: 'vec2<u32>' },
      stride: { offset: 40, type: 'u32' },
      padding: { offset: 44, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// The gradient of conv2d.wgsl for its images, which is also the forward of a transposed convolution; an invocation an
// element of x: x[b,c,i,j] = sum over o, p, q of y[b, o, (i + padding - p)/stride, (j + padding - q)/stride] * w[o,c,p,q]
// where both divisions are whole and inside y. Gathers, so that no two invocations write the same place.
// Sums run in the order o, p, q. Plain and untuned.

struct Uniforms {
  count: u32, // elements of x
  images: u32, // images that share one set of weights
  channels: vec2<u32>, // of x, of y
  xSize: vec2<u32>, // rows, columns
  ySize: vec2<u32>, // rows, columns
  kernelSize: vec2<u32>, // rows, columns
  stride: u32,
  padding: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> y: array<f32>; // y [groups*images,Co,Ho,Wo]
@group(0) @binding(2) var<storage, read> w: array<f32>; // w [groups,Co,Ci,P,Q]
@group(0) @binding(3) var<storage, read_write> x: array<f32>; // x [groups*images,Ci,Hi,Wi]

const WORKGROUP: u32 = 64;

// The row or column of y that tap p of the kernel reads x from, or size where there is none.
fn sourceOf(position: u32, p: u32, size: u32) -> u32 {
  let padded = position + u.padding;
  if (padded < p || (padded - p) % u.stride != 0u) {
    return size;
  }
  return min((padded - p) / u.stride, size);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (index >= u.count) {
    return;
  }
  let column = index % u.xSize.y;
  let row = (index / u.xSize.y) % u.xSize.x;
  let plane = index / (u.xSize.y * u.xSize.x);
  let channel = plane % u.channels.x;
  let image = plane / u.channels.x;
  var total = 0.0;
  for (var o = 0u; o < u.channels.y; o++) {
    let weights = ((image / u.images) * u.channels.y + o) * u.channels.x + channel;
    for (var p = 0u; p < u.kernelSize.x; p++) {
      let yRow = sourceOf(row, p, u.ySize.x);
      if (yRow == u.ySize.x) {
        continue;
      }
      let yStart = ((image * u.channels.y + o) * u.ySize.x + yRow) * u.ySize.y;
      let wStart = (weights * u.kernelSize.x + p) * u.kernelSize.y;
      for (var q = 0u; q < u.kernelSize.y; q++) {
        let yColumn = sourceOf(column, q, u.ySize.y);
        if (yColumn < u.ySize.y) {
          total = fma(y[yStart + yColumn], w[wStart + q], total);
        }
      }
    }
  }
  x[index] = total;
}
` as string,
} as const;

export const conv2dWeight = {
  name: 'conv2dWeight',
  bindings: {
    x: { binding: 1, access: 'read', element: 'f32' },
    y: { binding: 2, access: 'read', element: 'f32' },
    w: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 48,
    fields: {
      count: { offset: 0, type: 'u32' },
      images: { offset: 4, type: 'u32' },
      channels: { offset: 8, type: 'vec2<u32>' },
      xSize: { offset: 16, type: 'vec2<u32>' },
      ySize: { offset: 24, type: 'vec2<u32>' },
      kernelSize: { offset: 32, type: 'vec2<u32>' },
      stride: { offset: 40, type: 'u32' },
      padding: { offset: 44, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// The gradient of conv2d.wgsl for its weights, a workgroup a weight:
// w[o,c,p,q] = sum over b, i, j of x[b, c, i*stride + p - padding, j*stride + q - padding] * y[b,o,i,j]; x is 0 outside.
// The sum runs over the images of one group. Its lanes take every WORKGROUP-th place and meet in a tree: the order of the
// sum depends on the shapes only. No atomics. Plain and untuned.

struct Uniforms {
  count: u32, // elements of w
  images: u32, // images that share one set of weights
  channels: vec2<u32>, // of x, of y
  xSize: vec2<u32>, // rows, columns
  ySize: vec2<u32>, // rows, columns
  kernelSize: vec2<u32>, // rows, columns
  stride: u32,
  padding: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>; // x [groups*images,Ci,Hi,Wi]
@group(0) @binding(2) var<storage, read> y: array<f32>; // y [groups*images,Co,Ho,Wo]
@group(0) @binding(3) var<storage, read_write> w: array<f32>; // w [groups,Co,Ci,P,Q]

const WORKGROUP: u32 = 64;

var<workgroup> lanes: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = group.y * groups.x + group.x;
  let own = min(index, u.count - 1u);
  let q = own % u.kernelSize.y;
  let p = (own / u.kernelSize.y) % u.kernelSize.x;
  let planes = own / (u.kernelSize.y * u.kernelSize.x);
  let c = planes % u.channels.x;
  let o = (planes / u.channels.x) % u.channels.y;
  let first = planes / (u.channels.x * u.channels.y) * u.images;
  let area = u.ySize.x * u.ySize.y;
  var total = 0.0;
  for (var place = local; place < u.images * area; place += WORKGROUP) {
    let image = first + place / area;
    let row = (place % area) / u.ySize.y;
    let column = place % u.ySize.y;
    let xRow = i32(row * u.stride + p) - i32(u.padding);
    let xColumn = i32(column * u.stride + q) - i32(u.padding);
    if (xRow >= 0 && xRow < i32(u.xSize.x) && xColumn >= 0 && xColumn < i32(u.xSize.y)) {
      let xPlane = (image * u.channels.x + c) * u.xSize.x * u.xSize.y;
      let yPlane = (image * u.channels.y + o) * area;
      total = fma(x[xPlane + u32(xRow) * u.xSize.y + u32(xColumn)], y[yPlane + place % area], total);
    }
  }
  lanes[local] = total;
  workgroupBarrier();
  for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
    if (local < half) {
      lanes[local] += lanes[local + half];
    }
    workgroupBarrier();
  }
  if (local == 0u && index < u.count) {
    w[index] = lanes[0];
  }
}
` as string,
} as const;

export const conv2d = {
  name: 'conv2d',
  bindings: {
    x: { binding: 1, access: 'read', element: 'f32' },
    w: { binding: 2, access: 'read', element: 'f32' },
    y: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 48,
    fields: {
      count: { offset: 0, type: 'u32' },
      images: { offset: 4, type: 'u32' },
      channels: { offset: 8, type: 'vec2<u32>' },
      xSize: { offset: 16, type: 'vec2<u32>' },
      ySize: { offset: 24, type: 'vec2<u32>' },
      kernelSize: { offset: 32, type: 'vec2<u32>' },
      stride: { offset: 40, type: 'u32' },
      padding: { offset: 44, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// Cross-correlation of images with a bank of weights, an invocation an element of the result:
// y[b,o,i,j] = sum over c, p, q of x[b, c, i*stride + p - padding, j*stride + q - padding] * w[o,c,p,q]; x is 0 outside.
// Images share the weights, or every run of "images" of them has weights of its own (one step of a scan each).
// Sums run in the order c, p, q. Plain and untuned.

struct Uniforms {
  count: u32, // elements of y
  images: u32, // images that share one set of weights
  channels: vec2<u32>, // of x, of y
  xSize: vec2<u32>, // rows, columns
  ySize: vec2<u32>, // rows, columns
  kernelSize: vec2<u32>, // rows, columns
  stride: u32,
  padding: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>; // x [groups*images,Ci,Hi,Wi]
@group(0) @binding(2) var<storage, read> w: array<f32>; // w [groups,Co,Ci,P,Q]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // y [groups*images,Co,Ho,Wo]

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (index >= u.count) {
    return;
  }
  let column = index % u.ySize.y;
  let row = (index / u.ySize.y) % u.ySize.x;
  let plane = index / (u.ySize.y * u.ySize.x);
  let channel = plane % u.channels.y;
  let image = plane / u.channels.y;
  let weights = ((image / u.images) * u.channels.y + channel) * u.channels.x * u.kernelSize.x * u.kernelSize.y;
  let top = i32(row * u.stride) - i32(u.padding);
  let left = i32(column * u.stride) - i32(u.padding);
  var total = 0.0;
  for (var c = 0u; c < u.channels.x; c++) {
    for (var p = 0u; p < u.kernelSize.x; p++) {
      let xRow = top + i32(p);
      if (xRow < 0 || xRow >= i32(u.xSize.x)) {
        continue;
      }
      let xStart = ((image * u.channels.x + c) * u.xSize.x + u32(xRow)) * u.xSize.y;
      let wStart = weights + (c * u.kernelSize.x + p) * u.kernelSize.y;
      for (var q = 0u; q < u.kernelSize.y; q++) {
        let xColumn = left + i32(q);
        if (xColumn >= 0 && xColumn < i32(u.xSize.y)) {
          total = fma(x[xStart + u32(xColumn)], w[wStart + q], total);
        }
      }
    }
  }
  y[index] = total;
}
` as string,
} as const;

export const copy = {
  name: 'copy',
  bindings: {
    input: { binding: 1, access: 'read', element: 'vec4<u32>' },
    output: { binding: 2, access: 'read_write', element: 'vec4<u32>' },
  },
  uniforms: {
    size: 16,
    fields: {
      vectors: { offset: 0, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    VECTORS: { type: 'u32', value: 4 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// Copies a run of elements as it lies, as bits: f32 (NaN payloads too) and u32 pass unchanged. An invocation copies
// VECTORS vectors of 4 elements; what it writes behind the last element is padding.
// Not for rearranging: that is strided-copy.wgsl.

struct Uniforms {
  vectors: u32, // elements / 4, rounded up
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> input: array<vec4<u32>>; // [vectors], f32 or u32 bits
@group(0) @binding(2) var<storage, read_write> output: array<vec4<u32>>; // [vectors], f32 or u32 bits

const WORKGROUP: u32 = 64;
const VECTORS: u32 = 4;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let first = (group.y * groups.x + group.x) * WORKGROUP * VECTORS + local;
  for (var j = 0u; j < VECTORS; j++) {
    let i = first + j * WORKGROUP;
    if (i < u.vectors) {
      output[i] = input[i];
    }
  }
}
` as string,
} as const;

export const crossEntropyBackward = {
  name: 'crossEntropyBackward',
  bindings: {
    logits: { binding: 1, access: 'read', element: 'f32' },
    labels: { binding: 2, access: 'read', element: 'u32' },
    stats: { binding: 3, access: 'read', element: 'f32' },
    d: { binding: 4, access: 'read', element: 'f32' },
    dlogits: { binding: 5, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// The backward of cross-entropy: dlogits = (e^(logit - max) / sum - 1 at the label) d, from the row's max and sum. A row whose loss
// is NaN has a sum that is NaN, and so its gradient is. One invocation an element.

struct Uniforms {
  count: u32, // elements of logits
  columns: u32, // C, classes
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> logits: array<f32>; // [rows, C]
@group(0) @binding(2) var<storage, read> labels: array<u32>; // [rows]
@group(0) @binding(3) var<storage, read> stats: array<f32>; // [rows, 2]: the greatest logit, the sum
@group(0) @binding(4) var<storage, read> d: array<f32>; // [rows]
@group(0) @binding(5) var<storage, read_write> dlogits: array<f32>; // [rows, C]

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.count) {
    return;
  }
  let row = i / u.columns;
  let p = exp(max(logits[i] - stats[2u * row], -128.0)) / stats[2u * row + 1u];
  dlogits[i] = d[row] * (p - select(0.0, 1.0, i % u.columns == labels[row]));
}
` as string,
} as const;

export const crossEntropy = {
  name: 'crossEntropy',
  bindings: {
    logits: { binding: 1, access: 'read', element: 'f32' },
    labels: { binding: 2, access: 'read', element: 'u32' },
    loss: { binding: 3, access: 'read_write', element: 'f32' },
    stats: { binding: 4, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      rows: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
      nan: { offset: 8, type: 'u32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 64 },
    COOPERATE: { type: 'bool', value: false },
  },
  workgroup: ['LANES', 1, 1],
  source: `// Cross-entropy of every row of logits with its label: loss = log(sum of e^(logit - max)) + max - logit of the label, exact for
// logits of any size. stats keeps max and the sum for the backward. A row with a NaN or +infinity, one of nothing but
// -infinity, and a label past the columns give NaN.
// With COOPERATE a workgroup shares a row; without it every lane has a row of its own.

struct Uniforms {
  rows: u32,
  columns: u32, // C, classes
  nan: u32, // the bits of a NaN
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> logits: array<f32>; // [rows, C]
@group(0) @binding(2) var<storage, read> labels: array<u32>; // [rows]
@group(0) @binding(3) var<storage, read_write> loss: array<f32>; // [rows]
@group(0) @binding(4) var<storage, read_write> stats: array<f32>; // [rows, 2]: the greatest logit, the sum

const LANES: u32 = 64;
const COOPERATE: bool = false;

var<workgroup> lanes: array<f32, LANES>;
var<workgroup> faults: array<u32, LANES>;

// The greatest of a row, and whether any element of it is a NaN or +infinity.
fn greatestOfRow(lane: u32, own: f32) -> f32 {
  if (!COOPERATE) {
    return own;
  }
  lanes[lane] = own;
  workgroupBarrier();
  for (var width = LANES / 2u; width > 0u; width = width / 2u) {
    if (lane < width) {
      lanes[lane] = max(lanes[lane], lanes[lane + width]);
    }
    workgroupBarrier();
  }
  let greatest = lanes[0];
  workgroupBarrier();
  return greatest;
}

fn faultOfRow(lane: u32, own: u32) -> u32 {
  if (!COOPERATE) {
    return own;
  }
  faults[lane] = own;
  workgroupBarrier();
  for (var width = LANES / 2u; width > 0u; width = width / 2u) {
    if (lane < width) {
      faults[lane] = faults[lane] | faults[lane + width];
    }
    workgroupBarrier();
  }
  return faults[0];
}

fn sumOfRow(lane: u32, own: f32) -> f32 {
  if (!COOPERATE) {
    return own;
  }
  lanes[lane] = own;
  workgroupBarrier();
  for (var width = LANES / 2u; width > 0u; width = width / 2u) {
    if (lane < width) {
      lanes[lane] = lanes[lane] + lanes[lane + width];
    }
    workgroupBarrier();
  }
  return lanes[0];
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x;
  let row = select(index * LANES + lane, index, COOPERATE);
  let first = select(0u, lane, COOPERATE);
  let step = select(1u, LANES, COOPERATE);
  let end = select(0u, u.columns, row < u.rows);
  let base = row * u.columns;

  var own = -3.4028234e38;
  var fault = 0u;
  for (var i = first; i < end; i += step) {
    let bits = bitcast<u32>(logits[base + i]);
    if (bits == 0x7f800000u || (bits & 0x7fffffffu) > 0x7f800000u) {
      fault = 1u;
    } else {
      own = max(own, logits[base + i]);
    }
  }
  let peak = greatestOfRow(lane, own);
  let broken = faultOfRow(lane, fault) != 0u;
  var part = 0.0;
  for (var i = first; i < end; i += step) {
    part += exp(max(logits[base + i] - peak, -128.0));
  }
  let total = sumOfRow(lane, part);

  if (first == 0u && row < u.rows) {
    let label = labels[row];
    if (broken || total == 0.0 || label >= u.columns) {
      loss[row] = bitcast<f32>(u.nan);
      stats[2u * row + 1u] = bitcast<f32>(u.nan);
    } else {
      loss[row] = log(total) + (peak - logits[base + label]);
      stats[2u * row + 1u] = total;
    }
    stats[2u * row] = peak;
  }
}
` as string,
} as const;

export const cumulativeProductBackward = {
  name: 'cumulativeProductBackward',
  bindings: {
    x: { binding: 1, access: 'read', element: 'f32' },
    dy: { binding: 2, access: 'read', element: 'f32' },
    dx: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      rows: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// The backward of running products y[i] = x[0] ... x[i]: dx[j] = (x[0] ... x[j-1]) r[j], where r[j] = dy[j] + x[j+1] r[j+1]
// gathers what follows. No division, so that zeros in a row have their right gradient. An invocation does one row: forward
// for the products before each element, backward for r.

struct Uniforms {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [rows, columns]
@group(0) @binding(2) var<storage, read> dy: array<f32>; // [rows, columns]
@group(0) @binding(3) var<storage, read_write> dx: array<f32>; // [rows, columns]

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let row = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (row >= u.rows) {
    return;
  }
  let base = row * u.columns;
  var before = 1.0;
  for (var i = base; i < base + u.columns; i++) {
    dx[i] = before;
    before = before * x[i];
  }
  var carried = 0.0;
  for (var i = base + u.columns; i > base; i--) {
    let following = dy[i - 1u] + carried;
    dx[i - 1u] = dx[i - 1u] * following;
    carried = x[i - 1u] * following;
  }
}
` as string,
} as const;

export const cumulative = {
  name: 'cumulative',
  bindings: {
    x: { binding: 1, access: 'read', element: 'f32' },
    y: { binding: 2, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      rows: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 64 },
    COOPERATE: { type: 'bool', value: false },
    PRODUCT: { type: 'bool', value: false },
    REVERSE: { type: 'bool', value: false },
  },
  workgroup: ['LANES', 1, 1],
  source: `// Running sums of every row, or running products with PRODUCT: y[i] joins x[0] to x[i]; with REVERSE, x[i] to the last.
// With COOPERATE a workgroup shares a row: every lane joins a stretch of its own, then walks it again from what the
// stretches before it came to. Without it every lane has a row of its own.

struct Uniforms {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [rows, columns]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [rows, columns]

const LANES: u32 = 64;
const COOPERATE: bool = false;
const PRODUCT: bool = false;
const REVERSE: bool = false;

var<workgroup> stretches: array<f32, LANES>;

fn joined(a: f32, b: f32) -> f32 {
  if (PRODUCT) {
    return a * b;
  }
  return a + b;
}

fn placeOf(base: u32, i: u32) -> u32 {
  return base + select(i, u.columns - 1u - i, REVERSE);
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x;
  let row = select(index * LANES + lane, index, COOPERATE);
  let base = row * u.columns;
  let length = select(u.columns, (u.columns + LANES - 1u) / LANES, COOPERATE);
  let first = select(0u, lane * length, COOPERATE);
  let end = select(0u, min(first + length, u.columns), row < u.rows);

  var total = select(0.0, 1.0, PRODUCT);
  if (COOPERATE) {
    for (var i = first; i < end; i++) {
      total = joined(total, x[placeOf(base, i)]);
    }
    stretches[lane] = total;
    workgroupBarrier();
    total = select(0.0, 1.0, PRODUCT);
    for (var before = 0u; before < lane; before++) {
      total = joined(total, stretches[before]);
    }
  }
  for (var i = first; i < end; i++) {
    let place = placeOf(base, i);
    total = joined(total, x[place]);
    y[place] = total;
  }
}
` as string,
} as const;

export const dropoutMask = {
  name: 'dropoutMask',
  bindings: {
    step: { binding: 1, access: 'read', element: 'u32' },
    y: { binding: 2, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 32,
    fields: {
      count: { offset: 0, type: 'u32' },
      keyLow: { offset: 4, type: 'u32' },
      keyHigh: { offset: 8, type: 'u32' },
      stream: { offset: 12, type: 'u32' },
      threshold: { offset: 16, type: 'u32' },
      scale: { offset: 20, type: 'f32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    ODD: { type: 'u32', value: 102371085 },
    EVEN: { type: 'u32', value: 403709201 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// A dropout mask: y[i] = u.scale where random number i is at least u.threshold, else 0. The numbers are the upper 24 bits of
// Threefry-2x32 with 20 rounds (Salmon et al., SC 2011), key (seed's low word, seed's high word ^ step), counter (i, stream):
// the definition in engine/random.ts, bit for bit. step[0] counts the training runs. One invocation an element.

struct Uniforms {
  count: u32, // elements
  keyLow: u32, // words of the seed
  keyHigh: u32,
  stream: u32,
  threshold: u32, // the least 24-bit number that keeps
  scale: f32, // 1 / (1 - rate)
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> step: array<u32>; // [1]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [count]

const WORKGROUP: u32 = 64;

// The rotations of a group of four rounds, a byte each from the lowest; groups alternate between the two.
const ODD: u32 = 0x061a0f0d;
const EVEN: u32 = 0x18101d11;

// The first word of the counter (counter0, counter1) under the key (key0, key1).
fn threefry(key0: u32, key1: u32, counter0: u32, counter1: u32) -> u32 {
  var a = key0;
  var b = key1;
  var c = 0x1bd11bdau ^ key0 ^ key1;
  var x0 = counter0 + a;
  var x1 = counter1 + b;
  for (var fours = 1u; fours <= 5u; fours++) {
    let rotations = select(EVEN, ODD, fours % 2u == 1u);
    for (var round = 0u; round < 4u; round++) {
      let rotation = (rotations >> (8u * round)) & 31u;
      let wrapped = (x1 >> (32u - rotation)) & ((1u << rotation) - 1u);
      x0 = x0 + x1;
      x1 = ((x1 << rotation) | wrapped) ^ x0;
    }
    let first = a;
    a = b;
    b = c;
    c = first;
    x0 = x0 + a;
    x1 = x1 + b + fours;
  }
  return x0;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.count) {
    return;
  }
  let bits = threefry(u.keyLow, u.keyHigh ^ step[0], i, u.stream);
  y[i] = select(0.0, u.scale, ((bits >> 8u) & 0xffffffu) >= u.threshold);
}
` as string,
} as const;

export const fill = {
  name: 'fill',
  bindings: {
    output: { binding: 1, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      value: { offset: 4, type: 'f32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// Fills a buffer with one value: output[i] = u.value for every i < u.count.
// One invocation an element, on a grid of workgroups in x and y (more than 65,535 workgroups fold into y).
// Not for u32 data: the value is an f32.

struct Uniforms {
  count: u32, // elements to write
  value: f32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> output: array<f32>; // [count]

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.count) {
    return;
  }
  output[i] = u.value;
}
` as string,
} as const;

export const gather = {
  name: 'gather',
  bindings: {
    table: { binding: 1, access: 'read', element: 'u32' },
    index: { binding: 2, access: 'read', element: 'u32' },
    y: { binding: 3, access: 'read_write', element: 'u32' },
  },
  uniforms: {
    size: 32,
    fields: {
      count: { offset: 0, type: 'u32' },
      positions: { offset: 4, type: 'u32' },
      rows: { offset: 8, type: 'u32' },
      columns: { offset: 12, type: 'u32' },
      nan: { offset: 16, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// Takes rows of a table by index: y[g, p, :] = table[g, index[g, p], :], group by group. An index past the table gives NaN.
// Elements are moved as bits. One invocation an element of y.

struct Uniforms {
  count: u32, // elements of y
  positions: u32, // P, indices of a group
  rows: u32, // V, rows of a group's table
  columns: u32, // C, elements of a row
  nan: u32, // the bits of a NaN
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> table: array<u32>; // [groups, V, C], f32 bits
@group(0) @binding(2) var<storage, read> index: array<u32>; // [groups, P]
@group(0) @binding(3) var<storage, read_write> y: array<u32>; // [groups, P, C], f32 bits

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.count) {
    return;
  }
  let position = i / u.columns;
  let row = index[position];
  if (row < u.rows) {
    y[i] = table[((position / u.positions) * u.rows + row) * u.columns + i % u.columns];
  } else {
    y[i] = u.nan;
  }
}
` as string,
} as const;

export const gruGatesBackward = {
  name: 'gruGatesBackward',
  bindings: {
    gx: { binding: 1, access: 'read', element: 'f32' },
    gh: { binding: 2, access: 'read', element: 'f32' },
    h: { binding: 3, access: 'read', element: 'f32' },
    dy: { binding: 4, access: 'read', element: 'f32' },
    dgx: { binding: 5, access: 'read_write', element: 'f32' },
    dgh: { binding: 6, access: 'read_write', element: 'f32' },
    dh: { binding: 7, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      hidden: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// The backward of gru-gates.wgsl, one invocation a hidden unit: the gates are computed again from their inputs, so
// nothing of the forward is kept. dgx and dgh differ in the third gate only, where dgh carries the factor r.
// Slopes are products of what is near 0, never 1 minus what is near 1: saturated gates keep their digits.

struct Uniforms {
  count: u32, // rows * hidden
  hidden: u32, // H
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gx: array<f32>; // gx [rows,3H]
@group(0) @binding(2) var<storage, read> gh: array<f32>; // gh [rows,3H]
@group(0) @binding(3) var<storage, read> h: array<f32>; // h [rows,H]
@group(0) @binding(4) var<storage, read> dy: array<f32>; // dh' [rows,H]
@group(0) @binding(5) var<storage, read_write> dgx: array<f32>; // dgx [rows,3H]
@group(0) @binding(6) var<storage, read_write> dgh: array<f32>; // dgh [rows,3H]
@group(0) @binding(7) var<storage, read_write> dh: array<f32>; // dh [rows,H]

const WORKGROUP: u32 = 64;

fn tanhOf(v: f32) -> f32 {
  let a = abs(v);
  if (a < 0.1) {
    let s = v * v;
    return v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
  }
  let e = exp(-2.0 * a);
  return sign(v) * (1.0 - e) / (1.0 + e);
}

fn tanhSlopeOf(v: f32) -> f32 {
  let e = exp(-2.0 * abs(v));
  return 4.0 * e / ((1.0 + e) * (1.0 + e));
}

fn sigmoidOf(v: f32) -> f32 {
  let e = exp(-abs(v));
  return select(e, 1.0, v >= 0.0) / (1.0 + e);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.count) {
    return;
  }
  let reset = (i / u.hidden) * 3u * u.hidden + i % u.hidden;
  let renew = reset + u.hidden;
  let fresh = renew + u.hidden;
  let ra = gx[reset] + gh[reset];
  let za = gx[renew] + gh[renew];
  let r = sigmoidOf(ra);
  let z = sigmoidOf(za);
  let keep = sigmoidOf(-za); // 1 - z
  let na = gx[fresh] + r * gh[fresh];
  let n = tanhOf(na);

  let dna = dy[i] * keep * tanhSlopeOf(na);
  let dza = dy[i] * (h[i] - n) * z * keep;
  let dra = dna * gh[fresh] * r * sigmoidOf(-ra);
  dgx[reset] = dra;
  dgh[reset] = dra;
  dgx[renew] = dza;
  dgh[renew] = dza;
  dgx[fresh] = dna;
  dgh[fresh] = dna * r;
  dh[i] = dy[i] * z;
}
` as string,
} as const;

export const gruGates = {
  name: 'gruGates',
  bindings: {
    gx: { binding: 1, access: 'read', element: 'f32' },
    gh: { binding: 2, access: 'read', element: 'f32' },
    h: { binding: 3, access: 'read', element: 'f32' },
    y: { binding: 4, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      hidden: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// The gates of a GRU, one invocation a hidden unit, in the order reset, update, new (Cho et al. 2014, as torch.nn.GRU):
// r = sigmoid(gx_r + gh_r), z = sigmoid(gx_z + gh_z), n = tanh(gx_n + r * gh_n), y = (1 - z) * n + z * h.
// The products with the weights, and their biases, are already in gx (from the input) and gh (from the state).
// A row is a batch row, a step or a module alike. 1 - z is the sigmoid of minus
// its argument, so that no digits are lost near z = 1.

struct Uniforms {
  count: u32, // rows * hidden
  hidden: u32, // H
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gx: array<f32>; // gx [rows,3H]
@group(0) @binding(2) var<storage, read> gh: array<f32>; // gh [rows,3H]
@group(0) @binding(3) var<storage, read> h: array<f32>; // h [rows,H]
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // h' [rows,H]

const WORKGROUP: u32 = 64;

fn tanhOf(v: f32) -> f32 {
  let a = abs(v);
  if (a < 0.1) {
    let s = v * v;
    return v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
  }
  let e = exp(-2.0 * a);
  return sign(v) * (1.0 - e) / (1.0 + e);
}

fn sigmoidOf(v: f32) -> f32 {
  let e = exp(-abs(v));
  return select(e, 1.0, v >= 0.0) / (1.0 + e);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.count) {
    return;
  }
  let reset = (i / u.hidden) * 3u * u.hidden + i % u.hidden;
  let renew = reset + u.hidden;
  let fresh = renew + u.hidden;
  let r = sigmoidOf(gx[reset] + gh[reset]);
  let za = gx[renew] + gh[renew];
  let n = tanhOf(gx[fresh] + r * gh[fresh]);
  y[i] = sigmoidOf(-za) * n + sigmoidOf(za) * h[i];
}
` as string,
} as const;

export const increment = {
  name: 'increment',
  bindings: {
    counter: { binding: 1, access: 'read_write', element: 'u32' },
  },
  uniforms: {
    size: 16,
    fields: {
      by: { offset: 0, type: 'u32' },
    },
  },
  constants: {},
  workgroup: [1, 1, 1],
  source: `// Adds u.by to one u32 in place, modulo 2^32: the counter of the training runs. One invocation.

struct Uniforms {
  by: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> counter: array<u32>; // [1]

@compute @workgroup_size(1)
fn main() {
  counter[0] = counter[0] + u.by;
}
` as string,
} as const;

export const layerNormBackward = {
  name: 'layerNormBackward',
  bindings: {
    z: { binding: 1, access: 'read', element: 'f32' },
    scale: { binding: 2, access: 'read', element: 'f32' },
    dz: { binding: 3, access: 'read', element: 'f32' },
    dx: { binding: 4, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      rows: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 64 },
    COOPERATE: { type: 'bool', value: false },
  },
  workgroup: ['LANES', 1, 1],
  source: `// The backward of layer normalisation, from its normalised rows z and their scale: dx = scale (dz - mean(dz) - z mean(z dz)).
// With COOPERATE a workgroup shares a row; without it every lane has a row of its own.

struct Uniforms {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> z: array<f32>; // [rows, columns]
@group(0) @binding(2) var<storage, read> scale: array<f32>; // [rows]
@group(0) @binding(3) var<storage, read> dz: array<f32>; // [rows, columns]
@group(0) @binding(4) var<storage, read_write> dx: array<f32>; // [rows, columns]

const LANES: u32 = 64;
const COOPERATE: bool = false;

var<workgroup> sums: array<vec2<f32>, LANES>;

fn sumsOfRow(lane: u32, own: vec2<f32>) -> vec2<f32> {
  if (!COOPERATE) {
    return own;
  }
  sums[lane] = own;
  workgroupBarrier();
  for (var width = LANES / 2u; width > 0u; width = width / 2u) {
    if (lane < width) {
      sums[lane] = sums[lane] + sums[lane + width];
    }
    workgroupBarrier();
  }
  return sums[0];
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x;
  let row = select(index * LANES + lane, index, COOPERATE);
  let first = select(0u, lane, COOPERATE);
  let step = select(1u, LANES, COOPERATE);
  let end = select(0u, u.columns, row < u.rows);
  let base = row * u.columns;

  var part = vec2<f32>(0.0, 0.0);
  for (var i = base + first; i < base + end; i += step) {
    part += vec2<f32>(dz[i], z[i] * dz[i]);
  }
  let means = sumsOfRow(lane, part) / f32(u.columns);
  for (var i = base + first; i < base + end; i += step) {
    dx[i] = scale[row] * (dz[i] - means.x - z[i] * means.y);
  }
}
` as string,
} as const;

export const layerNorm = {
  name: 'layerNorm',
  bindings: {
    x: { binding: 1, access: 'read', element: 'f32' },
    weight: { binding: 2, access: 'read', element: 'f32' },
    bias: { binding: 3, access: 'read', element: 'f32' },
    y: { binding: 4, access: 'read_write', element: 'f32' },
    scale: { binding: 5, access: 'read_write', element: 'f32' },
    z: { binding: 6, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      rows: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
      epsilon: { offset: 8, type: 'f32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 64 },
    COOPERATE: { type: 'bool', value: false },
    AFFINE: { type: 'bool', value: false },
  },
  workgroup: ['LANES', 1, 1],
  source: `// Layer normalisation of every row: z = (x - mean) / sqrt(variance + epsilon), biased variance, y = z * weight + bias. The
// mean is taken first, then the variance about it. Without AFFINE, y is z and weight, bias and z are not used.
// With COOPERATE a workgroup shares a row; without it every lane has a row of its own.

struct Uniforms {
  rows: u32,
  columns: u32,
  epsilon: f32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [rows, columns]
@group(0) @binding(2) var<storage, read> weight: array<f32>; // [columns]
@group(0) @binding(3) var<storage, read> bias: array<f32>; // [columns]
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // [rows, columns]
@group(0) @binding(5) var<storage, read_write> scale: array<f32>; // [rows], 1 / sqrt(variance + epsilon)
@group(0) @binding(6) var<storage, read_write> z: array<f32>; // [rows, columns]

const LANES: u32 = 64;
const COOPERATE: bool = false;
const AFFINE: bool = false;

var<workgroup> sums: array<f32, LANES>;

fn sumOfRow(lane: u32, own: f32) -> f32 {
  if (!COOPERATE) {
    return own;
  }
  workgroupBarrier();
  sums[lane] = own;
  workgroupBarrier();
  for (var width = LANES / 2u; width > 0u; width = width / 2u) {
    if (lane < width) {
      sums[lane] = sums[lane] + sums[lane + width];
    }
    workgroupBarrier();
  }
  return sums[0];
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x;
  let row = select(index * LANES + lane, index, COOPERATE);
  let first = select(0u, lane, COOPERATE);
  let step = select(1u, LANES, COOPERATE);
  let end = select(0u, u.columns, row < u.rows);
  let base = row * u.columns;
  let size = f32(u.columns);

  var part = 0.0;
  for (var i = first; i < end; i += step) {
    part += x[base + i];
  }
  let mean = sumOfRow(lane, part) / size;
  part = 0.0;
  for (var i = first; i < end; i += step) {
    let distance = x[base + i] - mean;
    part += distance * distance;
  }
  let factor = 1.0 / sqrt(sumOfRow(lane, part) / size + u.epsilon);
  for (var i = first; i < end; i += step) {
    let normal = (x[base + i] - mean) * factor;
    if (AFFINE) {
      z[base + i] = normal;
      y[base + i] = normal * weight[i] + bias[i];
    } else {
      y[base + i] = normal;
    }
  }
  if (first == 0u && row < u.rows) {
    scale[row] = factor;
  }
}
` as string,
} as const;

export const lstmGatesBackward = {
  name: 'lstmGatesBackward',
  bindings: {
    gates: { binding: 1, access: 'read', element: 'f32' },
    c: { binding: 2, access: 'read', element: 'f32' },
    dyh: { binding: 3, access: 'read', element: 'f32' },
    dyc: { binding: 4, access: 'read', element: 'f32' },
    dgates: { binding: 5, access: 'read_write', element: 'f32' },
    dc: { binding: 6, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      hidden: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// The backward of lstm-gates.wgsl, one invocation a hidden unit: gates and c' are computed again from the inputs, so
// nothing of the forward is kept. dyc is what reaches c' from outside; what comes through h' is added here.
// Slopes are products of what is near 0, never 1 minus what is near 1: saturated gates keep their digits.

struct Uniforms {
  count: u32, // rows * hidden
  hidden: u32, // H
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gates: array<f32>; // gates [rows,4H]
@group(0) @binding(2) var<storage, read> c: array<f32>; // c [rows,H]
@group(0) @binding(3) var<storage, read> dyh: array<f32>; // dh' [rows,H]
@group(0) @binding(4) var<storage, read> dyc: array<f32>; // dc' [rows,H]
@group(0) @binding(5) var<storage, read_write> dgates: array<f32>; // dgates [rows,4H]
@group(0) @binding(6) var<storage, read_write> dc: array<f32>; // dc [rows,H]

const WORKGROUP: u32 = 64;

fn tanhOf(v: f32) -> f32 {
  let a = abs(v);
  if (a < 0.1) {
    let s = v * v;
    return v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
  }
  let e = exp(-2.0 * a);
  return sign(v) * (1.0 - e) / (1.0 + e);
}

fn tanhSlopeOf(v: f32) -> f32 {
  let e = exp(-2.0 * abs(v));
  return 4.0 * e / ((1.0 + e) * (1.0 + e));
}

fn sigmoidOf(v: f32) -> f32 {
  let e = exp(-abs(v));
  return select(e, 1.0, v >= 0.0) / (1.0 + e);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.count) {
    return;
  }
  let first = (i / u.hidden) * 4u * u.hidden + i % u.hidden;
  let ia = gates[first];
  let fa = gates[first + u.hidden];
  let ga = gates[first + 2u * u.hidden];
  let oa = gates[first + 3u * u.hidden];
  let admit = sigmoidOf(ia);
  let keep = sigmoidOf(fa);
  let fresh = tanhOf(ga);
  let show = sigmoidOf(oa);
  let next = keep * c[i] + admit * fresh; // c'

  let dnext = dyc[i] + dyh[i] * show * tanhSlopeOf(next);
  dgates[first] = dnext * fresh * admit * sigmoidOf(-ia);
  dgates[first + u.hidden] = dnext * c[i] * keep * sigmoidOf(-fa);
  dgates[first + 2u * u.hidden] = dnext * admit * tanhSlopeOf(ga);
  dgates[first + 3u * u.hidden] = dyh[i] * tanhOf(next) * show * sigmoidOf(-oa);
  dc[i] = dnext * keep;
}
` as string,
} as const;

export const lstmGates = {
  name: 'lstmGates',
  bindings: {
    gates: { binding: 1, access: 'read', element: 'f32' },
    c: { binding: 2, access: 'read', element: 'f32' },
    yh: { binding: 3, access: 'read_write', element: 'f32' },
    yc: { binding: 4, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      hidden: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// The gates of an LSTM, one invocation a hidden unit, in the order input, forget, cell, output (torch.nn.LSTM):
// c' = sigmoid(f) * c + sigmoid(i) * tanh(g), h' = sigmoid(o) * tanh(c').
// The products with the weights, and their biases, are already in the gates. A row is a batch row, a step or a module.

struct Uniforms {
  count: u32, // rows * hidden
  hidden: u32, // H
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gates: array<f32>; // gates [rows,4H]
@group(0) @binding(2) var<storage, read> c: array<f32>; // c [rows,H]
@group(0) @binding(3) var<storage, read_write> yh: array<f32>; // h' [rows,H]
@group(0) @binding(4) var<storage, read_write> yc: array<f32>; // c' [rows,H]

const WORKGROUP: u32 = 64;

fn tanhOf(v: f32) -> f32 {
  let a = abs(v);
  if (a < 0.1) {
    let s = v * v;
    return v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
  }
  let e = exp(-2.0 * a);
  return sign(v) * (1.0 - e) / (1.0 + e);
}

fn sigmoidOf(v: f32) -> f32 {
  let e = exp(-abs(v));
  return select(e, 1.0, v >= 0.0) / (1.0 + e);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.count) {
    return;
  }
  let first = (i / u.hidden) * 4u * u.hidden + i % u.hidden;
  let admit = sigmoidOf(gates[first]);
  let keep = sigmoidOf(gates[first + u.hidden]);
  let fresh = tanhOf(gates[first + 2u * u.hidden]);
  let show = sigmoidOf(gates[first + 3u * u.hidden]);
  let next = keep * c[i] + admit * fresh;
  yc[i] = next;
  yh[i] = show * tanhOf(next);
}
` as string,
} as const;

export const matmulSubgroups = {
  name: 'matmulSubgroups',
  bindings: {
    a: { binding: 1, access: 'read', element: 'f32' },
    b: { binding: 2, access: 'read', element: 'f32' },
    plus: { binding: 3, access: 'read', element: 'f32' },
    y: { binding: 4, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 128,
    fields: {
      m: { offset: 0, type: 'u32' },
      n: { offset: 4, type: 'u32' },
      k: { offset: 8, type: 'u32' },
      batches: { offset: 12, type: 'u32' },
      scale: { offset: 16, type: 'f32' },
      aStrides: { offset: 24, type: 'vec2<u32>' },
      bStrides: { offset: 32, type: 'vec2<u32>' },
      yStrides: { offset: 40, type: 'vec2<u32>' },
      plusStrides: { offset: 48, type: 'vec2<u32>' },
      batchRank: { offset: 56, type: 'u32' },
      batch: { offset: 64, type: 'array<vec4<u32>, 3>' },
      plusBatch: { offset: 112, type: 'vec4<u32>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 8 },
    TILE_M: { type: 'u32', value: 16 },
    PLUS: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// Matrix products through strides, as matmul.wgsl has them, for adapters whose subgroups all have one size of 8 or more:
// y[g,m,n] = scale * sum over k of a[g,m,k] b[g,k,n] + plus[g,m,n], bit for bit the same.
// A workgroup is one subgroup. It computes TILE_M rows by 4 columns a lane. Lanes 0 to 7 load eight k of each row, side by
// side, and pass them on: a lane then loads 4 numbers of b for TILE_M * 4 multiplications.
// Loads beyond an edge read the last row, column or k again; only stores are guarded. The sum runs over k in order.

enable subgroups;

struct Uniforms {
  m: u32,
  n: u32,
  k: u32,
  batches: u32,
  scale: f32,
  aStrides: vec2<u32>, // of m and k, elements
  bStrides: vec2<u32>, // of k and n
  yStrides: vec2<u32>, // of m and n
  plusStrides: vec2<u32>, // of m and n, 0 where it repeats
  batchRank: u32, // 0 to 3
  batch: array<vec4<u32>, 3>, // x size, y stride in a, z stride in b, w stride in y, outermost first
  plusBatch: vec4<u32>, // strides in plus of the three, w unused
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<f32>; // [batches, m, k] through strides
@group(0) @binding(2) var<storage, read> b: array<f32>; // [batches, k, n] through strides
@group(0) @binding(3) var<storage, read> plus: array<f32>; // [any] that broadcasts to y, through strides
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // [batches, m, n] through strides

const WORKGROUP: u32 = 8; // the size of a subgroup
const TILE_M: u32 = 16;
const PLUS: bool = false; // whether anything is added

fn rightOf(offset: u32, columns: vec4<u32>, k: u32) -> vec4<f32> {
  let at = vec4<u32>(offset + k * u.bStrides.x) + columns;
  return vec4<f32>(b[at.x], b[at.y], b[at.z], b[at.w]);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let column = (group.x * WORKGROUP + lane) * 4u;
  let row = group.y * TILE_M;
  let columns = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(u.n - 1u)) * u.bStrides.y;
  for (var g = group.z; g < u.batches; g += groups.z) {
    var rest = g;
    var offset = vec3<u32>(0u);
    var extra = 0u;
    for (var d = u.batchRank; d > 0u; d--) {
      let dim = u.batch[d - 1u];
      offset += (rest % dim.x) * dim.yzw;
      extra += (rest % dim.x) * u.plusBatch[d - 1u];
      rest = rest / dim.x;
    }
    var sums: array<vec4<f32>, TILE_M>;
    for (var i = 0u; i < TILE_M; i++) {
      sums[i] = vec4<f32>(0.0);
    }
    for (var k = 0u; k < u.k; k += 8u) {
      let own = offset.x + min(k + lane % 8u, u.k - 1u) * u.aStrides.y;
      var held: array<f32, TILE_M>;
      for (var i = 0u; i < TILE_M; i++) {
        held[i] = a[own + min(row + i, u.m - 1u) * u.aStrides.x];
      }
      if (k + 0u < u.k) {
        let right = rightOf(offset.y, columns, k + 0u);
        for (var i = 0u; i < TILE_M; i++) {
          sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 0u)), right, sums[i]);
        }
      }
      if (k + 1u < u.k) {
        let right = rightOf(offset.y, columns, k + 1u);
        for (var i = 0u; i < TILE_M; i++) {
          sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 1u)), right, sums[i]);
        }
      }
      if (k + 2u < u.k) {
        let right = rightOf(offset.y, columns, k + 2u);
        for (var i = 0u; i < TILE_M; i++) {
          sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 2u)), right, sums[i]);
        }
      }
      if (k + 3u < u.k) {
        let right = rightOf(offset.y, columns, k + 3u);
        for (var i = 0u; i < TILE_M; i++) {
          sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 3u)), right, sums[i]);
        }
      }
      if (k + 4u < u.k) {
        let right = rightOf(offset.y, columns, k + 4u);
        for (var i = 0u; i < TILE_M; i++) {
          sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 4u)), right, sums[i]);
        }
      }
      if (k + 5u < u.k) {
        let right = rightOf(offset.y, columns, k + 5u);
        for (var i = 0u; i < TILE_M; i++) {
          sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 5u)), right, sums[i]);
        }
      }
      if (k + 6u < u.k) {
        let right = rightOf(offset.y, columns, k + 6u);
        for (var i = 0u; i < TILE_M; i++) {
          sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 6u)), right, sums[i]);
        }
      }
      if (k + 7u < u.k) {
        let right = rightOf(offset.y, columns, k + 7u);
        for (var i = 0u; i < TILE_M; i++) {
          sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 7u)), right, sums[i]);
        }
      }
    }
    for (var i = 0u; i < TILE_M; i++) {
      if (row + i < u.m) {
        let start = offset.z + (row + i) * u.yStrides.x;
        for (var j = 0u; j < 4u; j++) {
          if (column + j < u.n) {
            let sum = sums[i][j];
            let at = start + (column + j) * u.yStrides.y;
            if (PLUS) {
              let more = plus[extra + (row + i) * u.plusStrides.x + (column + j) * u.plusStrides.y];
              y[at] = fma(u.scale, sum, more);
            } else {
              y[at] = u.scale * sum;
            }
          }
        }
      }
    }
  }
}
` as string,
} as const;

export const matmul = {
  name: 'matmul',
  bindings: {
    a: { binding: 1, access: 'read', element: 'f32' },
    b: { binding: 2, access: 'read', element: 'f32' },
    plus: { binding: 3, access: 'read', element: 'f32' },
    y: { binding: 4, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 144,
    fields: {
      m: { offset: 0, type: 'u32' },
      n: { offset: 4, type: 'u32' },
      k: { offset: 8, type: 'u32' },
      batches: { offset: 12, type: 'u32' },
      scale: { offset: 16, type: 'f32' },
      lanes: { offset: 24, type: 'vec2<u32>' },
      aStrides: { offset: 32, type: 'vec2<u32>' },
      bStrides: { offset: 40, type: 'vec2<u32>' },
      yStrides: { offset: 48, type: 'vec2<u32>' },
      plusStrides: { offset: 56, type: 'vec2<u32>' },
      batchRank: { offset: 64, type: 'u32' },
      batch: { offset: 80, type: 'array<vec4<u32>, 3>' },
      plusBatch: { offset: 128, type: 'vec4<u32>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    TILE_M: { type: 'u32', value: 8 },
    TILE_N: { type: 'u32', value: 4 },
    PLUS: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// Matrix products through strides: y[g,m,n] = scale * sum over k of a[g,m,k] b[g,k,n] + plus[g,m,n], for every batch g. Plain, transposed,
// batched and per-module products, and weight gradients, differ in their strides only.
// An invocation computes a register tile of TILE_M rows by 4 columns; a workgroup's invocations lie side by side as
// lanes.x tiles along n, lanes.y along m and the rest over batches. Loads beyond an edge read the last row or column again;
// only stores are guarded. The sum runs over k in order.

struct Uniforms {
  m: u32,
  n: u32,
  k: u32,
  batches: u32,
  scale: f32,
  lanes: vec2<u32>, // invocations along n and along m, powers of 2 of product 64 or less
  aStrides: vec2<u32>, // of m and k, elements
  bStrides: vec2<u32>, // of k and n
  yStrides: vec2<u32>, // of m and n
  plusStrides: vec2<u32>, // of m and n, 0 where it repeats
  batchRank: u32, // 0 to 3
  batch: array<vec4<u32>, 3>, // x size, y stride in a, z stride in b, w stride in y, outermost first
  plusBatch: vec4<u32>, // strides in plus of the three, w unused
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<f32>; // [batches, m, k] through strides
@group(0) @binding(2) var<storage, read> b: array<f32>; // [batches, k, n] through strides
@group(0) @binding(3) var<storage, read> plus: array<f32>; // [any] that broadcasts to y, through strides
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // [batches, m, n] through strides

const WORKGROUP: u32 = 64;
const TILE_M: u32 = 8;
const TILE_N: u32 = 4; // 4 or 8
const PLUS: bool = false; // whether anything is added

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let column = (group.x * u.lanes.x + local % u.lanes.x) * TILE_N;
  let row = (group.y * u.lanes.y + (local / u.lanes.x) % u.lanes.y) * TILE_M;
  let layers = WORKGROUP / (u.lanes.x * u.lanes.y);
  if (row >= u.m || column >= u.n) {
    return;
  }
  let last = vec4<u32>(u.n - 1u);
  let near = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), last) * u.bStrides.y;
  let far = min(vec4<u32>(column) + vec4<u32>(4u, 5u, 6u, 7u), last) * u.bStrides.y;
  for (var g = group.z * layers + local / (u.lanes.x * u.lanes.y); g < u.batches; g += groups.z * layers) {
    var rest = g;
    var offset = vec3<u32>(0u);
    var extra = 0u;
    for (var d = u.batchRank; d > 0u; d--) {
      let dim = u.batch[d - 1u];
      offset += (rest % dim.x) * dim.yzw;
      extra += (rest % dim.x) * u.plusBatch[d - 1u];
      rest = rest / dim.x;
    }
    var ia: array<u32, TILE_M>;
    var left: array<vec4<f32>, TILE_M>;
    var right: array<vec4<f32>, TILE_M>;
    for (var i = 0u; i < TILE_M; i++) {
      ia[i] = offset.x + min(row + i, u.m - 1u) * u.aStrides.x;
      left[i] = vec4<f32>(0.0);
      right[i] = vec4<f32>(0.0);
    }
    for (var k = 0u; k < u.k; k++) {
      let base = offset.y + k * u.bStrides.x;
      let p = vec4<f32>(b[base + near.x], b[base + near.y], b[base + near.z], b[base + near.w]);
      var q = vec4<f32>(0.0);
      if (TILE_N == 8u) {
        q = vec4<f32>(b[base + far.x], b[base + far.y], b[base + far.z], b[base + far.w]);
      }
      for (var i = 0u; i < TILE_M; i++) {
        let each = a[ia[i] + k * u.aStrides.y];
        left[i] = fma(vec4<f32>(each), p, left[i]);
        if (TILE_N == 8u) {
          right[i] = fma(vec4<f32>(each), q, right[i]);
        }
      }
    }
    for (var i = 0u; i < TILE_M; i++) {
      if (row + i < u.m) {
        let start = offset.z + (row + i) * u.yStrides.x;
        for (var j = 0u; j < TILE_N; j++) {
          if (column + j < u.n) {
            let sum = select(left[i][j % 4u], right[i][j % 4u], j >= 4u);
            let at = start + (column + j) * u.yStrides.y;
            if (PLUS) {
              let more = plus[extra + (row + i) * u.plusStrides.x + (column + j) * u.plusStrides.y];
              y[at] = fma(u.scale, sum, more);
            } else {
              y[at] = u.scale * sum;
            }
          }
        }
      }
    }
  }
}
` as string,
} as const;

export const reduce = {
  name: 'reduce',
  bindings: {
    x: { binding: 1, access: 'read', element: 'f32' },
    y: { binding: 2, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 160,
    fields: {
      results: { offset: 0, type: 'u32' },
      count: { offset: 4, type: 'u32' },
      parts: { offset: 8, type: 'u32' },
      keptRank: { offset: 12, type: 'u32' },
      reducedRank: { offset: 16, type: 'u32' },
      kept: { offset: 32, type: 'array<vec4<u32>, 4>' },
      reduced: { offset: 96, type: 'array<vec4<u32>, 4>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    OP: { type: 'u32', value: 0 },
    COOPERATE: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// Reduces strided runs of elements to one number each: sum, sum of squares, maximum or minimum, by OP. Result r reads
// count elements, found through the kept dimensions (which r walks) and the reduced ones (which the run walks).
// With COOPERATE a workgroup shares one run: its lanes take every WORKGROUP-th element and meet in a tree. Without it
// every lane has a run of its own. A run may be cut into parts for a second pass: part p of result r is y[p * results + r].
// The order of a sum depends on the shape only. An extreme is NaN where an element is.

struct Uniforms {
  results: u32,
  count: u32, // elements of a run
  parts: u32, // pieces that each run is cut into
  keptRank: u32, // 1 to 4
  reducedRank: u32, // 1 to 4
  kept: array<vec4<u32>, 4>, // x size, y stride, outermost first
  reduced: array<vec4<u32>, 4>, // x size, y stride, outermost first
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [any]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [parts, results]

const WORKGROUP: u32 = 64;
const OP: u32 = 0;
const COOPERATE: bool = false;

var<workgroup> lanes: array<f32, WORKGROUP>;

// Tested by bits: a compiler may take it that no number is a NaN.
fn isNaN(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

fn joined(a: f32, b: f32) -> f32 {
  if (OP == 0u || OP == 1u) {
    return a + b;
  }
  let extreme = select(min(a, b), max(a, b), OP == 2u);
  return select(select(extreme, b, isNaN(b)), a, isNaN(a));
}

fn offsetOfResult(r: u32) -> u32 {
  var rest = r;
  var offset = 0u;
  for (var k = u.keptRank; k > 0u; k--) {
    let dim = u.kept[k - 1u];
    offset += (rest % dim.x) * dim.y;
    rest = rest / dim.x;
  }
  return offset;
}

fn offsetInRun(i: u32) -> u32 {
  var rest = i;
  var offset = 0u;
  for (var k = u.reducedRank; k > 0u; k--) {
    let dim = u.reduced[k - 1u];
    offset += (rest % dim.x) * dim.y;
    rest = rest / dim.x;
  }
  return offset;
}

// The elements begin, begin + step, ... below end of a run. An extreme starts from an element of the run, which may count
// twice; a sum from 0.
fn walk(base: u32, begin: u32, end: u32, step: u32) -> f32 {
  var total = 0.0;
  if (OP > 1u) {
    total = x[base + offsetInRun(min(begin, u.count - 1u))];
  }
  for (var i = begin; i < end; i += step) {
    let value = x[base + offsetInRun(i)];
    total = joined(total, select(value, value * value, OP == 1u));
  }
  return total;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let piece = (u.count + u.parts - 1u) / u.parts;
  let index = group.y * groups.x + group.x;
  if (COOPERATE) {
    let own = min(index, u.results * u.parts - 1u);
    let base = offsetOfResult(own % u.results);
    let begin = (own / u.results) * piece;
    lanes[local] = walk(base, begin + local, min(begin + piece, u.count), WORKGROUP);
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
      if (local < half) {
        lanes[local] = joined(lanes[local], lanes[local + half]);
      }
      workgroupBarrier();
    }
    if (local == 0u && index < u.results * u.parts) {
      y[index] = lanes[0];
    }
  } else {
    let own = index * WORKGROUP + local;
    if (own < u.results * u.parts) {
      let base = offsetOfResult(own % u.results);
      let begin = (own / u.results) * piece;
      y[own] = walk(base, begin, min(begin + piece, u.count), 1u);
    }
  }
}
` as string,
} as const;

export const rimGruBackward = {
  name: 'rimGruBackward',
  bindings: {
    saved: { binding: 1, access: 'read', element: 'f32' },
    dU: { binding: 2, access: 'read', element: 'f32' },
    dsource: { binding: 3, access: 'read', element: 'f32' },
    drest: { binding: 4, access: 'read', element: 'f32' },
    dz: { binding: 5, access: 'read_write', element: 'f32' },
    dh: { binding: 6, access: 'read_write', element: 'f32' },
    da: { binding: 7, access: 'read_write', element: 'f32' },
    dodds: { binding: 8, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      rows: { offset: 0, type: 'u32' },
      modules: { offset: 4, type: 'u32' },
      hidden: { offset: 8, type: 'u32' },
      keySize: { offset: 12, type: 'u32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 128 },
    KEPT: { type: 'bool', value: true },
  },
  workgroup: ['LANES', 1, 1],
  source: `// The backward of rim-gru.wgsl, one workgroup a module of a batch row: the gates are computed again from what it saved. An
// inactive module passes on what reaches its state, and nothing else; the choice itself has no gradient.
// With KEPT what reaches the source reaches base; without, the candidate, and is dropped for an inactive module.
// Slopes are products of what is near 0, never 1 minus what is near 1: saturated gates keep their digits.

struct Uniforms {
  rows: u32, // B
  modules: u32, // N
  hidden: u32, // H
  keySize: u32, // E
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> saved: array<f32>; // by unit, log-odds, mask, query, key [B,N*(5*H+2+E)+E]
@group(0) @binding(2) var<storage, read> dU: array<f32>; // gates of the input less those of the null row [B,N,3*H]
@group(0) @binding(3) var<storage, read> dsource: array<f32>; // [B,N,H]
@group(0) @binding(4) var<storage, read> drest: array<f32>; // of base, mask (not read), p [B,N,H+2]
@group(0) @binding(5) var<storage, read_write> dz: array<f32>; // of the state's gates r, z, n, then the query [B,N,3*H+E]
@group(0) @binding(6) var<storage, read_write> dh: array<f32>; // past the products with the state [B,N,H]
@group(0) @binding(7) var<storage, read_write> da: array<f32>; // of the input's gates r, z, n [B,N,3*H]
@group(0) @binding(8) var<storage, read_write> dodds: array<f32>; // of the log-odds [B,N]

const LANES: u32 = 128;
const KEPT: bool = true;

var<workgroup> sums: array<f32, LANES>;

fn tanhOf(v: f32) -> f32 {
  let a = abs(v);
  if (a < 0.1) {
    let s = v * v;
    return v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
  }
  let e = exp(-2.0 * a);
  return sign(v) * (1.0 - e) / (1.0 + e);
}

fn tanhSlopeOf(v: f32) -> f32 {
  let e = exp(-2.0 * abs(v));
  return 4.0 * e / ((1.0 + e) * (1.0 + e));
}

fn sigmoidOf(v: f32) -> f32 {
  let e = exp(-abs(v));
  return select(e, 1.0, v >= 0.0) / (1.0 + e);
}

fn sigmoidSlopeOf(v: f32) -> f32 {
  let e = exp(-abs(v));
  return e / ((1.0 + e) * (1.0 + e));
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x; // of a module of a batch row
  if (index >= u.rows * u.modules) {
    return;
  }
  let m = index % u.modules;
  let gatesSaved = 5u * u.modules * u.hidden;
  let keySaved = gatesSaved + u.modules * (2u + u.keySize);
  let savedRow = (index / u.modules) * (keySaved + u.keySize);
  let odds = saved[savedRow + gatesSaved + m];
  let isActive = saved[savedRow + gatesSaved + u.modules + m] != 0.0;
  let firstDz = index * (3u * u.hidden + u.keySize);
  let firstRest = index * (u.hidden + 2u);

  var part = 0.0; // of the product of dU and its gradient
  for (var unit = lane; unit < u.hidden; unit += LANES) {
    let i = index * u.hidden + unit;
    var d = drest[firstRest + unit];
    if (KEPT || isActive) {
      d += dsource[i];
    }
    let change = 3u * index * u.hidden + unit;
    var dreset = 0.0;
    var drenew = 0.0;
    var dfresh = 0.0;
    var drecurrent = 0.0;
    if (isActive) {
      let gate = savedRow + 5u * m * u.hidden + unit;
      let reset = saved[gate];
      let renew = saved[gate + u.hidden];
      let fresh = saved[gate + 2u * u.hidden];
      let recurrent = saved[gate + 3u * u.hidden];
      let before = saved[gate + 4u * u.hidden];
      dfresh = d * sigmoidOf(-renew) * tanhSlopeOf(fresh);
      drenew = d * (before - tanhOf(fresh)) * sigmoidSlopeOf(renew);
      dreset = dfresh * recurrent * sigmoidSlopeOf(reset);
      drecurrent = dfresh * sigmoidOf(reset);
      d = d * sigmoidOf(renew);
      part += dreset * dU[change] + drenew * dU[change + u.hidden] + dfresh * dU[change + 2u * u.hidden];
    }
    dz[firstDz + unit] = dreset;
    dz[firstDz + u.hidden + unit] = drenew;
    dz[firstDz + 2u * u.hidden + unit] = drecurrent;
    da[change] = dreset;
    da[change + u.hidden] = drenew;
    da[change + 2u * u.hidden] = dfresh;
    dh[i] = d;
  }

  sums[lane] = part;
  workgroupBarrier();
  for (var width = LANES / 2u; width > 0u; width = width / 2u) {
    if (lane < width) {
      sums[lane] = sums[lane] + sums[lane + width];
    }
    workgroupBarrier();
  }
  let own = (sums[0] + drest[firstRest + u.hidden + 1u]) * sigmoidSlopeOf(odds);
  if (lane == 0u) {
    dodds[index] = own;
  }
  for (var e = lane; e < u.keySize; e += LANES) {
    dz[firstDz + 3u * u.hidden + e] = own * saved[savedRow + keySaved + e];
  }
}
` as string,
} as const;

export const rimGru = {
  name: 'rimGru',
  bindings: {
    z: { binding: 1, access: 'read', element: 'f32' },
    dU: { binding: 2, access: 'read', element: 'f32' },
    keys: { binding: 3, access: 'read', element: 'f32' },
    h: { binding: 4, access: 'read', element: 'u32' },
    u0: { binding: 5, access: 'read', element: 'f32' },
    source: { binding: 6, access: 'read_write', element: 'u32' },
    rest: { binding: 7, access: 'read_write', element: 'u32' },
    saved: { binding: 8, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 32,
    fields: {
      rows: { offset: 0, type: 'u32' },
      modules: { offset: 4, type: 'u32' },
      hidden: { offset: 8, type: 'u32' },
      keySize: { offset: 12, type: 'u32' },
      topK: { offset: 16, type: 'u32' },
      groupsOfRow: { offset: 20, type: 'u32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 128 },
    KEPT: { type: 'bool', value: true },
    PARTS: { type: 'u32', value: 16 },
    MODULES: { type: 'u32', value: 64 },
  },
  workgroup: ['LANES', 1, 1],
  source: `// Choice and dynamics of one RIM step with GRU modules: log-odds and ranking of all modules of a batch row, the u.topK best
// of which are active, then their gates: the input's are those of the null row plus p times dU, the state's are in z. An
// inactive module keeps h bit for bit. Every workgroup of a row scores its modules again, all in the same order: same bits.
// With KEPT what others read of an inactive module is its h; without, its candidate, so that all candidates are computed.

struct Uniforms {
  rows: u32, // B
  modules: u32, // N
  hidden: u32, // H
  keySize: u32, // E
  topK: u32, // K
  groupsOfRow: u32, // workgroups of a batch row
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> z: array<f32>; // gates r, z, n of the state, then the query [B,N,3*H+E]
@group(0) @binding(2) var<storage, read> dU: array<f32>; // gates of the input less those of the null row [B,N,3*H]
@group(0) @binding(3) var<storage, read> keys: array<f32>; // keys of the log-odds and of the ranking [B,2,E]
@group(0) @binding(4) var<storage, read> h: array<u32>; // f32 bits [B,N,H]
@group(0) @binding(5) var<storage, read> u0: array<f32>; // gates of the null row [N,3*H]
@group(0) @binding(6) var<storage, read_write> source: array<u32>; // f32 bits [B,N,H]
@group(0) @binding(7) var<storage, read_write> rest: array<u32>; // f32 bits: base, mask, p [B,N,H+2]
@group(0) @binding(8) var<storage, read_write> saved: array<f32>; // by unit, log-odds, mask, query, key [B,N*(5*H+2+E)+E]

const LANES: u32 = 128;
const KEPT: bool = true;
const PARTS: u32 = 16; // lanes that share a score
const MODULES: u32 = 64; // most modules; at most LANES
const PARTIALS: u32 = MODULES * PARTS;

var<workgroup> partials: array<vec2<f32>, PARTIALS>;
var<workgroup> odds: array<f32, MODULES>;
var<workgroup> ranking: array<u32, MODULES>;
var<workgroup> chosen: array<u32, MODULES>;

fn tanhOf(v: f32) -> f32 {
  let a = abs(v);
  if (a < 0.1) {
    let s = v * v;
    return v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
  }
  let e = exp(-2.0 * a);
  return sign(v) * (1.0 - e) / (1.0 + e);
}

fn sigmoidOf(v: f32) -> f32 {
  let e = exp(-abs(v));
  return select(e, 1.0, v >= 0.0) / (1.0 + e);
}

// A number that orders as the score does: -0 as 0, every NaN above all.
fn keyOf(bits: u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return 0xffffffffu;
  }
  if (magnitude == 0u) {
    return 0x80000000u;
  }
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x;
  let row = index / u.groupsOfRow;
  if (row >= u.rows) {
    return;
  }
  let width = 3u * u.hidden + u.keySize;
  let firstModule = row * u.modules;
  let firstKey = 2u * row * u.keySize;

  for (var i = lane; i < u.modules * PARTS; i += LANES) {
    let query = (firstModule + i / PARTS) * width + 3u * u.hidden;
    var part = vec2<f32>(0.0, 0.0);
    for (var e = i % PARTS; e < u.keySize; e += PARTS) {
      part += z[query + e] * vec2<f32>(keys[firstKey + e], keys[firstKey + u.keySize + e]);
    }
    partials[i] = part;
  }
  workgroupBarrier();
  if (lane < u.modules) {
    var score = vec2<f32>(0.0, 0.0);
    for (var i = 0u; i < PARTS; i++) {
      score += partials[lane * PARTS + i];
    }
    odds[lane] = score.x;
    ranking[lane] = keyOf(bitcast<u32>(score.y));
  }
  workgroupBarrier();
  if (lane < u.modules) {
    let own = ranking[lane];
    var better = 0u;
    for (var m = 0u; m < u.modules; m++) {
      let other = ranking[m];
      if (other > own || (other == own && m < lane)) {
        better++;
      }
    }
    chosen[lane] = select(0u, 1u, better < u.topK);
  }
  workgroupBarrier();

  let gatesSaved = 5u * u.modules * u.hidden;
  let querySaved = gatesSaved + 2u * u.modules;
  let keySaved = querySaved + u.modules * u.keySize;
  let savedRow = row * (keySaved + u.keySize);
  let start = (index % u.groupsOfRow) * LANES + lane;

  // What the backward needs of the scores, shared out over the row's workgroups.
  for (var i = start; i < u.modules * u.keySize + u.keySize; i += u.groupsOfRow * LANES) {
    let m = i / u.keySize;
    let e = i % u.keySize;
    if (m < u.modules) {
      saved[savedRow + querySaved + i] = z[(firstModule + m) * width + 3u * u.hidden + e];
    } else {
      saved[savedRow + keySaved + e] = keys[firstKey + e];
    }
  }

  if (start >= u.modules * u.hidden) {
    return;
  }
  let m = start / u.hidden;
  let unit = start % u.hidden;
  let isActive = chosen[m] == 1u;
  let p = sigmoidOf(odds[m]);
  let i = firstModule * u.hidden + start;
  let restAt = (firstModule + m) * (u.hidden + 2u) + unit;
  let savedAt = savedRow + 5u * m * u.hidden + unit;
  if (unit == 0u) {
    rest[restAt + u.hidden] = bitcast<u32>(select(0.0, 1.0, isActive));
    rest[restAt + u.hidden + 1u] = bitcast<u32>(p);
    saved[savedRow + gatesSaved + m] = odds[m];
    saved[savedRow + gatesSaved + u.modules + m] = select(0.0, 1.0, isActive);
  }

  var reset = 0.0;
  var renew = 0.0;
  var fresh = 0.0;
  var recurrent = 0.0;
  var before = 0.0;
  var base = h[i];
  var shown = base;
  if (isActive || !KEPT) {
    let gate = (firstModule + m) * width + unit;
    let change = 3u * (firstModule + m) * u.hidden + unit;
    let nullGate = 3u * m * u.hidden + unit;
    reset = u0[nullGate] + p * dU[change] + z[gate];
    renew = u0[nullGate + u.hidden] + p * dU[change + u.hidden] + z[gate + u.hidden];
    recurrent = z[gate + 2u * u.hidden];
    fresh = u0[nullGate + 2u * u.hidden] + p * dU[change + 2u * u.hidden] + sigmoidOf(reset) * recurrent;
    before = bitcast<f32>(h[i]);
    shown = bitcast<u32>(sigmoidOf(-renew) * tanhOf(fresh) + sigmoidOf(renew) * before);
    if (isActive) {
      base = shown;
    }
  }
  source[i] = shown;
  rest[restAt] = base;
  saved[savedAt] = reset;
  saved[savedAt + u.hidden] = renew;
  saved[savedAt + 2u * u.hidden] = fresh;
  saved[savedAt + 3u * u.hidden] = recurrent;
  saved[savedAt + 4u * u.hidden] = before;
}
` as string,
} as const;

export const rimLstmBackward = {
  name: 'rimLstmBackward',
  bindings: {
    saved: { binding: 1, access: 'read', element: 'f32' },
    dU: { binding: 2, access: 'read', element: 'f32' },
    dsource: { binding: 3, access: 'read', element: 'f32' },
    drest: { binding: 4, access: 'read', element: 'f32' },
    dz: { binding: 5, access: 'read_write', element: 'f32' },
    dh: { binding: 6, access: 'read_write', element: 'f32' },
    dc: { binding: 7, access: 'read_write', element: 'f32' },
    dodds: { binding: 8, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      rows: { offset: 0, type: 'u32' },
      modules: { offset: 4, type: 'u32' },
      hidden: { offset: 8, type: 'u32' },
      keySize: { offset: 12, type: 'u32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 128 },
    KEPT: { type: 'bool', value: true },
  },
  workgroup: ['LANES', 1, 1],
  source: `// The backward of rim-lstm.wgsl, one workgroup a module of a batch row: the gates are computed again from what it saved. An
// inactive module passes on what reaches its state, and nothing else; the choice itself has no gradient.
// With KEPT what reaches the source reaches base; without, the candidate, and is dropped for an inactive module.
// Slopes are products of what is near 0, never 1 minus what is near 1: saturated gates keep their digits.

struct Uniforms {
  rows: u32, // B
  modules: u32, // N
  hidden: u32, // H
  keySize: u32, // E
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> saved: array<f32>; // by unit, log-odds, mask, query, key [B,N*(5*H+2+E)+E]
@group(0) @binding(2) var<storage, read> dU: array<f32>; // gates of the input less those of the null row [B,N,4*H]
@group(0) @binding(3) var<storage, read> dsource: array<f32>; // [B,N,H]
@group(0) @binding(4) var<storage, read> drest: array<f32>; // of base, c', mask (not read), p [B,N,2*H+2]
@group(0) @binding(5) var<storage, read_write> dz: array<f32>; // of the gates i, f, g, o, then the query [B,N,4*H+E]
@group(0) @binding(6) var<storage, read_write> dh: array<f32>; // what passes an inactive module by [B,N,H]
@group(0) @binding(7) var<storage, read_write> dc: array<f32>; // [B,N,H]
@group(0) @binding(8) var<storage, read_write> dodds: array<f32>; // of the log-odds [B,N]

const LANES: u32 = 128;
const KEPT: bool = true;

var<workgroup> sums: array<f32, LANES>;

fn tanhOf(v: f32) -> f32 {
  let a = abs(v);
  if (a < 0.1) {
    let s = v * v;
    return v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
  }
  let e = exp(-2.0 * a);
  return sign(v) * (1.0 - e) / (1.0 + e);
}

fn tanhSlopeOf(v: f32) -> f32 {
  let e = exp(-2.0 * abs(v));
  return 4.0 * e / ((1.0 + e) * (1.0 + e));
}

fn sigmoidOf(v: f32) -> f32 {
  let e = exp(-abs(v));
  return select(e, 1.0, v >= 0.0) / (1.0 + e);
}

fn sigmoidSlopeOf(v: f32) -> f32 {
  let e = exp(-abs(v));
  return e / ((1.0 + e) * (1.0 + e));
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x; // of a module of a batch row
  if (index >= u.rows * u.modules) {
    return;
  }
  let m = index % u.modules;
  let gatesSaved = 5u * u.modules * u.hidden;
  let keySaved = gatesSaved + u.modules * (2u + u.keySize);
  let savedRow = (index / u.modules) * (keySaved + u.keySize);
  let odds = saved[savedRow + gatesSaved + m];
  let isActive = saved[savedRow + gatesSaved + u.modules + m] != 0.0;
  let firstDz = index * (4u * u.hidden + u.keySize);
  let firstRest = index * (2u * u.hidden + 2u);

  var part = 0.0; // of the product of dU and its gradient
  for (var unit = lane; unit < u.hidden; unit += LANES) {
    let i = index * u.hidden + unit;
    var d = drest[firstRest + unit];
    if (KEPT || isActive) {
      d += dsource[i];
    }
    var dcell = drest[firstRest + u.hidden + unit];
    var dadmit = 0.0;
    var dkeep = 0.0;
    var dfresh = 0.0;
    var dshow = 0.0;
    if (isActive) {
      let gate = savedRow + 5u * m * u.hidden + unit;
      let admit = saved[gate];
      let keep = saved[gate + u.hidden];
      let fresh = saved[gate + 2u * u.hidden];
      let show = saved[gate + 3u * u.hidden];
      let cell = saved[gate + 4u * u.hidden];
      let next = sigmoidOf(keep) * cell + sigmoidOf(admit) * tanhOf(fresh);
      let dnext = dcell + d * sigmoidOf(show) * tanhSlopeOf(next);
      dadmit = dnext * tanhOf(fresh) * sigmoidSlopeOf(admit);
      dkeep = dnext * cell * sigmoidSlopeOf(keep);
      dfresh = dnext * sigmoidOf(admit) * tanhSlopeOf(fresh);
      dshow = d * tanhOf(next) * sigmoidSlopeOf(show);
      dcell = dnext * sigmoidOf(keep);
      d = 0.0;
      let change = 4u * index * u.hidden + unit;
      part += dadmit * dU[change] + dkeep * dU[change + u.hidden];
      part += dfresh * dU[change + 2u * u.hidden] + dshow * dU[change + 3u * u.hidden];
    }
    dz[firstDz + unit] = dadmit;
    dz[firstDz + u.hidden + unit] = dkeep;
    dz[firstDz + 2u * u.hidden + unit] = dfresh;
    dz[firstDz + 3u * u.hidden + unit] = dshow;
    dh[i] = d;
    dc[i] = dcell;
  }

  sums[lane] = part;
  workgroupBarrier();
  for (var width = LANES / 2u; width > 0u; width = width / 2u) {
    if (lane < width) {
      sums[lane] = sums[lane] + sums[lane + width];
    }
    workgroupBarrier();
  }
  let own = (sums[0] + drest[firstRest + 2u * u.hidden + 1u]) * sigmoidSlopeOf(odds);
  if (lane == 0u) {
    dodds[index] = own;
  }
  for (var e = lane; e < u.keySize; e += LANES) {
    dz[firstDz + 4u * u.hidden + e] = own * saved[savedRow + keySaved + e];
  }
}
` as string,
} as const;

export const rimLstm = {
  name: 'rimLstm',
  bindings: {
    z: { binding: 1, access: 'read', element: 'f32' },
    dU: { binding: 2, access: 'read', element: 'f32' },
    keys: { binding: 3, access: 'read', element: 'f32' },
    h: { binding: 4, access: 'read', element: 'u32' },
    c: { binding: 5, access: 'read', element: 'u32' },
    source: { binding: 6, access: 'read_write', element: 'u32' },
    rest: { binding: 7, access: 'read_write', element: 'u32' },
    saved: { binding: 8, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 32,
    fields: {
      rows: { offset: 0, type: 'u32' },
      modules: { offset: 4, type: 'u32' },
      hidden: { offset: 8, type: 'u32' },
      keySize: { offset: 12, type: 'u32' },
      topK: { offset: 16, type: 'u32' },
      groupsOfRow: { offset: 20, type: 'u32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 128 },
    KEPT: { type: 'bool', value: true },
    PARTS: { type: 'u32', value: 16 },
    MODULES: { type: 'u32', value: 64 },
  },
  workgroup: ['LANES', 1, 1],
  source: `// Choice and dynamics of one RIM step with LSTM modules: log-odds and ranking of all modules of a batch row, the u.topK best
// of which are active, then their gates: those of the state and the null row, in z, plus p times dU. An inactive module
// keeps h and c bit for bit. Every workgroup of a row scores its modules again, all in the same order: same bits.
// With KEPT what others read of an inactive module is its h; without, its candidate, so that all candidates are computed.

struct Uniforms {
  rows: u32, // B
  modules: u32, // N
  hidden: u32, // H
  keySize: u32, // E
  topK: u32, // K
  groupsOfRow: u32, // workgroups of a batch row
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> z: array<f32>; // gates i, f, g, o of the state, then the query [B,N,4*H+E]
@group(0) @binding(2) var<storage, read> dU: array<f32>; // gates of the input less those of the null row [B,N,4*H]
@group(0) @binding(3) var<storage, read> keys: array<f32>; // keys of the log-odds and of the ranking [B,2,E]
@group(0) @binding(4) var<storage, read> h: array<u32>; // f32 bits [B,N,H]
@group(0) @binding(5) var<storage, read> c: array<u32>; // f32 bits [B,N,H]
@group(0) @binding(6) var<storage, read_write> source: array<u32>; // f32 bits [B,N,H]
@group(0) @binding(7) var<storage, read_write> rest: array<u32>; // f32 bits: base, c', mask, p [B,N,2*H+2]
@group(0) @binding(8) var<storage, read_write> saved: array<f32>; // by unit, log-odds, mask, query, key [B,N*(5*H+2+E)+E]

const LANES: u32 = 128;
const KEPT: bool = true;
const PARTS: u32 = 16; // lanes that share a score
const MODULES: u32 = 64; // most modules; at most LANES
const PARTIALS: u32 = MODULES * PARTS;

var<workgroup> partials: array<vec2<f32>, PARTIALS>;
var<workgroup> odds: array<f32, MODULES>;
var<workgroup> ranking: array<u32, MODULES>;
var<workgroup> chosen: array<u32, MODULES>;

fn tanhOf(v: f32) -> f32 {
  let a = abs(v);
  if (a < 0.1) {
    let s = v * v;
    return v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
  }
  let e = exp(-2.0 * a);
  return sign(v) * (1.0 - e) / (1.0 + e);
}

fn sigmoidOf(v: f32) -> f32 {
  let e = exp(-abs(v));
  return select(e, 1.0, v >= 0.0) / (1.0 + e);
}

// A number that orders as the score does: -0 as 0, every NaN above all.
fn keyOf(bits: u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return 0xffffffffu;
  }
  if (magnitude == 0u) {
    return 0x80000000u;
  }
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x;
  let row = index / u.groupsOfRow;
  if (row >= u.rows) {
    return;
  }
  let width = 4u * u.hidden + u.keySize;
  let firstModule = row * u.modules;
  let firstKey = 2u * row * u.keySize;

  for (var i = lane; i < u.modules * PARTS; i += LANES) {
    let query = (firstModule + i / PARTS) * width + 4u * u.hidden;
    var part = vec2<f32>(0.0, 0.0);
    for (var e = i % PARTS; e < u.keySize; e += PARTS) {
      part += z[query + e] * vec2<f32>(keys[firstKey + e], keys[firstKey + u.keySize + e]);
    }
    partials[i] = part;
  }
  workgroupBarrier();
  if (lane < u.modules) {
    var score = vec2<f32>(0.0, 0.0);
    for (var i = 0u; i < PARTS; i++) {
      score += partials[lane * PARTS + i];
    }
    odds[lane] = score.x;
    ranking[lane] = keyOf(bitcast<u32>(score.y));
  }
  workgroupBarrier();
  if (lane < u.modules) {
    let own = ranking[lane];
    var better = 0u;
    for (var m = 0u; m < u.modules; m++) {
      let other = ranking[m];
      if (other > own || (other == own && m < lane)) {
        better++;
      }
    }
    chosen[lane] = select(0u, 1u, better < u.topK);
  }
  workgroupBarrier();

  let gatesSaved = 5u * u.modules * u.hidden;
  let querySaved = gatesSaved + 2u * u.modules;
  let keySaved = querySaved + u.modules * u.keySize;
  let savedRow = row * (keySaved + u.keySize);
  let start = (index % u.groupsOfRow) * LANES + lane;

  // What the backward needs of the scores, shared out over the row's workgroups.
  for (var i = start; i < u.modules * u.keySize + u.keySize; i += u.groupsOfRow * LANES) {
    let m = i / u.keySize;
    let e = i % u.keySize;
    if (m < u.modules) {
      saved[savedRow + querySaved + i] = z[(firstModule + m) * width + 4u * u.hidden + e];
    } else {
      saved[savedRow + keySaved + e] = keys[firstKey + e];
    }
  }

  if (start >= u.modules * u.hidden) {
    return;
  }
  let m = start / u.hidden;
  let unit = start % u.hidden;
  let isActive = chosen[m] == 1u;
  let p = sigmoidOf(odds[m]);
  let i = firstModule * u.hidden + start;
  let restAt = (firstModule + m) * (2u * u.hidden + 2u) + unit;
  let savedAt = savedRow + 5u * m * u.hidden + unit;
  if (unit == 0u) {
    rest[restAt + 2u * u.hidden] = bitcast<u32>(select(0.0, 1.0, isActive));
    rest[restAt + 2u * u.hidden + 1u] = bitcast<u32>(p);
    saved[savedRow + gatesSaved + m] = odds[m];
    saved[savedRow + gatesSaved + u.modules + m] = select(0.0, 1.0, isActive);
  }

  var admit = 0.0;
  var keep = 0.0;
  var fresh = 0.0;
  var show = 0.0;
  var cell = 0.0;
  var base = h[i];
  var next = c[i];
  var shown = base;
  if (isActive || !KEPT) {
    let gate = (firstModule + m) * width + unit;
    let change = 4u * (firstModule + m) * u.hidden + unit;
    admit = z[gate] + p * dU[change];
    keep = z[gate + u.hidden] + p * dU[change + u.hidden];
    fresh = z[gate + 2u * u.hidden] + p * dU[change + 2u * u.hidden];
    show = z[gate + 3u * u.hidden] + p * dU[change + 3u * u.hidden];
    cell = bitcast<f32>(c[i]);
    let candidateCell = sigmoidOf(keep) * cell + sigmoidOf(admit) * tanhOf(fresh);
    shown = bitcast<u32>(sigmoidOf(show) * tanhOf(candidateCell));
    if (isActive) {
      base = shown;
      next = bitcast<u32>(candidateCell);
    }
  }
  source[i] = shown;
  rest[restAt] = base;
  rest[restAt + u.hidden] = next;
  saved[savedAt] = admit;
  saved[savedAt + u.hidden] = keep;
  saved[savedAt + 2u * u.hidden] = fresh;
  saved[savedAt + 3u * u.hidden] = show;
  saved[savedAt + 4u * u.hidden] = cell;
}
` as string,
} as const;

export const rimTalkBackward = {
  name: 'rimTalkBackward',
  bindings: {
    qkv: { binding: 1, access: 'read', element: 'f32' },
    p: { binding: 2, access: 'read', element: 'f32' },
    dcontext: { binding: 3, access: 'read', element: 'f32' },
    dp: { binding: 4, access: 'read', element: 'f32' },
    dqkv: { binding: 5, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 32,
    fields: {
      heads: { offset: 0, type: 'u32' },
      modules: { offset: 4, type: 'u32' },
      keySize: { offset: 8, type: 'u32' },
      valueSize: { offset: 12, type: 'u32' },
      pairs: { offset: 16, type: 'u32' },
      perGroup: { offset: 20, type: 'u32' },
      scale: { offset: 24, type: 'f32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 64 },
    SCORES: { type: 'u32', value: 4096 },
    PROBABILITIES: { type: 'bool', value: false },
  },
  workgroup: ['LANES', 1, 1],
  source: `// The backward of rim-talk.wgsl, from its input and its probabilities p. An invocation does one module of one head of one
// batch row: first as a reader, the gradients of its probabilities, of its scores (0 where p is 0: sources that it does not
// read have no gradient) and of its query; then, behind a barrier, as a source, those of its key and of its value.
// A workgroup does u.perGroup heads, all of their modules: perGroup * N is at most LANES. The gradients of their scores
// are in workgroup memory. With PROBABILITIES a gradient of p arrives from outside and is added.

struct Uniforms {
  heads: u32, // C
  modules: u32, // N
  keySize: u32, // F
  valueSize: u32, // W
  pairs: u32, // B*C
  perGroup: u32, // of these, in a workgroup
  scale: f32, // of the scores
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> qkv: array<f32>; // [B,N,C*F + C*F + C*W]
@group(0) @binding(2) var<storage, read> p: array<f32>; // [B,C,N,N], reader then source
@group(0) @binding(3) var<storage, read> dcontext: array<f32>; // [B,N,C*W]
@group(0) @binding(4) var<storage, read> dp: array<f32>; // [B,C,N,N], or one element without PROBABILITIES
@group(0) @binding(5) var<storage, read_write> dqkv: array<f32>; // [B,N,C*F + C*F + C*W]

const LANES: u32 = 64;
const SCORES: u32 = 4096; // at least perGroup * N * N
const PROBABILITIES: bool = false;

var<workgroup> slopes: array<f32, SCORES>; // of the probabilities, then of the products of queries and keys

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let local = lane / u.modules;
  let own = lane - local * u.modules;
  let pair = (group.y * groups.x + group.x) * u.perGroup + local;
  let present = local < u.perGroup && pair < u.pairs;
  let head = pair % u.heads;
  let row = (pair / u.heads) * u.modules; // of the first module
  let width = u.heads * (2u * u.keySize + u.valueSize);
  let span = u.heads * u.valueSize;
  let queries = row * width + head * u.keySize;
  let keys = queries + u.heads * u.keySize;
  let values = row * width + 2u * u.heads * u.keySize + head * u.valueSize;
  let taken = row * span + head * u.valueSize;
  let square = u.modules * u.modules;
  let four = vec4<u32>(0u, 1u, 2u, 3u);

  if (present) {
    let base = local * square + own * u.modules; // of the slopes
    let first = pair * square + own * u.modules; // of the probabilities
    var inner = 0.0;
    for (var m = 0u; m < u.modules; m += 4u) {
      let value = vec4<u32>(values) + min(vec4<u32>(m) + four, vec4<u32>(u.modules - 1u)) * width;
      var total = vec4<f32>(0.0);
      for (var w = 0u; w < u.valueSize; w++) {
        let v = vec4<f32>(qkv[value.x + w], qkv[value.y + w], qkv[value.z + w], qkv[value.w + w]);
        total = fma(vec4<f32>(dcontext[taken + own * span + w]), v, total);
      }
      for (var j = 0u; j < min(4u, u.modules - m); j++) {
        var d = total[j];
        if (PROBABILITIES) {
          d += dp[first + m + j];
        }
        if (p[first + m + j] != 0.0) {
          inner += p[first + m + j] * d;
        }
        slopes[base + m + j] = d;
      }
    }
    for (var m = 0u; m < u.modules; m++) {
      let probability = p[first + m];
      if (probability == 0.0) {
        slopes[base + m] = 0.0;
      } else {
        slopes[base + m] = u.scale * (probability * (slopes[base + m] - inner));
      }
    }
    for (var f = 0u; f < u.keySize; f += 4u) {
      let key = vec4<u32>(keys) + min(vec4<u32>(f) + four, vec4<u32>(u.keySize - 1u));
      var total = vec4<f32>(0.0);
      for (var m = 0u; m < u.modules; m++) {
        let at = key + vec4<u32>(m * width);
        let k = vec4<f32>(qkv[at.x], qkv[at.y], qkv[at.z], qkv[at.w]);
        total = fma(vec4<f32>(slopes[base + m]), k, total);
      }
      for (var j = 0u; j < min(4u, u.keySize - f); j++) {
        dqkv[queries + own * width + f + j] = total[j];
      }
    }
  }
  workgroupBarrier();

  if (present) {
    let base = local * square + own;
    let first = pair * square + own;
    for (var f = 0u; f < u.keySize; f += 4u) {
      let query = vec4<u32>(queries) + min(vec4<u32>(f) + four, vec4<u32>(u.keySize - 1u));
      var total = vec4<f32>(0.0);
      for (var n = 0u; n < u.modules; n++) {
        let at = query + vec4<u32>(n * width);
        let q = vec4<f32>(qkv[at.x], qkv[at.y], qkv[at.z], qkv[at.w]);
        total = fma(vec4<f32>(slopes[base + n * u.modules]), q, total);
      }
      for (var j = 0u; j < min(4u, u.keySize - f); j++) {
        dqkv[keys + own * width + f + j] = total[j];
      }
    }
    for (var w = 0u; w < u.valueSize; w += 4u) {
      let place = vec4<u32>(taken) + min(vec4<u32>(w) + four, vec4<u32>(u.valueSize - 1u));
      var total = vec4<f32>(0.0);
      for (var n = 0u; n < u.modules; n++) {
        let at = place + vec4<u32>(n * span);
        let d = vec4<f32>(dcontext[at.x], dcontext[at.y], dcontext[at.z], dcontext[at.w]);
        total = fma(vec4<f32>(p[first + n * u.modules]), d, total);
      }
      for (var j = 0u; j < min(4u, u.valueSize - w); j++) {
        dqkv[values + own * width + w + j] = total[j];
      }
    }
  }
}
` as string,
} as const;

export const rimTalk = {
  name: 'rimTalk',
  bindings: {
    qkv: { binding: 1, access: 'read', element: 'f32' },
    context: { binding: 2, access: 'read_write', element: 'f32' },
    probabilities: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 32,
    fields: {
      heads: { offset: 0, type: 'u32' },
      modules: { offset: 4, type: 'u32' },
      keySize: { offset: 8, type: 'u32' },
      valueSize: { offset: 12, type: 'u32' },
      count: { offset: 16, type: 'u32' },
      topK: { offset: 20, type: 'u32' },
      nan: { offset: 24, type: 'u32' },
      scale: { offset: 28, type: 'f32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    TOP_K: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// Communication among the modules of a RIM: scores of a reader n and every source m, of which with TOP_K only the u.topK
// greatest are kept (of equal ones the lowest source), softmax over sources, and the values that the reader so reads.
// An invocation does one reader of one head of one batch row, four sources or four values at a time; its row of the
// probabilities holds its scores before. Loads beyond an edge read the last one again; only stores are guarded.
// Scores are ranked by bits, in one total order; as in softmax.wgsl a NaN or +infinity makes all of its reader's row NaN.

struct Uniforms {
  heads: u32, // C
  modules: u32, // N
  keySize: u32, // F
  valueSize: u32, // W
  count: u32, // B*C*N
  topK: u32,
  nan: u32, // the bits of a NaN
  scale: f32, // of the scores
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> qkv: array<f32>; // [B,N,C*F + C*F + C*W]
@group(0) @binding(2) var<storage, read_write> context: array<f32>; // [B,N,C*W]
@group(0) @binding(3) var<storage, read_write> probabilities: array<f32>; // [B,C,N,N], reader then source

const WORKGROUP: u32 = 64;
const TOP_K: bool = false;

// A number that orders as the score does: -0 as 0, every NaN above all.
fn keyOf(score: f32) -> u32 {
  let bits = bitcast<u32>(score);
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return 0xffffffffu;
  }
  if (magnitude == 0u) {
    return 0x80000000u;
  }
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.count) {
    return;
  }
  let reader = i % u.modules;
  let head = (i / u.modules) % u.heads;
  let row = (i / (u.modules * u.heads)) * u.modules; // of the first module
  let width = u.heads * (2u * u.keySize + u.valueSize);
  let query = (row + reader) * width + head * u.keySize;
  let keys = row * width + (u.heads + head) * u.keySize;
  let values = row * width + 2u * u.heads * u.keySize + head * u.valueSize;
  let own = i * u.modules; // of the probabilities
  let four = vec4<u32>(0u, 1u, 2u, 3u);

  for (var m = 0u; m < u.modules; m += 4u) {
    let key = vec4<u32>(keys) + min(vec4<u32>(m) + four, vec4<u32>(u.modules - 1u)) * width;
    var total = vec4<f32>(0.0);
    for (var f = 0u; f < u.keySize; f++) {
      let k = vec4<f32>(qkv[key.x + f], qkv[key.y + f], qkv[key.z + f], qkv[key.w + f]);
      total = fma(vec4<f32>(qkv[query + f]), k, total);
    }
    for (var j = 0u; j < min(4u, u.modules - m); j++) {
      probabilities[own + m + j] = u.scale * total[j];
    }
  }

  var greatest = 0u;
  var least = 0u; // the key and the source of the last one kept
  var last = u.modules;
  for (var m = 0u; m < u.modules; m++) {
    let key = keyOf(probabilities[own + m]);
    greatest = max(greatest, key);
    if (TOP_K) {
      var rank = 0u;
      for (var j = 0u; j < u.modules; j++) {
        let other = keyOf(probabilities[own + j]);
        if (other > key || (other == key && j < m)) {
          rank++;
        }
      }
      if (rank == u.topK - 1u) {
        least = key;
        last = m;
      }
    }
  }
  let broken = greatest >= 0xff800000u || greatest <= 0x007fffffu;
  let peak = bitcast<f32>(select(~greatest, greatest & 0x7fffffffu, greatest >= 0x80000000u));
  var sum = 0.0;
  for (var m = 0u; m < u.modules; m++) {
    let score = probabilities[own + m];
    let key = keyOf(score);
    var e = 0.0;
    if (key > least || (key == least && m <= last)) {
      e = exp(max(score - peak, -128.0));
    }
    probabilities[own + m] = e;
    sum += e;
  }
  for (var m = 0u; m < u.modules; m++) {
    if (broken) {
      probabilities[own + m] = bitcast<f32>(u.nan);
    } else {
      probabilities[own + m] = probabilities[own + m] / sum;
    }
  }

  let result = ((row + reader) * u.heads + head) * u.valueSize;
  for (var w = 0u; w < u.valueSize; w += 4u) {
    let value = vec4<u32>(values) + min(vec4<u32>(w) + four, vec4<u32>(u.valueSize - 1u));
    var total = vec4<f32>(0.0);
    for (var m = 0u; m < u.modules; m++) {
      let at = value + vec4<u32>(m * width);
      let v = vec4<f32>(qkv[at.x], qkv[at.y], qkv[at.z], qkv[at.w]);
      total = fma(vec4<f32>(probabilities[own + m]), v, total);
    }
    for (var j = 0u; j < min(4u, u.valueSize - w); j++) {
      context[result + w + j] = total[j];
    }
  }
}
` as string,
} as const;

export const rimUpdateBackward = {
  name: 'rimUpdateBackward',
  bindings: {
    rest: { binding: 1, access: 'read', element: 'f32' },
    pre: { binding: 2, access: 'read', element: 'f32' },
    dh: { binding: 3, access: 'read', element: 'f32' },
    dc: { binding: 4, access: 'read', element: 'f32' },
    dpre: { binding: 5, access: 'read_write', element: 'f32' },
    drest: { binding: 6, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      hidden: { offset: 4, type: 'u32' },
      tiles: { offset: 8, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    UNITS: { type: 'u32', value: 4 },
    GATED: { type: 'bool', value: false },
    LSTM: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// The backward of rim-update.wgsl but for its product, one invocation UNITS states of a module: the gradients of pre, 0 for inactive modules,
// and of rest: h' gives base its gradient, active or not, c' the one of c'; the mask and p, which are only read, get 0.
// Slopes are products of what is near 0, never 1 minus what is near 1: saturated gates keep their digits.

struct Uniforms {
  count: u32, // B * N * tiles
  hidden: u32, // H
  tiles: u32, // invocations a module: H / UNITS, rounded up
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> rest: array<f32>; // [B,N,H+2] or LSTM [B,N,2H+2]
@group(0) @binding(2) var<storage, read> pre: array<f32>; // [B,N,2H], or one element without GATED
@group(0) @binding(3) var<storage, read> dh: array<f32>; // dh' [B,N,H]
@group(0) @binding(4) var<storage, read> dc: array<f32>; // dc' [B,N,H], or one element without LSTM
@group(0) @binding(5) var<storage, read_write> dpre: array<f32>; // [B,N,O]
@group(0) @binding(6) var<storage, read_write> drest: array<f32>; // drest [B,N,H+2] or LSTM [B,N,2H+2]

const WORKGROUP: u32 = 64;
const UNITS: u32 = 4;
const GATED: bool = false;
const LSTM: bool = false;

// Tested by bits: a compiler may take it that no number is a NaN.
fn isNaN(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

fn tanhOf(v: f32) -> f32 {
  let a = abs(v);
  if (a < 0.1) {
    let s = v * v;
    return v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
  }
  let e = exp(-2.0 * a);
  return sign(v) * (1.0 - e) / (1.0 + e);
}

fn tanhSlopeOf(v: f32) -> f32 {
  let e = exp(-2.0 * abs(v));
  return 4.0 * e / ((1.0 + e) * (1.0 + e));
}

fn sigmoidOf(v: f32) -> f32 {
  let e = exp(-abs(v));
  return select(e, 1.0, v >= 0.0) / (1.0 + e);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.count) {
    return;
  }
  let each = i / u.tiles;
  let first = (i - each * u.tiles) * UNITS;
  let width = select(u.hidden, 2u * u.hidden, LSTM) + 2u;
  let outputs = select(u.hidden, 2u * u.hidden, GATED);
  let chosen = rest[(each + 1u) * width - 2u] != 0.0;
  for (var unit = first; unit < min(first + UNITS, u.hidden); unit++) {
    let d = dh[each * u.hidden + unit];
    let place = each * outputs + unit; // of pre
    var dx = 0.0;
    var dgate = 0.0;
    if (chosen) {
      dx = d;
      if (GATED) {
        let x = pre[place];
        let gate = pre[place + u.hidden];
        if (isNaN(x) || isNaN(gate)) {
          dx = x + gate;
          dgate = dx;
        } else {
          dx = d * sigmoidOf(gate) * tanhSlopeOf(x);
          dgate = d * tanhOf(x) * sigmoidOf(gate) * sigmoidOf(-gate);
        }
      }
    }
    dpre[place] = dx;
    if (GATED) {
      dpre[place + u.hidden] = dgate;
    }
    drest[each * width + unit] = d;
    if (LSTM) {
      drest[each * width + u.hidden + unit] = dc[each * u.hidden + unit];
    }
  }
  if (first == 0u) {
    drest[(each + 1u) * width - 2u] = 0.0;
    drest[(each + 1u) * width - 1u] = 0.0;
  }
}
` as string,
} as const;

export const rimUpdate = {
  name: 'rimUpdate',
  bindings: {
    context: { binding: 1, access: 'read', element: 'f32' },
    w: { binding: 2, access: 'read', element: 'f32' },
    bias: { binding: 3, access: 'read', element: 'f32' },
    rest: { binding: 4, access: 'read', element: 'f32' },
    h: { binding: 5, access: 'read_write', element: 'f32' },
    c: { binding: 6, access: 'read_write', element: 'f32' },
    pre: { binding: 7, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 32,
    fields: {
      rows: { offset: 0, type: 'u32' },
      modules: { offset: 4, type: 'u32' },
      inner: { offset: 8, type: 'u32' },
      hidden: { offset: 12, type: 'u32' },
      wModule: { offset: 16, type: 'u32' },
      biasModule: { offset: 20, type: 'u32' },
      lanes: { offset: 24, type: 'vec2<u32>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    TILE_M: { type: 'u32', value: 8 },
    TILE_N: { type: 'u32', value: 4 },
    GATED: { type: 'bool', value: false },
    BIASED: { type: 'bool', value: false },
    LSTM: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// The update of a RIM's modules: context times weights, plus bias, and what that adds to the states of the active modules:
// h' = base + out where the mask is not 0, else base to the bit. out is the product, or with GATED sigmoid(gate) tanh(product),
// product and gate side by side in the columns of w. With LSTM c' is copied from rest: [base | c' | mask | p], else [base | mask | p].
// An invocation computes a register tile of TILE_M batch rows of one module by 4 states, or 8 where TILE_N is 8; lanes lie
// side by side as lanes.x tiles along states, lanes.y along rows and the rest over modules. Loads beyond an edge read the last
// row or column again; only stores are guarded. The sum runs over the context in order.

struct Uniforms {
  rows: u32, // B
  modules: u32, // N
  inner: u32, // C*W
  hidden: u32, // H
  wModule: u32, // stride of w from module to module: 0 where they share it
  biasModule: u32,
  lanes: vec2<u32>, // invocations along states and along rows, powers of 2 of product 64 or less
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> context: array<f32>; // [B,N,C*W]
@group(0) @binding(2) var<storage, read> w: array<f32>; // [N,C*W,O] or [C*W,O]; O is H, GATED 2H
@group(0) @binding(3) var<storage, read> bias: array<f32>; // [N,O] or [O], or one element without BIASED
@group(0) @binding(4) var<storage, read> rest: array<f32>; // [B,N,H+2] or LSTM [B,N,2H+2]
@group(0) @binding(5) var<storage, read_write> h: array<f32>; // h' [B,N,H]
@group(0) @binding(6) var<storage, read_write> c: array<f32>; // c' [B,N,H], or unused
@group(0) @binding(7) var<storage, read_write> pre: array<f32>; // [B,N,O]: product plus bias

const WORKGROUP: u32 = 64;
const TILE_M: u32 = 8;
const TILE_N: u32 = 4; // 4 or 8; with GATED 4
const GATED: bool = false;
const BIASED: bool = false;
const LSTM: bool = false;

// Tested by bits: a compiler may take it that no number is a NaN.
fn isNaN(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

fn tanhOf(v: f32) -> f32 {
  let a = abs(v);
  if (a < 0.1) {
    let s = v * v;
    return v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
  }
  let e = exp(-2.0 * a);
  return sign(v) * (1.0 - e) / (1.0 + e);
}

fn sigmoidOf(v: f32) -> f32 {
  let e = exp(-abs(v));
  return select(e, 1.0, v >= 0.0) / (1.0 + e);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let column = (group.x * u.lanes.x + local % u.lanes.x) * TILE_N;
  let row = (group.y * u.lanes.y + (local / u.lanes.x) % u.lanes.y) * TILE_M;
  let layers = WORKGROUP / (u.lanes.x * u.lanes.y);
  if (row >= u.rows || column >= u.hidden) {
    return;
  }
  let outputs = select(u.hidden, 2u * u.hidden, GATED);
  let width = select(u.hidden, 2u * u.hidden, LSTM) + 2u;
  let edge = vec4<u32>(u.hidden - 1u);
  let near = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), edge);
  // The gates of the same states, or the next four states.
  let far = select(min(near + vec4<u32>(4u), edge), near + vec4<u32>(u.hidden), GATED);
  for (var n = group.z * layers + local / (u.lanes.x * u.lanes.y); n < u.modules; n += groups.z * layers) {
    var start: array<u32, TILE_M>;
    var left: array<vec4<f32>, TILE_M>;
    var right: array<vec4<f32>, TILE_M>;
    for (var i = 0u; i < TILE_M; i++) {
      start[i] = (min(row + i, u.rows - 1u) * u.modules + n) * u.inner;
      left[i] = vec4<f32>(0.0);
      right[i] = vec4<f32>(0.0);
    }
    for (var k = 0u; k < u.inner; k++) {
      let base = n * u.wModule + k * outputs;
      let q = vec4<f32>(w[base + near.x], w[base + near.y], w[base + near.z], w[base + near.w]);
      var s = vec4<f32>(0.0);
      if (GATED || TILE_N == 8u) {
        s = vec4<f32>(w[base + far.x], w[base + far.y], w[base + far.z], w[base + far.w]);
      }
      for (var i = 0u; i < TILE_M; i++) {
        let each = context[start[i] + k];
        left[i] = fma(vec4<f32>(each), q, left[i]);
        if (GATED || TILE_N == 8u) {
          right[i] = fma(vec4<f32>(each), s, right[i]);
        }
      }
    }
    for (var i = 0u; i < TILE_M; i++) {
      if (row + i < u.rows) {
        let each = (row + i) * u.modules + n;
        let chosen = rest[(each + 1u) * width - 2u] != 0.0;
        for (var j = 0u; j < TILE_N; j++) {
          let unit = column + j;
          if (unit < u.hidden) {
            var x = select(left[i][j % 4u], right[i][j % 4u], j >= 4u);
            if (BIASED) {
              x = x + bias[n * u.biasModule + unit];
            }
            pre[each * outputs + unit] = x;
            if (GATED) {
              var gate = right[i][j % 4u];
              if (BIASED) {
                gate = gate + bias[n * u.biasModule + u.hidden + unit];
              }
              pre[each * outputs + u.hidden + unit] = gate;
              if (isNaN(gate)) {
                x = gate;
              }
              if (!isNaN(x)) {
                x = sigmoidOf(gate) * tanhOf(x);
              }
            }
            let kept = rest[each * width + unit];
            if (chosen) {
              h[each * u.hidden + unit] = kept + x;
            } else {
              h[each * u.hidden + unit] = kept;
            }
            if (LSTM) {
              c[each * u.hidden + unit] = rest[each * width + u.hidden + unit];
            }
          }
        }
      }
    }
  }
}
` as string,
} as const;

export const rmsprop = {
  name: 'rmsprop',
  bindings: {
    gradient: { binding: 1, access: 'read', element: 'f32' },
    rate: { binding: 2, access: 'read', element: 'f32' },
    scale: { binding: 3, access: 'read', element: 'f32' },
    p: { binding: 4, access: 'read_write', element: 'f32' },
    v: { binding: 5, access: 'read_write', element: 'f32' },
    m: { binding: 6, access: 'read_write', element: 'f32' },
    a: { binding: 7, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 32,
    fields: {
      count: { offset: 0, type: 'u32' },
      decay: { offset: 4, type: 'f32' },
      epsilon: { offset: 8, type: 'f32' },
      momentum: { offset: 12, type: 'f32' },
      alpha: { offset: 16, type: 'f32' },
      complement: { offset: 20, type: 'f32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    ELEMENTS: { type: 'u32', value: 4 },
    MOMENTUM: { type: 'bool', value: false },
    CENTERED: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// One step of RMSprop (Tieleman and Hinton 2012) on one parameter, in place: g = scale * gradient + decay * p,
// v = alpha v + (1 - alpha) g^2, step = g / (sqrt(v) + epsilon), p = p - rate * step.
// CENTERED keeps the mean a of g too and takes v - a^2, not below 0, in place of v (Graves 2013). With MOMENTUM,
// m = momentum * m + step takes the place of step. A buffer whose flag is off is neither read nor written.

struct Uniforms {
  count: u32, // elements of the parameter
  decay: f32, // weight decay
  epsilon: f32,
  momentum: f32,
  alpha: f32,
  complement: f32, // 1 - alpha
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gradient: array<f32>; // gradient [count]
@group(0) @binding(2) var<storage, read> rate: array<f32>; // rate [1]
@group(0) @binding(3) var<storage, read> scale: array<f32>; // scale [1]
@group(0) @binding(4) var<storage, read_write> p: array<f32>; // p [count]
@group(0) @binding(5) var<storage, read_write> v: array<f32>; // v [count]
@group(0) @binding(6) var<storage, read_write> m: array<f32>; // m [count] with MOMENTUM, else [1]
@group(0) @binding(7) var<storage, read_write> a: array<f32>; // a [count] with CENTERED, else [1]

const WORKGROUP: u32 = 64;
const ELEMENTS: u32 = 4;
const MOMENTUM: bool = false;
const CENTERED: bool = false;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let first = (group.y * groups.x + group.x) * WORKGROUP * ELEMENTS + local;
  for (var k = 0u; k < ELEMENTS; k++) {
    let i = first + k * WORKGROUP;
    if (i < u.count) {
      let g = fma(u.decay, p[i], scale[0] * gradient[i]);
      let vNext = fma(u.alpha, v[i], u.complement * g * g);
      v[i] = vNext;
      var variance = vNext;
      if (CENTERED) {
        let mean = fma(u.alpha, a[i], u.complement * g);
        a[i] = mean;
        variance = max(fma(-mean, mean, vNext), 0.0);
      }
      var step = g / (sqrt(variance) + u.epsilon);
      if (MOMENTUM) {
        step = fma(u.momentum, m[i], step);
        m[i] = step;
      }
      p[i] = fma(-rate[0], step, p[i]);
    }
  }
}
` as string,
} as const;

export const segmentChain = {
  name: 'segmentChain',
  bindings: {
    index: { binding: 1, access: 'read', element: 'u32' },
    links: { binding: 2, access: 'read_write', element: 'u32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      positions: { offset: 4, type: 'u32' },
      rows: { offset: 8, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// Chains the positions of equal index, in their order: for every position, the next one of its group with the same index;
// for every row of the table, the first. Links are 1 + position, 0 where the chain ends; links must be 0 before. Every link
// has one writer. An invocation looks back from one position to the nearest of the same index.

struct Uniforms {
  count: u32, // groups * P
  positions: u32, // P, indices of a group
  rows: u32, // V, rows of a group's table; an index past it is in no chain
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> index: array<u32>; // [groups, P]
@group(0) @binding(2) var<storage, read_write> links: array<u32>; // [groups * P + groups * V]: the next ones, then the first ones

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let p = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (p >= u.count) {
    return;
  }
  let row = index[p];
  if (row >= u.rows) {
    return;
  }
  let base = p - p % u.positions;
  // 1 + the nearest position before p with the same index, 0 where there is none.
  var before = 0u;
  for (var q = p; q > base && before == 0u; q--) {
    if (index[q - 1u] == row) {
      before = q;
    }
  }
  if (before != 0u) {
    links[before - 1u] = p + 1u;
  } else {
    links[u.count + (p / u.positions) * u.rows + row] = p + 1u;
  }
}
` as string,
} as const;

export const segmentSum = {
  name: 'segmentSum',
  bindings: {
    d: { binding: 1, access: 'read', element: 'f32' },
    index: { binding: 2, access: 'read', element: 'u32' },
    y: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 32,
    fields: {
      count: { offset: 0, type: 'u32' },
      positions: { offset: 4, type: 'u32' },
      parts: { offset: 8, type: 'u32' },
      partLength: { offset: 12, type: 'u32' },
      rows: { offset: 16, type: 'u32' },
      columns: { offset: 20, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// Sums rows by index: y[g, s, v, :] = sum of d[g, p, :] over the positions p of part s of group g with index[g, p] = v, in the
// order of the positions. The positions of a group are cut into equal parts, summed in a second pass. One invocation an
// element of y; it reads every index of its part, so this is for few rows. For many: segment-chain and segment-walk.

struct Uniforms {
  count: u32, // elements of y
  positions: u32, // P, indices of a group
  parts: u32, // S, parts of a group
  partLength: u32, // positions of a part; the last may have fewer
  rows: u32, // V
  columns: u32, // C
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> d: array<f32>; // [groups, P, C]
@group(0) @binding(2) var<storage, read> index: array<u32>; // [groups, P]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [groups, S, V, C]

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.count) {
    return;
  }
  let column = i % u.columns;
  let row = (i / u.columns) % u.rows;
  let piece = i / (u.columns * u.rows);
  let base = (piece / u.parts) * u.positions;
  let first = (piece % u.parts) * u.partLength;
  let end = min(first + u.partLength, u.positions);
  var total = 0.0;
  for (var p = base + first; p < base + end; p++) {
    if (index[p] == row) {
      total += d[p * u.columns + column];
    }
  }
  y[i] = total;
}
` as string,
} as const;

export const segmentWalk = {
  name: 'segmentWalk',
  bindings: {
    d: { binding: 1, access: 'read', element: 'f32' },
    links: { binding: 2, access: 'read', element: 'u32' },
    y: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      links: { offset: 4, type: 'u32' },
      columns: { offset: 8, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// Sums rows along the chains that segment-chain made: y[g, v, :] = sum of d[g, p, :] over the positions p with index[g, p] = v, in
// their order. One invocation an element of y.

struct Uniforms {
  count: u32, // elements of y
  links: u32, // groups * P: where the first links begin
  columns: u32, // C
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> d: array<f32>; // [groups, P, C]
@group(0) @binding(2) var<storage, read> links: array<u32>; // [groups * P + groups * V]: the next ones, then the first ones
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [groups, V, C]

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.count) {
    return;
  }
  let column = i % u.columns;
  var total = 0.0;
  for (var link = links[u.links + i / u.columns]; link != 0u; link = links[link - 1u]) {
    total += d[(link - 1u) * u.columns + column];
  }
  y[i] = total;
}
` as string,
} as const;

export const select = {
  name: 'select',
  bindings: {
    mask: { binding: 1, access: 'read', element: 'vec4<f32>' },
    a: { binding: 2, access: 'read', element: 'vec4<u32>' },
    b: { binding: 3, access: 'read', element: 'vec4<u32>' },
    y: { binding: 4, access: 'read_write', element: 'vec4<u32>' },
  },
  uniforms: {
    size: 112,
    fields: {
      vectors: { offset: 0, type: 'u32' },
      count: { offset: 4, type: 'u32' },
      rank: { offset: 8, type: 'u32' },
      dims: { offset: 16, type: 'array<vec4<u32>, 6>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    VECTORS: { type: 'u32', value: 4 },
    LAYOUT: { type: 'u32', value: 0 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// One of two values by a mask, bit for bit: y = a where mask is not 0, else b. An invocation computes VECTORS vectors of 4
// elements of y; what it writes behind the last element is padding. LAYOUT tells how operands lie: 0, as y does; 1, through
// strides, with 4 neighbours of y in one dimension, where an operand runs along or repeats; 2, through strides, element by
// element. A stride is 0 where an operand repeats.

struct Uniforms {
  vectors: u32, // elements of y / 4, rounded up
  count: u32, // elements of y
  rank: u32, // dimensions in use, 1 to 6
  dims: array<vec4<u32>, 6>, // x size, y stride of mask, z stride of a, w stride of b (elements), outermost first
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> mask: array<vec4<f32>>; // [any] that broadcasts to y
@group(0) @binding(2) var<storage, read> a: array<vec4<u32>>; // [any] that broadcasts to y, f32 bits
@group(0) @binding(3) var<storage, read> b: array<vec4<u32>>; // [any] that broadcasts to y, f32 bits
@group(0) @binding(4) var<storage, read_write> y: array<vec4<u32>>; // [vectors], f32 bits

const WORKGROUP: u32 = 64;
const VECTORS: u32 = 4;
const LAYOUT: u32 = 0;

// Where element i of y lies in mask (x), a (y) and b (z).
fn offsetsOf(i: u32) -> vec3<u32> {
  var rest = i;
  var offsets = vec3<u32>(0u);
  for (var k = u.rank; k > 0u; k--) {
    let dim = u.dims[k - 1u];
    offsets += (rest % dim.x) * dim.yzw;
    rest = rest / dim.x;
  }
  return offsets;
}

fn element(i: u32) -> u32 {
  let offsets = offsetsOf(min(i, u.count - 1u));
  let p = a[offsets.y / 4u][offsets.y % 4u];
  let q = b[offsets.z / 4u][offsets.z % 4u];
  return select(q, p, mask[offsets.x / 4u][offsets.x % 4u] != 0.0);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let first = (group.y * groups.x + group.x) * WORKGROUP * VECTORS + local;
  for (var j = 0u; j < VECTORS; j++) {
    let i = first + j * WORKGROUP;
    if (i < u.vectors) {
      if (LAYOUT == 0u) {
        y[i] = select(b[i], a[i], mask[i] != vec4<f32>(0.0));
      } else if (LAYOUT == 1u) {
        let offsets = offsetsOf(4u * i);
        let along = u.dims[u.rank - 1u].yzw;
        var m = mask[offsets.x / 4u];
        var p = a[offsets.y / 4u];
        var q = b[offsets.z / 4u];
        if (along.x == 0u) {
          m = vec4<f32>(m[offsets.x % 4u]);
        }
        if (along.y == 0u) {
          p = vec4<u32>(p[offsets.y % 4u]);
        }
        if (along.z == 0u) {
          q = vec4<u32>(q[offsets.z % 4u]);
        }
        y[i] = select(q, p, m != vec4<f32>(0.0));
      } else {
        y[i] = vec4<u32>(element(4u * i), element(4u * i + 1u), element(4u * i + 2u), element(4u * i + 3u));
      }
    }
  }
}
` as string,
} as const;

export const sgd = {
  name: 'sgd',
  bindings: {
    gradient: { binding: 1, access: 'read', element: 'f32' },
    rate: { binding: 2, access: 'read', element: 'f32' },
    scale: { binding: 3, access: 'read', element: 'f32' },
    p: { binding: 4, access: 'read_write', element: 'f32' },
    m: { binding: 5, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      decay: { offset: 4, type: 'f32' },
      momentum: { offset: 8, type: 'f32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    ELEMENTS: { type: 'u32', value: 4 },
    MOMENTUM: { type: 'bool', value: false },
    NESTEROV: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// One step of stochastic gradient descent on one parameter, in place: g = scale * gradient + decay * p, p = p - rate * g.
// With MOMENTUM, m = momentum * m + g takes the place of g; with NESTEROV g + momentum * m does. Without MOMENTUM the
// buffer m is neither read nor written. scale clips the gradients without a copy of them.

struct Uniforms {
  count: u32, // elements of the parameter
  decay: f32, // weight decay
  momentum: f32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gradient: array<f32>; // gradient [count]
@group(0) @binding(2) var<storage, read> rate: array<f32>; // rate [1]
@group(0) @binding(3) var<storage, read> scale: array<f32>; // scale [1]
@group(0) @binding(4) var<storage, read_write> p: array<f32>; // p [count]
@group(0) @binding(5) var<storage, read_write> m: array<f32>; // m [count] with MOMENTUM, else [1]

const WORKGROUP: u32 = 64;
const ELEMENTS: u32 = 4;
const MOMENTUM: bool = false;
const NESTEROV: bool = false;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let first = (group.y * groups.x + group.x) * WORKGROUP * ELEMENTS + local;
  for (var k = 0u; k < ELEMENTS; k++) {
    let i = first + k * WORKGROUP;
    if (i < u.count) {
      let g = fma(u.decay, p[i], scale[0] * gradient[i]);
      var step = g;
      if (MOMENTUM) {
        let next = fma(u.momentum, m[i], g);
        m[i] = next;
        step = select(next, fma(u.momentum, next, g), NESTEROV);
      }
      p[i] = fma(-rate[0], step, p[i]);
    }
  }
}
` as string,
} as const;

export const softmaxBackward = {
  name: 'softmaxBackward',
  bindings: {
    p: { binding: 1, access: 'read', element: 'f32' },
    dp: { binding: 2, access: 'read', element: 'f32' },
    dx: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      rows: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 64 },
    COOPERATE: { type: 'bool', value: false },
  },
  workgroup: ['LANES', 1, 1],
  source: `// The backward of softmax, from its result p: dx = p (dp - sum of p dp over the row). Where p is 0, dx is 0 whatever dp is:
// columns that took no part have no gradient.
// With COOPERATE a workgroup shares a row; without it every lane has a row of its own.

struct Uniforms {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> p: array<f32>; // [rows, columns]
@group(0) @binding(2) var<storage, read> dp: array<f32>; // [rows, columns]
@group(0) @binding(3) var<storage, read_write> dx: array<f32>; // [rows, columns]

const LANES: u32 = 64;
const COOPERATE: bool = false;

var<workgroup> sums: array<f32, LANES>;

fn sumOfRow(lane: u32, own: f32) -> f32 {
  if (!COOPERATE) {
    return own;
  }
  sums[lane] = own;
  workgroupBarrier();
  for (var width = LANES / 2u; width > 0u; width = width / 2u) {
    if (lane < width) {
      sums[lane] = sums[lane] + sums[lane + width];
    }
    workgroupBarrier();
  }
  return sums[0];
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x;
  let row = select(index * LANES + lane, index, COOPERATE);
  let first = select(0u, lane, COOPERATE);
  let step = select(1u, LANES, COOPERATE);
  let end = select(0u, u.columns, row < u.rows);
  let base = row * u.columns;

  var part = 0.0;
  for (var i = base + first; i < base + end; i += step) {
    if (p[i] != 0.0) {
      part += p[i] * dp[i];
    }
  }
  let total = sumOfRow(lane, part);
  for (var i = base + first; i < base + end; i += step) {
    if (p[i] == 0.0) {
      dx[i] = 0.0;
    } else {
      dx[i] = p[i] * (dp[i] - total);
    }
  }
}
` as string,
} as const;

export const softmax = {
  name: 'softmax',
  bindings: {
    x: { binding: 1, access: 'read', element: 'u32' },
    mask: { binding: 2, access: 'read', element: 'f32' },
    y: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 128,
    fields: {
      rows: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
      topK: { offset: 8, type: 'u32' },
      nan: { offset: 12, type: 'u32' },
      maskRank: { offset: 16, type: 'u32' },
      maskColumn: { offset: 20, type: 'u32' },
      maskRows: { offset: 32, type: 'array<vec4<u32>, 6>' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 64 },
    COOPERATE: { type: 'bool', value: false },
    MASKED: { type: 'bool', value: false },
    TOP_K: { type: 'bool', value: false },
  },
  workgroup: ['LANES', 1, 1],
  source: `// Softmax of every row: y = e^(x - max) / sum. With MASKED only columns whose mask is not 0 take part, with TOP_K only the
// u.topK largest of those (of equal scores the lowest column); all others, and rows with nothing left, are 0.
// The greatest score is subtracted first, so that scores of any size are safe. A row in which a NaN, +infinity or nothing
// but -infinity takes part is NaN wherever a column takes part. Scores are compared by bits, in one total order.
// With COOPERATE a workgroup shares a row; without it every lane has a row of its own.

struct Uniforms {
  rows: u32,
  columns: u32,
  topK: u32,
  nan: u32, // the bits of a NaN
  maskRank: u32, // dimensions of the rows as the mask sees them, 0 to 6
  maskColumn: u32, // stride of the mask along a row
  maskRows: array<vec4<u32>, 6>, // x size, y stride of the mask, outermost first
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<u32>; // [rows, columns], f32 bits
@group(0) @binding(2) var<storage, read> mask: array<f32>; // [any] that broadcasts to x
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [rows, columns]

const LANES: u32 = 64;
const COOPERATE: bool = false;
const MASKED: bool = false;
const TOP_K: bool = false;

var<workgroup> keys: array<u32, LANES>;
var<workgroup> sums: array<f32, LANES>;

// A number that orders as the score does, above 0: -0 as 0, every NaN above all.
fn keyOf(bits: u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return 0xffffffffu;
  }
  if (magnitude == 0u) {
    return 0x80000000u;
  }
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

fn scoreOf(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u));
}

// The key of a column, 0 where the mask takes it out.
fn keyAt(base: u32, maskBase: u32, column: u32) -> u32 {
  if (MASKED) {
    if (mask[maskBase + column * u.maskColumn] == 0.0) {
      return 0u;
    }
  }
  return keyOf(x[base + column]);
}

fn isAmongTopK(base: u32, maskBase: u32, column: u32, key: u32) -> bool {
  if (!TOP_K) {
    return true;
  }
  var rank = 0u;
  for (var j = 0u; j < u.columns && rank < u.topK; j++) {
    let other = keyAt(base, maskBase, j);
    if (other > key || (other == key && j < column)) {
      rank++;
    }
  }
  return rank < u.topK;
}

fn maskOffset(row: u32) -> u32 {
  var rest = row;
  var offset = 0u;
  for (var k = u.maskRank; k > 0u; k--) {
    let dim = u.maskRows[k - 1u];
    offset += (rest % dim.x) * dim.y;
    rest = rest / dim.x;
  }
  return offset;
}

fn greatestOfRow(lane: u32, own: u32) -> u32 {
  if (!COOPERATE) {
    return own;
  }
  keys[lane] = own;
  workgroupBarrier();
  for (var width = LANES / 2u; width > 0u; width = width / 2u) {
    if (lane < width) {
      keys[lane] = max(keys[lane], keys[lane + width]);
    }
    workgroupBarrier();
  }
  return keys[0];
}

fn sumOfRow(lane: u32, own: f32) -> f32 {
  if (!COOPERATE) {
    return own;
  }
  sums[lane] = own;
  workgroupBarrier();
  for (var width = LANES / 2u; width > 0u; width = width / 2u) {
    if (lane < width) {
      sums[lane] = sums[lane] + sums[lane + width];
    }
    workgroupBarrier();
  }
  return sums[0];
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x;
  let row = select(index * LANES + lane, index, COOPERATE);
  let first = select(0u, lane, COOPERATE);
  let step = select(1u, LANES, COOPERATE);
  let end = select(0u, u.columns, row < u.rows);
  let base = row * u.columns;
  let maskBase = maskOffset(row);

  var own = 0u;
  for (var i = first; i < end; i += step) {
    own = max(own, keyAt(base, maskBase, i));
  }
  let greatest = greatestOfRow(lane, own);
  let broken = greatest >= 0xff800000u || greatest <= 0x007fffffu;
  let peak = scoreOf(greatest);

  var part = 0.0;
  for (var i = first; i < end; i += step) {
    let key = keyAt(base, maskBase, i);
    var e = 0.0;
    if (key != 0u) {
      if (isAmongTopK(base, maskBase, i, key)) {
        e = exp(max(bitcast<f32>(x[base + i]) - peak, -128.0));
      }
    }
    y[base + i] = e;
    part += e;
  }
  let total = sumOfRow(lane, part);

  for (var i = first; i < end; i += step) {
    if (broken) {
      y[base + i] = select(bitcast<f32>(u.nan), 0.0, keyAt(base, maskBase, i) == 0u);
    } else {
      y[base + i] = y[base + i] / total;
    }
  }
}
` as string,
} as const;

export const sort = {
  name: 'sort',
  bindings: {
    x: { binding: 1, access: 'read', element: 'u32' },
    values: { binding: 2, access: 'read_write', element: 'u32' },
    indices: { binding: 3, access: 'read_write', element: 'u32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    DESCENDING: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// Sorts every row: values, and the column that each came from. Equal elements keep their order, in both directions. An
// invocation places one element: its place is the number of elements that go before it, so the work grows with the square
// of the row. Elements are compared by bits, in one total order: -0 as 0, every NaN above all.

struct Uniforms {
  count: u32, // elements
  columns: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<u32>; // [rows, columns], f32 bits
@group(0) @binding(2) var<storage, read_write> values: array<u32>; // [rows, columns], f32 bits
@group(0) @binding(3) var<storage, read_write> indices: array<u32>; // [rows, columns]

const WORKGROUP: u32 = 64;
const DESCENDING: bool = false;

fn keyOf(bits: u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return 0xffffffffu;
  }
  if (magnitude == 0u) {
    return 0x80000000u;
  }
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.count) {
    return;
  }
  let column = i % u.columns;
  let base = i - column;
  let key = keyOf(x[i]);
  var place = 0u;
  for (var j = 0u; j < u.columns; j++) {
    let other = keyOf(x[base + j]);
    let before = select(other < key, (other > key), DESCENDING);
    if (before || (other == key && j < column)) {
      place++;
    }
  }
  values[base + place] = x[i];
  indices[base + place] = column;
}
` as string,
} as const;

export const stridedCopy = {
  name: 'stridedCopy',
  bindings: {
    input: { binding: 1, access: 'read', element: 'u32' },
    output: { binding: 2, access: 'read_write', element: 'u32' },
  },
  uniforms: {
    size: 144,
    fields: {
      count: { offset: 0, type: 'u32' },
      rank: { offset: 4, type: 'u32' },
      inOffset: { offset: 8, type: 'u32' },
      outOffset: { offset: 12, type: 'u32' },
      dims: { offset: 16, type: 'array<vec4<i32>, 8>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// Copies one strided view into another: reshape, permute, slice, flip, broadcast and concat are this kernel.
// Element e of the view has one coordinate per dimension, the last dimension the fastest; a coordinate moves the
// input by its input stride and the output by its output stride. A stride may be 0 (broadcast, input only) or
// negative (flip); the offsets then name the element of coordinate 0.
// Elements are moved as bits, so that f32 (NaN payloads too) and u32 pass unchanged.
// Not a reduction: no two elements may have the same place in the output.

struct Uniforms {
  count: u32, // elements of the view: the product of the sizes
  rank: u32, // dimensions in use, 0 to 8
  inOffset: u32, // elements
  outOffset: u32, // elements
  dims: array<vec4<i32>, 8>, // x size, y input stride, z output stride (elements), w unused
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> input: array<u32>; // [any], f32 or u32 bits
@group(0) @binding(2) var<storage, read_write> output: array<u32>; // [any], f32 or u32 bits

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let e = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (e >= u.count) {
    return;
  }
  var rest = e;
  var inIndex = i32(u.inOffset);
  var outIndex = i32(u.outOffset);
  for (var k = u.rank; k > 0u; k--) {
    let dim = u.dims[k - 1u];
    let size = u32(dim.x);
    let coordinate = i32(rest % size);
    rest = rest / size;
    inIndex += coordinate * dim.y;
    outIndex += coordinate * dim.z;
  }
  output[outIndex] = input[inIndex];
}
` as string,
} as const;

export const topKMask = {
  name: 'topKMask',
  bindings: {
    x: { binding: 1, access: 'read', element: 'u32' },
    y: { binding: 2, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
      topK: { offset: 8, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// y = 1 for the u.topK largest scores of every row, else 0; of equal scores the lowest column wins. An invocation ranks one
// element: it counts the elements that go before it. Scores are compared by bits, in one total order: -0 as 0, every NaN
// above all.

struct Uniforms {
  count: u32, // elements
  columns: u32,
  topK: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<u32>; // [rows, columns], f32 bits
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [rows, columns]

const WORKGROUP: u32 = 64;

fn keyOf(bits: u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return 0xffffffffu;
  }
  if (magnitude == 0u) {
    return 0x80000000u;
  }
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.count) {
    return;
  }
  let column = i % u.columns;
  let base = i - column;
  let key = keyOf(x[i]);
  var rank = 0u;
  for (var j = 0u; j < u.columns && rank < u.topK; j++) {
    let other = keyOf(x[base + j]);
    if (other > key || (other == key && j < column)) {
      rank++;
    }
  }
  y[i] = select(0.0, 1.0, rank < u.topK);
}
` as string,
} as const;

export const unary = {
  name: 'unary',
  bindings: {
    x: { binding: 1, access: 'read', element: 'vec4<f32>' },
    y: { binding: 2, access: 'read_write', element: 'vec4<f32>' },
  },
  uniforms: {
    size: 16,
    fields: {
      vectors: { offset: 0, type: 'u32' },
      p0: { offset: 4, type: 'f32' },
      p1: { offset: 8, type: 'f32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    VECTORS: { type: 'u32', value: 4 },
    OP: { type: 'u32', value: 0 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// One function of one number, for every element: y[i] = f(x[i]). OP chooses the function; p0 and p1 are its parameters.
// An invocation computes VECTORS vectors of 4 elements; what it writes behind the last element is padding.
// Elementwise, so the layout does not matter. A NaN stays one, whatever the function (only its power 0 is 1).
// The hyperbolic tangent and the power are written by hand: built-in ones lose digits near 0, overflow, or refuse
// negative bases (which take whole powers only, and else give NaN). gelu uses an error function accurate to 1.5e-7
// (Abramowitz and Stegun 7.1.26).

struct Uniforms {
  vectors: u32, // elements / 4, rounded up
  p0: f32,
  p1: f32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [vectors]
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>; // [vectors]

const WORKGROUP: u32 = 64;
const VECTORS: u32 = 4;
const OP: u32 = 0;

// Tested by bits: a compiler may take it that no number is a NaN.
fn isNaN(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

fn tanhOf(v: f32) -> f32 {
  let a = abs(v);
  if (a < 0.1) {
    let s = v * v;
    return v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
  }
  let e = exp(-2.0 * a);
  return sign(v) * (1.0 - e) / (1.0 + e);
}

fn sigmoidOf(v: f32) -> f32 {
  let e = exp(-abs(v));
  return select(e, 1.0, v >= 0.0) / (1.0 + e);
}

// log(1 + e^v) = max(v, 0) + log(1 + e^-|v|); the second term by its series where e^-|v| is small.
fn softplusOf(v: f32) -> f32 {
  let e = exp(-abs(v));
  let small = e * (1.0 - e * (0.5 - e * 0.33333333));
  return max(v, 0.0) + select(log(1.0 + e), small, e < 0.01);
}

fn powerOf(base: f32, exponent: f32) -> f32 {
  if (exponent == 0.0) {
    return 1.0;
  }
  if (exponent == 1.0 || isNaN(base)) {
    return base;
  }
  if (isNaN(exponent)) {
    return exponent;
  }
  if (base < 0.0 && exponent != trunc(exponent)) {
    return bitcast<f32>(bitcast<u32>(base) | 0x7fc00000u);
  }
  if (base == 0.0) {
    return select(1.0 / base, 0.0, exponent > 0.0);
  }
  let size = exp2(exponent * log2(abs(base)));
  let odd = fract(abs(exponent) * 0.5) == 0.5;
  return select(size, -size, base < 0.0 && odd);
}

fn erfOf(v: f32) -> f32 {
  let a = abs(v);
  if (a < 0.5) {
    let s = v * v;
    return v * 1.1283792 * (1.0 - s * (0.33333333 - s * (0.1 - s * (0.023809524 - s * (0.0046296296 - s * 0.00075757576)))));
  }
  let t = 1.0 / (1.0 + 0.3275911 * a);
  let poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return sign(v) * (1.0 - poly * exp(-a * a));
}

fn apply(v: f32) -> f32 {
  if (OP != 12u && isNaN(v)) {
    return v;
  }
  switch OP {
    case 1u: { return u.p0 * v + u.p1; } // affine
    case 2u: { return exp(v); }
    case 3u: { return log(v); }
    case 4u: { return sqrt(v); }
    case 5u: { return abs(v); }
    case 6u: { return sign(v); }
    case 7u: { return sigmoidOf(v); }
    case 8u: { return tanhOf(v); }
    case 9u: { return max(v, 0.0); } // relu
    case 10u: { return softplusOf(v); }
    case 11u: { return 1.0 / v; }
    case 12u: { return powerOf(v, u.p0); }
    case 13u: { return clamp(v, u.p0, u.p1); }
    case 14u: { return select(0.0, 1.0, v > u.p0 && v < u.p1); } // inside: the slope of clamp
    case 15u: { return v * v; }
    case 16u: { return 0.5 * v * (1.0 + erfOf(v * 0.70710678)); } // gelu
    case 17u: { return 0.5 * (1.0 + erfOf(v * 0.70710678)) + v * 0.39894228 * exp(-0.5 * v * v); } // slope of gelu
    case 18u: { return select(u.p0 * expm1Of(v), v, v > 0.0); } // elu
    case 19u: { return select(u.p0 * exp(min(v, 0.0)), 1.0, v > 0.0); } // slope of elu
    case 20u: { return select(u.p0 * v, v, v > 0.0); } // leaky relu
    case 21u: { return select(u.p0, 1.0, v > 0.0); } // slope of leaky relu
    case 22u: { return sin(v); }
    case 23u: { return cos(v); }
    default: { return v; } // identity
  }
}

// e^v - 1 for v <= 0; by its series near 0.
fn expm1Of(v: f32) -> f32 {
  let w = min(v, 0.0);
  let series = w * (1.0 + w * (0.5 + w * (0.16666667 + w * 0.041666668)));
  return select(exp(w) - 1.0, series, w > -0.05);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let first = (group.y * groups.x + group.x) * WORKGROUP * VECTORS + local;
  for (var j = 0u; j < VECTORS; j++) {
    let i = first + j * WORKGROUP;
    if (i < u.vectors) {
      let v = x[i];
      y[i] = vec4<f32>(apply(v.x), apply(v.y), apply(v.z), apply(v.w));
    }
  }
}
` as string,
} as const;

type Checked<K extends Kernel> = K;

/** Any kernel of this catalogue. */
export type AnyKernel = Checked<
  | typeof adamCorrection
  | typeof adam
  | typeof binaryCrossEntropy
  | typeof binary
  | typeof conv2dInput
  | typeof conv2dWeight
  | typeof conv2d
  | typeof copy
  | typeof crossEntropyBackward
  | typeof crossEntropy
  | typeof cumulativeProductBackward
  | typeof cumulative
  | typeof dropoutMask
  | typeof fill
  | typeof gather
  | typeof gruGatesBackward
  | typeof gruGates
  | typeof increment
  | typeof layerNormBackward
  | typeof layerNorm
  | typeof lstmGatesBackward
  | typeof lstmGates
  | typeof matmulSubgroups
  | typeof matmul
  | typeof reduce
  | typeof rimGruBackward
  | typeof rimGru
  | typeof rimLstmBackward
  | typeof rimLstm
  | typeof rimTalkBackward
  | typeof rimTalk
  | typeof rimUpdateBackward
  | typeof rimUpdate
  | typeof rmsprop
  | typeof segmentChain
  | typeof segmentSum
  | typeof segmentWalk
  | typeof select
  | typeof sgd
  | typeof softmaxBackward
  | typeof softmax
  | typeof sort
  | typeof stridedCopy
  | typeof topKMask
  | typeof unary
>;
