// Choice and dynamics of one RIM step with LSTM modules: log-odds and ranking of all modules of a batch row, the u.topK best
// of which are active, then their gates: those of the state and the null row, in z, plus p times dU. An inactive module
// keeps h and c bit for bit. Every workgroup of a row scores its modules again, all in the same order: same bits.
// With KEPT what others read of an inactive module is its h; without, its candidate, so that all candidates are computed.

struct Uniforms {
  rows: u32, // B
  modules: u32, // N
  hidden: u32, // H
  keySize: u32, // E
  topK: u32, // K
  groupsOfRow: u32, // workgroups of a batch row
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> z: array<f32>; // gates i, f, g, o of the state, then the query [B,N,4*H+E]
@group(0) @binding(2) var<storage, read> dU: array<f32>; // gates of the input less those of the null row [B,N,4*H]
@group(0) @binding(3) var<storage, read> keys: array<f32>; // keys of the log-odds and of the ranking [B,2,E]
@group(0) @binding(4) var<storage, read> h: array<u32>; // f32 bits [B,N,H]
@group(0) @binding(5) var<storage, read> c: array<u32>; // f32 bits [B,N,H]
@group(0) @binding(6) var<storage, read_write> source: array<u32>; // f32 bits [B,N,H]
@group(0) @binding(7) var<storage, read_write> rest: array<u32>; // f32 bits: base, c', mask, p [B,N,2*H+2]
@group(0) @binding(8) var<storage, read_write> saved: array<f32>; // by unit, log-odds, mask, query, key [B,N*(5*H+2+E)+E]

const LANES: u32 = 128;
const KEPT: bool = true;
const PARTS: u32 = 16; // lanes that share a score
const MODULES: u32 = 64; // most modules; at most LANES
const PARTIALS: u32 = MODULES * PARTS;

var<workgroup> partials: array<vec2<f32>, PARTIALS>;
var<workgroup> odds: array<f32, MODULES>;
var<workgroup> ranking: array<u32, MODULES>;
var<workgroup> chosen: array<u32, MODULES>;

fn tanhOf(v: f32) -> f32 {
  let a = abs(v);
  if (a < 0.1) {
    let s = v * v;
    return v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
  }
  let e = exp(-2.0 * a);
  return sign(v) * (1.0 - e) / (1.0 + e);
}

fn sigmoidOf(v: f32) -> f32 {
  let e = exp(-abs(v));
  return select(e, 1.0, v >= 0.0) / (1.0 + e);
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
  let index = group.y * groups.x + group.x;
  let row = index / u.groupsOfRow;
  if (row >= u.rows) {
    return;
  }
  let width = 4u * u.hidden + u.keySize;
  let firstModule = row * u.modules;
  let firstKey = 2u * row * u.keySize;

  for (var i = lane; i < u.modules * PARTS; i += LANES) {
    let query = (firstModule + i / PARTS) * width + 4u * u.hidden;
    var part = vec2<f32>(0.0, 0.0);
    for (var e = i % PARTS; e < u.keySize; e += PARTS) {
      part += z[query + e] * vec2<f32>(keys[firstKey + e], keys[firstKey + u.keySize + e]);
    }
    partials[i] = part;
  }
  workgroupBarrier();
  if (lane < u.modules) {
    var score = vec2<f32>(0.0, 0.0);
    for (var i = 0u; i < PARTS; i++) {
      score += partials[lane * PARTS + i];
    }
    odds[lane] = score.x;
    ranking[lane] = keyOf(bitcast<u32>(score.y));
  }
  workgroupBarrier();
  if (lane < u.modules) {
    let own = ranking[lane];
    var better = 0u;
    for (var m = 0u; m < u.modules; m++) {
      let other = ranking[m];
      if (other > own || (other == own && m < lane)) {
        better++;
      }
    }
    chosen[lane] = select(0u, 1u, better < u.topK);
  }
  workgroupBarrier();

  let gatesSaved = 5u * u.modules * u.hidden;
  let querySaved = gatesSaved + 2u * u.modules;
  let keySaved = querySaved + u.modules * u.keySize;
  let savedRow = row * (keySaved + u.keySize);
  let start = (index % u.groupsOfRow) * LANES + lane;

  // What the backward needs of the scores, shared out over the row's workgroups.
  for (var i = start; i < u.modules * u.keySize + u.keySize; i += u.groupsOfRow * LANES) {
    let m = i / u.keySize;
    let e = i % u.keySize;
    if (m < u.modules) {
      saved[savedRow + querySaved + i] = z[(firstModule + m) * width + 4u * u.hidden + e];
    } else {
      saved[savedRow + keySaved + e] = keys[firstKey + e];
    }
  }

  if (start >= u.modules * u.hidden) {
    return;
  }
  let m = start / u.hidden;
  let unit = start % u.hidden;
  let isActive = chosen[m] == 1u;
  let p = sigmoidOf(odds[m]);
  let i = firstModule * u.hidden + start;
  let restAt = (firstModule + m) * (2u * u.hidden + 2u) + unit;
  let savedAt = savedRow + 5u * m * u.hidden + unit;
  if (unit == 0u) {
    rest[restAt + 2u * u.hidden] = bitcast<u32>(select(0.0, 1.0, isActive));
    rest[restAt + 2u * u.hidden + 1u] = bitcast<u32>(p);
    saved[savedRow + gatesSaved + m] = odds[m];
    saved[savedRow + gatesSaved + u.modules + m] = select(0.0, 1.0, isActive);
  }

  var admit = 0.0;
  var keep = 0.0;
  var fresh = 0.0;
  var show = 0.0;
  var cell = 0.0;
  var base = h[i];
  var next = c[i];
  var shown = base;
  if (isActive || !KEPT) {
    let gate = (firstModule + m) * width + unit;
    let change = 4u * (firstModule + m) * u.hidden + unit;
    admit = z[gate] + p * dU[change];
    keep = z[gate + u.hidden] + p * dU[change + u.hidden];
    fresh = z[gate + 2u * u.hidden] + p * dU[change + 2u * u.hidden];
    show = z[gate + 3u * u.hidden] + p * dU[change + 3u * u.hidden];
    cell = bitcast<f32>(c[i]);
    let candidateCell = sigmoidOf(keep) * cell + sigmoidOf(admit) * tanhOf(fresh);
    shown = bitcast<u32>(sigmoidOf(show) * tanhOf(candidateCell));
    if (isActive) {
      base = shown;
      next = bitcast<u32>(candidateCell);
    }
  }
  source[i] = shown;
  rest[restAt] = base;
  rest[restAt + u.hidden] = next;
  saved[savedAt] = admit;
  saved[savedAt + u.hidden] = keep;
  saved[savedAt + 2u * u.hidden] = fresh;
  saved[savedAt + 3u * u.hidden] = show;
  saved[savedAt + 4u * u.hidden] = cell;
}
