// Matrix products through strides, as matmul.wgsl has them, for adapters whose subgroups all have one size of 8 or more:
// y[g,m,n] = scale * sum over k of a[g,m,k] b[g,k,n] + plus[g,m,n], bit for bit the same.
// A workgroup is one subgroup. It computes TILE_M rows by 4 columns a lane. Lanes 0 to 7 load eight k of each row, side by
// side, and pass them on: a lane then loads 4 numbers of b for TILE_M * 4 multiplications.
// Loads beyond an edge read the last row, column or k again; and store it again. The sum runs over k in order.

enable subgroups;

struct Uniforms {
  m: u32,
  n: u32,
  k: u32,
  batches: u32,
  scale: f32,
  batchRank: u32, // 0 to 3
  aStrides: vec2<u32>, // of m and k, elements
  bStrides: vec2<u32>, // of k and n
  yStrides: vec2<u32>, // of m and n
  plusStrides: vec2<u32>, // of m and n, 0 where it repeats
  offsets: vec4<u32>, // the first element in a, b, y and plus
  batch: array<vec4<u32>, 3>, // x size, y stride in a, z stride in b, w stride in y, outermost first
  plusBatch: vec4<u32>, // strides in plus of the three, w unused
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<f32>; // [batches, m, k] through strides
@group(0) @binding(2) var<storage, read> b: array<f32>; // [batches, k, n] through strides
@group(0) @binding(3) var<storage, read> plus: array<f32>; // [any] that broadcasts to y, through strides
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // [batches, m, n] through strides

const WORKGROUP: u32 = 8; // the size of a subgroup
const TILE_M: u32 = 16;
const PLUS: bool = false; // whether anything is added

fn rightOf(offset: u32, columns: vec4<u32>, k: u32) -> vec4<f32> {
  let at = vec4<u32>(offset + k * u.bStrides.x) + columns;
  return vec4<f32>(b[at.x], b[at.y], b[at.z], b[at.w]);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let column = (group.x * WORKGROUP + lane) * 4u;
  let row = group.y * TILE_M;
  let columns = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(u.n - 1u)) * u.bStrides.y;
  for (var g = group.z; g < u.batches; g += groups.z) {
    var rest = g;
    var offset = u.offsets;
    for (var d = u.batchRank; d > 0u; d--) {
      let dim = u.batch[d - 1u];
      offset += (rest % dim.x) * vec4<u32>(dim.yzw, u.plusBatch[d - 1u]);
      rest = rest / dim.x;
    }
    var sums: array<vec4<f32>, TILE_M>;
    for (var i = 0u; i < TILE_M; i++) {
      sums[i] = vec4<f32>(0.0);
    }
    for (var k = 0u; k < u.k; k += 8u) {
      let own = offset.x + min(k + lane % 8u, u.k - 1u) * u.aStrides.y;
      var held: array<f32, TILE_M>;
      for (var i = 0u; i < TILE_M; i++) {
        held[i] = a[own + min(row + i, u.m - 1u) * u.aStrides.x];
      }
      if (k + 0u < u.k) {
        let right = rightOf(offset.y, columns, k + 0u);
        for (var i = 0u; i < TILE_M; i++) {
          sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 0u)), right, sums[i]);
        }
      }
      if (k + 1u < u.k) {
        let right = rightOf(offset.y, columns, k + 1u);
        for (var i = 0u; i < TILE_M; i++) {
          sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 1u)), right, sums[i]);
        }
      }
      if (k + 2u < u.k) {
        let right = rightOf(offset.y, columns, k + 2u);
        for (var i = 0u; i < TILE_M; i++) {
          sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 2u)), right, sums[i]);
        }
      }
      if (k + 3u < u.k) {
        let right = rightOf(offset.y, columns, k + 3u);
        for (var i = 0u; i < TILE_M; i++) {
          sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 3u)), right, sums[i]);
        }
      }
      if (k + 4u < u.k) {
        let right = rightOf(offset.y, columns, k + 4u);
        for (var i = 0u; i < TILE_M; i++) {
          sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 4u)), right, sums[i]);
        }
      }
      if (k + 5u < u.k) {
        let right = rightOf(offset.y, columns, k + 5u);
        for (var i = 0u; i < TILE_M; i++) {
          sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 5u)), right, sums[i]);
        }
      }
      if (k + 6u < u.k) {
        let right = rightOf(offset.y, columns, k + 6u);
        for (var i = 0u; i < TILE_M; i++) {
          sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 6u)), right, sums[i]);
        }
      }
      if (k + 7u < u.k) {
        let right = rightOf(offset.y, columns, k + 7u);
        for (var i = 0u; i < TILE_M; i++) {
          sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 7u)), right, sums[i]);
        }
      }
    }
    // Beyond the last row and column they are computed and stored again.
    if (column < u.n) {
      let across = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(u.n - 1u));
      if (PLUS) {
        let columnsOfPlus = vec4<u32>(offset.w) + across * u.plusStrides.y;
        for (var i = 0u; i < TILE_M; i++) {
          let at = vec4<u32>(min(row + i, u.m - 1u) * u.plusStrides.x) + columnsOfPlus;
          sums[i] = fma(vec4<f32>(u.scale), sums[i], vec4<f32>(plus[at.x], plus[at.y], plus[at.z], plus[at.w]));
        }
      } else {
        for (var i = 0u; i < TILE_M; i++) {
          sums[i] *= u.scale;
        }
      }
      let columnsOfY = vec4<u32>(offset.z) + across * u.yStrides.y;
      for (var i = 0u; i < TILE_M; i++) {
        let at = vec4<u32>(min(row + i, u.m - 1u) * u.yStrides.x) + columnsOfY;
        y[at.x] = sums[i].x;
        y[at.y] = sums[i].y;
        y[at.z] = sums[i].z;
        y[at.w] = sums[i].w;
      }
    }
  }
}
