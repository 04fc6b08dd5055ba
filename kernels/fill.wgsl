// Fills a buffer with one value: output[i] = u.value for every i < u.count.
// One invocation an element, on a grid of workgroups in x and y (more than 65,535 workgroups fold into y).
// Not for u32 data: the value is an f32.

struct Uniforms {
  count: u32, // elements to write
  value: f32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> output: array<f32>; // [count]

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
  output[i] = u.value;
}
