// One function of two numbers, for every element: y[i] = f(a[i], b[i]). OP chooses the function. An invocation computes
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
