// Binary cross-entropy of logits x with targets t from 0 to 1: y = max(x, 0) - x t + log(1 + e^-|x|), which keeps its digits at
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
