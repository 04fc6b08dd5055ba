// The backward of gru-gates.wgsl, one invocation a hidden unit: the gates are computed again from their inputs, so
// nothing of the forward is kept. dgx and dgh differ in the third gate only, where dgh carries the factor r.
// Slopes are products of what is near 0, never 1 minus what is near 1: saturated gates keep their digits.

struct Uniforms {
  count: u32, // rows * hidden
  hidden: u32, // H
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gx: array<f32>; // gx [rows,3H]
@group(0) @binding(2) var<storage, read> gh: array<f32>; // gh [rows,3H]
@group(0) @binding(3) var<storage, read> h: array<f32>; // h [rows,H]
@group(0) @binding(4) var<storage, read> dy: array<f32>; // dh' [rows,H]
@group(0) @binding(5) var<storage, read_write> dgx: array<f32>; // dgx [rows,3H]
@group(0) @binding(6) var<storage, read_write> dgh: array<f32>; // dgh [rows,3H]
@group(0) @binding(7) var<storage, read_write> dh: array<f32>; // dh [rows,H]

const WORKGROUP: u32 = 64;

fn tanhOf(v: f32) -> f32 {
  let a = abs(v);
  if (a < 0.1) {
    let s = v * v;
    return v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
  }
  let e = exp(-2.0 * a);
  return sign(v) * (1.0 - e) / (1.0 + e);
}

fn tanhSlopeOf(v: f32) -> f32 {
  let e = exp(-2.0 * abs(v));
  return 4.0 * e / ((1.0 + e) * (1.0 + e));
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
  let i = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (i >= u.count) {
    return;
  }
  let reset = (i / u.hidden) * 3u * u.hidden + i % u.hidden;
  let renew = reset + u.hidden;
  let fresh = renew + u.hidden;
  let ra = gx[reset] + gh[reset];
  let za = gx[renew] + gh[renew];
  let r = sigmoidOf(ra);
  let z = sigmoidOf(za);
  let keep = sigmoidOf(-za); // 1 - z
  let na = gx[fresh] + r * gh[fresh];
  let n = tanhOf(na);

  let dna = dy[i] * keep * tanhSlopeOf(na);
  let dza = dy[i] * (h[i] - n) * z * keep;
  let dra = dna * gh[fresh] * r * sigmoidOf(-ra);
  dgx[reset] = dra;
  dgh[reset] = dra;
  dgx[renew] = dza;
  dgh[renew] = dza;
  dgx[fresh] = dna;
  dgh[fresh] = dna * r;
  dh[i] = dy[i] * z;
}
