// Sums rows by index: y[g, s, v, :] = sum of d[g, p, :] over the positions p of part s of group g with index[g, p] = v, in the
// order of the positions. The positions of a group are cut into equal parts, summed in a second pass. One invocation an
// element of y; it reads every index of its part, so this is for few rows. For many: segment-chain and segment-walk.

struct Uniforms {
  count: u32, // elements of y
  positions: u32, // P, indices of a group
  parts: u32, // S, parts of a group
  partLength: u32, // positions of a part; the last may have fewer
  rows: u32, // V
  columns: u32, // C
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> d: array<f32>; // [groups, P, C]
@group(0) @binding(2) var<storage, read> index: array<u32>; // [groups, P]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [groups, S, V, C]

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
  let column = i % u.columns;
  let row = (i / u.columns) % u.rows;
  let piece = i / (u.columns * u.rows);
  let base = (piece / u.parts) * u.positions;
  let first = (piece % u.parts) * u.partLength;
  let end = min(first + u.partLength, u.positions);
  var total = 0.0;
  for (var p = base + first; p < base + end; p++) {
    if (index[p] == row) {
      total += d[p * u.columns + column];
    }
  }
  y[i] = total;
}
