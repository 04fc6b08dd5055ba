// The backward of lstm-gates.wgsl, one invocation a hidden unit: gates and c' are computed again from the inputs, so
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
