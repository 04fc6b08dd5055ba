// The backward of rim-update.wgsl but for its product, one invocation UNITS states of a module: the gradients of pre, 0 for inactive modules,
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
