// Advances Adam's bias corrections by one step: d = beta * d + (1 - beta), which is 1 - beta^t after t steps from d = 0.
// Raising beta to a power on the device would lose digits. Runs before the parameters of the same step read d.
// 1 - beta comes from the host, rounded once, as in adam.wgsl: its rounding then cancels in v / d.

struct Uniforms {
  betas: vec2<f32>,
  complements: vec2<f32>, // 1 - beta
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> d: array<f32>; // d [2]

const WORKGROUP: u32 = 2;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) local: u32) {
  let beta = select(u.betas.x, u.betas.y, local == 1u);
  let complement = select(u.complements.x, u.complements.y, local == 1u);
  d[local] = fma(beta, d[local], complement);
}
