// Matrix products through strides, as matmul.wgsl has them and bit for bit the same, through workgroup memory: for GPUs, where
// lanes of a workgroup share what they load. Works for any strides.
// A workgroup of SPAN by SPAN invocations computes SIDE rows by SIDE columns, each invocation every SPAN-th of them.
// DEPTH terms of a and b at a time lie in workgroup memory, a with rows side by side, b with columns. Beyond the last row or
// column it is computed again and not stored.
// ROWS and TERMS: as in matmul.wgsl.

struct Uniforms {
  m: u32,
  n: u32,
  k: u32,
  batches: u32,
  scale: f32,
  batchRank: u32, // 0 to 3
  maskOffset: u32, // the first element in the mask
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

const WORKGROUP: u32 = 256;
const SPAN: u32 = 16; // its square is WORKGROUP
const SIDE: u32 = 64; // rows and columns of a tile: 1 to 8 times SPAN, at most 64
const DEPTH: u32 = 16;
const PLUS: bool = false; // whether anything is added
const ROWS: bool = false; // whether there is a mask of rows
const TERMS: bool = false; // whether there is a list of terms

const EACH: u32 = SIDE / SPAN;
const HELD: u32 = SIDE * DEPTH;
const CELLS: u32 = EACH * EACH;

var<workgroup> left: array<f32, HELD>;
var<workgroup> right: array<f32, HELD>;
var<workgroup> rows: array<u32, SIDE>;

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
  @builtin(local_invocation_index) local: u32,
) {
  let across = local % SPAN;
  let down = local / SPAN;
  let row = group.y * SIDE;
  let column = group.x * SIDE;
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
    // What the last batch read is no longer needed.
    workgroupBarrier();
    var valid = u.m - row;
    if (ROWS) {
      // The active rows of the block of 64 as bits, which its tiles share out in order.
      let origin = row & ~63u;
      let end = min(64u, u.m - origin);
      var bits = vec2<u32>(0u);
      for (var i = 0u; i < end; i++) {
        let taken = u32(mask[masked + (origin + i) * u.maskBatch.w] != 0.0) << (i & 31u);
        bits |= select(vec2<u32>(0u, taken), vec2<u32>(taken, 0u), i < 32u);
      }
      let count = countOneBits(bits.x) + countOneBits(bits.y);
      valid = count - min(count, row - origin);
      if (local < SIDE) {
        rows[local] = origin + nth(bits, min(row - origin + local, max(count, 1u) - 1u));
      }
    } else if (local < SIDE) {
      rows[local] = min(row + local, u.m - 1u);
    }
    let list = g * (u.k + 1u);
    var count = select(u.k, 0u, valid == 0u);
    if (TERMS) {
      count = terms[list];
    }
    var sums: array<f32, CELLS>;
    for (var i = 0u; i < CELLS; i++) {
      sums[i] = 0.0;
    }
    workgroupBarrier();
    for (var k = 0u; k < count; k += DEPTH) {
      for (var e = local; e < HELD; e += WORKGROUP) {
        // Lanes side by side read what lies side by side.
        let alongK = u.aStrides.y == 1u;
        let i = select(e % SIDE, e / DEPTH, alongK);
        let t = select(e / SIDE, e % DEPTH, alongK);
        var term = min(k + t, count - 1u);
        if (TERMS) {
          term = terms[list + 1u + term];
        }
        left[t * SIDE + i] = a[offset.x + rows[i] * u.aStrides.x + term * u.aStrides.y];
      }
      for (var e = local; e < HELD; e += WORKGROUP) {
        let alongK = u.bStrides.x == 1u;
        let j = select(e % SIDE, e / DEPTH, alongK);
        let t = select(e / SIDE, e % DEPTH, alongK);
        var term = min(k + t, count - 1u);
        if (TERMS) {
          term = terms[list + 1u + term];
        }
        right[t * SIDE + j] = b[offset.y + term * u.bStrides.x + min(column + j, u.n - 1u) * u.bStrides.y];
      }
      workgroupBarrier();
      let deep = min(DEPTH, count - k);
      for (var t = 0u; t < deep; t++) {
        var r: array<f32, EACH>;
        for (var j = 0u; j < EACH; j++) {
          r[j] = right[t * SIDE + across + j * SPAN];
        }
        for (var i = 0u; i < EACH; i++) {
          let l = left[t * SIDE + down + i * SPAN];
          for (var j = 0u; j < EACH; j++) {
            sums[i * EACH + j] = fma(l, r[j], sums[i * EACH + j]);
          }
        }
      }
      workgroupBarrier();
    }
    for (var i = 0u; i < EACH; i++) {
      let at = down + i * SPAN;
      for (var j = 0u; j < EACH; j++) {
        let to = column + across + j * SPAN;
        if (at < valid && to < u.n) {
          let place = offset.z + rows[at] * u.yStrides.x + to * u.yStrides.y;
          if (PLUS) {
            let more = plus[offset.w + rows[at] * u.plusStrides.x + to * u.plusStrides.y];
            y[place] = fma(u.scale, sums[i * EACH + j], more);
          } else {
            y[place] = u.scale * sums[i * EACH + j];
          }
        }
      }
    }
  }
}
