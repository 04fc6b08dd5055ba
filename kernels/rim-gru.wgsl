// Choice and dynamics of one RIM step with GRU modules, a workgroup a batch row: log-odds and ranking of all its
// modules, the u.topK best of which are active, then their gates. p is the input's share: the gates of the input are
// those of the null row and p times dU, those of the state are in the memory row. All rows are whole vec4s.
// Rows hold, in order: memory gates r, z, n of the state, query, what others read; uk dU r, z, n, key, with DROPPED two
// factors, with OWN the gates of the null row; saved candidate, r, z, n, recurrent n, h, query, (log-odds, mask, p, 0).
// An inactive module keeps h bit for bit; with CACHED its memory too, where the memory row is that of the step before.
// With CANDIDATES the candidates of inactive modules are computed as well (others read them); with ZERO these read no
// input. What one state owns lies beside the next one in one buffer: both are bound read_write, h and before only read,
// without CACHED after too.

struct Uniforms {
  rows: u32, // B
  modules: u32, // N
  quads: u32, // H/4
  keyQuads: u32, // E/4
  input: u32, // vec4s of a row of uk
  memory: u32, // of a memory row
  saved: u32, // of a row of saved
  topK: u32, // K
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> h: array<vec4<f32>>; // [B,N,H]
@group(0) @binding(2) var<storage, read_write> before: array<vec4<f32>>; // memory [B,N,3*H+E+...]
@group(0) @binding(3) var<storage, read> uk: array<vec4<f32>>; // of the input [B,N,3*H+E(+4 or 3*H)]
@group(0) @binding(4) var<storage, read> side: array<vec4<f32>>; // null gates, bias of n, key [N*3*H+N*H+E]
@group(0) @binding(5) var<storage, read_write> next: array<vec4<f32>>; // h' of inactive modules [B,N,H]
@group(0) @binding(6) var<storage, read_write> after: array<vec4<f32>>; // of inactive ones [B,N,3*H+E+...]
@group(0) @binding(7) var<storage, read_write> saved: array<vec4<f32>>; // for the backward [B,N,6*H+E+4]
@group(0) @binding(8) var<storage, read_write> mask: array<f32>; // 1 active [N,B]

const LANES: u32 = 64;
const PARTS: u32 = 8; // lanes that share a score
const MODULES: u32 = 64; // most modules
const PARTIALS: u32 = MODULES * PARTS;
const CACHED: bool = false;
const CANDIDATES: bool = false;
const ZERO: bool = false;
const RAW: bool = false; // ranks by the score itself, to which the key's bias belongs
const DROPPED: bool = false; // the attention of input and null row is multiplied by factors
const OWN: bool = false; // gates of the null row of its own for every row, in uk behind the key

var<workgroup> partials: array<vec2<f32>, PARTIALS>;
var<workgroup> odds: array<f32, MODULES>;
var<workgroup> ranking: array<u32, MODULES>;
var<workgroup> chosen: array<u32, MODULES>;

fn tanhOf(v: vec4<f32>) -> vec4<f32> {
  let a = abs(v);
  let s = v * v;
  let e = exp(-2.0 * a);
  let far = sign(v) * (1.0 - e) / (1.0 + e);
  let near = v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
  return select(far, near, a < vec4<f32>(0.1));
}

fn sigmoidOf(v: vec4<f32>) -> vec4<f32> {
  let e = exp(-abs(v));
  return select(e, vec4<f32>(1.0), v >= vec4<f32>(0.0)) / (1.0 + e);
}

// A number that orders as the score does: -0 as 0, every NaN above all.
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

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= u.rows) {
    return;
  }
  let first = row * u.modules;
  let gates = 3u * u.quads;
  let ofBias = u.modules * gates; // in side
  let ofKey = ofBias + u.modules * u.quads;

  for (var i = lane; i < u.modules * PARTS; i += LANES) {
    let each = first + i / PARTS;
    var part = vec2<f32>(0.0, 0.0);
    for (var e = i % PARTS; e < u.keyQuads; e += PARTS) {
      let place = each * u.memory + gates + e;
      var query = vec4<f32>(0.0);
      if (CACHED) {
        query = before[place];
      } else {
        query = after[place];
      }
      part.x += dot(query, uk[each * u.input + gates + e]);
      if (RAW) {
        part.y += dot(query, side[ofKey + e]);
      }
    }
    partials[i] = part;
  }
  workgroupBarrier();
  for (var m = lane; m < u.modules; m += LANES) {
    var score = vec2<f32>(0.0, 0.0);
    for (var i = 0u; i < PARTS; i++) {
      score += partials[m * PARTS + i];
    }
    odds[m] = score.x;
    ranking[m] = keyOf(bitcast<u32>(score.x + score.y));
  }
  workgroupBarrier();
  for (var m = lane; m < u.modules; m += LANES) {
    let own = ranking[m];
    var better = 0u;
    for (var j = 0u; j < u.modules; j++) {
      let other = ranking[j];
      if (other > own || (other == own && j < m)) {
        better++;
      }
    }
    let isChosen = better < u.topK;
    chosen[m] = select(0u, 1u, isChosen);
    mask[m * u.rows + row] = select(0.0, 1.0, isChosen);
    let share = 1.0 / (1.0 + exp(-abs(odds[m])));
    let p = select(exp(-abs(odds[m])) * share, share, odds[m] >= 0.0);
    saved[(first + m + 1u) * u.saved - 1u] = vec4<f32>(odds[m], select(0.0, 1.0, isChosen), p, 0.0);
  }
  workgroupBarrier();

  for (var i = lane; i < u.modules * u.quads; i += LANES) {
    let m = i / u.quads;
    let unit = i - m * u.quads;
    let each = first + m;
    let isActive = chosen[m] == 1u;
    let old = h[first * u.quads + i];
    if (!isActive) {
      next[first * u.quads + i] = old;
    }
    if (isActive || CANDIDATES) {
      let share = 1.0 / (1.0 + exp(-abs(odds[m])));
      var p = select(exp(-abs(odds[m])) * share, share, odds[m] >= 0.0);
      var rest = 1.0;
      if (DROPPED) {
        let factors = uk[(each + 1u) * u.input - 1u];
        rest = factors.x * p + factors.y * (1.0 - p);
        p = factors.x * p;
      }
      if (ZERO && !isActive) {
        p = 0.0;
        rest = 0.0;
      }
      let gate = each * u.memory + unit;
      let change = each * u.input + unit;
      let nullGate = m * gates + unit;
      var nulls: array<vec4<f32>, 3>;
      for (var g = 0u; g < 3u; g++) {
        if (OWN) {
          nulls[g] = rest * uk[change + gates + u.keyQuads + g * u.quads];
        } else {
          nulls[g] = rest * side[nullGate + g * u.quads];
        }
      }
      var reset = vec4<f32>(0.0);
      var renew = vec4<f32>(0.0);
      var recurrent = vec4<f32>(0.0);
      if (CACHED) {
        reset = before[gate];
        renew = before[gate + u.quads];
        recurrent = before[gate + 2u * u.quads];
      } else {
        reset = after[gate];
        renew = after[gate + u.quads];
        recurrent = after[gate + 2u * u.quads];
      }
      reset += nulls[0] + p * uk[change];
      renew += nulls[1] + p * uk[change + u.quads];
      let ofInput = nulls[2] + p * uk[change + 2u * u.quads] + side[ofBias + m * u.quads + unit];
      let fresh = ofInput + sigmoidOf(reset) * recurrent;
      let place = each * u.saved + unit;
      saved[place] = sigmoidOf(-renew) * tanhOf(fresh) + sigmoidOf(renew) * old;
      saved[place + u.quads] = reset;
      saved[place + 2u * u.quads] = renew;
      saved[place + 3u * u.quads] = fresh;
      saved[place + 4u * u.quads] = recurrent;
      saved[place + 5u * u.quads] = old;
    }
  }

  for (var m = 0u; m < u.modules; m++) {
    let each = first + m;
    if (chosen[m] == 1u) {
      for (var e = lane; e < u.keyQuads; e += LANES) {
        let place = each * u.memory + gates + e;
        if (CACHED) {
          saved[each * u.saved + 6u * u.quads + e] = before[place];
        } else {
          saved[each * u.saved + 6u * u.quads + e] = after[place];
        }
      }
    } else if (CACHED) {
      for (var e = lane; e < u.memory; e += LANES) {
        after[each * u.memory + e] = before[each * u.memory + e];
      }
    }
  }
}
