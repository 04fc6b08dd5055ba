// Softmax of every row: y = e^(x - max) / sum. With MASKED only columns whose mask is not 0 take part, with TOP_K only the
// u.topK largest of those (of equal scores the lowest column); all others, and rows with nothing left, are 0.
// The greatest score is subtracted first, so that scores of any size are safe. A row in which a NaN, +infinity or nothing
// but -infinity takes part is NaN wherever a column takes part. Scores are compared by bits, in one total order.
// With COOPERATE a workgroup shares a row; without it every lane has a row of its own.

struct Uniforms {
  rows: u32,
  columns: u32,
  topK: u32,
  nan: u32, // the bits of a NaN
  maskRank: u32, // dimensions of the rows as the mask sees them, 0 to 6
  maskColumn: u32, // stride of the mask along a row
  maskRows: array<vec4<u32>, 6>, // x size, y stride of the mask, outermost first
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<u32>; // [rows, columns], f32 bits
@group(0) @binding(2) var<storage, read> mask: array<f32>; // [any] that broadcasts to x
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [rows, columns]

const LANES: u32 = 64;
const COOPERATE: bool = false;
const MASKED: bool = false;
const TOP_K: bool = false;

var<workgroup> keys: array<u32, LANES>;
var<workgroup> sums: array<f32, LANES>;

// A number that orders as the score does, above 0: -0 as 0, every NaN above all.
fn keyOf(bits: u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return 0xffffffffu;
  }
  if (magnitude == 0u) {
    return 0x80000000u;
  }
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

fn scoreOf(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u));
}

// The key of a column, 0 where the mask takes it out.
fn keyAt(base: u32, maskBase: u32, column: u32) -> u32 {
  if (MASKED) {
    if (mask[maskBase + column * u.maskColumn] == 0.0) {
      return 0u;
    }
  }
  return keyOf(x[base + column]);
}

fn isAmongTopK(base: u32, maskBase: u32, column: u32, key: u32) -> bool {
  if (!TOP_K) {
    return true;
  }
  var rank = 0u;
  for (var j = 0u; j < u.columns && rank < u.topK; j++) {
    let other = keyAt(base, maskBase, j);
    if (other > key || (other == key && j < column)) {
      rank++;
    }
  }
  return rank < u.topK;
}

fn maskOffset(row: u32) -> u32 {
  var rest = row;
  var offset = 0u;
  for (var k = u.maskRank; k > 0u; k--) {
    let dim = u.maskRows[k - 1u];
    offset += (rest % dim.x) * dim.y;
    rest = rest / dim.x;
  }
  return offset;
}

fn greatestOfRow(lane: u32, own: u32) -> u32 {
  if (!COOPERATE) {
    return own;
  }
  keys[lane] = own;
  workgroupBarrier();
  for (var width = LANES / 2u; width > 0u; width = width / 2u) {
    if (lane < width) {
      keys[lane] = max(keys[lane], keys[lane + width]);
    }
    workgroupBarrier();
  }
  return keys[0];
}

fn sumOfRow(lane: u32, own: f32) -> f32 {
  if (!COOPERATE) {
    return own;
  }
  sums[lane] = own;
  workgroupBarrier();
  for (var width = LANES / 2u; width > 0u; width = width / 2u) {
    if (lane < width) {
      sums[lane] = sums[lane] + sums[lane + width];
    }
    workgroupBarrier();
  }
  return sums[0];
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x;
  let row = select(index * LANES + lane, index, COOPERATE);
  let first = select(0u, lane, COOPERATE);
  let step = select(1u, LANES, COOPERATE);
  let end = select(0u, u.columns, row < u.rows);
  let base = row * u.columns;
  let maskBase = maskOffset(row);

  var own = 0u;
  for (var i = first; i < end; i += step) {
    own = max(own, keyAt(base, maskBase, i));
  }
  let greatest = greatestOfRow(lane, own);
  let broken = greatest >= 0xff800000u || greatest <= 0x007fffffu;
  let peak = scoreOf(greatest);

  var part = 0.0;
  for (var i = first; i < end; i += step) {
    let key = keyAt(base, maskBase, i);
    var e = 0.0;
    if (key != 0u) {
      if (isAmongTopK(base, maskBase, i, key)) {
        e = exp(max(bitcast<f32>(x[base + i]) - peak, -128.0));
      }
    }
    y[base + i] = e;
    part += e;
  }
  let total = sumOfRow(lane, part);

  for (var i = first; i < end; i += step) {
    if (broken) {
      y[base + i] = select(bitcast<f32>(u.nan), 0.0, keyAt(base, maskBase, i) == 0u);
    } else {
      y[base + i] = y[base + i] / total;
    }
  }
}
