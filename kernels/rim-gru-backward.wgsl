// The backward of rim-gru.wgsl, one workgroup a module of a batch row: the gates are computed again from what it saved. An
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
@group(0) @binding(2) var<storage, read> dU: array<f32>; // gates of the input less those of the null row [B,N,3*H]
@group(0) @binding(3) var<storage, read> dsource: array<f32>; // [B,N,H]
@group(0) @binding(4) var<storage, read> drest: array<f32>; // of base, mask (not read), p [B,N,H+2]
@group(0) @binding(5) var<storage, read_write> dz: array<f32>; // of the state's gates r, z, n, then the query [B,N,3*H+E]
@group(0) @binding(6) var<storage, read_write> dh: array<f32>; // past the products with the state [B,N,H]
@group(0) @binding(7) var<storage, read_write> da: array<f32>; // of the input's gates r, z, n [B,N,3*H]
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
  let firstDz = index * (3u * u.hidden + u.keySize);
  let firstRest = index * (u.hidden + 2u);

  var part = 0.0; // of the product of dU and its gradient
  for (var unit = lane; unit < u.hidden; unit += LANES) {
    let i = index * u.hidden + unit;
    var d = drest[firstRest + unit];
    if (KEPT || isActive) {
      d += dsource[i];
    }
    let change = 3u * index * u.hidden + unit;
    var dreset = 0.0;
    var drenew = 0.0;
    var dfresh = 0.0;
    var drecurrent = 0.0;
    if (isActive) {
      let gate = savedRow + 5u * m * u.hidden + unit;
      let reset = saved[gate];
      let renew = saved[gate + u.hidden];
      let fresh = saved[gate + 2u * u.hidden];
      let recurrent = saved[gate + 3u * u.hidden];
      let before = saved[gate + 4u * u.hidden];
      dfresh = d * sigmoidOf(-renew) * tanhSlopeOf(fresh);
      drenew = d * (before - tanhOf(fresh)) * sigmoidSlopeOf(renew);
      dreset = dfresh * recurrent * sigmoidSlopeOf(reset);
      drecurrent = dfresh * sigmoidOf(reset);
      d = d * sigmoidOf(renew);
      part += dreset * dU[change] + drenew * dU[change + u.hidden] + dfresh * dU[change + 2u * u.hidden];
    }
    dz[firstDz + unit] = dreset;
    dz[firstDz + u.hidden + unit] = drenew;
    dz[firstDz + 2u * u.hidden + unit] = drecurrent;
    da[change] = dreset;
    da[change + u.hidden] = drenew;
    da[change + 2u * u.hidden] = dfresh;
    dh[i] = d;
  }

  sums[lane] = part;
  workgroupBarrier();
  for (var width = LANES / 2u; width > 0u; width = width / 2u) {
    if (lane < width) {
      sums[lane] = sums[lane] + sums[lane + width];
    }
    workgroupBarrier();
  }
  let own = (sums[0] + drest[firstRest + u.hidden + 1u]) * sigmoidSlopeOf(odds);
  if (lane == 0u) {
    dodds[index] = own;
  }
  for (var e = lane; e < u.keySize; e += LANES) {
    dz[firstDz + 3u * u.hidden + e] = own * saved[savedRow + keySaved + e];
  }
}
