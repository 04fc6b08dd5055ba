// Looks through a tensor for numbers that are not finite: how many there are, where the first is (u.count where there is none),
// and the largest magnitude of the others, into one row of a report. Exactly u.count elements are read: what lies behind them
// is padding, or another's. One workgroup, whose lanes take every WORKGROUP-th element and meet in a tree.

struct Uniforms {
  count: u32,
  row: u32, // of the report
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [count]
@group(0) @binding(2) var<storage, read_write> report: array<vec4<u32>>; // [rows]: how many, the first, its bits, bits of the largest

const WORKGROUP: u32 = 256;

var<workgroup> counts: array<u32, WORKGROUP>;
var<workgroup> firsts: array<u32, WORKGROUP>;
var<workgroup> largest: array<u32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) local: u32) {
  var count = 0u;
  var first = u.count;
  var most = 0u;
  for (var i = local; i < u.count; i += WORKGROUP) {
    // Magnitudes are ordered as their bits are; those of infinity are 0x7f800000, those of a NaN are above.
    let magnitude = bitcast<u32>(x[i]) & 0x7fffffffu;
    let odd = magnitude >= 0x7f800000u;
    first = select(first, i, odd && count == 0u);
    count += select(0u, 1u, odd);
    most = select(max(most, magnitude), most, odd);
  }
  counts[local] = count;
  firsts[local] = first;
  largest[local] = most;
  workgroupBarrier();
  for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
    if (local < half) {
      counts[local] = counts[local] + counts[local + half];
      firsts[local] = min(firsts[local], firsts[local + half]);
      largest[local] = max(largest[local], largest[local + half]);
    }
    workgroupBarrier();
  }
  if (local == 0u) {
    let place = min(firsts[0], u.count - 1u);
    report[u.row] = vec4<u32>(counts[0], firsts[0], bitcast<u32>(x[place]), largest[0]);
  }
}
