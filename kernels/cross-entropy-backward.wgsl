// The backward of cross-entropy: dlogits = (e^(logit - max) / sum - 1 at the label) d, from the row's max and sum. A row whose loss
// is NaN has a sum that is NaN, and so its gradient is. One invocation an element.

struct Uniforms {
  count: u32, // elements of logits
  columns: u32, // C, classes
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> logits: array<f32>; // [rows, C]
@group(0) @binding(2) var<storage, read> labels: array<u32>; // [rows]
@group(0) @binding(3) var<storage, read> stats: array<f32>; // [rows, 2]: the greatest logit, the sum
@group(0) @binding(4) var<storage, read> d: array<f32>; // [rows]
@group(0) @binding(5) var<storage, read_write> dlogits: array<f32>; // [rows, C]

const WORKGROUP: u32 = 64;

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
  let row = i / u.columns;
  let p = exp(max(logits[i] - stats[2u * row], -128.0)) / stats[2u * row + 1u];
  dlogits[i] = d[row] * (p - select(0.0, 1.0, i % u.columns == labels[row]));
}
