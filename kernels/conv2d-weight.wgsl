// The gradient of conv2d.wgsl for its weights, a workgroup a weight:
// w[o,c,p,q] = sum over b, i, j of x[b, c, i*stride + p - padding, j*stride + q - padding] * y[b,o,i,j]; x is 0 outside.
// The sum runs over the images of one group. Its lanes take every WORKGROUP-th place and meet in a tree: the order of the
// sum depends on the shapes only. No atomics. Plain and untuned.

struct Uniforms {
  count: u32, // elements of w
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
@group(0) @binding(2) var<storage, read> y: array<f32>; // y [groups*images,Co,Ho,Wo]
@group(0) @binding(3) var<storage, read_write> w: array<f32>; // w [groups,Co,Ci,P,Q]

const WORKGROUP: u32 = 64;

var<workgroup> lanes: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = group.y * groups.x + group.x;
  let own = min(index, u.count - 1u);
  let q = own % u.kernelSize.y;
  let p = (own / u.kernelSize.y) % u.kernelSize.x;
  let planes = own / (u.kernelSize.y * u.kernelSize.x);
  let c = planes % u.channels.x;
  let o = (planes / u.channels.x) % u.channels.y;
  let first = planes / (u.channels.x * u.channels.y) * u.images;
  let area = u.ySize.x * u.ySize.y;
  var total = 0.0;
  for (var place = local; place < u.images * area; place += WORKGROUP) {
    let image = first + place / area;
    let row = (place % area) / u.ySize.y;
    let column = place % u.ySize.y;
    let xRow = i32(row * u.stride + p) - i32(u.padding);
    let xColumn = i32(column * u.stride + q) - i32(u.padding);
    if (xRow >= 0 && xRow < i32(u.xSize.x) && xColumn >= 0 && xColumn < i32(u.xSize.y)) {
      let xPlane = (image * u.channels.x + c) * u.xSize.x * u.xSize.y;
      let yPlane = (image * u.channels.y + o) * area;
      total = fma(x[xPlane + u32(xRow) * u.xSize.y + u32(xColumn)], y[yPlane + place % area], total);
    }
  }
  lanes[local] = total;
  workgroupBarrier();
  for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
    if (local < half) {
      lanes[local] += lanes[local + half];
    }
    workgroupBarrier();
  }
  if (local == 0u && index < u.count) {
    w[index] = lanes[0];
  }
}
