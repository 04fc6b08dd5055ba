// Communication among the modules of a RIM, one head of one batch row at a time: scores of every reader n and source m, of
// which with TOP_K only the u.topK greatest of a reader are kept (of equal ones the lowest source), softmax over sources,
// and the values that each reader so reads. A workgroup does u.perGroup heads, their scores in workgroup memory.
// Scores are ranked by bits, in one total order; as in softmax.wgsl a NaN or +infinity makes all of its reader's row NaN.

struct Uniforms {
  heads: u32, // C
  modules: u32, // N
  keySize: u32, // F
  valueSize: u32, // W
  count: u32, // B*C
  perGroup: u32, // of these, in a workgroup: perGroup * N * N is at most SCORES
  topK: u32,
  nan: u32, // the bits of a NaN
  scale: f32, // of the scores
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> qkv: array<f32>; // [B,N,C*F + C*F + C*W]
@group(0) @binding(2) var<storage, read_write> context: array<f32>; // [B,N,C*W]
@group(0) @binding(3) var<storage, read_write> probabilities: array<f32>; // [B,C,N,N], reader then source

const LANES: u32 = 64;
const SCORES: u32 = 4096;
const TOP_K: bool = false;

var<workgroup> scores: array<f32, SCORES>; // then the probabilities

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

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = min((group.y * groups.x + group.x) * u.perGroup, u.count);
  let here = min(u.perGroup, u.count - first);
  let square = u.modules * u.modules;
  let width = u.heads * (2u * u.keySize + u.valueSize);

  for (var i = lane; i < here * square; i += LANES) {
    let pair = first + i / square;
    let row = (pair / u.heads) * u.modules;
    let query = (row + (i % square) / u.modules) * width + (pair % u.heads) * u.keySize;
    let key = (row + i % u.modules) * width + (u.heads + pair % u.heads) * u.keySize;
    var total = 0.0;
    for (var f = 0u; f < u.keySize; f++) {
      total = fma(qkv[query + f], qkv[key + f], total);
    }
    scores[i] = u.scale * total;
  }
  workgroupBarrier();

  for (var reader = lane; reader < here * u.modules; reader += LANES) {
    let base = reader * u.modules;
    var greatest = 0u;
    var least = 0u; // the key and the source of the last one kept
    var last = u.modules;
    for (var m = 0u; m < u.modules; m++) {
      let own = keyOf(scores[base + m]);
      greatest = max(greatest, own);
      if (TOP_K) {
        var rank = 0u;
        for (var j = 0u; j < u.modules; j++) {
          let other = keyOf(scores[base + j]);
          if (other > own || (other == own && j < m)) {
            rank++;
          }
        }
        if (rank == u.topK - 1u) {
          least = own;
          last = m;
        }
      }
    }
    let broken = greatest >= 0xff800000u || greatest <= 0x007fffffu;
    let peak = bitcast<f32>(select(~greatest, greatest & 0x7fffffffu, greatest >= 0x80000000u));
    var total = 0.0;
    for (var m = 0u; m < u.modules; m++) {
      var e = 0.0;
      let own = keyOf(scores[base + m]);
      if (own > least || (own == least && m <= last)) {
        e = exp(max(scores[base + m] - peak, -128.0));
      }
      scores[base + m] = e;
      total += e;
    }
    for (var m = 0u; m < u.modules; m++) {
      if (broken) {
        scores[base + m] = bitcast<f32>(u.nan);
      } else {
        scores[base + m] = scores[base + m] / total;
      }
    }
  }
  workgroupBarrier();

  for (var i = lane; i < here * square; i += LANES) {
    probabilities[first * square + i] = scores[i];
  }
  for (var i = lane; i < here * u.modules * u.valueSize; i += LANES) {
    let reader = i / u.valueSize; // of all that the workgroup has
    let w = i % u.valueSize;
    let pair = first + reader / u.modules;
    let row = (pair / u.heads) * u.modules;
    let value = row * width + 2u * u.heads * u.keySize + (pair % u.heads) * u.valueSize + w;
    var total = 0.0;
    for (var m = 0u; m < u.modules; m++) {
      total = fma(scores[reader * u.modules + m], qkv[value + m * width], total);
    }
    context[((row + reader % u.modules) * u.heads + pair % u.heads) * u.valueSize + w] = total;
  }
}
