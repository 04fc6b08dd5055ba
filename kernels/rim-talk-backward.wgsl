// The backward of rim-talk.wgsl, from its input and its probabilities p. An invocation does one module of one head of one
// batch row: first as a reader, the gradients of its probabilities, of its scores (0 where p is 0: sources that it does not
// read have no gradient) and of its query; then, behind a barrier, as a source, those of its key and of its value.
// A workgroup does u.perGroup heads, all of their modules: perGroup * N is at most LANES. The gradients of their scores
// are in workgroup memory. With PROBABILITIES a gradient of p arrives from outside and is added.

struct Uniforms {
  heads: u32, // C
  modules: u32, // N
  keySize: u32, // F
  valueSize: u32, // W
  pairs: u32, // B*C
  perGroup: u32, // of these, in a workgroup
  scale: f32, // of the scores
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> qkv: array<f32>; // [B,N,C*F + C*F + C*W]
@group(0) @binding(2) var<storage, read> p: array<f32>; // [B,C,N,N], reader then source
@group(0) @binding(3) var<storage, read> dcontext: array<f32>; // [B,N,C*W]
@group(0) @binding(4) var<storage, read> dp: array<f32>; // [B,C,N,N], or one element without PROBABILITIES
@group(0) @binding(5) var<storage, read_write> dqkv: array<f32>; // [B,N,C*F + C*F + C*W]

const LANES: u32 = 64;
const SCORES: u32 = 4096; // at least perGroup * N * N
const PROBABILITIES: bool = false;

var<workgroup> slopes: array<f32, SCORES>; // of the probabilities, then of the products of queries and keys

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let local = lane / u.modules;
  let own = lane - local * u.modules;
  let pair = (group.y * groups.x + group.x) * u.perGroup + local;
  let present = local < u.perGroup && pair < u.pairs;
  let head = pair % u.heads;
  let row = (pair / u.heads) * u.modules; // of the first module
  let width = u.heads * (2u * u.keySize + u.valueSize);
  let span = u.heads * u.valueSize;
  let queries = row * width + head * u.keySize;
  let keys = queries + u.heads * u.keySize;
  let values = row * width + 2u * u.heads * u.keySize + head * u.valueSize;
  let taken = row * span + head * u.valueSize;
  let square = u.modules * u.modules;
  let four = vec4<u32>(0u, 1u, 2u, 3u);

  if (present) {
    let base = local * square + own * u.modules; // of the slopes
    let first = pair * square + own * u.modules; // of the probabilities
    var inner = 0.0;
    for (var m = 0u; m < u.modules; m += 4u) {
      let value = vec4<u32>(values) + min(vec4<u32>(m) + four, vec4<u32>(u.modules - 1u)) * width;
      var total = vec4<f32>(0.0);
      for (var w = 0u; w < u.valueSize; w++) {
        let v = vec4<f32>(qkv[value.x + w], qkv[value.y + w], qkv[value.z + w], qkv[value.w + w]);
        total = fma(vec4<f32>(dcontext[taken + own * span + w]), v, total);
      }
      for (var j = 0u; j < min(4u, u.modules - m); j++) {
        var d = total[j];
        if (PROBABILITIES) {
          d += dp[first + m + j];
        }
        if (p[first + m + j] != 0.0) {
          inner += p[first + m + j] * d;
        }
        slopes[base + m + j] = d;
      }
    }
    for (var m = 0u; m < u.modules; m++) {
      let probability = p[first + m];
      if (probability == 0.0) {
        slopes[base + m] = 0.0;
      } else {
        slopes[base + m] = u.scale * (probability * (slopes[base + m] - inner));
      }
    }
    for (var f = 0u; f < u.keySize; f += 4u) {
      let key = vec4<u32>(keys) + min(vec4<u32>(f) + four, vec4<u32>(u.keySize - 1u));
      var total = vec4<f32>(0.0);
      for (var m = 0u; m < u.modules; m++) {
        let at = key + vec4<u32>(m * width);
        let k = vec4<f32>(qkv[at.x], qkv[at.y], qkv[at.z], qkv[at.w]);
        total = fma(vec4<f32>(slopes[base + m]), k, total);
      }
      for (var j = 0u; j < min(4u, u.keySize - f); j++) {
        dqkv[queries + own * width + f + j] = total[j];
      }
    }
  }
  workgroupBarrier();

  if (present) {
    let base = local * square + own;
    let first = pair * square + own;
    for (var f = 0u; f < u.keySize; f += 4u) {
      let query = vec4<u32>(queries) + min(vec4<u32>(f) + four, vec4<u32>(u.keySize - 1u));
      var total = vec4<f32>(0.0);
      for (var n = 0u; n < u.modules; n++) {
        let at = query + vec4<u32>(n * width);
        let q = vec4<f32>(qkv[at.x], qkv[at.y], qkv[at.z], qkv[at.w]);
        total = fma(vec4<f32>(slopes[base + n * u.modules]), q, total);
      }
      for (var j = 0u; j < min(4u, u.keySize - f); j++) {
        dqkv[keys + own * width + f + j] = total[j];
      }
    }
    for (var w = 0u; w < u.valueSize; w += 4u) {
      let place = vec4<u32>(taken) + min(vec4<u32>(w) + four, vec4<u32>(u.valueSize - 1u));
      var total = vec4<f32>(0.0);
      for (var n = 0u; n < u.modules; n++) {
        let at = place + vec4<u32>(n * span);
        let d = vec4<f32>(dcontext[at.x], dcontext[at.y], dcontext[at.z], dcontext[at.w]);
        total = fma(vec4<f32>(p[first + n * u.modules]), d, total);
      }
      for (var j = 0u; j < min(4u, u.valueSize - w); j++) {
        dqkv[values + own * width + w + j] = total[j];
      }
    }
  }
}
