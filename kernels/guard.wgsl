// The guard of a program's updates: counts the runs of the weights that it guards, and raises its flag at the first one whose
// gradients must not be used: where a part of their norm is NaN or infinite, a learning rate is, or the largest rate times the
// norm (after clipping, and at least 1) is so large that a weight may pass what f32 holds. A flag that is up stays up. What
// it finds is left in verdict, which begins as the control of a step that is neither clipped nor corrected
// (update-control.wgsl). Programs with several guards call it for each norm first, then for each state with SETTLE.
// One workgroup, before all updates. The lanes meet in a tree: the order of the sum depends on the count only.

struct Uniforms {
  count: u32, // parts of the norm
  rates: u32,
  most: f32, // what the norm is clipped to
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> norm: array<f32>; // norm [count]: itself, or sums of squares
@group(0) @binding(2) var<storage, read> rates: array<f32>; // [rates]
@group(0) @binding(3) var<storage, read_write> state: array<u32>; // [4]: the run at which it was raised, or 0; runs
@group(0) @binding(4) var<storage, read_write> verdict: array<f32>; // [4]: 1; 1 where bad; 1 where up; 1 where either

const WORKGROUP: u32 = 64;
const SQUARES: bool = false;
const FIRST: bool = true;
const SETTLE: bool = true;
// Updates larger than this are refused: moments may be ten or more times as large as a gradient.
const LARGEST: f32 = 1e36;

var<workgroup> totals: array<f32, WORKGROUP>;
var<workgroup> faults: array<u32, WORKGROUP>;

// Tested by bits: a compiler may take it that no number is a NaN.
fn notFinite(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7f800000u) == 0x7f800000u;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) local: u32) {
  var total = 0.0;
  var fault = 0u;
  for (var i = local; i < u.count; i += WORKGROUP) {
    let part = norm[i];
    total += part;
    fault = select(fault, 1u, notFinite(part));
  }
  totals[local] = total;
  faults[local] = fault;
  workgroupBarrier();
  for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
    if (local < half) {
      totals[local] = totals[local] + totals[local + half];
      faults[local] = faults[local] | faults[local + half];
    }
    workgroupBarrier();
  }
  if (local == 0u) {
    var largest = 0.0;
    var bad = faults[0] != 0u || notFinite(totals[0]);
    for (var i = 0u; i < u.rates; i++) {
      let rate = abs(rates[i]);
      bad = bad || notFinite(rate);
      largest = max(largest, rate);
    }
    var length = totals[0];
    if (SQUARES) {
      length = sqrt(length);
    }
    let longest = largest * max(min(length, u.most), 1.0);
    bad = bad || notFinite(longest) || longest > LARGEST;
    var up = state[0] != 0u;
    if (!FIRST) {
      bad = bad || verdict[1] != 0.0;
      up = up || verdict[2] != 0.0;
    }
    if (SETTLE) {
      let run = state[1] + 1u;
      state[1] = run;
      if (bad && !up) {
        state[0] = run;
      }
    }
    verdict[0] = 1.0;
    verdict[1] = select(0.0, 1.0, bad);
    verdict[2] = select(0.0, 1.0, up);
    verdict[3] = select(0.0, 1.0, bad || up);
  }
}
