// What begins the backward of a RIM's step: the gradient of h', of the step after and with ARRIVES of a reader outside. That of
// an inactive module goes on as the gradient of its h, in dcandidate. Of an active one it is left in total, where with
// FLUSHED a part of it waits, that of its memory; and with PROJECTED the gradient of the projected context is made of it,
// through the factors of dropout and with GATED through sigmoid(gate) tanh(product). One invocation a vec4 of a module's states.
// Slopes are products of what is near 0, never 1 minus what is near 1: saturated gates keep their digits.

struct Uniforms {
  count: u32, // B*N*H/4
  rows: u32, // B
  modules: u32, // N
  quads: u32, // H/4
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> dh: array<vec4<f32>>; // dh' [B,N,H]
@group(0) @binding(2) var<storage, read> arriving: array<vec4<f32>>; // dh' as well, or unused [B,N,H]
@group(0) @binding(3) var<storage, read> mask: array<f32>; // 1 active [N,B]
@group(0) @binding(4) var<storage, read> pre: array<vec4<f32>>; // of active modules, unused without GATED [B,N,O]
@group(0) @binding(5) var<storage, read> factors: array<vec4<f32>>; // unused without DROPPED [B,N,H]
@group(0) @binding(6) var<storage, read_write> total: array<vec4<f32>>; // dh' of active modules [B,N,H]
@group(0) @binding(7) var<storage, read_write> dcandidate: array<vec4<f32>>; // dh' of inactive modules [B,N,H]
@group(0) @binding(8) var<storage, read_write> dpre: array<vec4<f32>>; // of active modules, unused without PROJECTED [B,N,O]

const WORKGROUP: u32 = 64;
const ARRIVES: bool = false;
const FLUSHED: bool = false;
const PROJECTED: bool = false;
const GATED: bool = false;
const DROPPED: bool = false;

fn isNaN(v: vec4<f32>) -> vec4<bool> {
  return (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
}

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
  var d = dh[i];
  if (ARRIVES) {
    d = d + arriving[i];
  }
  let each = i / u.quads;
  let unit = i - each * u.quads;
  let row = each / u.modules;
  if (mask[(each - row * u.modules) * u.rows + row] == 0.0) {
    dcandidate[i] = d;
    return;
  }
  if (FLUSHED) {
    d = d + total[i];
  }
  total[i] = d;
  if (PROJECTED) {
    var factor = vec4<f32>(1.0);
    if (DROPPED) {
      factor = factors[i];
    }
    if (GATED) {
      let place = 2u * each * u.quads + unit;
      let x = pre[place] * factor;
      let gate = pre[place + u.quads];
      let broken = isNaN(x) | isNaN(gate);
      dpre[place] = select(factor * d * sigmoidOf(gate) * tanhSlopeOf(x), x + gate, broken);
      dpre[place + u.quads] = select(d * tanhOf(x) * sigmoidOf(gate) * sigmoidOf(-gate), x + gate, broken);
    } else {
      dpre[i] = factor * d;
    }
  }
}
