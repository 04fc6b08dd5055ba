// The gates of a GRU, one invocation a hidden unit, in the order reset, update, new (Cho et al. 2014, as torch.nn.GRU):
// r = sigmoid(gx_r + gh_r), z = sigmoid(gx_z + gh_z), n = tanh(gx_n + r * gh_n), y = (1 - z) * n + z * h.
// The products with the weights, and their biases, are already in gx (from the input) and gh (from the state).
// A row is a batch row, a step or a module alike. 1 - z is the sigmoid of minus
// its argument, so that no digits are lost near z = 1.

struct Uniforms {
  count: u32, // rows * hidden
  hidden: u32, // H
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gx: array<f32>; // gx [rows,3H]
@group(0) @binding(2) var<storage, read> gh: array<f32>; // gh [rows,3H]
@group(0) @binding(3) var<storage, read> h: array<f32>; // h [rows,H]
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // h' [rows,H]

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
  let reset = (i / u.hidden) * 3u * u.hidden + i % u.hidden;
  let renew = reset + u.hidden;
  let fresh = renew + u.hidden;
  let r = sigmoidOf(gx[reset] + gh[reset]);
  let za = gx[renew] + gh[renew];
  let n = tanhOf(gx[fresh] + r * gh[fresh]);
  y[i] = sigmoidOf(-za) * n + sigmoidOf(za) * h[i];
}
