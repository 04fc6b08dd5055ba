// One step of RMSprop (Tieleman and Hinton 2012), in place: g = scale * gradient + decay * p, with scale from
// update-control.wgsl, v = alpha v + (1 - alpha) g^2, step = g / (sqrt(v) + epsilon), p = p - rate * step.
// CENTERED keeps the mean a of g too and takes v - a^2, not below 0, in place of v (Graves 2013). With MOMENTUM,
// m = momentum * m + step takes the place of step. A buffer whose flag is off is neither read nor written.
// Many parameters in one call: a row for each says in which buffers, from where on, it has its elements; a workgroup changes
// one block of WORKGROUP * ELEMENTS elements of one parameter, and every element is one invocation's. Where control says that
// a guard's flag is up, nothing changes.

struct Uniforms {
  parameters: u32, // at most 32
  blocks: u32, // of all of them
  epsilon: f32,
  momentum: f32,
  alpha: f32,
  complement: f32, // 1 - alpha
  rows: array<vec4<u32>, 64>, // two a parameter: its first block, elements, first element in gradient, first in its p;
  // number of its p, number of its rate, first element in v, m and a, bits of its weight decay
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gradient: array<f32>; // [any]
@group(0) @binding(2) var<storage, read> rates: array<f32>; // [any]
@group(0) @binding(3) var<storage, read> control: array<f32>; // control [4] of update-control.wgsl
@group(0) @binding(4) var<storage, read_write> v: array<f32>; // [any]
@group(0) @binding(5) var<storage, read_write> m: array<f32>; // [any] with MOMENTUM, else [1]
@group(0) @binding(6) var<storage, read_write> a: array<f32>; // [any] with CENTERED, else [1]
@group(0) @binding(7) var<storage, read_write> p0: array<f32>; // [any]
@group(0) @binding(8) var<storage, read_write> p1: array<f32>; // [any]

const WORKGROUP: u32 = 64;
const ELEMENTS: u32 = 4;
const MOMENTUM: bool = false;
const CENTERED: bool = false;

fn load(buffer: u32, i: u32) -> f32 {
  if (buffer == 0u) {
    return p0[i];
  }
  return p1[i];
}

fn store(buffer: u32, i: u32, value: f32) {
  if (buffer == 0u) {
    p0[i] = value;
  } else {
    p1[i] = value;
  }
}

// The last row that begins at or before a block.
fn rowOf(own: u32) -> u32 {
  var row = 0u;
  for (var half = 16u; half > 0u; half = half / 2u) {
    let next = row + half;
    if (next < u.parameters) {
      row = select(row, next, own >= u.rows[2u * next].x);
    }
  }
  return row;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let own = group.y * groups.x + group.x;
  if (own >= u.blocks || control[3] != 0.0) {
    return;
  }
  let row = rowOf(own);
  let place = u.rows[2u * row];
  let kind = u.rows[2u * row + 1u];
  let decay = bitcast<f32>(kind.w);
  let first = (own - place.x) * WORKGROUP * ELEMENTS + local;
  for (var k = 0u; k < ELEMENTS; k++) {
    let i = first + k * WORKGROUP;
    if (i < place.y) {
      let before = load(kind.x, place.w + i);
      let j = kind.z + i;
      let g = fma(decay, before, control[0] * gradient[place.z + i]);
      let vNext = fma(u.alpha, v[j], u.complement * g * g);
      v[j] = vNext;
      var variance = vNext;
      if (CENTERED) {
        let mean = fma(u.alpha, a[j], u.complement * g);
        a[j] = mean;
        variance = max(fma(-mean, mean, vNext), 0.0);
      }
      var step = g / (sqrt(variance) + u.epsilon);
      if (MOMENTUM) {
        step = fma(u.momentum, m[j], step);
        m[j] = step;
      }
      store(kind.x, place.w + i, fma(-rates[kind.y], step, before));
    }
  }
}
