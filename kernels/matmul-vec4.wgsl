// Matrix products through strides, as matmul.wgsl has them and bit for bit the same, in whole vectors, on any adapter: for
// operands whose vectors lie on multiples of 4 elements. a is contiguous along k or along m, b along n or along k; y and plus
// along n; n is a multiple of 4, and so is each size that an operand is contiguous along.
// An invocation computes TILE_M rows by TILE_N columns; a workgroup's invocations lie side by side as lanes.x tiles along n,
// lanes.y along m and the rest over batches. Beyond the last row or column it is computed and stored again.
// ROWS and TERMS: as in matmul.wgsl; ROWS with a along k, TERMS with a along m and b along n.

struct Uniforms {
  m: u32,
  n: u32,
  k: u32,
  batches: u32,
  scale: f32,
  batchRank: u32, // 0 to 3
  maskOffset: u32, // the first element in the mask
  lanes: vec2<u32>, // invocations along n and along m, powers of 2 of product WORKGROUP or less
  aStride: u32, // of m, or of k where a is contiguous along m; elements
  bStride: u32, // of k, or of n where b is contiguous along k
  yStride: u32, // of m
  plusStride: u32, // of m, 0 where it repeats
  offsets: vec4<u32>, // the first element in a, b, y and plus
  batch: array<vec4<u32>, 3>, // x size, y stride in a, z stride in b, w stride in y, outermost first
  plusBatch: vec4<u32>, // strides in plus of the three, w unused
  maskBatch: vec4<u32>, // strides in the mask of the three, and w of m
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>; // [batches, m, k] through strides
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>; // [batches, k, n] through strides
@group(0) @binding(3) var<storage, read> plus: array<vec4<f32>>; // [any] that broadcasts to y, through strides
@group(0) @binding(4) var<storage, read> mask: array<f32>; // [batches, m] through strides, for ROWS
@group(0) @binding(5) var<storage, read> terms: array<u32>; // [batches, 1 + k] the number of terms, then which, for TERMS
@group(0) @binding(6) var<storage, read_write> y: array<vec4<f32>>; // [batches, m, n] through strides

const WORKGROUP: u32 = 64;
const TILE_M: u32 = 8; // a multiple of 4, at most 16
const TILE_N: u32 = 4; // 4 or 8
const A_ALONG_M: bool = false;
const B_ALONG_K: bool = false;
const PLUS: bool = false; // whether anything is added
const ROWS: bool = false; // whether there is a mask of rows
const TERMS: bool = false; // whether there is a list of terms

alias Sums = array<vec4<f32>, TILE_M>;
alias Four = array<vec4<f32>, 4>;

// One row: four k of it by four vectors of b.
fn chain(x: vec4<f32>, r: Four, sum: vec4<f32>) -> vec4<f32> {
  let one = fma(vec4<f32>(x.x), r[0], sum);
  let two = fma(vec4<f32>(x.y), r[1], one);
  let three = fma(vec4<f32>(x.z), r[2], two);
  return fma(vec4<f32>(x.w), r[3], three);
}

// Rows become columns.
fn turned(c: Four) -> Four {
  return Four(
    vec4<f32>(c[0].x, c[1].x, c[2].x, c[3].x),
    vec4<f32>(c[0].y, c[1].y, c[2].y, c[3].y),
    vec4<f32>(c[0].z, c[1].z, c[2].z, c[3].z),
    vec4<f32>(c[0].w, c[1].w, c[2].w, c[3].w),
  );
}

// Four k of four columns of b that begin at ib, of the terms t.
fn rightOf(ib: u32, step: u32, t: vec4<u32>) -> Four {
  if (!B_ALONG_K) {
    return Four(b[ib + t.x * step], b[ib + t.y * step], b[ib + t.z * step], b[ib + t.w * step]);
  }
  let k = t.x / 4u;
  return turned(Four(b[ib + k], b[ib + step + k], b[ib + 2u * step + k], b[ib + 3u * step + k]));
}

// Where four columns of b begin, in vectors.
fn columnsAt(offset: u32, column: u32) -> u32 {
  let safe = min(column, u.n - 4u);
  return select((offset + safe) / 4u, offset / 4u + safe * (u.bStride / 4u), B_ALONG_K);
}

fn store(sums: ptr<function, Sums>, rows: array<u32, TILE_M>, column: u32, offset: vec4<u32>) {
  for (var i = 0u; i < TILE_M; i++) {
    if (PLUS) {
      let more = plus[(offset.w + rows[i] * u.plusStride + column) / 4u];
      (*sums)[i] = fma(vec4<f32>(u.scale), (*sums)[i], more);
    } else {
      (*sums)[i] *= u.scale;
    }
    y[(offset.z + rows[i] * u.yStride + column) / 4u] = (*sums)[i];
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let column = (group.x * u.lanes.x + local % u.lanes.x) * TILE_N;
  let tile = group.y * u.lanes.y + (local / u.lanes.x) % u.lanes.y;
  let row = tile * TILE_M;
  let layers = WORKGROUP / (u.lanes.x * u.lanes.y);
  if (row >= u.m || column >= u.n) {
    return;
  }
  let aStep = u.aStride / 4u;
  let bStep = u.bStride / 4u;
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
    for (var i = 0u; i < TILE_M; i++) {
      rows[i] = select(min(row + i, u.m - 1u), min((row + i) & ~3u, u.m - 4u) + i % 4u, A_ALONG_M);
    }
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
    }
    let list = g * (u.k + 1u);
    var count = u.k;
    if (TERMS) {
      count = terms[list];
    }
    let near = columnsAt(offset.y, column);
    let far = columnsAt(offset.y, column + 4u);
    var left: Sums;
    var right: Sums;
    for (var i = 0u; i < TILE_M; i++) {
      left[i] = vec4<f32>(0.0);
      right[i] = vec4<f32>(0.0);
    }
    let start = offset.x / 4u;
    let whole = count & ~3u;
    for (var k = 0u; k < whole; k += 4u) {
      var t = vec4<u32>(k, k + 1u, k + 2u, k + 3u);
      if (TERMS) {
        let at = list + 1u + k;
        t = vec4<u32>(terms[at], terms[at + 1u], terms[at + 2u], terms[at + 3u]);
      }
      var x: array<vec4<f32>, TILE_M>;
      if (A_ALONG_M) {
        for (var i = 0u; i < TILE_M; i += 4u) {
          let at = start + rows[i] / 4u;
          let four = turned(Four(a[at + t.x * aStep], a[at + t.y * aStep], a[at + t.z * aStep], a[at + t.w * aStep]));
          x[i] = four[0];
          x[i + 1u] = four[1];
          x[i + 2u] = four[2];
          x[i + 3u] = four[3];
        }
      } else {
        for (var i = 0u; i < TILE_M; i++) {
          x[i] = a[start + rows[i] * aStep + k / 4u];
        }
      }
      let p = rightOf(near, bStep, t);
      for (var i = 0u; i < TILE_M; i++) {
        left[i] = chain(x[i], p, left[i]);
      }
      if (TILE_N == 8u) {
        let q = rightOf(far, bStep, t);
        for (var i = 0u; i < TILE_M; i++) {
          right[i] = chain(x[i], q, right[i]);
        }
      }
    }
    // What is left of k, where no operand is contiguous along it.
    for (var k = whole; k < count; k++) {
      var t = k;
      if (TERMS) {
        t = terms[list + 1u + k];
      }
      let p = b[near + t * bStep];
      let q = b[far + t * bStep];
      for (var i = 0u; i < TILE_M; i++) {
        let x = a[start + rows[i] / 4u + t * aStep][i % 4u];
        left[i] = fma(vec4<f32>(x), p, left[i]);
        right[i] = fma(vec4<f32>(x), q, right[i]);
      }
    }
    store(&left, rows, column, offset);
    if (TILE_N == 8u && column + 4u < u.n) {
      store(&right, rows, column + 4u, offset);
    }
  }
}
