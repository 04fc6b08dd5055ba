// Takes rows of a table by index: y[g, p, :] = table[g, index[g, p], :], group by group. An index past the table gives NaN.
// Elements are moved as bits. One invocation an element of y.

struct Uniforms {
  count: u32, // elements of y
  positions: u32, // P, indices of a group
  rows: u32, // V, rows of a group's table
  columns: u32, // C, elements of a row
  nan: u32, // the bits of a NaN
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> table: array<u32>; // [groups, V, C], f32 bits
@group(0) @binding(2) var<storage, read> index: array<u32>; // [groups, P]
@group(0) @binding(3) var<storage, read_write> y: array<u32>; // [groups, P, C], f32 bits

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.count) {
    return;
  }
  let position = i / u.columns;
  let row = index[position];
  if (row < u.rows) {
    y[i] = table[((position / u.positions) * u.rows + row) * u.columns + i % u.columns];
  } else {
    y[i] = u.nan;
  }
}
