// The readers' half of the backward of rim-talk.wgsl, from its input and its probabilities p: the gradient of a reader's
// probabilities, from that the one of its scores (0 where p is 0: sources that it does not read have no gradient), and
// that of its query. Keys and values get theirs in rim-talk-backward-sources.wgsl, from the scores' gradients kept here.
// An invocation does one reader of one head of one batch row. With PROBABILITIES a gradient of p arrives and is added.

struct Uniforms {
  heads: u32, // C
  modules: u32, // N
  keySize: u32, // F
  valueSize: u32, // W
  count: u32, // B*C*N
  scale: f32, // of the scores
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> qkv: array<f32>; // [B,N,C*F + C*F + C*W]
@group(0) @binding(2) var<storage, read> p: array<f32>; // [B,C,N,N], reader then source
@group(0) @binding(3) var<storage, read> dcontext: array<f32>; // [B,N,C*W]
@group(0) @binding(4) var<storage, read> dp: array<f32>; // [B,C,N,N], or one element without PROBABILITIES
@group(0) @binding(5) var<storage, read_write> slopes: array<f32>; // [B,C,N,N]: of the products of queries and keys
@group(0) @binding(6) var<storage, read_write> dqkv: array<f32>; // [B,N,C*F + C*F + C*W], the queries' part

const WORKGROUP: u32 = 64;
const PROBABILITIES: bool = false;

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
  let taken = ((row + reader) * u.heads + head) * u.valueSize;
  let own = i * u.modules; // of the probabilities
  let four = vec4<u32>(0u, 1u, 2u, 3u);

  var inner = 0.0;
  for (var m = 0u; m < u.modules; m += 4u) {
    let value = vec4<u32>(values) + min(vec4<u32>(m) + four, vec4<u32>(u.modules - 1u)) * width;
    var total = vec4<f32>(0.0);
    for (var w = 0u; w < u.valueSize; w++) {
      let v = vec4<f32>(qkv[value.x + w], qkv[value.y + w], qkv[value.z + w], qkv[value.w + w]);
      total = fma(vec4<f32>(dcontext[taken + w]), v, total);
    }
    for (var j = 0u; j < min(4u, u.modules - m); j++) {
      let at = own + m + j;
      var d = total[j];
      if (PROBABILITIES) {
        d += dp[at];
      }
      if (p[at] != 0.0) {
        inner += p[at] * d;
      }
      slopes[at] = d;
    }
  }
  for (var m = 0u; m < u.modules; m++) {
    let at = own + m;
    if (p[at] == 0.0) {
      slopes[at] = 0.0;
    } else {
      slopes[at] = u.scale * (p[at] * (slopes[at] - inner));
    }
  }

  for (var f = 0u; f < u.keySize; f += 4u) {
    let key = vec4<u32>(keys) + min(vec4<u32>(f) + four, vec4<u32>(u.keySize - 1u));
    var total = vec4<f32>(0.0);
    for (var m = 0u; m < u.modules; m++) {
      let at = key + vec4<u32>(m * width);
      let k = vec4<f32>(qkv[at.x], qkv[at.y], qkv[at.z], qkv[at.w]);
      total = fma(vec4<f32>(slopes[own + m]), k, total);
    }
    for (var j = 0u; j < min(4u, u.keySize - f); j++) {
      dqkv[query + f + j] = total[j];
    }
  }
}
