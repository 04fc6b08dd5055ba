// Cross-entropy of every row of logits with its label: loss = log(sum of e^(logit - max)) + max - logit of the label, exact for
// logits of any size. stats keeps max and the sum for the backward. A row with a NaN or +infinity, one of nothing but
// -infinity, and a label past the columns give NaN.
// With COOPERATE a workgroup shares a row; without it every lane has a row of its own.

struct Uniforms {
  rows: u32,
  columns: u32, // C, classes
  nan: u32, // the bits of a NaN
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> logits: array<f32>; // [rows, C]
@group(0) @binding(2) var<storage, read> labels: array<u32>; // [rows]
@group(0) @binding(3) var<storage, read_write> loss: array<f32>; // [rows]
@group(0) @binding(4) var<storage, read_write> stats: array<f32>; // [rows, 2]: the greatest logit, the sum

const LANES: u32 = 64;
const COOPERATE: bool = false;

var<workgroup> lanes: array<f32, LANES>;
var<workgroup> faults: array<u32, LANES>;

// The greatest of a row, and whether any element of it is a NaN or +infinity.
fn greatestOfRow(lane: u32, own: f32) -> f32 {
  if (!COOPERATE) {
    return own;
  }
  lanes[lane] = own;
  workgroupBarrier();
  for (var width = LANES / 2u; width > 0u; width = width / 2u) {
    if (lane < width) {
      lanes[lane] = max(lanes[lane], lanes[lane + width]);
    }
    workgroupBarrier();
  }
  // The lanes are used again behind the barriers of faultOfRow only.
  return lanes[0];
}

fn faultOfRow(lane: u32, own: u32) -> u32 {
  if (!COOPERATE) {
    return own;
  }
  faults[lane] = own;
  workgroupBarrier();
  for (var width = LANES / 2u; width > 0u; width = width / 2u) {
    if (lane < width) {
      faults[lane] = faults[lane] | faults[lane + width];
    }
    workgroupBarrier();
  }
  return faults[0];
}

fn sumOfRow(lane: u32, own: f32) -> f32 {
  if (!COOPERATE) {
    return own;
  }
  lanes[lane] = own;
  workgroupBarrier();
  for (var width = LANES / 2u; width > 0u; width = width / 2u) {
    if (lane < width) {
      lanes[lane] = lanes[lane] + lanes[lane + width];
    }
    workgroupBarrier();
  }
  return lanes[0];
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

  var own = -3.4028234e38;
  var fault = 0u;
  for (var i = first; i < end; i += step) {
    let bits = bitcast<u32>(logits[base + i]);
    if (bits == 0x7f800000u || (bits & 0x7fffffffu) > 0x7f800000u) {
      fault = 1u;
    } else {
      own = max(own, logits[base + i]);
    }
  }
  let peak = greatestOfRow(lane, own);
  let broken = faultOfRow(lane, fault) != 0u;
  var part = 0.0;
  for (var i = first; i < end; i += step) {
    part += exp(max(logits[base + i] - peak, -128.0));
  }
  let total = sumOfRow(lane, part);

  if (first == 0u && row < u.rows) {
    let label = labels[row];
    if (broken || total == 0.0 || label >= u.columns) {
      loss[row] = bitcast<f32>(u.nan);
      stats[2u * row + 1u] = bitcast<f32>(u.nan);
    } else {
      loss[row] = log(total) + (peak - logits[base + label]);
      stats[2u * row + 1u] = total;
    }
    stats[2u * row] = peak;
  }
}
