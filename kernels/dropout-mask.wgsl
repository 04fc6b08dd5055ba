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

fn mixed(x: vec2<u32>, rotation: u32) -> vec2<u32> {
  let sum = x.x + x.y;
  return vec2<u32>(sum, ((x.y << rotation) | (x.y >> (32u - rotation))) ^ sum);
}

fn fourOdd(x: vec2<u32>) -> vec2<u32> {
  return mixed(mixed(mixed(mixed(x, 13u), 15u), 26u), 6u);
}

fn fourEven(x: vec2<u32>) -> vec2<u32> {
  return mixed(mixed(mixed(mixed(x, 17u), 29u), 16u), 24u);
}

fn threefry(key: vec2<u32>, counter: vec2<u32>) -> u32 {
  let third = 0x1bd11bdau ^ key.x ^ key.y;
  var x = counter + key;
  x = fourOdd(x) + vec2<u32>(key.y, third + 1u);
  x = fourEven(x) + vec2<u32>(third, key.x + 2u);
  x = fourOdd(x) + vec2<u32>(key.x, key.y + 3u);
  x = fourEven(x) + vec2<u32>(key.y, third + 4u);
  x = fourOdd(x) + vec2<u32>(third, key.x + 5u);
  return x.x;
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
  let bits = threefry(vec2<u32>(u.keyLow, u.keyHigh ^ step[0]), vec2<u32>(i, u.stream));
  y[i] = select(0.0, u.scale, (bits >> 8u) >= u.threshold);
}
