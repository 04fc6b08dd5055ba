// The backward of rim-lstm.wgsl, a workgroup a module of a batch row: what reaches the candidate of an active module goes to its
// gates, its query and its old c; an inactive module passes on what reaches its h and c. The choice has no gradient.
// An active module's h is reached through its gates only: with CACHED dh gets 0, without nothing is written.
// With CACHED the memory is a state: an inactive module's is passed on, but for what others read of it (rim-talk-backward.wgsl).
// Slopes are products of what is near 0, never 1 minus what is near 1: saturated gates keep their digits.

struct Uniforms {
  count: u32, // B*N
  modules: u32, // N
  quads: u32, // H/4
  keyQuads: u32, // E/4
  input: u32, // vec4s of a row of uk
  memory: u32, // of a memory row
  saved: u32, // of a row of saved
  width: u32, // of a row of duk
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> saved: array<vec4<f32>>; // as rim-lstm.wgsl leaves it [B,N,6*H+E+4]
@group(0) @binding(2) var<storage, read> uk: array<vec4<f32>>; // [B,N,4*H+E(+4)]
@group(0) @binding(3) var<storage, read> side: array<vec4<f32>>; // gates of the null row, and more [N*4*H+...]
@group(0) @binding(4) var<storage, read> dcandidate: array<vec4<f32>>; // of the candidate, or of an inactive module's h [B,N,H]
@group(0) @binding(5) var<storage, read_write> dafter: array<vec4<f32>>; // of the memory after the step, c last, only read [B,N,4*H+E+...+H]
@group(0) @binding(6) var<storage, read_write> dh: array<vec4<f32>>; // past the products with the state [B,N,H]
@group(0) @binding(7) var<storage, read_write> dbefore: array<vec4<f32>>; // of gates, query and c in the memory [B,N,4*H+E+...+H]
@group(0) @binding(8) var<storage, read_write> duk: array<vec4<f32>>; // of dU and key, with NULLS of the null row's gates [B,N,4*H+E+4*H]

const LANES: u32 = 32; // a power of 2
const CACHED: bool = false;
const NULLS: bool = false;
const DROPPED: bool = false; // the attention of input and null row is multiplied by factors

var<workgroup> sums: array<f32, LANES>;

fn tanhOf(v: vec4<f32>) -> vec4<f32> {
  let a = abs(v);
  let s = v * v;
  let e = exp(-2.0 * a);
  let far = sign(v) * (1.0 - e) / (1.0 + e);
  let near = v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
  return select(far, near, a < vec4<f32>(0.1));
}

fn tanhSlopeOf(v: vec4<f32>) -> vec4<f32> {
  let e = exp(-2.0 * abs(v));
  return 4.0 * e / ((1.0 + e) * (1.0 + e));
}

fn sigmoidOf(v: vec4<f32>) -> vec4<f32> {
  let e = exp(-abs(v));
  return select(e, vec4<f32>(1.0), v >= vec4<f32>(0.0)) / (1.0 + e);
}

fn sigmoidSlopeOf(v: vec4<f32>) -> vec4<f32> {
  let e = exp(-abs(v));
  return e / ((1.0 + e) * (1.0 + e));
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let each = group.y * groups.x + group.x; // module of a batch row
  if (each >= u.count) {
    return;
  }
  let gates = 4u * u.quads;
  let cell = (each + 1u) * u.memory - u.quads;
  let tail = saved[(each + 1u) * u.saved - 1u]; // log-odds, mask, p, 0
  if (tail.y == 0.0) {
    for (var unit = lane; unit < u.quads; unit += LANES) {
      dh[each * u.quads + unit] = dcandidate[each * u.quads + unit];
      dbefore[cell + unit] = dafter[cell + unit];
    }
    for (var i = lane; i < select(gates + u.keyQuads, u.width, NULLS); i += LANES) {
      duk[each * u.width + i] = vec4<f32>(0.0);
    }
    if (CACHED) {
      for (var i = lane; i < gates + u.keyQuads; i += LANES) {
        dbefore[each * u.memory + i] = dafter[each * u.memory + i];
      }
    }
    return;
  }

  var p = tail.z;
  var rest = 1.0;
  var slopes = vec2<f32>(1.0, 0.0); // of p: through dU, through the null row
  if (DROPPED) {
    let factors = uk[(each + 1u) * u.input - 1u];
    slopes = vec2<f32>(factors.x, factors.x - factors.y);
    rest = factors.x * p + factors.y * (1.0 - p);
    p = factors.x * p;
  }
  let nullGate = (each % u.modules) * gates;
  var part = 0.0; // of the gradient of p
  for (var unit = lane; unit < u.quads; unit += LANES) {
    let place = each * u.saved + unit;
    let enter = saved[place + u.quads];
    let forget = saved[place + 2u * u.quads];
    let fresh = saved[place + 3u * u.quads];
    let show = saved[place + 4u * u.quads];
    let old = saved[place + 5u * u.quads];
    let tanhFresh = tanhOf(fresh);
    let c = sigmoidOf(forget) * old + sigmoidOf(enter) * tanhFresh;
    let d = dcandidate[each * u.quads + unit];
    let dc = dafter[cell + unit] + d * sigmoidOf(show) * tanhSlopeOf(c);
    let denter = dc * tanhFresh * sigmoidSlopeOf(enter);
    let dforget = dc * old * sigmoidSlopeOf(forget);
    let dfresh = dc * sigmoidOf(enter) * tanhSlopeOf(fresh);
    let dshow = d * tanhOf(c) * sigmoidSlopeOf(show);
    if (CACHED) {
      dh[each * u.quads + unit] = vec4<f32>(0.0);
    }
    dbefore[cell + unit] = dc * sigmoidOf(forget);
    let gate = each * u.memory + unit;
    dbefore[gate] = denter;
    dbefore[gate + u.quads] = dforget;
    dbefore[gate + 2u * u.quads] = dfresh;
    dbefore[gate + 3u * u.quads] = dshow;
    let change = each * u.input + unit;
    part += slopes.x * (dot(denter, uk[change]) + dot(dforget, uk[change + u.quads]));
    part += slopes.x * (dot(dfresh, uk[change + 2u * u.quads]) + dot(dshow, uk[change + 3u * u.quads]));
    if (DROPPED) {
      let offset = nullGate + unit;
      part += slopes.y * (dot(denter, side[offset]) + dot(dforget, side[offset + u.quads]));
      part += slopes.y * (dot(dfresh, side[offset + 2u * u.quads]) + dot(dshow, side[offset + 3u * u.quads]));
    }
    let result = each * u.width + unit;
    duk[result] = p * denter;
    duk[result + u.quads] = p * dforget;
    duk[result + 2u * u.quads] = p * dfresh;
    duk[result + 3u * u.quads] = p * dshow;
    if (NULLS) {
      let offset = result + gates + u.keyQuads;
      duk[offset] = rest * denter;
      duk[offset + u.quads] = rest * dforget;
      duk[offset + 2u * u.quads] = rest * dfresh;
      duk[offset + 3u * u.quads] = rest * dshow;
    }
  }
  sums[lane] = part;
  workgroupBarrier();
  for (var width = LANES / 2u; width > 0u; width = width / 2u) {
    if (lane < width) {
      sums[lane] = sums[lane] + sums[lane + width];
    }
    workgroupBarrier();
  }
  let e = exp(-abs(tail.x));
  let dodds = sums[0] * e / ((1.0 + e) * (1.0 + e));
  for (var i = lane; i < u.keyQuads; i += LANES) {
    dbefore[each * u.memory + gates + i] = dodds * uk[each * u.input + gates + i];
    duk[each * u.width + gates + i] = dodds * saved[each * u.saved + 6u * u.quads + i];
  }
}
