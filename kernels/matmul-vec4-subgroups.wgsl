// Matrix products through strides, as matmul.wgsl has them and bit for bit the same, in whole vectors and with
// subgroups: for adapters whose subgroups all have one size of 8 or more, and operands whose vectors lie on multiples
// of 4 elements. a is contiguous along k or along m, b along n or along k; y and plus along n; n is a multiple of 4,
// and so is each size that an operand is contiguous along.
// A workgroup is one subgroup. It computes TILE_M rows (4, 8, 12 or 16) by 4 columns a lane. Lanes load a side by side
// and pass it on: for 16 rows a lane then loads 24 numbers for 256 multiplications. The loops below are cut so that
// nothing in them is clamped or guarded.
// ROWS and TERMS: as in matmul.wgsl; ROWS with a along k, TERMS with a along m and b along n.

enable subgroups;
diagnostic(off, subgroup_uniformity);

struct Uniforms {
  m: u32,
  n: u32,
  k: u32,
  batches: u32,
  scale: f32,
  batchRank: u32, // 0 to 3
  maskOffset: u32, // the first element in the mask
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

const WORKGROUP: u32 = 8; // the size of a subgroup
const TILE_M: u32 = 16; // 4, 8, 12 or 16
const A_ALONG_M: bool = false;
const B_ALONG_K: bool = false;
const PLUS: bool = false; // whether anything is added
const ROWS: bool = false; // whether there is a mask of rows
const TERMS: bool = false; // whether there is a list of terms

// Rows that one load of a brings in where it is contiguous along k, and such loads; loads where it is contiguous along m.
const SPAN: u32 = min(WORKGROUP, TILE_M);
const LOADS: u32 = (TILE_M + SPAN - 1u) / SPAN;
const PAIRS: u32 = (TILE_M + 7u) / 8u;

alias Sums = array<vec4<f32>, TILE_M>;
alias Four = array<vec4<f32>, 4>;

// One row: four k of it by four vectors of b.
fn chain(x: vec4<f32>, r: Four, sum: vec4<f32>) -> vec4<f32> {
  let one = fma(vec4<f32>(x.x), r[0], sum);
  let two = fma(vec4<f32>(x.y), r[1], one);
  let three = fma(vec4<f32>(x.z), r[2], two);
  return fma(vec4<f32>(x.w), r[3], three);
}

// Four k of the lane's four columns, from four times k on.
fn rightOf(ib: u32, step: u32, k: u32) -> Four {
  if (!B_ALONG_K) {
    let first = ib + 4u * k * step;
    return Four(b[first], b[first + step], b[first + 2u * step], b[first + 3u * step]);
  }
  let c = Four(b[ib + k], b[ib + step + k], b[ib + 2u * step + k], b[ib + 3u * step + k]);
  return Four(
    vec4<f32>(c[0].x, c[1].x, c[2].x, c[3].x),
    vec4<f32>(c[0].y, c[1].y, c[2].y, c[3].y),
    vec4<f32>(c[0].z, c[1].z, c[2].z, c[3].z),
    vec4<f32>(c[0].w, c[1].w, c[2].w, c[3].w),
  );
}

// The position of the set bit of that rank.
fn nth(bits: vec2<u32>, rank: u32) -> u32 {
  let low = countOneBits(bits.x);
  let upper = rank >= low;
  var rest = select(rank, rank - low, upper);
  var word = select(bits.x, bits.y, upper);
  var at = select(0u, 32u, upper);
  for (var width = 16u; width > 0u; width = width >> 1u) {
    let below = countOneBits(word & ((1u << width) - 1u));
    if (rest >= below) {
      rest -= below;
      word = word >> width;
      at += width;
    }
  }
  return at;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let column = (group.x * WORKGROUP + lane) * 4u;
  let safe = min(column, u.n - 4u);
  let row = group.y * TILE_M;
  let aStep = u.aStride / 4u;
  let bStep = u.bStride / 4u;
  for (var g = group.z; g < u.batches; g += groups.z) {
    var rest = g;
    var offset = u.offsets;
    var masked = u.maskOffset;
    for (var d = u.batchRank; d > 0u; d--) {
      let dim = u.batch[d - 1u];
      offset += (rest % dim.x) * vec4<u32>(dim.yzw, u.plusBatch[d - 1u]);
      masked += (rest % dim.x) * u.maskBatch[d - 1u];
      rest = rest / dim.x;
    }
    // The rows of the tile, SPAN of them side by side. Of a block of 64 rows, its tiles share out the active ones in order.
    var rows: array<u32, LOADS>;
    for (var i = 0u; i < LOADS; i++) {
      let at = row + i * SPAN + lane % SPAN;
      rows[i] = select(min(at, u.m - 1u), min(at & ~3u, u.m - 4u) + at % 4u, A_ALONG_M);
    }
    if (ROWS) {
      let tiles = (64u + TILE_M - 1u) / TILE_M;
      let origin = group.y / tiles * 64u;
      let each = 64u / WORKGROUP;
      let end = min(min(64u, u.m - origin), lane * each + each);
      var own = vec2<u32>(0u);
      for (var bit = lane * each; bit < end; bit++) {
        let taken = u32(mask[masked + (origin + bit) * u.maskBatch.w] != 0.0) << (bit & 31u);
        own |= select(vec2<u32>(0u, taken), vec2<u32>(taken, 0u), bit < 32u);
      }
      let bits = vec2<u32>(subgroupOr(own.x), subgroupOr(own.y));
      let count = countOneBits(bits.x) + countOneBits(bits.y);
      let first = group.y % tiles * TILE_M;
      if (count <= first) {
        continue;
      }
      for (var i = 0u; i < LOADS; i++) {
        rows[i] = origin + nth(bits, min(first + i * SPAN + lane % SPAN, count - 1u));
      }
    }
    var sums: Sums;
    for (var i = 0u; i < TILE_M; i++) {
      sums[i] = vec4<f32>(0.0);
    }
    let list = g * (u.k + 1u);
    var count = u.k;
    if (TERMS) {
      count = terms[list];
    }
    // Where the lane's four columns of b begin: one vector along n, or four along k.
    var ib = (offset.y + safe) / 4u;
    if (B_ALONG_K) {
      ib = offset.y / 4u + safe * bStep;
    }
    if (A_ALONG_M) {
      // Lanes 0 to 3 have four k of four rows, lanes 4 to 7 of the next four.
      var ia: array<u32, PAIRS>;
      for (var i = 0u; i < PAIRS; i++) {
        ia[i] = (offset.x + min(row + i * 8u + lane / 4u % 2u * 4u, u.m - 4u)) / 4u;
      }
      let whole = count & ~3u;
      for (var k = 0u; k < whole; k += 4u) {
        var term = k + lane % 4u;
        if (TERMS) {
          term = terms[list + 1u + term];
        }
        var x: array<vec4<f32>, PAIRS>;
        for (var i = 0u; i < PAIRS; i++) {
          x[i] = a[ia[i] + term * aStep];
        }
        var r: Four;
        if (TERMS) {
          for (var t = 0u; t < 4u; t++) {
            r[t] = b[ib + subgroupShuffle(term, t) * bStep];
          }
        } else {
          r = rightOf(ib, bStep, k / 4u);
        }
        for (var i = 0u; i < TILE_M; i += 4u) {
          let first = i / 4u % 2u * 4u;
          let c0 = subgroupShuffle(x[i / 8u], first);
          let c1 = subgroupShuffle(x[i / 8u], first + 1u);
          let c2 = subgroupShuffle(x[i / 8u], first + 2u);
          let c3 = subgroupShuffle(x[i / 8u], first + 3u);
          sums[i] = chain(vec4<f32>(c0.x, c1.x, c2.x, c3.x), r, sums[i]);
          sums[i + 1u] = chain(vec4<f32>(c0.y, c1.y, c2.y, c3.y), r, sums[i + 1u]);
          sums[i + 2u] = chain(vec4<f32>(c0.z, c1.z, c2.z, c3.z), r, sums[i + 2u]);
          sums[i + 3u] = chain(vec4<f32>(c0.w, c1.w, c2.w, c3.w), r, sums[i + 3u]);
        }
      }
      // What is left of k.
      for (var k = whole; k < count; k++) {
        var term = k;
        if (TERMS) {
          term = terms[list + 1u + k];
        }
        let r = b[ib + term * bStep];
        for (var i = 0u; i < TILE_M; i += 4u) {
          let x = subgroupShuffle(a[ia[i / 8u] + term * aStep], i / 4u % 2u * 4u);
          sums[i] = fma(vec4<f32>(x.x), r, sums[i]);
          sums[i + 1u] = fma(vec4<f32>(x.y), r, sums[i + 1u]);
          sums[i + 2u] = fma(vec4<f32>(x.z), r, sums[i + 2u]);
          sums[i + 3u] = fma(vec4<f32>(x.w), r, sums[i + 3u]);
        }
      }
    } else {
      let start = offset.x / 4u;
      let quads = count / 4u;
      for (var k = 0u; k < quads; k++) {
        var x: array<vec4<f32>, LOADS>;
        for (var i = 0u; i < LOADS; i++) {
          x[i] = a[start + rows[i] * aStep + k];
        }
        let r = rightOf(ib, bStep, k);
        for (var i = 0u; i < TILE_M; i++) {
          sums[i] = chain(subgroupShuffle(x[i / SPAN], i % SPAN), r, sums[i]);
        }
      }
    }
    // Beyond the last row it is computed and stored again.
    for (var i = 0u; i < TILE_M; i++) {
      if (PLUS) {
        let at = subgroupShuffle(rows[i / SPAN], i % SPAN);
        sums[i] = fma(vec4<f32>(u.scale), sums[i], plus[(offset.w + at * u.plusStride + safe) / 4u]);
      } else {
        sums[i] *= u.scale;
      }
    }
    if (column < u.n) {
      for (var i = 0u; i < TILE_M; i++) {
        let at = subgroupShuffle(rows[i / SPAN], i % SPAN);
        y[(offset.z + at * u.yStride + column) / 4u] = sums[i];
      }
    }
  }
}
