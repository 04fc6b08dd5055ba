/**
 * Generated from the .wgsl files of this folder by `npm run kernels`: do not edit. A test fails when it is stale.
 */
import type { Kernel } from './kernel.ts';

export const binary = {
  name: 'binary',
  bindings: {
    a: { binding: 1, access: 'read', element: 'f32' },
    b: { binding: 2, access: 'read', element: 'f32' },
    y: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 112,
    fields: {
      count: { offset: 0, type: 'u32' },
      rank: { offset: 4, type: 'u32' },
      dims: { offset: 16, type: 'array<vec4<u32>, 6>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    ELEMENTS: { type: 'u32', value: 4 },
    OP: { type: 'u32', value: 0 },
    BROADCAST: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// One function of two numbers, for every element: y[i] = f(a[i], b[i]). OP chooses the function. With BROADCAST the
// operands are read through strides, 0 where one repeats; without it all three have the same layout.
// An invocation computes ELEMENTS neighbouring elements of y.

struct Uniforms {
  count: u32, // elements of y
  rank: u32, // dimensions in use, 1 to 6
  dims: array<vec4<u32>, 6>, // x size, y stride of a, z stride of b, outermost first
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<f32>; // [any] that broadcasts to y
@group(0) @binding(2) var<storage, read> b: array<f32>; // [any] that broadcasts to y
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [count]

const WORKGROUP: u32 = 64;
const ELEMENTS: u32 = 4;
const OP: u32 = 0;
const BROADCAST: bool = false;

fn powOf(base: f32, exponent: f32) -> f32 {
  if (exponent == 0.0) {
    return 1.0;
  }
  if (exponent == 1.0) {
    return base;
  }
  if (base == 0.0) {
    return select(1.0 / base, 0.0, exponent > 0.0);
  }
  let size = exp2(exponent * log2(abs(base)));
  let odd = fract(abs(exponent) * 0.5) == 0.5;
  return select(size, -size, base < 0.0 && odd);
}

fn apply(p: f32, q: f32) -> f32 {
  switch OP {
    case 1u: { return p - q; }
    case 2u: { return p * q; }
    case 3u: { return p / q; }
    case 4u: { return powOf(p, q); }
    case 5u: { return max(p, q); }
    case 6u: { return min(p, q); }
    case 7u: { return select(0.0, 1.0, p > q); }
    case 8u: { return select(0.0, 1.0, p >= q); }
    case 9u: { return select(0.0, 1.0, p < q); }
    case 10u: { return select(0.0, 1.0, p <= q); }
    case 11u: { return select(0.0, 1.0, p == q); }
    case 12u: { return p * q * (1.0 - q); } // sigmoid backward: p = dy, q = y
    case 13u: { return p * (1.0 - q * q); } // tanh backward: p = dy, q = y
    case 14u: { return select(0.0, p, q > 0.0); } // relu backward: p = dy, q = x
    case 15u: { return select(p * log(q), 0.0, p == 0.0); } // p log q, 0 where p is 0
    default: { return p + q; }
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let first = ((group.y * groups.x + group.x) * WORKGROUP + local) * ELEMENTS;
  for (var i = first; i < min(first + ELEMENTS, u.count); i++) {
    if (BROADCAST) {
      var rest = i;
      var ia = 0u;
      var ib = 0u;
      for (var k = u.rank; k > 0u; k--) {
        let dim = u.dims[k - 1u];
        let coordinate = rest % dim.x;
        rest = rest / dim.x;
        ia += coordinate * dim.y;
        ib += coordinate * dim.z;
      }
      y[i] = apply(a[ia], b[ib]);
    } else {
      y[i] = apply(a[i], b[i]);
    }
  }
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

export const matmul = {
  name: 'matmul',
  bindings: {
    a: { binding: 1, access: 'read', element: 'f32' },
    b: { binding: 2, access: 'read', element: 'f32' },
    y: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 96,
    fields: {
      m: { offset: 0, type: 'u32' },
      n: { offset: 4, type: 'u32' },
      k: { offset: 8, type: 'u32' },
      batches: { offset: 12, type: 'u32' },
      aStrides: { offset: 16, type: 'vec2<u32>' },
      bStrides: { offset: 24, type: 'vec2<u32>' },
      yStrides: { offset: 32, type: 'vec2<u32>' },
      batchRank: { offset: 40, type: 'u32' },
      batch: { offset: 48, type: 'array<vec4<u32>, 3>' },
    },
  },
  constants: {
    SIDE: { type: 'u32', value: 8 },
    TILE_M: { type: 'u32', value: 8 },
  },
  workgroup: ['SIDE', 'SIDE', 1],
  source: `// Matrix products through strides: y[g,m,n] = sum over k of a[g,m,k] b[g,k,n], for every batch g. Plain, transposed,
// batched and per-module products, and weight gradients, differ in their strides only.
// An invocation computes a register tile of TILE_M rows by 4 columns, a workgroup 8 x 8 of these. Loads beyond an edge
// read the last row or column again; only stores are guarded. The sum runs over k in order.

struct Uniforms {
  m: u32,
  n: u32,
  k: u32,
  batches: u32,
  aStrides: vec2<u32>, // of m and k, elements
  bStrides: vec2<u32>, // of k and n
  yStrides: vec2<u32>, // of m and n
  batchRank: u32, // 0 to 3
  batch: array<vec4<u32>, 3>, // x size, y stride in a, z stride in b, w stride in y, outermost first
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<f32>; // [batches, m, k] through strides
@group(0) @binding(2) var<storage, read> b: array<f32>; // [batches, k, n] through strides
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [batches, m, n] through strides

const SIDE: u32 = 8;
const TILE_M: u32 = 8;

@compute @workgroup_size(SIDE, SIDE)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let row = (group.y * SIDE + local.y) * TILE_M;
  let column = (group.x * SIDE + local.x) * 4u;
  if (row >= u.m || column >= u.n) {
    return;
  }
  let columns = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(u.n - 1u));
  for (var g = group.z; g < u.batches; g += groups.z) {
    var rest = g;
    var offset = vec3<u32>(0u);
    for (var d = u.batchRank; d > 0u; d--) {
      let dim = u.batch[d - 1u];
      offset += (rest % dim.x) * dim.yzw;
      rest = rest / dim.x;
    }
    var ia: array<u32, TILE_M>;
    var sums: array<vec4<f32>, TILE_M>;
    for (var i = 0u; i < TILE_M; i++) {
      ia[i] = offset.x + min(row + i, u.m - 1u) * u.aStrides.x;
      sums[i] = vec4<f32>(0.0);
    }
    var ib = vec4<u32>(offset.y) + columns * u.bStrides.y;
    for (var k = 0u; k < u.k; k++) {
      let right = vec4<f32>(b[ib.x], b[ib.y], b[ib.z], b[ib.w]);
      ib += vec4<u32>(u.bStrides.x);
      for (var i = 0u; i < TILE_M; i++) {
        sums[i] = fma(vec4<f32>(a[ia[i] + k * u.aStrides.y]), right, sums[i]);
      }
    }
    for (var i = 0u; i < TILE_M; i++) {
      if (row + i < u.m) {
        let at = offset.z + (row + i) * u.yStrides.x + column * u.yStrides.y;
        y[at] = sums[i].x;
        if (column + 1u < u.n) {
          y[at + u.yStrides.y] = sums[i].y;
        }
        if (column + 2u < u.n) {
          y[at + 2u * u.yStrides.y] = sums[i].z;
        }
        if (column + 3u < u.n) {
          y[at + 3u * u.yStrides.y] = sums[i].w;
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
// every lane has a run of its own. A run may be cut into parts for a second pass: part p of result r is y[r * parts + p].
// The order of a sum depends on the shape only.

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
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [results, parts]

const WORKGROUP: u32 = 64;
const OP: u32 = 0;
const COOPERATE: bool = false;

var<workgroup> lanes: array<f32, WORKGROUP>;

fn start() -> f32 {
  switch OP {
    case 2u: { return -3.4028234e38; }
    case 3u: { return 3.4028234e38; }
    default: { return 0.0; }
  }
}

fn joined(a: f32, b: f32) -> f32 {
  switch OP {
    case 2u: { return max(a, b); }
    case 3u: { return min(a, b); }
    default: { return a + b; }
  }
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

// The elements begin, begin + step, ... below end of a run.
fn walk(base: u32, begin: u32, end: u32, step: u32) -> f32 {
  var total = start();
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
    let base = offsetOfResult(own / u.parts);
    let begin = (own % u.parts) * piece;
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
      let base = offsetOfResult(own / u.parts);
      let begin = (own % u.parts) * piece;
      y[own] = walk(base, begin, min(begin + piece, u.count), 1u);
    }
  }
}
` as string,
} as const;

export const select = {
  name: 'select',
  bindings: {
    mask: { binding: 1, access: 'read', element: 'f32' },
    a: { binding: 2, access: 'read', element: 'u32' },
    b: { binding: 3, access: 'read', element: 'u32' },
    y: { binding: 4, access: 'read_write', element: 'u32' },
  },
  uniforms: {
    size: 112,
    fields: {
      count: { offset: 0, type: 'u32' },
      rank: { offset: 4, type: 'u32' },
      dims: { offset: 16, type: 'array<vec4<u32>, 6>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    ELEMENTS: { type: 'u32', value: 4 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// One of two values by a mask, bit for bit: y = a where mask is not 0, else b. All three are read through strides, 0
// where one repeats. An invocation computes ELEMENTS neighbouring elements of y.

struct Uniforms {
  count: u32, // elements of y
  rank: u32, // dimensions in use, 1 to 6
  dims: array<vec4<u32>, 6>, // x size, y stride of mask, z stride of a, w stride of b, outermost first
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> mask: array<f32>; // [any] that broadcasts to y
@group(0) @binding(2) var<storage, read> a: array<u32>; // [any] that broadcasts to y, f32 bits
@group(0) @binding(3) var<storage, read> b: array<u32>; // [any] that broadcasts to y, f32 bits
@group(0) @binding(4) var<storage, read_write> y: array<u32>; // [count], f32 bits

const WORKGROUP: u32 = 64;
const ELEMENTS: u32 = 4;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let first = ((group.y * groups.x + group.x) * WORKGROUP + local) * ELEMENTS;
  for (var i = first; i < min(first + ELEMENTS, u.count); i++) {
    var rest = i;
    var im = 0u;
    var ia = 0u;
    var ib = 0u;
    for (var k = u.rank; k > 0u; k--) {
      let dim = u.dims[k - 1u];
      let coordinate = rest % dim.x;
      rest = rest / dim.x;
      im += coordinate * dim.y;
      ia += coordinate * dim.z;
      ib += coordinate * dim.w;
    }
    if (mask[im] != 0.0) {
      y[i] = a[ia];
    } else {
      y[i] = b[ib];
    }
  }
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
    ACCUMULATE: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// Copies one strided view into another: reshape, permute, slice, flip, broadcast and concat are this kernel.
// Element e of the view has one coordinate per dimension, the last dimension the fastest; a coordinate moves the
// input by its input stride and the output by its output stride. A stride may be 0 (broadcast, input only) or
// negative (flip); the offsets then name the element of coordinate 0.
// Elements are moved as bits, so that f32 (NaN payloads too) and u32 pass unchanged. ACCUMULATE adds f32 instead.
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
const ACCUMULATE: bool = false;

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
  if (ACCUMULATE) {
    output[outIndex] = bitcast<u32>(bitcast<f32>(output[outIndex]) + bitcast<f32>(input[inIndex]));
  } else {
    output[outIndex] = input[inIndex];
  }
}
` as string,
} as const;

export const unary = {
  name: 'unary',
  bindings: {
    x: { binding: 1, access: 'read', element: 'f32' },
    y: { binding: 2, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      p0: { offset: 4, type: 'f32' },
      p1: { offset: 8, type: 'f32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    ELEMENTS: { type: 'u32', value: 4 },
    OP: { type: 'u32', value: 0 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `// One function of one number, for every element: y[i] = f(x[i]). OP chooses the function; p0 and p1 are its parameters.
// An invocation computes ELEMENTS neighbouring elements. Elementwise, so the layout does not matter.
// The hyperbolic tangent and the power are written by hand: built-in ones lose digits near 0, overflow, or refuse
// negative bases. gelu uses an error function accurate to 1.5e-7 (Abramowitz and Stegun 7.1.26).

struct Uniforms {
  count: u32, // elements
  p0: f32,
  p1: f32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [count]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [count]

const WORKGROUP: u32 = 64;
const ELEMENTS: u32 = 4;
const OP: u32 = 0;

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
  if (exponent == 1.0) {
    return base;
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
  let first = ((group.y * groups.x + group.x) * WORKGROUP + local) * ELEMENTS;
  for (var i = first; i < min(first + ELEMENTS, u.count); i++) {
    y[i] = apply(x[i]);
  }
}
` as string,
} as const;

type Checked<K extends Kernel> = K;

/** Any kernel of this catalogue. */
export type AnyKernel = Checked<
  | typeof binary
  | typeof fill
  | typeof matmul
  | typeof reduce
  | typeof select
  | typeof stridedCopy
  | typeof unary
>;
