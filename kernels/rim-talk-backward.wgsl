// The backward of rim-talk.wgsl, from its input and its probabilities p, one head of one batch row at a time: the gradient
// of p, that of the scores (0 where p is 0: sources that a reader does not read have no gradient), and from that those of
// queries, keys and values. A workgroup does u.perGroup heads, the gradients of their scores in workgroup memory.
// With PROBABILITIES a gradient of p arrives from outside and is added.

struct Uniforms {
  heads: u32, // C
  modules: u32, // N
  keySize: u32, // F
  valueSize: u32, // W
  count: u32, // B*C
  perGroup: u32, // of these, in a workgroup: perGroup * N * N is at most SCORES
  scale: f32, // of the scores
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> qkv: array<f32>; // [B,N,C*F + C*F + C*W]
@group(0) @binding(2) var<storage, read> p: array<f32>; // [B,C,N,N], reader then source
@group(0) @binding(3) var<storage, read> dcontext: array<f32>; // [B,N,C*W]
@group(0) @binding(4) var<storage, read> dp: array<f32>; // [B,C,N,N], or one element without PROBABILITIES
@group(0) @binding(5) var<storage, read_write> dqkv: array<f32>; // [B,N,C*F + C*F + C*W]

const LANES: u32 = 64;
const SCORES: u32 = 4096;
const PROBABILITIES: bool = false;

var<workgroup> slopes: array<f32, SCORES>; // the gradients of the probabilities, then those of the scores

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
  let span = u.heads * u.valueSize; // elements of a row of the context

  for (var i = lane; i < here * square; i += LANES) {
    let pair = first + i / square;
    let row = (pair / u.heads) * u.modules;
    let head = pair % u.heads;
    let taken = (row + (i % square) / u.modules) * span + head * u.valueSize;
    let value = (row + i % u.modules) * width + 2u * u.heads * u.keySize + head * u.valueSize;
    var total = 0.0;
    for (var w = 0u; w < u.valueSize; w++) {
      total = fma(dcontext[taken + w], qkv[value + w], total);
    }
    if (PROBABILITIES) {
      total += dp[first * square + i];
    }
    slopes[i] = total;
  }
  workgroupBarrier();

  for (var reader = lane; reader < here * u.modules; reader += LANES) {
    let base = reader * u.modules;
    let kept = first * square + base;
    var inner = 0.0;
    for (var m = 0u; m < u.modules; m++) {
      if (p[kept + m] != 0.0) {
        inner += p[kept + m] * slopes[base + m];
      }
    }
    for (var m = 0u; m < u.modules; m++) {
      if (p[kept + m] == 0.0) {
        slopes[base + m] = 0.0;
      } else {
        slopes[base + m] = p[kept + m] * (slopes[base + m] - inner);
      }
    }
  }
  workgroupBarrier();

  let columns = 2u * u.keySize + u.valueSize;
  for (var i = lane; i < here * u.modules * columns; i += LANES) {
    let column = i % columns;
    let local = i / (columns * u.modules);
    let n = (i / columns) % u.modules;
    let pair = first + local;
    let row = (pair / u.heads) * u.modules;
    let head = pair % u.heads;
    var total = 0.0;
    var place = head * u.keySize + column; // in a row of qkv
    if (column < u.keySize) {
      let other = row * width + u.heads * u.keySize + place;
      for (var m = 0u; m < u.modules; m++) {
        total = fma(slopes[(local * u.modules + n) * u.modules + m], qkv[other + m * width], total);
      }
      total = u.scale * total;
    } else if (column < 2u * u.keySize) {
      let other = row * width + place - u.keySize;
      for (var m = 0u; m < u.modules; m++) {
        total = fma(slopes[(local * u.modules + m) * u.modules + n], qkv[other + m * width], total);
      }
      total = u.scale * total;
      place = place + (u.heads - 1u) * u.keySize;
    } else {
      let w = head * u.valueSize + column - 2u * u.keySize;
      for (var m = 0u; m < u.modules; m++) {
        total = fma(p[(pair * u.modules + m) * u.modules + n], dcontext[(row + m) * span + w], total);
      }
      place = 2u * u.heads * u.keySize + w;
    }
    dqkv[(row + n) * width + place] = total;
  }
}
