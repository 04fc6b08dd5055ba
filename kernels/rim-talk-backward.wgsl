// The backward of rim-talk.wgsl, from its input and its probabilities p. An invocation does one module of one head of one
// batch row: first as a reader, if it is active, the gradients of its probabilities, of its scores (0 where p is 0: sources
// that it does not read have no gradient) and of its query; then, behind a barrier, as a source, those of its key and value.
// With CACHED those of an inactive source are added to what already waits in its memory's gradient, and an active source's
// memory, which nobody read, gets 0; without, an inactive reader's query gets 0.
// A workgroup does u.perGroup heads, all of their modules: perGroup * N is at most LANES. The gradients of their scores
// are in workgroup memory, sums over readers pass inactive ones over. Rows are whole vec4s, of each head too.

struct Uniforms {
  rows: u32, // B
  heads: u32, // C
  modules: u32, // N
  keyQuads: u32, // F/4
  valueQuads: u32, // W/4
  memory: u32, // vec4s of a memory row
  cache: u32, // first vec4 of keys, then values, in a memory row
  perGroup: u32, // heads of batch rows in a workgroup
  scale: f32, // of the scores
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> qkv: array<vec4<f32>>; // [B,N,C*F + C*F + C*W]
@group(0) @binding(2) var<storage, read> mask: array<f32>; // 1 active [N,B]
@group(0) @binding(3) var<storage, read> p: array<f32>; // reader then source; with DROPPED the factors behind [B,C,N,N]
@group(0) @binding(4) var<storage, read> dcontext: array<vec4<f32>>; // of active readers [B,N,C*W]
@group(0) @binding(5) var<storage, read_write> dafter: array<vec4<f32>>; // of the memory after the step, only read [B,N,...]
@group(0) @binding(6) var<storage, read_write> dbefore: array<vec4<f32>>; // of keys and values in the memory [B,N,...]
@group(0) @binding(7) var<storage, read_write> dqkv: array<vec4<f32>>; // [B,N,C*F + C*F + C*W]

const LANES: u32 = 64;
const SCORES: u32 = 4096; // at least perGroup * N * N
const CHUNK: u32 = 4; // vec4s of a key or value at a time
const CACHED: bool = false;
const DROPPED: bool = false;

var<workgroup> slopes: array<f32, SCORES>; // of the probabilities, then of the products of queries and keys

fn isOn(bits: vec2<u32>, m: u32) -> bool {
  return ((select(bits.y, bits.x, m < 32u) >> (m & 31u)) & 1u) == 1u;
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let local = lane / u.modules;
  let own = lane - local * u.modules;
  let pair = (group.y * groups.x + group.x) * u.perGroup + local; // head of a batch row
  let pairs = u.rows * u.heads;
  let present = local < u.perGroup && pair < pairs;
  let head = pair % u.heads;
  let row = pair / u.heads;
  let first = row * u.modules;
  let width = u.heads * (2u * u.keyQuads + u.valueQuads);
  let span = u.heads * u.valueQuads;
  let queries = first * width + head * u.keyQuads;
  let keys = queries + u.heads * u.keyQuads;
  let values = first * width + 2u * u.heads * u.keyQuads + head * u.valueQuads;
  let keysBefore = first * u.memory + u.cache + head * u.keyQuads;
  let valuesBefore = first * u.memory + u.cache + u.heads * u.keyQuads + head * u.valueQuads;
  let taken = first * span + head * u.valueQuads;
  let square = u.modules * u.modules;
  let start = local * square; // of the slopes
  let ofPair = pair * square; // of the probabilities
  let behind = pairs * square;

  var bits = vec2<u32>(0u, 0u); // of the active modules
  if (present) {
    for (var m = 0u; m < u.modules; m++) {
      if (mask[m * u.rows + row] != 0.0) {
        if (m < 32u) {
          bits.x |= 1u << m;
        } else {
          bits.y |= 1u << (m - 32u);
        }
      }
    }
  }
  let isActive = isOn(bits, own);
  if (present && isActive) {
    let base = start + own * u.modules;
    let given = ofPair + own * u.modules;
    for (var w = 0u; w < u.valueQuads; w += CHUNK) {
      var d: array<vec4<f32>, CHUNK>;
      for (var j = 0u; j < CHUNK; j++) {
        d[j] = dcontext[taken + own * span + min(w + j, u.valueQuads - 1u)];
        if (w + j >= u.valueQuads) {
          d[j] = vec4<f32>(0.0);
        }
      }
      for (var m = 0u; m < u.modules; m++) {
        var total = vec4<f32>(0.0);
        for (var j = 0u; j < CHUNK; j++) {
          total = fma(d[j], qkv[values + m * width + min(w + j, u.valueQuads - 1u)], total);
        }
        var part = (total.x + total.y) + (total.z + total.w);
        if (w > 0u) {
          part += slopes[base + m];
        }
        slopes[base + m] = part;
      }
    }
    var inner = 0.0;
    for (var m = 0u; m < u.modules; m++) {
      let probability = p[given + m];
      var d = slopes[base + m];
      if (DROPPED) {
        d = d * p[behind + given + m];
        slopes[base + m] = d;
      }
      if (probability != 0.0) {
        inner += probability * d;
      }
    }
    for (var f = 0u; f < u.keyQuads; f += CHUNK) {
      var total: array<vec4<f32>, CHUNK>;
      for (var j = 0u; j < CHUNK; j++) {
        total[j] = vec4<f32>(0.0);
      }
      for (var m = 0u; m < u.modules; m++) {
        if (f == 0u) {
          let probability = p[given + m];
          if (probability == 0.0) {
            slopes[base + m] = 0.0;
          } else {
            slopes[base + m] = u.scale * (probability * (slopes[base + m] - inner));
          }
        }
        let slope = vec4<f32>(slopes[base + m]);
        for (var j = 0u; j < CHUNK; j++) {
          total[j] = fma(slope, qkv[keys + m * width + min(f + j, u.keyQuads - 1u)], total[j]);
        }
      }
      for (var j = 0u; j < CHUNK; j++) {
        if (f + j < u.keyQuads) {
          dqkv[queries + own * width + f + j] = total[j];
        }
      }
    }
  }
  workgroupBarrier();

  if (present) {
    let waits = CACHED && !isActive;
    if (!CACHED && !isActive) {
      for (var f = 0u; f < u.keyQuads; f++) {
        dqkv[queries + own * width + f] = vec4<f32>(0.0);
      }
    }
    for (var f = 0u; f < u.keyQuads; f += CHUNK) {
      var total: array<vec4<f32>, CHUNK>;
      for (var j = 0u; j < CHUNK; j++) {
        total[j] = vec4<f32>(0.0);
      }
      for (var n = 0u; n < u.modules; n++) {
        if (isOn(bits, n)) {
          let slope = vec4<f32>(slopes[start + n * u.modules + own]);
          for (var j = 0u; j < CHUNK; j++) {
            total[j] = fma(slope, qkv[queries + n * width + min(f + j, u.keyQuads - 1u)], total[j]);
          }
        }
      }
      for (var j = 0u; j < CHUNK; j++) {
        if (f + j < u.keyQuads) {
          let place = keysBefore + own * u.memory + f + j;
          if (waits) {
            dbefore[place] = dafter[place] + total[j];
          } else {
            dqkv[keys + own * width + f + j] = total[j];
            if (CACHED) {
              dbefore[place] = vec4<f32>(0.0);
            }
          }
        }
      }
    }
    for (var w = 0u; w < u.valueQuads; w += CHUNK) {
      var total: array<vec4<f32>, CHUNK>;
      for (var j = 0u; j < CHUNK; j++) {
        total[j] = vec4<f32>(0.0);
      }
      for (var n = 0u; n < u.modules; n++) {
        if (isOn(bits, n)) {
          var weight = p[ofPair + n * u.modules + own];
          if (DROPPED) {
            weight = weight * p[behind + ofPair + n * u.modules + own];
          }
          for (var j = 0u; j < CHUNK; j++) {
            let d = dcontext[taken + n * span + min(w + j, u.valueQuads - 1u)];
            total[j] = fma(vec4<f32>(weight), d, total[j]);
          }
        }
      }
      for (var j = 0u; j < CHUNK; j++) {
        if (w + j < u.valueQuads) {
          let place = valuesBefore + own * u.memory + w + j;
          if (waits) {
            dbefore[place] = dafter[place] + total[j];
          } else {
            dqkv[values + own * width + w + j] = total[j];
            if (CACHED) {
              dbefore[place] = vec4<f32>(0.0);
            }
          }
        }
      }
    }
  }
}
