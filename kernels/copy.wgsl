// Copies a run of elements as it lies, as bits: f32 (NaN payloads too) and u32 pass unchanged. An invocation copies
// VECTORS vectors of 4 elements; what it writes behind the last element is padding.
// Not for rearranging: that is strided-copy.wgsl.

struct Uniforms {
  vectors: u32, // elements / 4, rounded up
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> input: array<vec4<u32>>; // [vectors], f32 or u32 bits
@group(0) @binding(2) var<storage, read_write> output: array<vec4<u32>>; // [vectors], f32 or u32 bits

const WORKGROUP: u32 = 64;
const VECTORS: u32 = 4;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let first = (group.y * groups.x + group.x) * WORKGROUP * VECTORS + local;
  for (var j = 0u; j < VECTORS; j++) {
    let i = first + j * WORKGROUP;
    if (i < u.vectors) {
      output[i] = input[i];
    }
  }
}
