// One step of stochastic gradient descent, in place: g = scale * gradient + decay * p, p = p - rate * g, with scale from
// update-control.wgsl. With MOMENTUM, m = momentum * m + g takes the place of g; with NESTEROV g + momentum * m does.
// Without MOMENTUM the buffer m is neither read nor written.
// Many parameters in one call: a row for each says in which buffers, from where on, it has its elements; a workgroup changes
// one block of WORKGROUP * ELEMENTS elements of one parameter, and every element is one invocation's. Where control says that
// a guard's flag is up, nothing changes.

struct Uniforms {
  parameters: u32, // at most 32
  blocks: u32, // of all of them
  momentum: f32,
  rows: array<vec4<u32>, 64>, // two a parameter: its first block, elements, first element in gradient, first in its p;
  // number of its p, number of its rate, first element in m, bits of its weight decay
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gradient: array<f32>; // [any]
@group(0) @binding(2) var<storage, read> rates: array<f32>; // [any]
@group(0) @binding(3) var<storage, read> control: array<f32>; // control [4] of update-control.wgsl
@group(0) @binding(4) var<storage, read_write> m: array<f32>; // [any] with MOMENTUM, else [1]
@group(0) @binding(5) var<storage, read_write> p0: array<f32>; // [any]
@group(0) @binding(6) var<storage, read_write> p1: array<f32>; // [any]
@group(0) @binding(7) var<storage, read_write> p2: array<f32>; // [any]
@group(0) @binding(8) var<storage, read_write> p3: array<f32>; // [any]

const WORKGROUP: u32 = 64;
const ELEMENTS: u32 = 4;
const MOMENTUM: bool = false;
const NESTEROV: bool = false;

fn load(buffer: u32, i: u32) -> f32 {
  if (buffer == 0u) {
    return p0[i];
  }
  if (buffer == 1u) {
    return p1[i];
  }
  if (buffer == 2u) {
    return p2[i];
  }
  return p3[i];
}

fn store(buffer: u32, i: u32, value: f32) {
  if (buffer == 0u) {
    p0[i] = value;
  } else if (buffer == 1u) {
    p1[i] = value;
  } else if (buffer == 2u) {
    p2[i] = value;
  } else {
    p3[i] = value;
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
      let g = fma(decay, before, control[0] * gradient[place.z + i]);
      var step = g;
      if (MOMENTUM) {
        let j = kind.z + i;
        let next = fma(u.momentum, m[j], g);
        m[j] = next;
        step = select(next, fma(u.momentum, next, g), NESTEROV);
      }
      store(kind.x, place.w + i, fma(-rates[kind.y], step, before));
    }
  }
}
