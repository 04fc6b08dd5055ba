// One step of stochastic gradient descent on one parameter, in place: g = scale * gradient + decay * p, p = p - rate * g.
// With MOMENTUM, m = momentum * m + g takes the place of g; with NESTEROV g + momentum * m does. Without MOMENTUM the
// buffer m is neither read nor written. scale clips the gradients without a copy of them.

struct Uniforms {
  count: u32, // elements of the parameter
  decay: f32, // weight decay
  momentum: f32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gradient: array<f32>; // gradient [count]
@group(0) @binding(2) var<storage, read> rate: array<f32>; // rate [1]
@group(0) @binding(3) var<storage, read> scale: array<f32>; // scale [1]
@group(0) @binding(4) var<storage, read_write> p: array<f32>; // p [count]
@group(0) @binding(5) var<storage, read_write> m: array<f32>; // m [count] with MOMENTUM, else [1]

const WORKGROUP: u32 = 64;
const ELEMENTS: u32 = 4;
const MOMENTUM: bool = false;
const NESTEROV: bool = false;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let first = (group.y * groups.x + group.x) * WORKGROUP * ELEMENTS + local;
  for (var k = 0u; k < ELEMENTS; k++) {
    let i = first + k * WORKGROUP;
    if (i < u.count) {
      let g = fma(u.decay, p[i], scale[0] * gradient[i]);
      var step = g;
      if (MOMENTUM) {
        let next = fma(u.momentum, m[i], g);
        m[i] = next;
        step = select(next, fma(u.momentum, next, g), NESTEROV);
      }
      p[i] = fma(-rate[0], step, p[i]);
    }
  }
}
