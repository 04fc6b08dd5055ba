// The terms of a product that a mask leaves in it: for every list, how many elements of its part of the mask are not 0, and
// which, in ascending order. The products with TERMS (matmul.wgsl) walk these lists.
// A workgroup makes one list: every invocation counts a run of its own, a prefix sum over the counts says where it writes.

struct Uniforms {
  lists: u32,
  k: u32, // elements of the mask for a list
  listRank: u32, // 0 to 3
  termRank: u32, // 0 to 3
  list: array<vec4<u32>, 3>, // x size and y stride in the mask, outermost first
  term: array<vec4<u32>, 3>, // the same of the walks that k is made of
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> mask: array<f32>; // [lists, k] through strides
@group(0) @binding(2) var<storage, read_write> terms: array<u32>; // [lists, 1 + k] the number of terms, then which

const WORKGROUP: u32 = 64;

var<workgroup> counts: array<u32, WORKGROUP>;

fn present(start: u32, k: u32) -> bool {
  var rest = k;
  var at = start;
  for (var d = u.termRank; d > 0u; d--) {
    let dim = u.term[d - 1u];
    at += (rest % dim.x) * dim.y;
    rest = rest / dim.x;
  }
  return mask[at] != 0.0;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let run = (u.k + WORKGROUP - 1u) / WORKGROUP;
  let first = min(local * run, u.k);
  let last = min(first + run, u.k);
  for (var list = group.x; list < u.lists; list += groups.x) {
    var rest = list;
    var start = 0u;
    for (var d = u.listRank; d > 0u; d--) {
      let dim = u.list[d - 1u];
      start += (rest % dim.x) * dim.y;
      rest = rest / dim.x;
    }
    var own = 0u;
    for (var k = first; k < last; k++) {
      own += u32(present(start, k));
    }
    counts[local] = own;
    workgroupBarrier();
    var before = 0u;
    for (var i = 0u; i < local; i++) {
      before += counts[i];
    }
    workgroupBarrier();
    var to = list * (u.k + 1u);
    if (local == WORKGROUP - 1u) {
      terms[to] = before + own;
    }
    to += 1u + before;
    for (var k = first; k < last; k++) {
      if (present(start, k)) {
        terms[to] = k;
        to++;
      }
    }
  }
}
