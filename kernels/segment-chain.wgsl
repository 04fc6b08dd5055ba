// Chains the positions of equal index, in their order: for every position, the next one of its group with the same index;
// for every row of the table, the first. Links are 1 + position, 0 where the chain ends; links must be 0 before. Every link
// has one writer. An invocation looks back from one position to the nearest of the same index.

struct Uniforms {
  count: u32, // groups * P
  positions: u32, // P, indices of a group
  rows: u32, // V, rows of a group's table; an index past it is in no chain
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> index: array<u32>; // [groups, P]
@group(0) @binding(2) var<storage, read_write> links: array<u32>; // [groups * P + groups * V]: the next ones, then the first ones

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let p = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (p >= u.count) {
    return;
  }
  let row = index[p];
  if (row >= u.rows) {
    return;
  }
  let base = p - p % u.positions;
  // 1 + the nearest position before p with the same index, 0 where there is none.
  var before = 0u;
  for (var q = p; q > base && before == 0u; q--) {
    if (index[q - 1u] == row) {
      before = q;
    }
  }
  if (before != 0u) {
    links[before - 1u] = p + 1u;
  } else {
    links[u.count + (p / u.positions) * u.rows + row] = p + 1u;
  }
}
