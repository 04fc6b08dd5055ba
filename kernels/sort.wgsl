// Sorts every row: values, and the column that each came from. Equal elements keep their order, in both directions. An
// invocation places one element: its place is the number of elements that go before it, so the work grows with the square
// of the row. Elements are compared by bits, in one total order: -0 as 0, every NaN above all.

struct Uniforms {
  count: u32, // elements
  columns: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<u32>; // [rows, columns], f32 bits
@group(0) @binding(2) var<storage, read_write> values: array<u32>; // [rows, columns], f32 bits
@group(0) @binding(3) var<storage, read_write> indices: array<u32>; // [rows, columns]

const WORKGROUP: u32 = 64;
const DESCENDING: bool = false;

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
  let base = i - column;
  let key = keyOf(x[i]);
  var place = 0u;
  for (var j = 0u; j < u.columns; j++) {
    let other = keyOf(x[base + j]);
    let before = select(other < key, (other > key), DESCENDING);
    if (before || (other == key && j < column)) {
      place++;
    }
  }
  values[base + place] = x[i];
  indices[base + place] = column;
}
