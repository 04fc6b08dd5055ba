// The root of the sum of all pieces that norm-parts.wgsl left: y[0] = sqrt(sum of x). One workgroup, whose lanes take every
// WORKGROUP-th piece and meet in a tree: the order depends on the count only.

struct Uniforms {
  count: u32, // pieces
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [count]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [1]

const WORKGROUP: u32 = 64;

var<workgroup> lanes: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) local: u32) {
  var total = 0.0;
  for (var i = local; i < u.count; i += WORKGROUP) {
    total += x[i];
  }
  lanes[local] = total;
  workgroupBarrier();
  for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
    if (local < half) {
      lanes[local] = lanes[local] + lanes[local + half];
    }
    workgroupBarrier();
  }
  if (local == 0u) {
    y[0] = sqrt(lanes[0]);
  }
}
