// Reduces strided runs of elements to one number each: sum, sum of squares, maximum or minimum, by OP. Result r reads
// count elements, found through the kept dimensions (which r walks) and the reduced ones (which the run walks).
// With COOPERATE a workgroup shares one run: its lanes take every WORKGROUP-th element and meet in a tree. Without it
// every lane has a run of its own. A run may be cut into parts for a second pass: part p of result r is y[p * results + r].
// The order of a sum depends on the shape only. An extreme is NaN where an element is.

struct Uniforms {
  results: u32,
  count: u32, // elements of a run
  parts: u32, // pieces that each run is cut into
  keptRank: u32, // 1 to 4
  reducedRank: u32, // 1 to 4
  kept: array<vec4<u32>, 4>, // x size, y stride, outermost first
  reduced: array<vec4<u32>, 4>, // x size, y stride, outermost first
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [any]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [parts, results]

const WORKGROUP: u32 = 64;
const OP: u32 = 0;
const COOPERATE: bool = false;

var<workgroup> lanes: array<f32, WORKGROUP>;

// Tested by bits: a compiler may take it that no number is a NaN.
fn isNaN(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

fn joined(a: f32, b: f32) -> f32 {
  if (OP == 0u || OP == 1u) {
    return a + b;
  }
  let extreme = select(min(a, b), max(a, b), OP == 2u);
  return select(select(extreme, b, isNaN(b)), a, isNaN(a));
}

fn offsetOfResult(r: u32) -> u32 {
  var rest = r;
  var offset = 0u;
  for (var k = u.keptRank; k > 0u; k--) {
    let dim = u.kept[k - 1u];
    offset += (rest % dim.x) * dim.y;
    rest = rest / dim.x;
  }
  return offset;
}

fn offsetInRun(i: u32) -> u32 {
  var rest = i;
  var offset = 0u;
  for (var k = u.reducedRank; k > 0u; k--) {
    let dim = u.reduced[k - 1u];
    offset += (rest % dim.x) * dim.y;
    rest = rest / dim.x;
  }
  return offset;
}

// The elements begin, begin + step, ... below end of a run. An extreme starts from an element of the run, which may count
// twice; a sum from 0.
fn walk(base: u32, begin: u32, end: u32, step: u32) -> f32 {
  var total = 0.0;
  if (OP > 1u) {
    total = x[base + offsetInRun(min(begin, u.count - 1u))];
  }
  for (var i = begin; i < end; i += step) {
    let value = x[base + offsetInRun(i)];
    total = joined(total, select(value, value * value, OP == 1u));
  }
  return total;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let piece = (u.count + u.parts - 1u) / u.parts;
  let index = group.y * groups.x + group.x;
  if (COOPERATE) {
    let own = min(index, u.results * u.parts - 1u);
    let base = offsetOfResult(own % u.results);
    let first = (own / u.results) * piece;
    lanes[local] = walk(base, first + local, min(first + piece, u.count), WORKGROUP);
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
      if (local < half) {
        lanes[local] = joined(lanes[local], lanes[local + half]);
      }
      workgroupBarrier();
    }
    if (local == 0u && index < u.results * u.parts) {
      y[index] = lanes[0];
    }
  } else {
    let own = index * WORKGROUP + local;
    if (own < u.results * u.parts) {
      let base = offsetOfResult(own % u.results);
      let first = (own / u.results) * piece;
      y[own] = walk(base, first, min(first + piece, u.count), 1u);
    }
  }
}
