// The update of a RIM's active modules where more is done than to add a projection: context times weights, plus bias, times
// the factors of dropout, with GATED sigmoid(gate) tanh(product), product and gate side by side in the columns of w; the
// result is added to the candidate: h'. Inactive modules are left as they are.
// An invocation computes a register tile of TILE_M batch rows of one module by 4 states; the rows are the module's active ones
// in order, within blocks of BLOCK rows; a tile past the last active row ends at once. Lanes lie side by side as
// lanes.x tiles along states, lanes.y along rows and the rest over modules. The sum runs over the context in order.

struct Uniforms {
  rows: u32, // B
  modules: u32, // N
  innerQuads: u32, // C*W/4
  quads: u32, // H/4
  saved: u32, // vec4s of a row of saved
  wModule: u32, // vec4s of w from module to module: 0 where they share it
  biasModule: u32, // of bias
  lanes: vec2<u32>, // invocations along states and along rows, powers of 2 of product 64 or less
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> context: array<vec4<f32>>; // [B,N,C*W]
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>; // O is H, GATED 2H; or [C*W,O] [N,C*W,O]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>; // or [O]; unused without BIASED [N,O]
@group(0) @binding(4) var<storage, read> saved: array<vec4<f32>>; // the candidate begins every row [B,N,H+...]
@group(0) @binding(5) var<storage, read> mask: array<f32>; // 1 active [N,B]
@group(0) @binding(6) var<storage, read> factors: array<vec4<f32>>; // unused without DROPPED [B,N,H]
@group(0) @binding(7) var<storage, read_write> next: array<vec4<f32>>; // h' of active modules [B,N,H]
@group(0) @binding(8) var<storage, read_write> pre: array<vec4<f32>>; // product plus bias, of active modules [B,N,O]

const WORKGROUP: u32 = 64;
const TILE_M: u32 = 8;
const BLOCK: u32 = 64; // rows; a multiple of TILE_M
const GATED: bool = false;
const BIASED: bool = false;
const DROPPED: bool = false;

fn isNaN(v: vec4<f32>) -> vec4<bool> {
  return (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
}

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

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let unit = group.x * u.lanes.x + local % u.lanes.x; // vec4 of states
  let tile = group.y * u.lanes.y + (local / u.lanes.x) % u.lanes.y;
  let layers = WORKGROUP / (u.lanes.x * u.lanes.y);
  let tilesOfBlock = BLOCK / TILE_M;
  let firstRow = (tile / tilesOfBlock) * BLOCK;
  let firstRank = (tile % tilesOfBlock) * TILE_M;
  if (firstRow >= u.rows || unit >= u.quads) {
    return;
  }
  let outputs = select(u.quads, 2u * u.quads, GATED);
  for (var n = group.z * layers + local / (u.lanes.x * u.lanes.y); n < u.modules; n += groups.z * layers) {
    var row: array<u32, TILE_M>;
    for (var i = 0u; i < TILE_M; i++) {
      row[i] = firstRow;
    }
    var rank = 0u;
    for (var b = firstRow; b < min(firstRow + BLOCK, u.rows); b++) {
      if (mask[n * u.rows + b] != 0.0) {
        if (rank >= firstRank && rank < firstRank + TILE_M) {
          row[rank - firstRank] = b;
        }
        rank++;
      }
    }
    if (rank <= firstRank) {
      continue;
    }
    let present = min(rank - firstRank, TILE_M);
    var left: array<vec4<f32>, TILE_M>;
    var right: array<vec4<f32>, TILE_M>;
    for (var i = 0u; i < TILE_M; i++) {
      left[i] = vec4<f32>(0.0);
      right[i] = vec4<f32>(0.0);
    }
    for (var k = 0u; k < u.innerQuads; k++) {
      let base = n * u.wModule + 4u * k * outputs + unit;
      let w0 = w[base];
      let w1 = w[base + outputs];
      let w2 = w[base + 2u * outputs];
      let w3 = w[base + 3u * outputs];
      var g0 = vec4<f32>(0.0);
      var g1 = vec4<f32>(0.0);
      var g2 = vec4<f32>(0.0);
      var g3 = vec4<f32>(0.0);
      if (GATED) {
        g0 = w[base + u.quads];
        g1 = w[base + outputs + u.quads];
        g2 = w[base + 2u * outputs + u.quads];
        g3 = w[base + 3u * outputs + u.quads];
      }
      for (var i = 0u; i < TILE_M; i++) {
        let each = context[(row[i] * u.modules + n) * u.innerQuads + k];
        left[i] = fma(each.wwww, w3, fma(each.zzzz, w2, fma(each.yyyy, w1, fma(each.xxxx, w0, left[i]))));
        if (GATED) {
          right[i] = fma(each.wwww, g3, fma(each.zzzz, g2, fma(each.yyyy, g1, fma(each.xxxx, g0, right[i]))));
        }
      }
    }
    for (var i = 0u; i < TILE_M; i++) {
      if (i < present) {
        let each = row[i] * u.modules + n;
        var x = left[i];
        if (BIASED) {
          x = x + bias[n * u.biasModule + unit];
        }
        pre[each * outputs + unit] = x;
        if (DROPPED) {
          x = x * factors[each * u.quads + unit];
        }
        if (GATED) {
          var gate = right[i];
          if (BIASED) {
            gate = gate + bias[n * u.biasModule + u.quads + unit];
          }
          pre[each * outputs + u.quads + unit] = gate;
          let broken = isNaN(x) | isNaN(gate);
          x = select(sigmoidOf(gate) * tanhOf(x), x + gate, broken);
        }
        next[each * u.quads + unit] = saved[each * u.saved + unit] + x;
      }
    }
  }
}
