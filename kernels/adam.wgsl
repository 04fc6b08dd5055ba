// One step of Adam (Kingma and Ba 2014, algorithm 1) on one parameter, in place:
// g = scale * gradient, m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
// p = p - rate * (m / d1) / (sqrt(v / d2) + epsilon), with d from adam-correction.wgsl.
// Weight decay is added to g as decay * p; DECOUPLED adds it to the step instead (AdamW, Loshchilov and Hutter 2017).
// scale clips the gradients without a copy of them. Every element is one invocation's, ELEMENTS of them WORKGROUP apart.

struct Uniforms {
  count: u32, // elements of the parameter
  decay: f32, // weight decay
  epsilon: f32,
  betas: vec2<f32>,
  complements: vec2<f32>, // 1 - beta
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gradient: array<f32>; // gradient [count]
@group(0) @binding(2) var<storage, read> rate: array<f32>; // rate [1]
@group(0) @binding(3) var<storage, read> scale: array<f32>; // scale [1]
@group(0) @binding(4) var<storage, read> d: array<f32>; // d [2]
@group(0) @binding(5) var<storage, read_write> p: array<f32>; // p [count]
@group(0) @binding(6) var<storage, read_write> m: array<f32>; // m [count]
@group(0) @binding(7) var<storage, read_write> v: array<f32>; // v [count]

const WORKGROUP: u32 = 64;
const ELEMENTS: u32 = 4;
const DECOUPLED: bool = false;

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
      let shrink = u.decay * p[i];
      let g = scale[0] * gradient[i] + select(shrink, 0.0, DECOUPLED);
      let mNext = fma(u.betas.x, m[i], u.complements.x * g);
      let vNext = fma(u.betas.y, v[i], u.complements.y * g * g);
      let step = (mNext / d[0]) / (sqrt(vNext / d[1]) + u.epsilon) + select(0.0, shrink, DECOUPLED);
      m[i] = mNext;
      v[i] = vNext;
      p[i] = fma(-rate[0], step, p[i]);
    }
  }
}
