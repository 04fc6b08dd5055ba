// Cross-correlation of images with a bank of weights, an invocation an element of the result:
// y[b,o,i,j] = sum over c, p, q of x[b, c, i*stride + p - padding, j*stride + q - padding] * w[o,c,p,q]; x is 0 outside.
// Images share the weights, or every run of "images" of them has weights of its own (one step of a scan each).
// Sums run in the order c, p, q. Plain and untuned.

struct Uniforms {
  count: u32, // elements of y
  images: u32, // images that share one set of weights
  channels: vec2<u32>, // of x, of y
  xSize: vec2<u32>, // rows, columns
  ySize: vec2<u32>, // rows, columns
  kernelSize: vec2<u32>, // rows, columns
  stride: u32,
  padding: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>; // x [groups*images,Ci,Hi,Wi]
@group(0) @binding(2) var<storage, read> w: array<f32>; // w [groups,Co,Ci,P,Q]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // y [groups*images,Co,Ho,Wo]

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (group.y * groups.x + group.x) * WORKGROUP + local;
  if (index >= u.count) {
    return;
  }
  let column = index % u.ySize.y;
  let row = (index / u.ySize.y) % u.ySize.x;
  let plane = index / (u.ySize.y * u.ySize.x);
  let channel = plane % u.channels.y;
  let image = plane / u.channels.y;
  let weights = ((image / u.images) * u.channels.y + channel) * u.channels.x * u.kernelSize.x * u.kernelSize.y;
  let top = i32(row * u.stride) - i32(u.padding);
  let left = i32(column * u.stride) - i32(u.padding);
  var total = 0.0;
  for (var c = 0u; c < u.channels.x; c++) {
    for (var p = 0u; p < u.kernelSize.x; p++) {
      let xRow = top + i32(p);
      if (xRow < 0 || xRow >= i32(u.xSize.x)) {
        continue;
      }
      let xStart = ((image * u.channels.x + c) * u.xSize.x + u32(xRow)) * u.xSize.y;
      let wStart = weights + (c * u.kernelSize.x + p) * u.kernelSize.y;
      for (var q = 0u; q < u.kernelSize.y; q++) {
        let xColumn = left + i32(q);
        if (xColumn >= 0 && xColumn < i32(u.xSize.y)) {
          total = fma(x[xStart + u32(xColumn)], w[wStart + q], total);
        }
      }
    }
  }
  y[index] = total;
}
