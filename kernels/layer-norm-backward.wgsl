// The backward of layer normalisation, from its normalised rows z and their scale: dx = scale (dz - mean(dz) - z mean(z dz)).
// With COOPERATE a workgroup shares a row; without it every lane has a row of its own.

struct Uniforms {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> z: array<f32>; // [rows, columns]
@group(0) @binding(2) var<storage, read> scale: array<f32>; // [rows]
@group(0) @binding(3) var<storage, read> dz: array<f32>; // [rows, columns]
@group(0) @binding(4) var<storage, read_write> dx: array<f32>; // [rows, columns]

const LANES: u32 = 64;
const COOPERATE: bool = false;

var<workgroup> sums: array<vec2<f32>, LANES>;

fn sumsOfRow(lane: u32, own: vec2<f32>) -> vec2<f32> {
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

  var part = vec2<f32>(0.0, 0.0);
  for (var i = base + first; i < base + end; i += step) {
    part += vec2<f32>(dz[i], z[i] * dz[i]);
  }
  let means = sumsOfRow(lane, part) / f32(u.columns);
  for (var i = base + first; i < base + end; i += step) {
    dx[i] = scale[row] * (dz[i] - means.x - z[i] * means.y);
  }
}
