// The backward of running products y[i] = x[0] ... x[i]: dx[j] = (x[0] ... x[j-1]) r[j], where r[j] = dy[j] + x[j+1] r[j+1]
// gathers what follows. No division, so that zeros in a row have their right gradient. An invocation does one row: forward
// for the products before each element, backward for r.

struct Uniforms {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [rows, columns]
@group(0) @binding(2) var<storage, read> dy: array<f32>; // [rows, columns]
@group(0) @binding(3) var<storage, read_write> dx: array<f32>; // [rows, columns]

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let row = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (row >= u.rows) {
    return;
  }
  let base = row * u.columns;
  var before = 1.0;
  for (var i = base; i < base + u.columns; i++) {
    dx[i] = before;
    before = before * x[i];
  }
  var carried = 0.0;
  for (var i = base + u.columns; i > base; i--) {
    let following = dy[i - 1u] + carried;
    dx[i - 1u] = dx[i - 1u] * following;
    carried = x[i - 1u] * following;
  }
}
