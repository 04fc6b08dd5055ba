// One of two values by a mask, bit for bit: y = a where mask is not 0, else b. An invocation computes VECTORS vectors of 4
// elements of y; what it writes behind the last element is padding. LAYOUT tells how operands lie: 0, as y does; 1, through
// strides, with 4 neighbours of y in one dimension, where an operand runs along or repeats; 2, through strides, element by
// element. A stride is 0 where an operand repeats.

struct Uniforms {
  vectors: u32, // elements of y / 4, rounded up
  count: u32, // elements of y
  rank: u32, // dimensions in use, 1 to 6
  dims: array<vec4<u32>, 6>, // x size, y stride of mask, z stride of a, w stride of b (elements), outermost first
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> mask: array<vec4<f32>>; // [any] that broadcasts to y
@group(0) @binding(2) var<storage, read> a: array<vec4<u32>>; // [any] that broadcasts to y, f32 bits
@group(0) @binding(3) var<storage, read> b: array<vec4<u32>>; // [any] that broadcasts to y, f32 bits
@group(0) @binding(4) var<storage, read_write> y: array<vec4<u32>>; // [vectors], f32 bits

const WORKGROUP: u32 = 64;
const VECTORS: u32 = 4;
const LAYOUT: u32 = 0;

// Where element i of y lies in mask (x), a (y) and b (z).
fn offsetsOf(i: u32) -> vec3<u32> {
  var rest = i;
  var offsets = vec3<u32>(0u);
  for (var k = u.rank; k > 0u; k--) {
    let dim = u.dims[k - 1u];
    offsets += (rest % dim.x) * dim.yzw;
    rest = rest / dim.x;
  }
  return offsets;
}

fn element(i: u32) -> u32 {
  let offsets = offsetsOf(min(i, u.count - 1u));
  let p = a[offsets.y / 4u][offsets.y % 4u];
  let q = b[offsets.z / 4u][offsets.z % 4u];
  return select(q, p, mask[offsets.x / 4u][offsets.x % 4u] != 0.0);
}

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
      if (LAYOUT == 0u) {
        y[i] = select(b[i], a[i], mask[i] != vec4<f32>(0.0));
      } else if (LAYOUT == 1u) {
        let offsets = offsetsOf(4u * i);
        let along = u.dims[u.rank - 1u].yzw;
        var m = mask[offsets.x / 4u];
        var p = a[offsets.y / 4u];
        var q = b[offsets.z / 4u];
        if (along.x == 0u) {
          m = vec4<f32>(m[offsets.x % 4u]);
        }
        if (along.y == 0u) {
          p = vec4<u32>(p[offsets.y % 4u]);
        }
        if (along.z == 0u) {
          q = vec4<u32>(q[offsets.z % 4u]);
        }
        y[i] = select(q, p, m != vec4<f32>(0.0));
      } else {
        y[i] = vec4<u32>(element(4u * i), element(4u * i + 1u), element(4u * i + 2u), element(4u * i + 3u));
      }
    }
  }
}
