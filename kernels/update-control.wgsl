// What all parameters of an optimiser's step share: the factor of the gradients and Adam's bias corrections.
// With CLIP the factor is min(1, maxNorm / (norm + 1e-6)), as PyTorch's clip_grad_norm_ has it, and NaN for a norm that is;
// without it 1, and norm is not read. With CORRECT, d = beta * d + (1 - beta), which is 1 - beta^t after t steps from d = 0
// (raising beta to a power on the device would lose digits); without it d is neither read nor written. 1 - beta comes from
// the host, rounded once, as in adam.wgsl: its rounding then cancels in v / d. Runs before the parameters of the same step.
// Where the flag of a guard is up, d stays as it is, and the parameters will.

struct Uniforms {
  maxNorm: f32,
  betas: vec2<f32>,
  complements: vec2<f32>, // 1 - beta
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> verdict: array<f32>; // [4]: of the guard (guard.wgsl)
@group(0) @binding(2) var<storage, read> norm: array<f32>; // norm [1]
@group(0) @binding(3) var<storage, read_write> d: array<f32>; // d [2]
@group(0) @binding(4) var<storage, read_write> control: array<f32>; // control [4]: the factor, d, 1 where frozen else 0

const WORKGROUP: u32 = 1;
const CLIP: bool = false;
const CORRECT: bool = false;

// Tested by bits: a compiler may take it that no number is a NaN.
fn isNaN(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

@compute @workgroup_size(WORKGROUP)
fn main() {
  control[0] = 1.0;
  if (CLIP) {
    let factor = u.maxNorm / (norm[0] + 1e-6);
    control[0] = select(min(factor, 1.0), factor, isNaN(factor));
  }
  control[3] = verdict[3];
  if (CORRECT && verdict[3] == 0.0) {
    let first = fma(u.betas.x, d[0], u.complements.x);
    let second = fma(u.betas.y, d[1], u.complements.y);
    d[0] = first;
    d[1] = second;
    control[1] = first;
    control[2] = second;
  }
}
