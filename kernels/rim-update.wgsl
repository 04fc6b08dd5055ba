// The update of a RIM's modules: context times weights, plus bias, and what that adds to the states of the active modules:
// h' = base + out where the mask is not 0, else base to the bit. out is the product, or with GATED sigmoid(gate) tanh(product),
// product and gate side by side in the columns of w. With LSTM c' is copied from rest: [base | c' | mask | p], else [base | mask | p].
// An invocation computes a register tile of TILE_M batch rows of one module by 4 states, or 8 where TILE_N is 8; lanes lie
// side by side as lanes.x tiles along states, lanes.y along rows and the rest over modules. Loads beyond an edge read the last
// row or column again; only stores are guarded. The sum runs over the context in order.

struct Uniforms {
  rows: u32, // B
  modules: u32, // N
  inner: u32, // C*W
  hidden: u32, // H
  wModule: u32, // stride of w from module to module: 0 where they share it
  biasModule: u32,
  lanes: vec2<u32>, // invocations along states and along rows, powers of 2 of product 64 or less
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> context: array<f32>; // [B,N,C*W]
@group(0) @binding(2) var<storage, read> w: array<f32>; // [N,C*W,O] or [C*W,O]; O is H, GATED 2H
@group(0) @binding(3) var<storage, read> bias: array<f32>; // [N,O] or [O], or one element without BIASED
@group(0) @binding(4) var<storage, read> rest: array<f32>; // [B,N,H+2] or LSTM [B,N,2H+2]
@group(0) @binding(5) var<storage, read_write> h: array<f32>; // h' [B,N,H]
@group(0) @binding(6) var<storage, read_write> c: array<f32>; // c' [B,N,H], or unused
@group(0) @binding(7) var<storage, read_write> pre: array<f32>; // [B,N,O]: product plus bias

const WORKGROUP: u32 = 64;
const TILE_M: u32 = 8;
const TILE_N: u32 = 4; // 4 or 8; with GATED 4
const GATED: bool = false;
const BIASED: bool = false;
const LSTM: bool = false;

// Tested by bits: a compiler may take it that no number is a NaN.
fn isNaN(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

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

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let column = (group.x * u.lanes.x + local % u.lanes.x) * TILE_N;
  let row = (group.y * u.lanes.y + (local / u.lanes.x) % u.lanes.y) * TILE_M;
  let layers = WORKGROUP / (u.lanes.x * u.lanes.y);
  if (row >= u.rows || column >= u.hidden) {
    return;
  }
  let outputs = select(u.hidden, 2u * u.hidden, GATED);
  let width = select(u.hidden, 2u * u.hidden, LSTM) + 2u;
  let edge = vec4<u32>(u.hidden - 1u);
  let near = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), edge);
  // The gates of the same states, or the next four states.
  let far = select(min(near + vec4<u32>(4u), edge), near + vec4<u32>(u.hidden), GATED);
  for (var n = group.z * layers + local / (u.lanes.x * u.lanes.y); n < u.modules; n += groups.z * layers) {
    var start: array<u32, TILE_M>;
    var left: array<vec4<f32>, TILE_M>;
    var right: array<vec4<f32>, TILE_M>;
    for (var i = 0u; i < TILE_M; i++) {
      start[i] = (min(row + i, u.rows - 1u) * u.modules + n) * u.inner;
      left[i] = vec4<f32>(0.0);
      right[i] = vec4<f32>(0.0);
    }
    for (var k = 0u; k < u.inner; k++) {
      let base = n * u.wModule + k * outputs;
      let q = vec4<f32>(w[base + near.x], w[base + near.y], w[base + near.z], w[base + near.w]);
      var s = vec4<f32>(0.0);
      if (GATED || TILE_N == 8u) {
        s = vec4<f32>(w[base + far.x], w[base + far.y], w[base + far.z], w[base + far.w]);
      }
      for (var i = 0u; i < TILE_M; i++) {
        let each = context[start[i] + k];
        left[i] = fma(vec4<f32>(each), q, left[i]);
        if (GATED || TILE_N == 8u) {
          right[i] = fma(vec4<f32>(each), s, right[i]);
        }
      }
    }
    for (var i = 0u; i < TILE_M; i++) {
      if (row + i < u.rows) {
        let each = (row + i) * u.modules + n;
        let chosen = rest[(each + 1u) * width - 2u] != 0.0;
        for (var j = 0u; j < TILE_N; j++) {
          let unit = column + j;
          if (unit < u.hidden) {
            var x = select(left[i][j % 4u], right[i][j % 4u], j >= 4u);
            if (BIASED) {
              x = x + bias[n * u.biasModule + unit];
            }
            pre[each * outputs + unit] = x;
            if (GATED) {
              var gate = right[i][j % 4u];
              if (BIASED) {
                gate = gate + bias[n * u.biasModule + u.hidden + unit];
              }
              pre[each * outputs + u.hidden + unit] = gate;
              if (isNaN(gate)) {
                x = gate;
              }
              if (!isNaN(x)) {
                x = sigmoidOf(gate) * tanhOf(x);
              }
            }
            let kept = rest[each * width + unit];
            if (chosen) {
              h[each * u.hidden + unit] = kept + x;
            } else {
              h[each * u.hidden + unit] = kept;
            }
            if (LSTM) {
              c[each * u.hidden + unit] = rest[each * width + u.hidden + unit];
            }
          }
        }
      }
    }
  }
}
