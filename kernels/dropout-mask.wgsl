// A dropout mask: y[i] = u.scale where random number i is at least u.threshold, else 0. The numbers are the upper 24 bits of
// Threefry-2x32 with 20 rounds (Salmon et al., SC 2011), key (seed's low word, seed's high word ^ step), counter (i, stream):
// the definition in engine/random.ts, bit for bit. step[0] counts the training runs. One invocation an element.

struct Uniforms {
  count: u32, // elements
  keyLow: u32, // words of the seed
  keyHigh: u32,
  stream: u32,
  threshold: u32, // the least 24-bit number that keeps
  scale: f32, // 1 / (1 - rate)
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> step: array<u32>; // [1]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [count]

const WORKGROUP: u32 = 64;

// The rotations of a group of four rounds, a byte each from the lowest; groups alternate between the two.
const ODD: u32 = 0x061a0f0d;
const EVEN: u32 = 0x18101d11;

// The first word of the counter (counter0, counter1) under the key (key0, key1).
fn threefry(key0: u32, key1: u32, counter0: u32, counter1: u32) -> u32 {
  var a = key0;
  var b = key1;
  var c = 0x1bd11bdau ^ key0 ^ key1;
  var x0 = counter0 + a;
  var x1 = counter1 + b;
  for (var fours = 1u; fours <= 5u; fours++) {
    let rotations = select(EVEN, ODD, fours % 2u == 1u);
    for (var round = 0u; round < 4u; round++) {
      let rotation = (rotations >> (8u * round)) & 31u;
      let wrapped = (x1 >> (32u - rotation)) & ((1u << rotation) - 1u);
      x0 = x0 + x1;
      x1 = ((x1 << rotation) | wrapped) ^ x0;
    }
    let first = a;
    a = b;
    b = c;
    c = first;
    x0 = x0 + a;
    x1 = x1 + b + fours;
  }
  return x0;
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
  let bits = threefry(u.keyLow, u.keyHigh ^ step[0], i, u.stream);
  y[i] = select(0.0, u.scale, ((bits >> 8u) & 0xffffffu) >= u.threshold);
}
