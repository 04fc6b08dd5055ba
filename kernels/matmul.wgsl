// Matrix products through strides: y[g,m,n] = sum over k of a[g,m,k] b[g,k,n], for every batch g. Plain, transposed,
// batched and per-module products, and weight gradients, differ in their strides only.
// An invocation computes a register tile of TILE_M rows by 4 columns, a workgroup 8 x 8 of these. Loads beyond an edge
// read the last row or column again; only stores are guarded. The sum runs over k in order.

struct Uniforms {
  m: u32,
  n: u32,
  k: u32,
  batches: u32,
  aStrides: vec2<u32>, // of m and k, elements
  bStrides: vec2<u32>, // of k and n
  yStrides: vec2<u32>, // of m and n
  batchRank: u32, // 0 to 3
  batch: array<vec4<u32>, 3>, // x size, y stride in a, z stride in b, w stride in y, outermost first
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<f32>; // [batches, m, k] through strides
@group(0) @binding(2) var<storage, read> b: array<f32>; // [batches, k, n] through strides
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [batches, m, n] through strides

const SIDE: u32 = 8;
const TILE_M: u32 = 8;

@compute @workgroup_size(SIDE, SIDE)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let row = (group.y * SIDE + local.y) * TILE_M;
  let column = (group.x * SIDE + local.x) * 4u;
  if (row >= u.m || column >= u.n) {
    return;
  }
  let columns = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(u.n - 1u));
  for (var g = group.z; g < u.batches; g += groups.z) {
    var rest = g;
    var offset = vec3<u32>(0u);
    for (var d = u.batchRank; d > 0u; d--) {
      let dim = u.batch[d - 1u];
      offset += (rest % dim.x) * dim.yzw;
      rest = rest / dim.x;
    }
    var ia: array<u32, TILE_M>;
    var sums: array<vec4<f32>, TILE_M>;
    for (var i = 0u; i < TILE_M; i++) {
      ia[i] = offset.x + min(row + i, u.m - 1u) * u.aStrides.x;
      sums[i] = vec4<f32>(0.0);
    }
    var ib = vec4<u32>(offset.y) + columns * u.bStrides.y;
    for (var k = 0u; k < u.k; k++) {
      let right = vec4<f32>(b[ib.x], b[ib.y], b[ib.z], b[ib.w]);
      ib += vec4<u32>(u.bStrides.x);
      for (var i = 0u; i < TILE_M; i++) {
        sums[i] = fma(vec4<f32>(a[ia[i] + k * u.aStrides.y]), right, sums[i]);
      }
    }
    for (var i = 0u; i < TILE_M; i++) {
      if (row + i < u.m) {
        let at = offset.z + (row + i) * u.yStrides.x + column * u.yStrides.y;
        y[at] = sums[i].x;
        if (column + 1u < u.n) {
          y[at + u.yStrides.y] = sums[i].y;
        }
        if (column + 2u < u.n) {
          y[at + 2u * u.yStrides.y] = sums[i].z;
        }
        if (column + 3u < u.n) {
          y[at + 3u * u.yStrides.y] = sums[i].w;
        }
      }
    }
  }
}
