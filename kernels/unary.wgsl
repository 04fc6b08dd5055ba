// One function of one number, for every element: y[i] = f(x[i]). OP chooses the function; p0 and p1 are its parameters.
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
