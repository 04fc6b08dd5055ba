// One of two values by a mask, bit for bit: y = a where mask is not 0, else b. All three are read through strides, 0
// where one repeats. An invocation computes ELEMENTS neighbouring elements of y.

struct Uniforms {
  count: u32, // elements of y
  rank: u32, // dimensions in use, 1 to 6
  dims: array<vec4<u32>, 6>, // x size, y stride of mask, z stride of a, w stride of b, outermost first
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> mask: array<f32>; // [any] that broadcasts to y
@group(0) @binding(2) var<storage, read> a: array<u32>; // [any] that broadcasts to y, f32 bits
@group(0) @binding(3) var<storage, read> b: array<u32>; // [any] that broadcasts to y, f32 bits
@group(0) @binding(4) var<storage, read_write> y: array<u32>; // [count], f32 bits

const WORKGROUP: u32 = 64;
const ELEMENTS: u32 = 4;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let first = ((group.y * groups.x + group.x) * WORKGROUP + local) * ELEMENTS;
  for (var i = first; i < min(first + ELEMENTS, u.count); i++) {
    var rest = i;
    var im = 0u;
    var ia = 0u;
    var ib = 0u;
    for (var k = u.rank; k > 0u; k--) {
      let dim = u.dims[k - 1u];
      let coordinate = rest % dim.x;
      rest = rest / dim.x;
      im += coordinate * dim.y;
      ia += coordinate * dim.z;
      ib += coordinate * dim.w;
    }
    if (mask[im] != 0.0) {
      y[i] = a[ia];
    } else {
      y[i] = b[ib];
    }
  }
}
