// The gradient of conv2d.wgsl for its images, which is also the forward of a transposed convolution; an invocation an
// element of x: x[b,c,i,j] = sum over o, p, q of y[b, o, (i + padding - p)/stride, (j + padding - q)/stride] * w[o,c,p,q]
// where both divisions are whole and inside y. Gathers, so that no two invocations write the same place.
// Sums run in the order o, p, q. Plain and untuned.

struct Uniforms {
  count: u32, // elements of x
  images: u32, // images that share one set of weights
  channels: vec2<u32>, // of x, of y
  xSize: vec2<u32>, // rows, columns
  ySize: vec2<u32>, // rows, columns
  kernelSize: vec2<u32>, // rows, columns
  stride: u32,
  padding: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> y: array<f32>; // y [groups*images,Co,Ho,Wo]
@group(0) @binding(2) var<storage, read> w: array<f32>; // w [groups,Co,Ci,P,Q]
@group(0) @binding(3) var<storage, read_write> x: array<f32>; // x [groups*images,Ci,Hi,Wi]

const WORKGROUP: u32 = 64;

// The row or column of y that tap p of the kernel reads x from, or size where there is none.
fn sourceOf(position: u32, p: u32, size: u32) -> u32 {
  let padded = position + u.padding;
  if (padded < p || (padded - p) % u.stride != 0u) {
    return size;
  }
  return min((padded - p) / u.stride, size);
}

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
  let column = index % u.xSize.y;
  let row = (index / u.xSize.y) % u.xSize.x;
  let plane = index / (u.xSize.y * u.xSize.x);
  let channel = plane % u.channels.x;
  let image = plane / u.channels.x;
  var total = 0.0;
  for (var o = 0u; o < u.channels.y; o++) {
    let weights = ((image / u.images) * u.channels.y + o) * u.channels.x + channel;
    for (var p = 0u; p < u.kernelSize.x; p++) {
      let yRow = sourceOf(row, p, u.ySize.x);
      if (yRow == u.ySize.x) {
        continue;
      }
      let yStart = ((image * u.channels.y + o) * u.ySize.x + yRow) * u.ySize.y;
      let wStart = (weights * u.kernelSize.x + p) * u.kernelSize.y;
      for (var q = 0u; q < u.kernelSize.y; q++) {
        let yColumn = sourceOf(column, q, u.ySize.y);
        if (yColumn < u.ySize.y) {
          total = fma(y[yStart + yColumn], w[wStart + q], total);
        }
      }
    }
  }
  x[index] = total;
}
