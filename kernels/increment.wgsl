// Adds u.by to one u32 in place, modulo 2^32: the counter of the training runs. Where the flag of a guard is up it stays as it
// is. One invocation.

struct Uniforms {
  by: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> verdict: array<f32>; // [4]: of the guard (guard.wgsl)
@group(0) @binding(2) var<storage, read_write> counter: array<u32>; // [1]

@compute @workgroup_size(1)
fn main() {
  if (verdict[3] == 0.0) {
    counter[0] = counter[0] + u.by;
  }
}
