// Matrix products through strides: y[g,m,n] = scale * sum over k of a[g,m,k] b[g,k,n] + plus[g,m,n], for every batch g. Plain, transposed,
// batched and per-module products, and weight gradients, differ in their strides only.
// An invocation computes a register tile of TILE_M rows by 4 columns; a workgroup's invocations lie side by side as
// lanes.x tiles along n, lanes.y along m and the rest over batches. Loads beyond an edge read the last row or column again;
// only stores are guarded. The sum runs over k in order.

struct Uniforms {
  m: u32,
  n: u32,
  k: u32,
  batches: u32,
  scale: f32,
  lanes: vec2<u32>, // invocations along n and along m, powers of 2 of product 64 or less
  aStrides: vec2<u32>, // of m and k, elements
  bStrides: vec2<u32>, // of k and n
  yStrides: vec2<u32>, // of m and n
  plusStrides: vec2<u32>, // of m and n, 0 where it repeats
  batchRank: u32, // 0 to 3
  batch: array<vec4<u32>, 3>, // x size, y stride in a, z stride in b, w stride in y, outermost first
  plusBatch: vec4<u32>, // strides in plus of the three, w unused
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<f32>; // [batches, m, k] through strides
@group(0) @binding(2) var<storage, read> b: array<f32>; // [batches, k, n] through strides
@group(0) @binding(3) var<storage, read> plus: array<f32>; // [any] that broadcasts to y, through strides
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // [batches, m, n] through strides

const WORKGROUP: u32 = 64;
const TILE_M: u32 = 8;
const TILE_N: u32 = 4; // 4 or 8
const PLUS: bool = false; // whether anything is added

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let column = (group.x * u.lanes.x + local % u.lanes.x) * TILE_N;
  let row = (group.y * u.lanes.y + (local / u.lanes.x) % u.lanes.y) * TILE_M;
  let layers = WORKGROUP / (u.lanes.x * u.lanes.y);
  if (row >= u.m || column >= u.n) {
    return;
  }
  let last = vec4<u32>(u.n - 1u);
  let near = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), last) * u.bStrides.y;
  let far = min(vec4<u32>(column) + vec4<u32>(4u, 5u, 6u, 7u), last) * u.bStrides.y;
  for (var g = group.z * layers + local / (u.lanes.x * u.lanes.y); g < u.batches; g += groups.z * layers) {
    var rest = g;
    var offset = vec3<u32>(0u);
    var extra = 0u;
    for (var d = u.batchRank; d > 0u; d--) {
      let dim = u.batch[d - 1u];
      offset += (rest % dim.x) * dim.yzw;
      extra += (rest % dim.x) * u.plusBatch[d - 1u];
      rest = rest / dim.x;
    }
    var ia: array<u32, TILE_M>;
    var left: array<vec4<f32>, TILE_M>;
    var right: array<vec4<f32>, TILE_M>;
    for (var i = 0u; i < TILE_M; i++) {
      ia[i] = offset.x + min(row + i, u.m - 1u) * u.aStrides.x;
      left[i] = vec4<f32>(0.0);
      right[i] = vec4<f32>(0.0);
    }
    for (var k = 0u; k < u.k; k++) {
      let base = offset.y + k * u.bStrides.x;
      let p = vec4<f32>(b[base + near.x], b[base + near.y], b[base + near.z], b[base + near.w]);
      var q = vec4<f32>(0.0);
      if (TILE_N == 8u) {
        q = vec4<f32>(b[base + far.x], b[base + far.y], b[base + far.z], b[base + far.w]);
      }
      for (var i = 0u; i < TILE_M; i++) {
        let each = a[ia[i] + k * u.aStrides.y];
        left[i] = fma(vec4<f32>(each), p, left[i]);
        if (TILE_N == 8u) {
          right[i] = fma(vec4<f32>(each), q, right[i]);
        }
      }
    }
    for (var i = 0u; i < TILE_M; i++) {
      if (row + i < u.m) {
        let start = offset.z + (row + i) * u.yStrides.x;
        for (var j = 0u; j < TILE_N; j++) {
          if (column + j < u.n) {
            let sum = select(left[i][j % 4u], right[i][j % 4u], j >= 4u);
            let at = start + (column + j) * u.yStrides.y;
            if (PLUS) {
              let more = plus[extra + (row + i) * u.plusStrides.x + (column + j) * u.plusStrides.y];
              y[at] = fma(u.scale, sum, more);
            } else {
              y[at] = u.scale * sum;
            }
          }
        }
      }
    }
  }
}
