// Running sums of every row, or running products with PRODUCT: y[i] joins x[0] to x[i]; with REVERSE, x[i] to the last.
// With COOPERATE a workgroup shares a row: every lane joins a stretch of its own, then walks it again from what the
// stretches before it came to. Without it every lane has a row of its own.

struct Uniforms {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [rows, columns]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [rows, columns]

const LANES: u32 = 64;
const COOPERATE: bool = false;
const PRODUCT: bool = false;
const REVERSE: bool = false;

var<workgroup> stretches: array<f32, LANES>;

fn joined(a: f32, b: f32) -> f32 {
  if (PRODUCT) {
    return a * b;
  }
  return a + b;
}

fn placeOf(base: u32, i: u32) -> u32 {
  return base + select(i, u.columns - 1u - i, REVERSE);
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x;
  let row = select(index * LANES + lane, index, COOPERATE);
  let base = row * u.columns;
  let length = select(u.columns, (u.columns + LANES - 1u) / LANES, COOPERATE);
  let first = select(0u, lane * length, COOPERATE);
  let end = select(0u, min(first + length, u.columns), row < u.rows);

  var total = select(0.0, 1.0, PRODUCT);
  if (COOPERATE) {
    for (var i = first; i < end; i++) {
      total = joined(total, x[placeOf(base, i)]);
    }
    stretches[lane] = total;
    workgroupBarrier();
    total = select(0.0, 1.0, PRODUCT);
    for (var before = 0u; before < lane; before++) {
      total = joined(total, stretches[before]);
    }
  }
  for (var i = first; i < end; i++) {
    let place = placeOf(base, i);
    total = joined(total, x[place]);
    y[place] = total;
  }
}
