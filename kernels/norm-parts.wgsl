// Sums of squares of pieces of many tensors: y[first + piece] = sum of x^2 over one piece of WORKGROUP * ELEMENTS elements.
// The pieces of a call are those of its first tensor, then of its second, and so on; each workgroup has one. Its lanes
// take every WORKGROUP-th element and meet in a tree, so that the order of a sum depends on the tensors' sizes only.
// norm-total.wgsl adds the pieces up.

struct Uniforms {
  tensors: u32, // at most 64
  pieces: u32, // of this call
  first: u32, // where the sums of this call begin in y
  rows: array<vec4<u32>, 64>, // one a tensor: its first piece, elements, first element in its buffer, number of the buffer
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x0: array<f32>; // [any]
@group(0) @binding(2) var<storage, read> x1: array<f32>; // [any]
@group(0) @binding(3) var<storage, read> x2: array<f32>; // [any]
@group(0) @binding(4) var<storage, read> x3: array<f32>; // [any]
@group(0) @binding(5) var<storage, read> x4: array<f32>; // [any]
@group(0) @binding(6) var<storage, read> x5: array<f32>; // [any]
@group(0) @binding(7) var<storage, read_write> y: array<f32>; // [pieces of all calls]

const WORKGROUP: u32 = 64;
const ELEMENTS: u32 = 16;

var<workgroup> lanes: array<f32, WORKGROUP>;

fn load(buffer: u32, i: u32) -> f32 {
  if (buffer == 0u) {
    return x0[i];
  }
  if (buffer == 1u) {
    return x1[i];
  }
  if (buffer == 2u) {
    return x2[i];
  }
  if (buffer == 3u) {
    return x3[i];
  }
  if (buffer == 4u) {
    return x4[i];
  }
  return x5[i];
}

// The last row that begins at or before a piece.
fn rowOf(piece: u32) -> u32 {
  var row = 0u;
  for (var half = 32u; half > 0u; half = half / 2u) {
    let next = row + half;
    if (next < u.tensors) {
      row = select(row, next, piece >= u.rows[next].x);
    }
  }
  return row;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = group.y * groups.x + group.x;
  let piece = min(index, u.pieces - 1u);
  let row = u.rows[rowOf(piece)];
  let begin = (piece - row.x) * WORKGROUP * ELEMENTS + local;
  var total = 0.0;
  for (var k = 0u; k < ELEMENTS; k++) {
    let i = begin + k * WORKGROUP;
    if (i < row.y) {
      let value = load(row.w, row.z + i);
      total = fma(value, value, total);
    }
  }
  lanes[local] = total;
  workgroupBarrier();
  for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
    if (local < half) {
      lanes[local] = lanes[local] + lanes[local + half];
    }
    workgroupBarrier();
  }
  if (local == 0u && index < u.pieces) {
    y[u.first + index] = lanes[0];
  }
}
