// The backward of rim-lstm.wgsl, one workgroup a module of a batch row: the gates are computed again from what it saved. An
// inactive module passes on what reaches its state, and nothing else; the choice itself has no gradient.
// With KEPT what reaches the source reaches base; without, the candidate, and is dropped for an inactive module.
// Slopes are products of what is near 0, never 1 minus what is near 1: saturated gates keep their digits.

struct Uniforms {
  rows: u32, // B
  modules: u32, // N
  hidden: u32, // H
  keySize: u32, // E
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> saved: array<f32>; // by unit, log-odds, mask, query, key [B,N*(5*H+2+E)+E]
@group(0) @binding(2) var<storage, read> dU: array<f32>; // gates of the input less those of the null row [B,N,4*H]
@group(0) @binding(3) var<storage, read> dsource: array<f32>; // [B,N,H]
@group(0) @binding(4) var<storage, read> drest: array<f32>; // of base, c', mask (not read), p [B,N,2*H+2]
@group(0) @binding(5) var<storage, read_write> dz: array<f32>; // of the gates i, f, g, o, then the query [B,N,4*H+E]
@group(0) @binding(6) var<storage, read_write> dh: array<f32>; // what passes an inactive module by [B,N,H]
@group(0) @binding(7) var<storage, read_write> dc: array<f32>; // [B,N,H]
@group(0) @binding(8) var<storage, read_write> dodds: array<f32>; // of the log-odds [B,N]

const LANES: u32 = 128;
const KEPT: bool = true;

var<workgroup> sums: array<f32, LANES>;

fn tanhOf(v: f32) -> f32 {
  let a = abs(v);
  if (a < 0.1) {
    let s = v * v;
    return v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
  }
  let e = exp(-2.0 * a);
  return sign(v) * (1.0 - e) / (1.0 + e);
}

fn tanhSlopeOf(v: f32) -> f32 {
  let e = exp(-2.0 * abs(v));
  return 4.0 * e / ((1.0 + e) * (1.0 + e));
}

fn sigmoidOf(v: f32) -> f32 {
  let e = exp(-abs(v));
  return select(e, 1.0, v >= 0.0) / (1.0 + e);
}

fn sigmoidSlopeOf(v: f32) -> f32 {
  let e = exp(-abs(v));
  return e / ((1.0 + e) * (1.0 + e));
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x; // of a module of a batch row
  if (index >= u.rows * u.modules) {
    return;
  }
  let m = index % u.modules;
  let gatesSaved = 5u * u.modules * u.hidden;
  let keySaved = gatesSaved + u.modules * (2u + u.keySize);
  let savedRow = (index / u.modules) * (keySaved + u.keySize);
  let odds = saved[savedRow + gatesSaved + m];
  let isActive = saved[savedRow + gatesSaved + u.modules + m] != 0.0;
  let firstDz = index * (4u * u.hidden + u.keySize);
  let firstRest = index * (2u * u.hidden + 2u);

  var part = 0.0; // of the product of dU and its gradient
  for (var unit = lane; unit < u.hidden; unit += LANES) {
    let i = index * u.hidden + unit;
    var d = drest[firstRest + unit];
    if (KEPT || isActive) {
      d += dsource[i];
    }
    var dcell = drest[firstRest + u.hidden + unit];
    var dadmit = 0.0;
    var dkeep = 0.0;
    var dfresh = 0.0;
    var dshow = 0.0;
    if (isActive) {
      let gate = savedRow + 5u * m * u.hidden + unit;
      let admit = saved[gate];
      let keep = saved[gate + u.hidden];
      let fresh = saved[gate + 2u * u.hidden];
      let show = saved[gate + 3u * u.hidden];
      let cell = saved[gate + 4u * u.hidden];
      let next = sigmoidOf(keep) * cell + sigmoidOf(admit) * tanhOf(fresh);
      let dnext = dcell + d * sigmoidOf(show) * tanhSlopeOf(next);
      dadmit = dnext * tanhOf(fresh) * sigmoidSlopeOf(admit);
      dkeep = dnext * cell * sigmoidSlopeOf(keep);
      dfresh = dnext * sigmoidOf(admit) * tanhSlopeOf(fresh);
      dshow = d * tanhOf(next) * sigmoidSlopeOf(show);
      dcell = dnext * sigmoidOf(keep);
      d = 0.0;
      let change = 4u * index * u.hidden + unit;
      part += dadmit * dU[change] + dkeep * dU[change + u.hidden];
      part += dfresh * dU[change + 2u * u.hidden] + dshow * dU[change + 3u * u.hidden];
    }
    dz[firstDz + unit] = dadmit;
    dz[firstDz + u.hidden + unit] = dkeep;
    dz[firstDz + 2u * u.hidden + unit] = dfresh;
    dz[firstDz + 3u * u.hidden + unit] = dshow;
    dh[i] = d;
    dc[i] = dcell;
  }

  sums[lane] = part;
  workgroupBarrier();
  for (var width = LANES / 2u; width > 0u; width = width / 2u) {
    if (lane < width) {
      sums[lane] = sums[lane] + sums[lane + width];
    }
    workgroupBarrier();
  }
  let own = (sums[0] + drest[firstRest + 2u * u.hidden + 1u]) * sigmoidSlopeOf(odds);
  if (lane == 0u) {
    dodds[index] = own;
  }
  for (var e = lane; e < u.keySize; e += LANES) {
    dz[firstDz + 4u * u.hidden + e] = own * saved[savedRow + keySaved + e];
  }
}
