// A short list of functions of numbers, for every element: y[i] = f(a[i], b[i], c[i], d[i]). An op by itself is a list of one
// step; ops that only feed one another are one list, whose middle values stay in registers (engine/fusion.ts).
// A step names its function and three registers: 0 to 3 are the operands, 4 to 7 numbers of the uniforms, 8 and up what the
// steps gave. What steps hand on is multiplied by a 1 that the compiler does not know, so that it cannot contract a product
// of one step with a sum of the next: a list gives the bits that its ops give one by one.
// An invocation computes VECTORS vectors of 4 elements of y; what it writes behind the last element is padding. LAYOUT tells
// how operands lie: 0, as y does; 1, through strides, with 4 neighbours of y in one dimension, where an operand runs along or
// repeats; 2, through strides, element by element. A stride is 0 where an operand repeats.
// A NaN stays one, whatever the function; only comparisons, the power 0 and what a mask leaves out leave it behind. A negative
// base takes whole powers only, and else gives NaN. The hyperbolic tangent and the power are written by hand: built-in ones
// lose digits near 0, overflow, or refuse negative bases. gelu uses an error function accurate to 1.5e-7 (Abramowitz and
// Stegun 7.1.26).

struct Uniforms {
  vectors: u32, // elements of y / 4, rounded up
  count: u32, // elements of y
  rank: u32, // dimensions in use, 1 to 6
  one: f32, // 1
  sizes: array<vec4<u32>, 2>, // of the dimensions, outermost first
  strides: array<vec4<u32>, 6>, // of a, b, c, d in each dimension (elements)
  numbers: vec4<f32>, // registers 4 to 7
  parameters: array<vec4<f32>, 8>, // of each step's function: x, y
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>; // [any] that broadcasts to y
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>; // [any] that broadcasts to y
@group(0) @binding(3) var<storage, read> c: array<vec4<f32>>; // [any] that broadcasts to y
@group(0) @binding(4) var<storage, read> d: array<vec4<f32>>; // [any] that broadcasts to y
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>; // [vectors]

const WORKGROUP: u32 = 64;
const VECTORS: u32 = 4;
const LAYOUT: u32 = 0;
const STEPS: u32 = 1;
// A step: its function in bits 0 to 7, its registers from bits 8, 12 and 16 on.
const STEP0: u32 = 0;
const STEP1: u32 = 0;
const STEP2: u32 = 0;
const STEP3: u32 = 0;
const STEP4: u32 = 0;
const STEP5: u32 = 0;
const STEP6: u32 = 0;
const STEP7: u32 = 0;
const ZERO: vec4<f32> = vec4<f32>(0.0);
const ONE: vec4<f32> = vec4<f32>(1.0);

// Tested by bits: a compiler may take it that no number is a NaN.
fn isNaN(v: vec4<f32>) -> vec4<bool> {
  return (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
}

fn truth(v: vec4<bool>) -> vec4<f32> {
  return select(ZERO, ONE, v);
}

fn tanhOf(v: vec4<f32>) -> vec4<f32> {
  let size = abs(v);
  let s = v * v;
  let series = v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
  let e = exp(-2.0 * size);
  return select(sign(v) * (1.0 - e) / (1.0 + e), series, size < vec4<f32>(0.1));
}

fn sigmoidOf(v: vec4<f32>) -> vec4<f32> {
  let e = exp(-abs(v));
  return select(e, ONE, v >= ZERO) / (1.0 + e);
}

// log(1 + e^v) = max(v, 0) + log(1 + e^-|v|); the second term by its series where e^-|v| is small.
fn softplusOf(v: vec4<f32>) -> vec4<f32> {
  let e = exp(-abs(v));
  let series = e * (1.0 - e * (0.5 - e * 0.33333333));
  return max(v, ZERO) + select(log(1.0 + e), series, e < vec4<f32>(0.01));
}

// e^v - 1 for v <= 0; by its series near 0.
fn expm1Of(v: vec4<f32>) -> vec4<f32> {
  let w = min(v, ZERO);
  let series = w * (1.0 + w * (0.5 + w * (0.16666667 + w * 0.041666668)));
  return select(exp(w) - 1.0, series, w > vec4<f32>(-0.05));
}

fn erfOf(v: vec4<f32>) -> vec4<f32> {
  let size = abs(v);
  let s = v * v;
  let series = v * 1.1283792
    * (1.0 - s * (0.33333333 - s * (0.1 - s * (0.023809524 - s * (0.0046296296 - s * 0.00075757576)))));
  let t = 1.0 / (1.0 + 0.3275911 * size);
  let poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return select(sign(v) * (1.0 - poly * exp(-s)), series, size < vec4<f32>(0.5));
}

fn powOf(base: vec4<f32>, exponent: vec4<f32>) -> vec4<f32> {
  let size = exp2(exponent * log2(abs(base)));
  let odd = fract(abs(exponent) * 0.5) == vec4<f32>(0.5);
  var power = select(size, -size, (base < ZERO) & odd);
  power = select(power, select(1.0 / base, ZERO, exponent > ZERO), base == ZERO);
  let none = bitcast<vec4<f32>>(bitcast<vec4<u32>>(base) | vec4<u32>(0x7fc00000u));
  power = select(power, none, (base < ZERO) & (exponent != trunc(exponent)));
  power = select(power, exponent, isNaN(exponent));
  power = select(power, base, (exponent == ONE) | isNaN(base));
  return select(power, ONE, exponent == ZERO);
}

fn unary(op: u32, v: vec4<f32>, p: vec4<f32>) -> vec4<f32> {
  switch op {
    case 1u: { return p.x * v + p.y; } // affine
    case 2u: { return exp(v); }
    case 3u: { return log(v); }
    case 4u: { return sqrt(v); }
    case 5u: { return abs(v); }
    case 6u: { return sign(v); }
    case 7u: { return sigmoidOf(v); }
    case 8u: { return tanhOf(v); }
    case 9u: { return max(v, ZERO); } // relu
    case 10u: { return softplusOf(v); }
    case 11u: { return 1.0 / v; }
    case 12u: { return clamp(v, vec4<f32>(p.x), vec4<f32>(p.y)); }
    case 13u: { return truth((v > vec4<f32>(p.x)) & (v < vec4<f32>(p.y))); } // inside: the slope of clamp
    case 14u: { return v * v; }
    case 15u: { return 0.5 * v * (1.0 + erfOf(v * 0.70710678)); } // gelu
    case 16u: { return 0.5 * (1.0 + erfOf(v * 0.70710678)) + v * 0.39894228 * exp(-0.5 * v * v); } // slope of gelu
    case 17u: { return select(p.x * expm1Of(v), v, v > ZERO); } // elu
    case 18u: { return select(p.x * exp(min(v, ZERO)), ONE, v > ZERO); } // slope of elu
    case 19u: { return select(p.x * v, v, v > ZERO); } // leaky relu
    case 20u: { return select(vec4<f32>(p.x), ONE, v > ZERO); } // slope of leaky relu
    case 21u: { return sin(v); }
    case 22u: { return cos(v); }
    default: { return v; } // identity
  }
}

fn apply(op: u32, v: vec4<f32>, w: vec4<f32>, z: vec4<f32>, p: vec4<f32>) -> vec4<f32> {
  switch op {
    case 32u: { return v + w; }
    case 33u: { return v - w; }
    case 34u: { return v * w; }
    case 35u: { return v / w; }
    case 36u: { return powOf(v, w); }
    case 37u: { return powOf(v, vec4<f32>(p.x)); } // power
    case 38u: { return select(select(max(v, w), w, isNaN(w)), v, isNaN(v)); } // maximum
    case 39u: { return select(select(min(v, w), w, isNaN(w)), v, isNaN(v)); } // minimum
    case 40u: { return truth(v > w); }
    case 41u: { return truth(v >= w); }
    case 42u: { return truth(v < w); }
    case 43u: { return truth(v <= w); }
    case 44u: { return truth(v == w); }
    case 45u: { return v * w * (1.0 - w); } // sigmoid backward: v = dy, w = y
    case 46u: { return v * (1.0 - w * w); } // tanh backward: v = dy, w = y
    case 47u: { return select(v, ZERO, w <= ZERO); } // relu backward: v = dy, w = x
    case 48u: { return select(v * log(w), ZERO, v == ZERO); } // v log w, 0 where v is 0
    case 49u: { return select(z, w, v != ZERO); } // where
    default: { return select(unary(op, v, p), v, isNaN(v)); }
  }
}

fn listed(p: vec4<f32>, q: vec4<f32>, r: vec4<f32>, s: vec4<f32>) -> vec4<f32> {
  var x: array<vec4<f32>, 16>;
  x[0] = p;
  x[1] = q;
  x[2] = r;
  x[3] = s;
  x[4] = vec4<f32>(u.numbers.x);
  x[5] = vec4<f32>(u.numbers.y);
  x[6] = vec4<f32>(u.numbers.z);
  x[7] = vec4<f32>(u.numbers.w);
  x[8] = apply(STEP0 & 255u, x[(STEP0 >> 8u) & 15u], x[(STEP0 >> 12u) & 15u], x[(STEP0 >> 16u) & 15u], u.parameters[0]);
  if (STEPS > 1u) {
    x[8] *= u.one;
    x[9] = apply(STEP1 & 255u, x[(STEP1 >> 8u) & 15u], x[(STEP1 >> 12u) & 15u], x[(STEP1 >> 16u) & 15u], u.parameters[1]);
  }
  if (STEPS > 2u) {
    x[9] *= u.one;
    x[10] = apply(STEP2 & 255u, x[(STEP2 >> 8u) & 15u], x[(STEP2 >> 12u) & 15u], x[(STEP2 >> 16u) & 15u], u.parameters[2]);
  }
  if (STEPS > 3u) {
    x[10] *= u.one;
    x[11] = apply(STEP3 & 255u, x[(STEP3 >> 8u) & 15u], x[(STEP3 >> 12u) & 15u], x[(STEP3 >> 16u) & 15u], u.parameters[3]);
  }
  if (STEPS > 4u) {
    x[11] *= u.one;
    x[12] = apply(STEP4 & 255u, x[(STEP4 >> 8u) & 15u], x[(STEP4 >> 12u) & 15u], x[(STEP4 >> 16u) & 15u], u.parameters[4]);
  }
  if (STEPS > 5u) {
    x[12] *= u.one;
    x[13] = apply(STEP5 & 255u, x[(STEP5 >> 8u) & 15u], x[(STEP5 >> 12u) & 15u], x[(STEP5 >> 16u) & 15u], u.parameters[5]);
  }
  if (STEPS > 6u) {
    x[13] *= u.one;
    x[14] = apply(STEP6 & 255u, x[(STEP6 >> 8u) & 15u], x[(STEP6 >> 12u) & 15u], x[(STEP6 >> 16u) & 15u], u.parameters[6]);
  }
  if (STEPS > 7u) {
    x[14] *= u.one;
    x[15] = apply(STEP7 & 255u, x[(STEP7 >> 8u) & 15u], x[(STEP7 >> 12u) & 15u], x[(STEP7 >> 16u) & 15u], u.parameters[7]);
  }
  return x[7u + STEPS];
}

// Where element i of y lies in a, b, c, d.
fn offsetsOf(i: u32) -> vec4<u32> {
  var rest = i;
  var offsets = vec4<u32>(0u);
  for (var k = u.rank; k > 0u; k--) {
    let size = u.sizes[(k - 1u) / 4u][(k - 1u) % 4u];
    offsets += (rest % size) * u.strides[k - 1u];
    rest = rest / size;
  }
  return offsets;
}

// Four neighbours from an element on, or one repeated.
fn spread(v: vec4<f32>, offset: u32, stride: u32) -> vec4<f32> {
  return select(v, vec4<f32>(v[offset % 4u]), stride == 0u);
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
      var p: vec4<f32>;
      var q: vec4<f32>;
      var r: vec4<f32>;
      var s: vec4<f32>;
      if (LAYOUT == 0u) {
        p = a[i];
        q = b[i];
        r = c[i];
        s = d[i];
      } else if (LAYOUT == 1u) {
        let at = offsetsOf(4u * i);
        let along = u.strides[u.rank - 1u];
        p = spread(a[at.x / 4u], at.x, along.x);
        q = spread(b[at.y / 4u], at.y, along.y);
        r = spread(c[at.z / 4u], at.z, along.z);
        s = spread(d[at.w / 4u], at.w, along.w);
      } else {
        for (var k = 0u; k < 4u; k++) {
          let at = offsetsOf(min(4u * i + k, u.count - 1u));
          p[k] = a[at.x / 4u][at.x % 4u];
          q[k] = b[at.y / 4u][at.y % 4u];
          r[k] = c[at.z / 4u][at.z % 4u];
          s[k] = d[at.w / 4u][at.w % 4u];
        }
      }
      y[i] = listed(p, q, r, s);
    }
  }
}
