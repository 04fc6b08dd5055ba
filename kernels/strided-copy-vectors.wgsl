// strided-copy.wgsl for views whose innermost elements lie side by side on both sides, in whole vec4s: four elements an
// invocation. Sizes, strides and offsets are those of the view of vec4s. Elements are moved as bits, f32 or u32.
// Not a reduction: no two elements may have the same place in the output.

struct Uniforms {
  count: u32, // vec4s of the view: the product of the sizes
  rank: u32, // dimensions in use, 0 to 8
  inOffset: u32, // vec4s
  outOffset: u32, // vec4s
  dims: array<vec4<i32>, 8>, // x size, y input stride, z output stride (vec4s), w unused
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> input: array<vec4<u32>>; // [any], f32 or u32 bits
@group(0) @binding(2) var<storage, read_write> output: array<vec4<u32>>; // [any], f32 or u32 bits

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let e = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (e >= u.count) {
    return;
  }
  var rest = e;
  var inIndex = i32(u.inOffset);
  var outIndex = i32(u.outOffset);
  for (var k = u.rank; k > 0u; k--) {
    let dim = u.dims[k - 1u];
    let size = u32(dim.x);
    let coordinate = i32(rest % size);
    rest = rest / size;
    inIndex += coordinate * dim.y;
    outIndex += coordinate * dim.z;
  }
  output[outIndex] = input[inIndex];
}
