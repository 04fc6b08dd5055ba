// One function of two numbers, for every element: y[i] = f(a[i], b[i]). OP chooses the function. With BROADCAST the
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
