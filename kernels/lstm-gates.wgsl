// The gates of an LSTM, one invocation a hidden unit, in the order input, forget, cell, output (torch.nn.LSTM):
// c' = sigmoid(f) * c + sigmoid(i) * tanh(g), h' = sigmoid(o) * tanh(c').
// The products with the weights, and their biases, are already in the gates. A row is a batch row, a step or a module.

struct Uniforms {
  count: u32, // rows * hidden
  hidden: u32, // H
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gates: array<f32>; // gates [rows,4H]
@group(0) @binding(2) var<storage, read> c: array<f32>; // c [rows,H]
@group(0) @binding(3) var<storage, read_write> yh: array<f32>; // h' [rows,H]
@group(0) @binding(4) var<storage, read_write> yc: array<f32>; // c' [rows,H]

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
  let first = (i / u.hidden) * 4u * u.hidden + i % u.hidden;
  let admit = sigmoidOf(gates[first]);
  let keep = sigmoidOf(gates[first + u.hidden]);
  let fresh = tanhOf(gates[first + 2u * u.hidden]);
  let show = sigmoidOf(gates[first + 3u * u.hidden]);
  let next = keep * c[i] + admit * fresh;
  yc[i] = next;
  yh[i] = show * tanhOf(next);
}
