// Raises the flag of a guard where a norm is not finite: NaN or infinite, as it is where any of the gradients is, or where
// their squares pass what f32 holds. A flag that is up stays up. Runs before all updates of a program. One invocation.

struct Uniforms {
  up: u32, // what a raised flag holds
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> norm: array<f32>; // norm [1]
@group(0) @binding(2) var<storage, read_write> flag: array<u32>; // [1]

@compute @workgroup_size(1)
fn main() {
  // Tested by bits: a compiler may take it that no number is a NaN.
  if ((bitcast<u32>(norm[0]) & 0x7f800000u) == 0x7f800000u && flag[0] == 0u) {
    flag[0] = u.up;
  }
}
