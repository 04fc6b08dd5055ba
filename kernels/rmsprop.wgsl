// One step of RMSprop (Tieleman and Hinton 2012) on one parameter, in place: g = scale * gradient + decay * p,
// v = alpha v + (1 - alpha) g^2, step = g / (sqrt(v) + epsilon), p = p - rate * step.
// CENTERED keeps the mean a of g too and takes v - a^2, not below 0, in place of v (Graves 2013). With MOMENTUM,
// m = momentum * m + step takes the place of step. A buffer whose flag is off is neither read nor written.

struct Uniforms {
  count: u32, // elements of the parameter
  decay: f32, // weight decay
  epsilon: f32,
  momentum: f32,
  alpha: f32,
  complement: f32, // 1 - alpha
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gradient: array<f32>; // gradient [count]
@group(0) @binding(2) var<storage, read> rate: array<f32>; // rate [1]
@group(0) @binding(3) var<storage, read> scale: array<f32>; // scale [1]
@group(0) @binding(4) var<storage, read_write> p: array<f32>; // p [count]
@group(0) @binding(5) var<storage, read_write> v: array<f32>; // v [count]
@group(0) @binding(6) var<storage, read_write> m: array<f32>; // m [count] with MOMENTUM, else [1]
@group(0) @binding(7) var<storage, read_write> a: array<f32>; // a [count] with CENTERED, else [1]

const WORKGROUP: u32 = 64;
const ELEMENTS: u32 = 4;
const MOMENTUM: bool = false;
const CENTERED: bool = false;

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
      let vNext = fma(u.alpha, v[i], u.complement * g * g);
      v[i] = vNext;
      var variance = vNext;
      if (CENTERED) {
        let mean = fma(u.alpha, a[i], u.complement * g);
        a[i] = mean;
        variance = max(fma(-mean, mean, vNext), 0.0);
      }
      var step = g / (sqrt(variance) + u.epsilon);
      if (MOMENTUM) {
        step = fma(u.momentum, m[i], step);
        m[i] = step;
      }
      p[i] = fma(-rate[0], step, p[i]);
    }
  }
}
