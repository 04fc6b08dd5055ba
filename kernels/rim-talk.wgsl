// Communication among the modules of a RIM, read by the active ones: scores of a reader and every source m, of which
// with TOP_K only the u.topK greatest are kept (of equal ones the lowest source), softmax over sources, and the values
// so read. An invocation does one reader of one head of one batch row: the r-th active module, found in the mask, so
// that neighbours work alike; those past the last active one write the zeros of an inactive module, and with CACHED its
// keys and values of the memory, where it is read from, into qkv for the backward.
// A row of the probabilities is a reader's, over sources, and holds its scores before; with DROPPED all factors are
// copied behind the last row. Rows of the others are whole vec4s, of each head too.
// Scores are ranked by bits, in one total order; as in softmax.wgsl a NaN or +infinity makes all of its reader's row
// NaN.

struct Uniforms {
  rows: u32, // B
  heads: u32, // C
  modules: u32, // N
  keyQuads: u32, // F/4
  valueQuads: u32, // W/4
  memory: u32, // vec4s of a memory row
  cache: u32, // first vec4 of keys, then values, in a memory row
  topK: u32,
  nan: u32, // the bits of a NaN
  scale: f32, // of the scores
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> qkv: array<vec4<f32>>; // written of inactive ones [B,N,C*F+C*F+C*W]
@group(0) @binding(2) var<storage, read> memory: array<vec4<f32>>; // or unused [B,N,...+C*F+C*W+...]
@group(0) @binding(3) var<storage, read> mask: array<f32>; // 1 active [N,B]
@group(0) @binding(4) var<storage, read> factors: array<f32>; // of the probabilities by dropout, or unused [B,C,N,N]
@group(0) @binding(5) var<storage, read_write> context: array<vec4<f32>>; // of active readers [B,N,C*W]
@group(0) @binding(6) var<storage, read_write> probabilities: array<f32>; // inactive readers 0; factors [B,C,N,N]

const WORKGROUP: u32 = 64;
const CHUNK: u32 = 4; // vec4s of a key or value at a time
const CACHED: bool = false;
const TOP_K: bool = false;
const DROPPED: bool = false;

// A number that orders as the score does: -0 as 0, every NaN above all.
fn keyOf(score: f32) -> u32 {
  let bits = bitcast<u32>(score);
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return 0xffffffffu;
  }
  if (magnitude == 0u) {
    return 0x80000000u;
  }
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

fn isOn(bits: vec2<u32>, m: u32) -> bool {
  return ((select(bits.y, bits.x, m < 32u) >> (m & 31u)) & 1u) == 1u;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.rows * u.heads * u.modules) {
    return;
  }
  let rank = i % u.modules;
  let head = (i / u.modules) % u.heads;
  let row = i / (u.modules * u.heads);

  // Active modules in order, then inactive ones. Which are active is kept as bits.
  var bits = vec2<u32>(0u, 0u);
  for (var m = 0u; m < u.modules; m++) {
    if (mask[m * u.rows + row] != 0.0) {
      if (m < 32u) {
        bits.x |= 1u << m;
      } else {
        bits.y |= 1u << (m - 32u);
      }
    }
  }
  let count = countOneBits(bits.x) + countOneBits(bits.y);
  let isActive = rank < count;
  var seen = select(count, 0u, isActive);
  var reader = 0u;
  for (var m = 0u; m < u.modules; m++) {
    if (isOn(bits, m) == isActive) {
      if (seen == rank) {
        reader = m;
      }
      seen++;
    }
  }
  let own = ((row * u.heads + head) * u.modules + reader) * u.modules; // of the probabilities
  if (DROPPED) {
    let behind = u.rows * u.heads * u.modules * u.modules;
    for (var m = 0u; m < u.modules; m++) {
      probabilities[behind + own + m] = factors[own + m];
    }
  }
  let first = row * u.modules;
  let width = u.heads * (2u * u.keyQuads + u.valueQuads);
  let query = (first + reader) * width + head * u.keyQuads;
  let keys = first * width + (u.heads + head) * u.keyQuads;
  let values = first * width + 2u * u.heads * u.keyQuads + head * u.valueQuads;
  let keysBefore = first * u.memory + u.cache + head * u.keyQuads;
  let valuesBefore = first * u.memory + u.cache + u.heads * u.keyQuads + head * u.valueQuads;
  if (!isActive) {
    for (var m = 0u; m < u.modules; m++) {
      probabilities[own + m] = 0.0;
    }
    if (CACHED) {
      for (var f = 0u; f < u.keyQuads; f++) {
        qkv[keys + reader * width + f] = memory[keysBefore + reader * u.memory + f];
      }
      for (var w = 0u; w < u.valueQuads; w++) {
        qkv[values + reader * width + w] = memory[valuesBefore + reader * u.memory + w];
      }
    }
    return;
  }

  // Of every source the part of its score that the first CHUNK vec4s make, then the next ones.
  for (var f = 0u; f < u.keyQuads; f += CHUNK) {
    var q: array<vec4<f32>, CHUNK>;
    for (var j = 0u; j < CHUNK; j++) {
      q[j] = qkv[query + min(f + j, u.keyQuads - 1u)];
      if (f + j >= u.keyQuads) {
        q[j] = vec4<f32>(0.0);
      }
    }
    for (var m = 0u; m < u.modules; m++) {
      var total = vec4<f32>(0.0);
      if (CACHED && !isOn(bits, m)) {
        for (var j = 0u; j < CHUNK; j++) {
          total = fma(q[j], memory[keysBefore + m * u.memory + min(f + j, u.keyQuads - 1u)], total);
        }
      } else {
        for (var j = 0u; j < CHUNK; j++) {
          total = fma(q[j], qkv[keys + m * width + min(f + j, u.keyQuads - 1u)], total);
        }
      }
      var score = u.scale * ((total.x + total.y) + (total.z + total.w));
      if (f > 0u) {
        score += probabilities[own + m];
      }
      probabilities[own + m] = score;
    }
  }
  var greatest = 0u;
  for (var m = 0u; m < u.modules; m++) {
    greatest = max(greatest, keyOf(probabilities[own + m]));
  }

  var least = 0u; // the key and the source of the last one kept
  var last = u.modules;
  if (TOP_K) {
    for (var m = 0u; m < u.modules; m++) {
      let key = keyOf(probabilities[own + m]);
      var better = 0u;
      for (var j = 0u; j < u.modules; j++) {
        let other = keyOf(probabilities[own + j]);
        if (other > key || (other == key && j < m)) {
          better++;
        }
      }
      if (better == u.topK - 1u) {
        least = key;
        last = m;
      }
    }
  }
  let broken = greatest >= 0xff800000u || greatest <= 0x007fffffu;
  let peak = bitcast<f32>(select(~greatest, greatest & 0x7fffffffu, greatest >= 0x80000000u));
  var sum = 0.0;
  for (var m = 0u; m < u.modules; m++) {
    let score = probabilities[own + m];
    var e = 0.0;
    if (!TOP_K || keyOf(score) > least || (keyOf(score) == least && m <= last)) {
      e = exp(max(score - peak, -128.0));
    }
    probabilities[own + m] = e;
    sum += e;
  }
  let result = ((first + reader) * u.heads + head) * u.valueQuads;
  for (var w = 0u; w < u.valueQuads; w += CHUNK) {
    var total: array<vec4<f32>, CHUNK>;
    for (var j = 0u; j < CHUNK; j++) {
      total[j] = vec4<f32>(0.0);
    }
    for (var m = 0u; m < u.modules; m++) {
      var p = probabilities[own + m];
      if (w == 0u) {
        p = p / sum;
        if (broken) {
          p = bitcast<f32>(u.nan);
        }
        probabilities[own + m] = p;
      }
      if (DROPPED) {
        p = p * factors[own + m];
      }
      if (CACHED && !isOn(bits, m)) {
        for (var j = 0u; j < CHUNK; j++) {
          let value = memory[valuesBefore + m * u.memory + min(w + j, u.valueQuads - 1u)];
          total[j] = fma(vec4<f32>(p), value, total[j]);
        }
      } else {
        for (var j = 0u; j < CHUNK; j++) {
          let value = qkv[values + m * width + min(w + j, u.valueQuads - 1u)];
          total[j] = fma(vec4<f32>(p), value, total[j]);
        }
      }
    }
    for (var j = 0u; j < CHUNK; j++) {
      if (w + j < u.valueQuads) {
        context[result + w + j] = total[j];
      }
    }
  }
}
