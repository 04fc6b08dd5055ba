// Communication among the modules of a RIM: scores of a reader n and every source m, of which with TOP_K only the u.topK
// greatest are kept (of equal ones the lowest source), softmax over sources, and the values that the reader so reads.
// An invocation does one reader of one head of one batch row, four sources or four values at a time; its row of the
// probabilities holds its scores before. Loads beyond an edge read the last one again; only stores are guarded.
// Scores are ranked by bits, in one total order; as in softmax.wgsl a NaN or +infinity makes all of its reader's row NaN.

struct Uniforms {
  heads: u32, // C
  modules: u32, // N
  keySize: u32, // F
  valueSize: u32, // W
  count: u32, // B*C*N
  topK: u32,
  nan: u32, // the bits of a NaN
  scale: f32, // of the scores
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> qkv: array<f32>; // [B,N,C*F + C*F + C*W]
@group(0) @binding(2) var<storage, read_write> context: array<f32>; // [B,N,C*W]
@group(0) @binding(3) var<storage, read_write> probabilities: array<f32>; // [B,C,N,N], reader then source

const WORKGROUP: u32 = 64;
const TOP_K: bool = false;

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

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.count) {
    return;
  }
  let reader = i % u.modules;
  let head = (i / u.modules) % u.heads;
  let row = (i / (u.modules * u.heads)) * u.modules; // of the first module
  let width = u.heads * (2u * u.keySize + u.valueSize);
  let query = (row + reader) * width + head * u.keySize;
  let keys = row * width + (u.heads + head) * u.keySize;
  let values = row * width + 2u * u.heads * u.keySize + head * u.valueSize;
  let own = i * u.modules; // of the probabilities
  let four = vec4<u32>(0u, 1u, 2u, 3u);

  for (var m = 0u; m < u.modules; m += 4u) {
    let key = vec4<u32>(keys) + min(vec4<u32>(m) + four, vec4<u32>(u.modules - 1u)) * width;
    var total = vec4<f32>(0.0);
    for (var f = 0u; f < u.keySize; f++) {
      let k = vec4<f32>(qkv[key.x + f], qkv[key.y + f], qkv[key.z + f], qkv[key.w + f]);
      total = fma(vec4<f32>(qkv[query + f]), k, total);
    }
    for (var j = 0u; j < min(4u, u.modules - m); j++) {
      probabilities[own + m + j] = u.scale * total[j];
    }
  }

  var greatest = 0u;
  var least = 0u; // the key and the source of the last one kept
  var last = u.modules;
  for (var m = 0u; m < u.modules; m++) {
    let key = keyOf(probabilities[own + m]);
    greatest = max(greatest, key);
    if (TOP_K) {
      var rank = 0u;
      for (var j = 0u; j < u.modules; j++) {
        let other = keyOf(probabilities[own + j]);
        if (other > key || (other == key && j < m)) {
          rank++;
        }
      }
      if (rank == u.topK - 1u) {
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
    let key = keyOf(score);
    var e = 0.0;
    if (key > least || (key == least && m <= last)) {
      e = exp(max(score - peak, -128.0));
    }
    probabilities[own + m] = e;
    sum += e;
  }
  for (var m = 0u; m < u.modules; m++) {
    if (broken) {
      probabilities[own + m] = bitcast<f32>(u.nan);
    } else {
      probabilities[own + m] = probabilities[own + m] / sum;
    }
  }

  let result = ((row + reader) * u.heads + head) * u.valueSize;
  for (var w = 0u; w < u.valueSize; w += 4u) {
    let value = vec4<u32>(values) + min(vec4<u32>(w) + four, vec4<u32>(u.valueSize - 1u));
    var total = vec4<f32>(0.0);
    for (var m = 0u; m < u.modules; m++) {
      let at = value + vec4<u32>(m * width);
      let v = vec4<f32>(qkv[at.x], qkv[at.y], qkv[at.z], qkv[at.w]);
      total = fma(vec4<f32>(probabilities[own + m]), v, total);
    }
    for (var j = 0u; j < min(4u, u.valueSize - w); j++) {
      context[result + w + j] = total[j];
    }
  }
}
