// Matrix products through strides: y[g,m,n] = scale * sum over k of a[g,m,k] b[g,k,n] + plus[g,m,n], for every batch g. Plain, transposed,
// batched and per-module products, and weight gradients, differ in their strides only. Works for any strides, on any adapter.
// An invocation computes a register tile of TILE_M rows by TILE_N columns; a workgroup's invocations lie side by side as
// lanes.x tiles along n, lanes.y along m and the rest over batches. Loads beyond an edge read the last row or column again;
// and store it again. The sum is one chain of multiply-adds over k in order.
// ROWS: of each block of 64 rows only those whose mask is not 0 are read and written, packed into tiles by their rank.
// TERMS: k runs over a list (product-terms.wgsl) instead of over all of k.

struct Uniforms {
  m: u32,
  n: u32,
  k: u32,
  batches: u32,
  scale: f32,
  batchRank: u32, // 0 to 3
  maskOffset: u32, // the first element in the mask
  lanes: vec2<u32>, // invocations along n and along m, powers of 2 of product 64 or less
  aStrides: vec2<u32>, // of m and k, elements
  bStrides: vec2<u32>, // of k and n
  yStrides: vec2<u32>, // of m and n
  plusStrides: vec2<u32>, // of m and n, 0 where it repeats
  offsets: vec4<u32>, // the first element in a, b, y and plus
  batch: array<vec4<u32>, 3>, // x size, y stride in a, z stride in b, w stride in y, outermost first
  plusBatch: vec4<u32>, // strides in plus of the three, w unused
  maskBatch: vec4<u32>, // strides in the mask of the three, and w of m
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<f32>; // [batches, m, k] through strides
@group(0) @binding(2) var<storage, read> b: array<f32>; // [batches, k, n] through strides
@group(0) @binding(3) var<storage, read> plus: array<f32>; // [any] that broadcasts to y, through strides
@group(0) @binding(4) var<storage, read> mask: array<f32>; // [batches, m] through strides, for ROWS
@group(0) @binding(5) var<storage, read> terms: array<u32>; // [batches, 1 + k] the number of terms, then which, for TERMS
@group(0) @binding(6) var<storage, read_write> y: array<f32>; // [batches, m, n] through strides

const WORKGROUP: u32 = 64;
const TILE_M: u32 = 8;
const TILE_N: u32 = 4; // 4 or 8
const PLUS: bool = false; // whether anything is added
const ROWS: bool = false; // whether there is a mask of rows
const TERMS: bool = false; // whether there is a list of terms

alias Sums = array<vec4<f32>, TILE_M>;

// Four columns of all rows; beyond the last row and column they are stored again.
fn store(sums: ptr<function, Sums>, rows: array<u32, TILE_M>, columns: vec4<u32>, offset: vec4<u32>) {
  if (PLUS) {
    for (var i = 0u; i < TILE_M; i++) {
      let at = vec4<u32>(offset.w + rows[i] * u.plusStrides.x) + columns * u.plusStrides.y;
      let more = vec4<f32>(plus[at.x], plus[at.y], plus[at.z], plus[at.w]);
      (*sums)[i] = fma(vec4<f32>(u.scale), (*sums)[i], more);
    }
  } else {
    for (var i = 0u; i < TILE_M; i++) {
      (*sums)[i] *= u.scale;
    }
  }
  for (var i = 0u; i < TILE_M; i++) {
    let at = vec4<u32>(offset.z + rows[i] * u.yStrides.x) + columns * u.yStrides.y;
    y[at.x] = (*sums)[i].x;
    y[at.y] = (*sums)[i].y;
    y[at.z] = (*sums)[i].z;
    y[at.w] = (*sums)[i].w;
  }
}

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
    var offset = u.offsets;
    var masked = u.maskOffset;
    for (var d = u.batchRank; d > 0u; d--) {
      let dim = u.batch[d - 1u];
      offset += (rest % dim.x) * vec4<u32>(dim.yzw, u.plusBatch[d - 1u]);
      masked += (rest % dim.x) * u.maskBatch[d - 1u];
      rest = rest / dim.x;
    }
    var rows: array<u32, TILE_M>;
    if (ROWS) {
      // The active rows of the block of 64 as bits; those of lower rank than this tile's are dropped.
      let origin = row & ~63u;
      var bits = vec2<u32>(0u);
      let end = min(64u, u.m - origin);
      for (var i = 0u; i < end; i++) {
        let taken = u32(mask[masked + (origin + i) * u.maskBatch.w] != 0.0) << (i & 31u);
        bits |= select(vec2<u32>(0u, taken), vec2<u32>(taken, 0u), i < 32u);
      }
      for (var i = origin; i < row; i++) {
        let x = bits.x;
        bits.x = x & (x - u32(x != 0u));
        bits.y = select(bits.y & (bits.y - u32(bits.y != 0u)), bits.y, x != 0u);
      }
      let valid = countOneBits(bits.x) + countOneBits(bits.y);
      if (valid == 0u) {
        continue;
      }
      var found = 0u;
      for (var i = 0u; i < TILE_M; i++) {
        let x = bits.x;
        let first = select(32u + countTrailingZeros(bits.y), countTrailingZeros(x), x != 0u);
        found = select(found, origin + first, i < valid);
        rows[i] = found;
        bits.x = x & (x - u32(x != 0u));
        bits.y = select(bits.y & (bits.y - u32(bits.y != 0u)), bits.y, x != 0u);
      }
    } else {
      for (var i = 0u; i < TILE_M; i++) {
        rows[i] = min(row + i, u.m - 1u);
      }
    }
    var ia: array<u32, TILE_M>;
    var left: Sums;
    var right: Sums;
    for (var i = 0u; i < TILE_M; i++) {
      ia[i] = offset.x + rows[i] * u.aStrides.x;
      left[i] = vec4<f32>(0.0);
      right[i] = vec4<f32>(0.0);
    }
    let list = g * (u.k + 1u);
    var count = u.k;
    if (TERMS) {
      count = terms[list];
    }
    for (var i = 0u; i < count; i++) {
      var k = i;
      if (TERMS) {
        k = terms[list + 1u + i];
      }
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
    let upper = vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u);
    store(&left, rows, min(upper, last), offset);
    if (TILE_N == 8u) {
      store(&right, rows, min(upper + vec4<u32>(4u), last), offset);
    }
  }
}
