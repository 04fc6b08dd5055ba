// Layer normalisation of every row: z = (x - mean) / sqrt(variance + epsilon), biased variance, y = z * weight + bias. The
// mean is taken first, then the variance about it. Without AFFINE, y is z and weight, bias and z are not used.
// With COOPERATE a workgroup shares a row; without it every lane has a row of its own.

struct Uniforms {
  rows: u32,
  columns: u32,
  epsilon: f32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [rows, columns]
@group(0) @binding(2) var<storage, read> weight: array<f32>; // [columns]
@group(0) @binding(3) var<storage, read> bias: array<f32>; // [columns]
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // [rows, columns]
@group(0) @binding(5) var<storage, read_write> scale: array<f32>; // [rows], 1 / sqrt(variance + epsilon)
@group(0) @binding(6) var<storage, read_write> z: array<f32>; // [rows, columns]

const LANES: u32 = 64;
const COOPERATE: bool = false;
const AFFINE: bool = false;

var<workgroup> sums: array<f32, LANES>;

fn sumOfRow(lane: u32, own: f32) -> f32 {
  if (!COOPERATE) {
    return own;
  }
  workgroupBarrier();
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
  let size = f32(u.columns);

  var part = 0.0;
  for (var i = first; i < end; i += step) {
    part += x[base + i];
  }
  let mean = sumOfRow(lane, part) / size;
  part = 0.0;
  for (var i = first; i < end; i += step) {
    let distance = x[base + i] - mean;
    part += distance * distance;
  }
  let factor = 1.0 / sqrt(sumOfRow(lane, part) / size + u.epsilon);
  for (var i = first; i < end; i += step) {
    let normal = (x[base + i] - mean) * factor;
    if (AFFINE) {
      z[base + i] = normal;
      y[base + i] = normal * weight[i] + bias[i];
    } else {
      y[base + i] = normal;
    }
  }
  if (first == 0u && row < u.rows) {
    scale[row] = factor;
  }
}
