// y = 1 for the u.topK largest scores of every row, else 0; of equal scores the lowest column wins. An invocation ranks one
// element: it counts the elements that go before it. Scores are compared by bits, in one total order: -0 as 0, every NaN
// above all.

struct Uniforms {
  count: u32, // elements
  columns: u32,
  topK: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<u32>; // [rows, columns], f32 bits
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [rows, columns]

const WORKGROUP: u32 = 64;

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
  var rank = 0u;
  for (var j = 0u; j < u.columns && rank < u.topK; j++) {
    let other = keyOf(x[base + j]);
    if (other > key || (other == key && j < column)) {
      rank++;
    }
  }
  y[i] = select(0.0, 1.0, rank < u.topK);
}
