// Copies elements as they lie, unless the flag of a guard is up: then output stays as it is. Bits of any dtype.

struct Uniforms {
  count: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> verdict: array<f32>; // [4]: of the guard (guard.wgsl)
@group(0) @binding(2) var<storage, read> input: array<u32>; // [count]
@group(0) @binding(3) var<storage, read_write> output: array<u32>; // [count]

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i < u.count && verdict[3] == 0.0) {
    output[i] = input[i];
  }
}
