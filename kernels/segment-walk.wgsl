// Sums rows along the chains that segment-chain made: y[g, v, :] = sum of d[g, p, :] over the positions p with index[g, p] = v, in
// their order. One invocation an element of y.

struct Uniforms {
  count: u32, // elements of y
  links: u32, // groups * P: where the first links begin
  columns: u32, // C
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> d: array<f32>; // [groups, P, C]
@group(0) @binding(2) var<storage, read> links: array<u32>; // [groups * P + groups * V]: the next ones, then the first ones
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [groups, V, C]

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
  var total = 0.0;
  for (var link = links[u.links + i / u.columns]; link != 0u; link = links[link - 1u]) {
    total += d[(link - 1u) * u.columns + column];
  }
  y[i] = total;
}
