// The sources' half of the backward of rim-talk.wgsl, after the readers' half (rim-talk-backward.wgsl): the gradients of keys,
// from those of the scores and the queries, and of values, from the probabilities p and the gradient of what was read.
// An invocation does one source of one head of one batch row, four elements at a time.

struct Uniforms {
  heads: u32, // C
  modules: u32, // N
  keySize: u32, // F
  valueSize: u32, // W
  count: u32, // B*C*N
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> qkv: array<f32>; // [B,N,C*F + C*F + C*W]
@group(0) @binding(2) var<storage, read> p: array<f32>; // [B,C,N,N], reader then source
@group(0) @binding(3) var<storage, read> dcontext: array<f32>; // [B,N,C*W]
@group(0) @binding(4) var<storage, read> slopes: array<f32>; // [B,C,N,N]: of the products of queries and keys
@group(0) @binding(5) var<storage, read_write> dqkv: array<f32>; // [B,N,C*F + C*F + C*W], the keys' and values' parts

const WORKGROUP: u32 = 64;

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
  let source = i % u.modules;
  let head = (i / u.modules) % u.heads;
  let row = (i / (u.modules * u.heads)) * u.modules; // of the first module
  let width = u.heads * (2u * u.keySize + u.valueSize);
  let span = u.heads * u.valueSize;
  let queries = row * width + head * u.keySize;
  let key = (row + source) * width + (u.heads + head) * u.keySize;
  let value = (row + source) * width + 2u * u.heads * u.keySize + head * u.valueSize;
  let taken = row * span + head * u.valueSize;
  let column = (i - source) * u.modules + source; // of the probabilities
  let four = vec4<u32>(0u, 1u, 2u, 3u);

  for (var f = 0u; f < u.keySize; f += 4u) {
    let query = vec4<u32>(queries) + min(vec4<u32>(f) + four, vec4<u32>(u.keySize - 1u));
    var total = vec4<f32>(0.0);
    for (var n = 0u; n < u.modules; n++) {
      let at = query + vec4<u32>(n * width);
      let q = vec4<f32>(qkv[at.x], qkv[at.y], qkv[at.z], qkv[at.w]);
      total = fma(vec4<f32>(slopes[column + n * u.modules]), q, total);
    }
    for (var j = 0u; j < min(4u, u.keySize - f); j++) {
      dqkv[key + f + j] = total[j];
    }
  }
  for (var w = 0u; w < u.valueSize; w += 4u) {
    let place = vec4<u32>(taken) + min(vec4<u32>(w) + four, vec4<u32>(u.valueSize - 1u));
    var total = vec4<f32>(0.0);
    for (var n = 0u; n < u.modules; n++) {
      let at = place + vec4<u32>(n * span);
      let d = vec4<f32>(dcontext[at.x], dcontext[at.y], dcontext[at.z], dcontext[at.w]);
      total = fma(vec4<f32>(p[column + n * u.modules]), d, total);
    }
    for (var j = 0u; j < min(4u, u.valueSize - w); j++) {
      dqkv[value + w + j] = total[j];
    }
  }
}
