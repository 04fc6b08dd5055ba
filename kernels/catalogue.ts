/**
 * Generated from the .wgsl files of this folder by `npm run kernels`: do not edit. A test fails when it is stale.
 */
import type { Kernel } from './kernel.ts';

/**
 * ```text
 * One step of Adam (Kingma and Ba 2014, algorithm 1), in place:
 * g = scale * gradient, m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
 * p = p - rate * (m / d1) / (sqrt(v / d2) + epsilon), with scale and d from update-control.wgsl.
 * Weight decay is added to g as decay * p; DECOUPLED adds it to the step instead (AdamW, Loshchilov and Hutter 2017).
 * Many parameters in one call: a row for each says in which buffers, from where on, it has its elements; a workgroup changes
 * one block of WORKGROUP * ELEMENTS elements of one parameter, and every element is one invocation's. Where control says that
 * a guard's flag is up, nothing changes.
 * ```
 */
export const adam = {
  name: 'adam',
  bindings: {
    gradient: { binding: 1, access: 'read', element: 'f32' },
    rates: { binding: 2, access: 'read', element: 'f32' },
    control: { binding: 3, access: 'read', element: 'f32' },
    m: { binding: 4, access: 'read_write', element: 'f32' },
    v: { binding: 5, access: 'read_write', element: 'f32' },
    p0: { binding: 6, access: 'read_write', element: 'f32' },
    p1: { binding: 7, access: 'read_write', element: 'f32' },
    p2: { binding: 8, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 1056,
    fields: {
      parameters: { offset: 0, type: 'u32' },
      blocks: { offset: 4, type: 'u32' },
      epsilon: { offset: 8, type: 'f32' },
      betas: { offset: 16, type: 'vec2<f32>' },
      complements: { offset: 24, type: 'vec2<f32>' },
      rows: { offset: 32, type: 'array<vec4<u32>, 64>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    ELEMENTS: { type: 'u32', value: 4 },
    DECOUPLED: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `







struct Uniforms {
parameters: u32,
blocks: u32,
epsilon: f32,
betas: vec2<f32>,
complements: vec2<f32>,
rows: array<vec4<u32>, 64>,

}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> rates: array<f32>;
@group(0) @binding(3) var<storage, read> control: array<f32>;
@group(0) @binding(4) var<storage, read_write> m: array<f32>;
@group(0) @binding(5) var<storage, read_write> v: array<f32>;
@group(0) @binding(6) var<storage, read_write> p0: array<f32>;
@group(0) @binding(7) var<storage, read_write> p1: array<f32>;
@group(0) @binding(8) var<storage, read_write> p2: array<f32>;

const WORKGROUP: u32 = 64;
const ELEMENTS: u32 = 4;
const DECOUPLED: bool = false;

fn load(buffer: u32, i: u32) -> f32 {
if (buffer == 0u) {
return p0[i];
}
if (buffer == 1u) {
return p1[i];
}
return p2[i];
}

fn store(buffer: u32, i: u32, value: f32) {
if (buffer == 0u) {
p0[i] = value;
} else if (buffer == 1u) {
p1[i] = value;
} else {
p2[i] = value;
}
}


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
let shrink = decay * before;
let g = control[0] * gradient[place.z + i] + select(shrink, 0.0, DECOUPLED);
let mNext = fma(u.betas.x, m[j], u.complements.x * g);
let vNext = fma(u.betas.y, v[j], u.complements.y * g * g);
let step = (mNext / control[1]) / (sqrt(vNext / control[2]) + u.epsilon) + select(0.0, shrink, DECOUPLED);
m[j] = mNext;
v[j] = vNext;
store(kind.x, place.w + i, fma(-rates[kind.y], step, before));
}
}
}
` as string,
} as const;

/**
 * ```text
 * Binary cross-entropy of logits x with targets t from 0 to 1: y = max(x, 0) - x t + log(1 + e^-|x|), which keeps its digits at
 * both ends and at any size of x. One invocation an element.
 * ```
 */
export const binaryCrossEntropy = {
  name: 'binaryCrossEntropy',
  bindings: {
    x: { binding: 1, access: 'read', element: 'f32' },
    t: { binding: 2, access: 'read', element: 'f32' },
    y: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `


struct Uniforms {
count: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> t: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

const WORKGROUP: u32 = 64;


fn logOnePlus(e: f32) -> f32 {
let s = e / (2.0 + e);
let q = s * s;
let series = 0.33333333 + q * (0.2 + q * (0.14285714 + q * (0.11111111 + q * (0.090909091 + q * 0.076923077))));
return 2.0 * s * (1.0 + q * series);
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
let logit = x[i];
y[i] = select(0.0, logit, logit > 0.0) - logit * t[i] + logOnePlus(exp(-abs(logit)));
}
` as string,
} as const;

/**
 * ```text
 * The gradient of conv2d.wgsl for its images, which is also the forward of a transposed convolution; an invocation an
 * element of x: x[b,c,i,j] = sum over o, p, q of y[b, o, (i + padding - p)/stride, (j + padding - q)/stride] * w[o,c,p,q]
 * where both divisions are whole and inside y. Gathers, so that no two invocations write the same place.
 * Sums run in the order o, p, q. Plain and untuned.
 * ```
 */
export const conv2dInput = {
  name: 'conv2dInput',
  bindings: {
    y: { binding: 1, access: 'read', element: 'f32' },
    w: { binding: 2, access: 'read', element: 'f32' },
    x: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 48,
    fields: {
      count: { offset: 0, type: 'u32' },
      images: { offset: 4, type: 'u32' },
      channels: { offset: 8, type: 'vec2<u32>' },
      xSize: { offset: 16, type: 'vec2<u32>' },
      ySize: { offset: 24, type: 'vec2<u32>' },
      kernelSize: { offset: 32, type: 'vec2<u32>' },
      stride: { offset: 40, type: 'u32' },
      padding: { offset: 44, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `




struct Uniforms {
count: u32,
images: u32,
channels: vec2<u32>,
xSize: vec2<u32>,
ySize: vec2<u32>,
kernelSize: vec2<u32>,
stride: u32,
padding: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;

const WORKGROUP: u32 = 64;


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
` as string,
} as const;

/**
 * ```text
 * The gradient of conv2d.wgsl for its weights, a workgroup a weight:
 * w[o,c,p,q] = sum over b, i, j of x[b, c, i*stride + p - padding, j*stride + q - padding] * y[b,o,i,j]; x is 0 outside.
 * The sum runs over the images of one group. Its lanes take every WORKGROUP-th place and meet in a tree: the order of the
 * sum depends on the shapes only. No atomics. Plain and untuned.
 * ```
 */
export const conv2dWeight = {
  name: 'conv2dWeight',
  bindings: {
    x: { binding: 1, access: 'read', element: 'f32' },
    y: { binding: 2, access: 'read', element: 'f32' },
    w: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 48,
    fields: {
      count: { offset: 0, type: 'u32' },
      images: { offset: 4, type: 'u32' },
      channels: { offset: 8, type: 'vec2<u32>' },
      xSize: { offset: 16, type: 'vec2<u32>' },
      ySize: { offset: 24, type: 'vec2<u32>' },
      kernelSize: { offset: 32, type: 'vec2<u32>' },
      stride: { offset: 40, type: 'u32' },
      padding: { offset: 44, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `




struct Uniforms {
count: u32,
images: u32,
channels: vec2<u32>,
xSize: vec2<u32>,
ySize: vec2<u32>,
kernelSize: vec2<u32>,
stride: u32,
padding: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> w: array<f32>;

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
` as string,
} as const;

/**
 * ```text
 * Cross-correlation of images with a bank of weights, an invocation an element of the result:
 * y[b,o,i,j] = sum over c, p, q of x[b, c, i*stride + p - padding, j*stride + q - padding] * w[o,c,p,q]; x is 0 outside.
 * Images share the weights, or every run of "images" of them has weights of its own (one step of a scan each).
 * Sums run in the order c, p, q. Plain and untuned.
 * ```
 */
export const conv2d = {
  name: 'conv2d',
  bindings: {
    x: { binding: 1, access: 'read', element: 'f32' },
    w: { binding: 2, access: 'read', element: 'f32' },
    y: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 48,
    fields: {
      count: { offset: 0, type: 'u32' },
      images: { offset: 4, type: 'u32' },
      channels: { offset: 8, type: 'vec2<u32>' },
      xSize: { offset: 16, type: 'vec2<u32>' },
      ySize: { offset: 24, type: 'vec2<u32>' },
      kernelSize: { offset: 32, type: 'vec2<u32>' },
      stride: { offset: 40, type: 'u32' },
      padding: { offset: 44, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `




struct Uniforms {
count: u32,
images: u32,
channels: vec2<u32>,
xSize: vec2<u32>,
ySize: vec2<u32>,
kernelSize: vec2<u32>,
stride: u32,
padding: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

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
` as string,
} as const;

/**
 * ```text
 * Copies a run of elements as it lies, as bits: f32 (NaN payloads too) and u32 pass unchanged. An invocation copies
 * VECTORS vectors of 4 elements; what it writes behind the last element is padding.
 * Not for rearranging: that is strided-copy.wgsl.
 * ```
 */
export const copy = {
  name: 'copy',
  bindings: {
    input: { binding: 1, access: 'read', element: 'vec4<u32>' },
    output: { binding: 2, access: 'read_write', element: 'vec4<u32>' },
  },
  uniforms: {
    size: 16,
    fields: {
      vectors: { offset: 0, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    VECTORS: { type: 'u32', value: 4 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `



struct Uniforms {
vectors: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> input: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<u32>>;

const WORKGROUP: u32 = 64;
const VECTORS: u32 = 4;

@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) local: u32,
) {
let first = (group.y * groups.x + group.x) * WORKGROUP * VECTORS + local;
for (var j = 0u; j < VECTORS; j++) {
let i = first + j * WORKGROUP;
if (i < u.vectors) {
output[i] = input[i];
}
}
}
` as string,
} as const;

/**
 * ```text
 * The backward of cross-entropy: dlogits = (e^(logit - max) / sum - 1 at the label) d, from the row's max and sum. A row whose loss
 * is NaN has a sum that is NaN, and so its gradient is. One invocation an element.
 * ```
 */
export const crossEntropyBackward = {
  name: 'crossEntropyBackward',
  bindings: {
    logits: { binding: 1, access: 'read', element: 'f32' },
    labels: { binding: 2, access: 'read', element: 'u32' },
    stats: { binding: 3, access: 'read', element: 'f32' },
    d: { binding: 4, access: 'read', element: 'f32' },
    dlogits: { binding: 5, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `


struct Uniforms {
count: u32,
columns: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> stats: array<f32>;
@group(0) @binding(4) var<storage, read> d: array<f32>;
@group(0) @binding(5) var<storage, read_write> dlogits: array<f32>;

const WORKGROUP: u32 = 64;

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
let row = i / u.columns;
let p = exp(max(logits[i] - stats[2u * row], -128.0)) / stats[2u * row + 1u];
dlogits[i] = d[row] * (p - select(0.0, 1.0, i % u.columns == labels[row]));
}
` as string,
} as const;

/**
 * ```text
 * Cross-entropy of every row of logits with its label: loss = log(sum of e^(logit - max)) + max - logit of the label, exact for
 * logits of any size. stats keeps max and the sum for the backward. A row with a NaN or +infinity, one of nothing but
 * -infinity, and a label past the columns give NaN.
 * With COOPERATE a workgroup shares a row; without it every lane has a row of its own.
 * ```
 */
export const crossEntropy = {
  name: 'crossEntropy',
  bindings: {
    logits: { binding: 1, access: 'read', element: 'f32' },
    labels: { binding: 2, access: 'read', element: 'u32' },
    loss: { binding: 3, access: 'read_write', element: 'f32' },
    stats: { binding: 4, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      rows: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
      nan: { offset: 8, type: 'u32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 64 },
    COOPERATE: { type: 'bool', value: false },
  },
  workgroup: ['LANES', 1, 1],
  source: `




struct Uniforms {
rows: u32,
columns: u32,
nan: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> stats: array<f32>;

const LANES: u32 = 64;
const COOPERATE: bool = false;

var<workgroup> lanes: array<f32, LANES>;
var<workgroup> faults: array<u32, LANES>;


fn greatestOfRow(lane: u32, own: f32) -> f32 {
if (!COOPERATE) {
return own;
}
lanes[lane] = own;
workgroupBarrier();
for (var width = LANES / 2u; width > 0u; width = width / 2u) {
if (lane < width) {
lanes[lane] = max(lanes[lane], lanes[lane + width]);
}
workgroupBarrier();
}

return lanes[0];
}

fn faultOfRow(lane: u32, own: u32) -> u32 {
if (!COOPERATE) {
return own;
}
faults[lane] = own;
workgroupBarrier();
for (var width = LANES / 2u; width > 0u; width = width / 2u) {
if (lane < width) {
faults[lane] = faults[lane] | faults[lane + width];
}
workgroupBarrier();
}
return faults[0];
}

fn sumOfRow(lane: u32, own: f32) -> f32 {
if (!COOPERATE) {
return own;
}
lanes[lane] = own;
workgroupBarrier();
for (var width = LANES / 2u; width > 0u; width = width / 2u) {
if (lane < width) {
lanes[lane] = lanes[lane] + lanes[lane + width];
}
workgroupBarrier();
}
return lanes[0];
}

@compute @workgroup_size(LANES)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) lane: u32,
) {
let index = group.y * groups.x + group.x;
let row = select(index * LANES + lane, index, COOPERATE);
let first = select(0u, lane, COOPERATE);
let step = select(1u, LANES, COOPERATE);
let end = select(0u, u.columns, row < u.rows);
let base = row * u.columns;

var own = -3.4028234e38;
var fault = 0u;
for (var i = first; i < end; i += step) {
let bits = bitcast<u32>(logits[base + i]);
if (bits == 0x7f800000u || (bits & 0x7fffffffu) > 0x7f800000u) {
fault = 1u;
} else {
own = max(own, logits[base + i]);
}
}
let peak = greatestOfRow(lane, own);
let broken = faultOfRow(lane, fault) != 0u;
var part = 0.0;
for (var i = first; i < end; i += step) {
part += exp(max(logits[base + i] - peak, -128.0));
}
let total = sumOfRow(lane, part);

if (first == 0u && row < u.rows) {
let label = labels[row];
if (broken || total == 0.0 || label >= u.columns) {
loss[row] = bitcast<f32>(u.nan);
stats[2u * row + 1u] = bitcast<f32>(u.nan);
} else {
loss[row] = log(total) + (peak - logits[base + label]);
stats[2u * row + 1u] = total;
}
stats[2u * row] = peak;
}
}
` as string,
} as const;

/**
 * ```text
 * The backward of running products y[i] = x[0] ... x[i]: dx[j] = (x[0] ... x[j-1]) r[j], where r[j] = dy[j] + x[j+1] r[j+1]
 * gathers what follows. No division, so that zeros in a row have their right gradient. An invocation does one row: forward
 * for the products before each element, backward for r.
 * ```
 */
export const cumulativeProductBackward = {
  name: 'cumulativeProductBackward',
  bindings: {
    x: { binding: 1, access: 'read', element: 'f32' },
    dy: { binding: 2, access: 'read', element: 'f32' },
    dx: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      rows: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `



struct Uniforms {
rows: u32,
columns: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) local: u32,
) {
let row = (group.y * groups.x + group.x) * WORKGROUP + local;
if (row >= u.rows) {
return;
}
let base = row * u.columns;
var before = 1.0;
for (var i = base; i < base + u.columns; i++) {
dx[i] = before;
before = before * x[i];
}
var carried = 0.0;
for (var i = base + u.columns; i > base; i--) {
let following = dy[i - 1u] + carried;
dx[i - 1u] = dx[i - 1u] * following;
carried = x[i - 1u] * following;
}
}
` as string,
} as const;

/**
 * ```text
 * Running sums of every row, or running products with PRODUCT: y[i] joins x[0] to x[i]; with REVERSE, x[i] to the last.
 * With COOPERATE a workgroup shares a row: every lane joins a stretch of its own, then walks it again from what the
 * stretches before it came to. Without it every lane has a row of its own.
 * ```
 */
export const cumulative = {
  name: 'cumulative',
  bindings: {
    x: { binding: 1, access: 'read', element: 'f32' },
    y: { binding: 2, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      rows: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 64 },
    COOPERATE: { type: 'bool', value: false },
    PRODUCT: { type: 'bool', value: false },
    REVERSE: { type: 'bool', value: false },
  },
  workgroup: ['LANES', 1, 1],
  source: `



struct Uniforms {
rows: u32,
columns: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const LANES: u32 = 64;
const COOPERATE: bool = false;
const PRODUCT: bool = false;
const REVERSE: bool = false;

var<workgroup> stretches: array<f32, LANES>;

fn joined(a: f32, b: f32) -> f32 {
if (PRODUCT) {
return a * b;
}
return a + b;
}

fn placeOf(base: u32, i: u32) -> u32 {
return base + select(i, u.columns - 1u - i, REVERSE);
}

@compute @workgroup_size(LANES)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) lane: u32,
) {
let index = group.y * groups.x + group.x;
let row = select(index * LANES + lane, index, COOPERATE);
let base = row * u.columns;
let length = select(u.columns, (u.columns + LANES - 1u) / LANES, COOPERATE);
let first = select(0u, lane * length, COOPERATE);
let end = select(0u, min(first + length, u.columns), row < u.rows);

var total = select(0.0, 1.0, PRODUCT);
if (COOPERATE) {
for (var i = first; i < end; i++) {
total = joined(total, x[placeOf(base, i)]);
}
stretches[lane] = total;
workgroupBarrier();
total = select(0.0, 1.0, PRODUCT);
for (var before = 0u; before < lane; before++) {
total = joined(total, stretches[before]);
}
}
for (var i = first; i < end; i++) {
let place = placeOf(base, i);
total = joined(total, x[place]);
y[place] = total;
}
}
` as string,
} as const;

/**
 * ```text
 * A dropout mask: y[i] = u.scale where random number i is at least u.threshold, else 0. The numbers are the upper 24 bits of
 * Threefry-2x32 with 20 rounds (Salmon et al., SC 2011), key (seed's low word, seed's high word ^ step), counter (i, stream):
 * the definition in engine/random.ts, bit for bit. step[0] counts the training runs. One invocation an element.
 * ```
 */
export const dropoutMask = {
  name: 'dropoutMask',
  bindings: {
    step: { binding: 1, access: 'read', element: 'u32' },
    y: { binding: 2, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 32,
    fields: {
      count: { offset: 0, type: 'u32' },
      keyLow: { offset: 4, type: 'u32' },
      keyHigh: { offset: 8, type: 'u32' },
      stream: { offset: 12, type: 'u32' },
      threshold: { offset: 16, type: 'u32' },
      scale: { offset: 20, type: 'f32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    ODD: { type: 'u32', value: 102371085 },
    EVEN: { type: 'u32', value: 403709201 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `



struct Uniforms {
count: u32,
keyLow: u32,
keyHigh: u32,
stream: u32,
threshold: u32,
scale: f32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const WORKGROUP: u32 = 64;


const ODD: u32 = 0x061a0f0d;
const EVEN: u32 = 0x18101d11;


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
` as string,
} as const;

/**
 * ```text
 * A short list of functions of numbers, for every element: y[i] = f(a[i], b[i], c[i], d[i]). An op by itself is a list of one
 * step; ops that only feed one another are one list, whose middle values stay in registers (engine/fusion.ts).
 * A step names its function and three registers: 0 to 3 are the operands, 4 to 7 numbers of the uniforms, 8 and up what the
 * steps gave. What a step hands on goes through a choice whose outcome the compiler does not know, so that it neither contracts a
 * product of one step with a sum of the next nor cancels terms of one with those of another: a list gives the bits that its
 * ops give one by one. For the same reason no step reads one register twice: x - x is NaN where x is.
 * An invocation computes VECTORS vectors of 4 elements of y; what it writes behind the last element is padding. LAYOUT tells
 * how operands lie: 0, as y does; 1, through strides, with 4 neighbours of y in one dimension, where an operand runs along or
 * repeats; 2, through strides, element by element. A stride is 0 where an operand repeats.
 * A NaN stays one, whatever the function; only comparisons, the power 0 and what a mask leaves out leave it behind. A negative
 * base takes whole powers only, and else gives NaN. The hyperbolic tangent and the power are written by hand: built-in ones
 * lose digits near 0, overflow, or refuse negative bases. gelu uses an error function accurate to 1.5e-7 (Abramowitz and
 * Stegun 7.1.26).
 * ```
 */
export const elementwise = {
  name: 'elementwise',
  bindings: {
    a: { binding: 1, access: 'read', element: 'vec4<f32>' },
    b: { binding: 2, access: 'read', element: 'vec4<f32>' },
    c: { binding: 3, access: 'read', element: 'vec4<f32>' },
    d: { binding: 4, access: 'read', element: 'vec4<f32>' },
    y: { binding: 5, access: 'read_write', element: 'vec4<f32>' },
  },
  uniforms: {
    size: 288,
    fields: {
      vectors: { offset: 0, type: 'u32' },
      count: { offset: 4, type: 'u32' },
      rank: { offset: 8, type: 'u32' },
      sizes: { offset: 16, type: 'array<vec4<u32>, 2>' },
      strides: { offset: 48, type: 'array<vec4<u32>, 6>' },
      numbers: { offset: 144, type: 'vec4<f32>' },
      parameters: { offset: 160, type: 'array<vec4<f32>, 8>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    VECTORS: { type: 'u32', value: 4 },
    LAYOUT: { type: 'u32', value: 0 },
    STEPS: { type: 'u32', value: 1 },
    STEP0: { type: 'u32', value: 0 },
    STEP1: { type: 'u32', value: 0 },
    STEP2: { type: 'u32', value: 0 },
    STEP3: { type: 'u32', value: 0 },
    STEP4: { type: 'u32', value: 0 },
    STEP5: { type: 'u32', value: 0 },
    STEP6: { type: 'u32', value: 0 },
    STEP7: { type: 'u32', value: 0 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `













struct Uniforms {
vectors: u32,
count: u32,
rank: u32,
sizes: array<vec4<u32>, 2>,
strides: array<vec4<u32>, 6>,
numbers: vec4<f32>,
parameters: array<vec4<f32>, 8>,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> c: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> d: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;

const WORKGROUP: u32 = 64;
const VECTORS: u32 = 4;
const LAYOUT: u32 = 0;
const STEPS: u32 = 1;

const STEP0: u32 = 0;
const STEP1: u32 = 0;
const STEP2: u32 = 0;
const STEP3: u32 = 0;
const STEP4: u32 = 0;
const STEP5: u32 = 0;
const STEP6: u32 = 0;
const STEP7: u32 = 0;
const ZERO: vec4<f32> = vec4<f32>(0.0);
const ONE: vec4<f32> = vec4<f32>(1.0);


fn isNaN(v: vec4<f32>) -> vec4<bool> {
return (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
}

fn truth(v: vec4<bool>) -> vec4<f32> {
return select(ZERO, ONE, v);
}

fn tanhOf(v: vec4<f32>) -> vec4<f32> {
let size = abs(v);
let s = v * v;
let series = v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
let e = exp(-2.0 * size);
return select(sign(v) * (1.0 - e) / (1.0 + e), series, size < vec4<f32>(0.1));
}

fn sigmoidOf(v: vec4<f32>) -> vec4<f32> {
let e = exp(-abs(v));
return select(e, ONE, v >= ZERO) / (1.0 + e);
}


fn softplusOf(v: vec4<f32>) -> vec4<f32> {
let e = exp(-abs(v));
let series = e * (1.0 - e * (0.5 - e * 0.33333333));
return max(v, ZERO) + select(log(1.0 + e), series, e < vec4<f32>(0.01));
}


fn expm1Of(v: vec4<f32>) -> vec4<f32> {
let w = min(v, ZERO);
let series = w * (1.0 + w * (0.5 + w * (0.16666667 + w * 0.041666668)));
return select(exp(w) - 1.0, series, w > vec4<f32>(-0.05));
}

fn erfOf(v: vec4<f32>) -> vec4<f32> {
let size = abs(v);
let s = v * v;
let series = v * 1.1283792
* (1.0 - s * (0.33333333 - s * (0.1 - s * (0.023809524 - s * (0.0046296296 - s * 0.00075757576)))));
let t = 1.0 / (1.0 + 0.3275911 * size);
let poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
return select(sign(v) * (1.0 - poly * exp(-s)), series, size < vec4<f32>(0.5));
}

fn powOf(base: vec4<f32>, exponent: vec4<f32>) -> vec4<f32> {
let size = exp2(exponent * log2(abs(base)));
let odd = fract(abs(exponent) * 0.5) == vec4<f32>(0.5);
var power = select(size, -size, (base < ZERO) & odd);
power = select(power, select(1.0 / base, ZERO, exponent > ZERO), base == ZERO);
let none = bitcast<vec4<f32>>(bitcast<vec4<u32>>(base) | vec4<u32>(0x7fc00000u));
power = select(power, none, (base < ZERO) & (exponent != trunc(exponent)));
power = select(power, exponent, isNaN(exponent));
power = select(power, base, (exponent == ONE) | isNaN(base));
return select(power, ONE, exponent == ZERO);
}

fn unary(op: u32, v: vec4<f32>, p: vec4<f32>) -> vec4<f32> {
switch op {
case 1u: { return p.x * v + p.y; }
case 2u: { return exp(v); }
case 3u: { return log(v); }
case 4u: { return sqrt(v); }
case 5u: { return abs(v); }
case 6u: { return sign(v); }
case 7u: { return sigmoidOf(v); }
case 8u: { return tanhOf(v); }
case 9u: { return max(v, ZERO); }
case 10u: { return softplusOf(v); }
case 11u: { return 1.0 / v; }
case 12u: { return clamp(v, vec4<f32>(p.x), vec4<f32>(p.y)); }
case 13u: { return truth((v > vec4<f32>(p.x)) & (v < vec4<f32>(p.y))); }
case 14u: { return v * v; }
case 15u: { return 0.5 * v * (1.0 + erfOf(v * 0.70710678)); }
case 16u: { return 0.5 * (1.0 + erfOf(v * 0.70710678)) + v * 0.39894228 * exp(-0.5 * v * v); }
case 17u: { return select(p.x * expm1Of(v), v, v > ZERO); }
case 18u: { return select(p.x * exp(min(v, ZERO)), ONE, v > ZERO); }
case 19u: { return select(p.x * v, v, v > ZERO); }
case 20u: { return select(vec4<f32>(p.x), ONE, v > ZERO); }
case 21u: { return sin(v); }
case 22u: { return cos(v); }
default: { return v; }
}
}

fn apply(op: u32, v: vec4<f32>, w: vec4<f32>, z: vec4<f32>, p: vec4<f32>) -> vec4<f32> {
switch op {
case 32u: { return v + w; }
case 33u: { return v - w; }
case 34u: { return v * w; }
case 35u: { return v / w; }
case 36u: { return powOf(v, w); }
case 37u: { return powOf(v, vec4<f32>(p.x)); }
case 38u: { return select(select(max(v, w), w, isNaN(w)), v, isNaN(v)); }
case 39u: { return select(select(min(v, w), w, isNaN(w)), v, isNaN(v)); }
case 40u: { return truth(v > w); }
case 41u: { return truth(v >= w); }
case 42u: { return truth(v < w); }
case 43u: { return truth(v <= w); }
case 44u: { return truth(v == w); }
case 45u: { return v * w * (1.0 - w); }
case 46u: { return v * (1.0 - w * w); }
case 47u: { return select(v, ZERO, w <= ZERO); }
case 48u: { return select(v * log(w), ZERO, v == ZERO); }
case 49u: { return select(z, w, v != ZERO); }
default: { return select(unary(op, v, p), v, isNaN(v)); }
}
}



fn held(v: vec4<f32>, step: u32) -> vec4<f32> {
return select(v, ZERO, u.rank == step);
}

fn listed(p: vec4<f32>, q: vec4<f32>, r: vec4<f32>, s: vec4<f32>) -> vec4<f32> {
var x: array<vec4<f32>, 16>;
x[0] = p;
x[1] = q;
x[2] = r;
x[3] = s;
x[4] = vec4<f32>(u.numbers.x);
x[5] = vec4<f32>(u.numbers.y);
x[6] = vec4<f32>(u.numbers.z);
x[7] = vec4<f32>(u.numbers.w);
x[8] = apply(STEP0 & 255u, x[(STEP0 >> 8u) & 15u], x[(STEP0 >> 12u) & 15u], x[(STEP0 >> 16u) & 15u], u.parameters[0]);
if (STEPS > 1u) {
x[8] = held(x[8], 8u);
x[9] = apply(STEP1 & 255u, x[(STEP1 >> 8u) & 15u], x[(STEP1 >> 12u) & 15u], x[(STEP1 >> 16u) & 15u], u.parameters[1]);
}
if (STEPS > 2u) {
x[9] = held(x[9], 9u);
x[10] = apply(STEP2 & 255u, x[(STEP2 >> 8u) & 15u], x[(STEP2 >> 12u) & 15u], x[(STEP2 >> 16u) & 15u], u.parameters[2]);
}
if (STEPS > 3u) {
x[10] = held(x[10], 10u);
x[11] = apply(STEP3 & 255u, x[(STEP3 >> 8u) & 15u], x[(STEP3 >> 12u) & 15u], x[(STEP3 >> 16u) & 15u], u.parameters[3]);
}
if (STEPS > 4u) {
x[11] = held(x[11], 11u);
x[12] = apply(STEP4 & 255u, x[(STEP4 >> 8u) & 15u], x[(STEP4 >> 12u) & 15u], x[(STEP4 >> 16u) & 15u], u.parameters[4]);
}
if (STEPS > 5u) {
x[12] = held(x[12], 12u);
x[13] = apply(STEP5 & 255u, x[(STEP5 >> 8u) & 15u], x[(STEP5 >> 12u) & 15u], x[(STEP5 >> 16u) & 15u], u.parameters[5]);
}
if (STEPS > 6u) {
x[13] = held(x[13], 13u);
x[14] = apply(STEP6 & 255u, x[(STEP6 >> 8u) & 15u], x[(STEP6 >> 12u) & 15u], x[(STEP6 >> 16u) & 15u], u.parameters[6]);
}
if (STEPS > 7u) {
x[14] = held(x[14], 14u);
x[15] = apply(STEP7 & 255u, x[(STEP7 >> 8u) & 15u], x[(STEP7 >> 12u) & 15u], x[(STEP7 >> 16u) & 15u], u.parameters[7]);
}
return x[7u + STEPS];
}


fn offsetsOf(i: u32) -> vec4<u32> {
var rest = i;
var offsets = vec4<u32>(0u);
for (var k = u.rank; k > 0u; k--) {
let size = u.sizes[(k - 1u) / 4u][(k - 1u) % 4u];
offsets += (rest % size) * u.strides[k - 1u];
rest = rest / size;
}
return offsets;
}


fn spread(v: vec4<f32>, offset: u32, stride: u32) -> vec4<f32> {
return select(v, vec4<f32>(v[offset % 4u]), stride == 0u);
}

@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) local: u32,
) {

let first = (group.y * groups.x + group.x) * WORKGROUP * VECTORS;
let end = min(first + WORKGROUP * VECTORS, u.vectors);
for (var i = first + local; i < end; i += WORKGROUP) {
var p: vec4<f32>;
var q: vec4<f32>;
var r: vec4<f32>;
var s: vec4<f32>;
if (LAYOUT == 0u) {
p = a[i];
q = b[i];
r = c[i];
s = d[i];
} else if (LAYOUT == 1u) {
let at = offsetsOf(4u * i);
let along = u.strides[u.rank - 1u];
p = spread(a[at.x / 4u], at.x, along.x);
q = spread(b[at.y / 4u], at.y, along.y);
r = spread(c[at.z / 4u], at.z, along.z);
s = spread(d[at.w / 4u], at.w, along.w);
} else {
for (var k = 0u; k < 4u; k++) {
let at = offsetsOf(min(4u * i + k, u.count - 1u));
p[k] = a[at.x / 4u][at.x % 4u];
q[k] = b[at.y / 4u][at.y % 4u];
r[k] = c[at.z / 4u][at.z % 4u];
s[k] = d[at.w / 4u][at.w % 4u];
}
}
y[i] = listed(p, q, r, s);
}
}
` as string,
} as const;

/**
 * ```text
 * Fills a buffer with one value: output[i] = u.value for every i < u.count.
 * One invocation an element, on a grid of workgroups in x and y (more than 65,535 workgroups fold into y).
 * Not for u32 data: the value is an f32.
 * ```
 */
export const fill = {
  name: 'fill',
  bindings: {
    output: { binding: 1, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      value: { offset: 4, type: 'f32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `



struct Uniforms {
count: u32,
value: f32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;

const WORKGROUP: u32 = 64;

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
output[i] = u.value;
}
` as string,
} as const;

/**
 * ```text
 * Takes rows of a table by index: y[g, p, :] = table[g, index[g, p], :], group by group. An index past the table gives NaN.
 * Elements are moved as bits. One invocation an element of y.
 * ```
 */
export const gather = {
  name: 'gather',
  bindings: {
    table: { binding: 1, access: 'read', element: 'u32' },
    index: { binding: 2, access: 'read', element: 'u32' },
    y: { binding: 3, access: 'read_write', element: 'u32' },
  },
  uniforms: {
    size: 32,
    fields: {
      count: { offset: 0, type: 'u32' },
      positions: { offset: 4, type: 'u32' },
      rows: { offset: 8, type: 'u32' },
      columns: { offset: 12, type: 'u32' },
      nan: { offset: 16, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `


struct Uniforms {
count: u32,
positions: u32,
rows: u32,
columns: u32,
nan: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read> index: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;

const WORKGROUP: u32 = 64;

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
let position = i / u.columns;
let row = index[position];
if (row < u.rows) {
y[i] = table[((position / u.positions) * u.rows + row) * u.columns + i % u.columns];
} else {
y[i] = u.nan;
}
}
` as string,
} as const;

/**
 * ```text
 * The backward of gru-gates.wgsl, one invocation a hidden unit: the gates are computed again from their inputs, so
 * nothing of the forward is kept. dgx and dgh differ in the third gate only, where dgh carries the factor r.
 * Slopes are products of what is near 0, never 1 minus what is near 1: saturated gates keep their digits.
 * ```
 */
export const gruGatesBackward = {
  name: 'gruGatesBackward',
  bindings: {
    gx: { binding: 1, access: 'read', element: 'f32' },
    gh: { binding: 2, access: 'read', element: 'f32' },
    h: { binding: 3, access: 'read', element: 'f32' },
    dy: { binding: 4, access: 'read', element: 'f32' },
    dgx: { binding: 5, access: 'read_write', element: 'f32' },
    dgh: { binding: 6, access: 'read_write', element: 'f32' },
    dh: { binding: 7, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      hidden: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `



struct Uniforms {
count: u32,
hidden: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gx: array<f32>;
@group(0) @binding(2) var<storage, read> gh: array<f32>;
@group(0) @binding(3) var<storage, read> h: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> dgx: array<f32>;
@group(0) @binding(6) var<storage, read_write> dgh: array<f32>;
@group(0) @binding(7) var<storage, read_write> dh: array<f32>;

const WORKGROUP: u32 = 64;

fn tanhOf(v: f32) -> f32 {
let a = abs(v);
if (a < 0.1) {
let s = v * v;
return v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
}
let e = exp(-2.0 * a);
return sign(v) * (1.0 - e) / (1.0 + e);
}

fn tanhSlopeOf(v: f32) -> f32 {
let e = exp(-2.0 * abs(v));
return 4.0 * e / ((1.0 + e) * (1.0 + e));
}

fn sigmoidOf(v: f32) -> f32 {
let e = exp(-abs(v));
return select(e, 1.0, v >= 0.0) / (1.0 + e);
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
let reset = (i / u.hidden) * 3u * u.hidden + i % u.hidden;
let renew = reset + u.hidden;
let fresh = renew + u.hidden;
let ra = gx[reset] + gh[reset];
let za = gx[renew] + gh[renew];
let r = sigmoidOf(ra);
let z = sigmoidOf(za);
let keep = sigmoidOf(-za);
let na = gx[fresh] + r * gh[fresh];
let n = tanhOf(na);

let dna = dy[i] * keep * tanhSlopeOf(na);
let dza = dy[i] * (h[i] - n) * z * keep;
let dra = dna * gh[fresh] * r * sigmoidOf(-ra);
dgx[reset] = dra;
dgh[reset] = dra;
dgx[renew] = dza;
dgh[renew] = dza;
dgx[fresh] = dna;
dgh[fresh] = dna * r;
dh[i] = dy[i] * z;
}
` as string,
} as const;

/**
 * ```text
 * The gates of a GRU, one invocation a hidden unit, in the order reset, update, new (Cho et al. 2014, as torch.nn.GRU):
 * r = sigmoid(gx_r + gh_r), z = sigmoid(gx_z + gh_z), n = tanh(gx_n + r * gh_n), y = (1 - z) * n + z * h.
 * The products with the weights, and their biases, are already in gx (from the input) and gh (from the state).
 * A row is a batch row, a step or a module alike. 1 - z is the sigmoid of minus
 * its argument, so that no digits are lost near z = 1.
 * ```
 */
export const gruGates = {
  name: 'gruGates',
  bindings: {
    gx: { binding: 1, access: 'read', element: 'f32' },
    gh: { binding: 2, access: 'read', element: 'f32' },
    h: { binding: 3, access: 'read', element: 'f32' },
    y: { binding: 4, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      hidden: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `





struct Uniforms {
count: u32,
hidden: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gx: array<f32>;
@group(0) @binding(2) var<storage, read> gh: array<f32>;
@group(0) @binding(3) var<storage, read> h: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

const WORKGROUP: u32 = 64;

fn tanhOf(v: f32) -> f32 {
let a = abs(v);
if (a < 0.1) {
let s = v * v;
return v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
}
let e = exp(-2.0 * a);
return sign(v) * (1.0 - e) / (1.0 + e);
}

fn sigmoidOf(v: f32) -> f32 {
let e = exp(-abs(v));
return select(e, 1.0, v >= 0.0) / (1.0 + e);
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
let reset = (i / u.hidden) * 3u * u.hidden + i % u.hidden;
let renew = reset + u.hidden;
let fresh = renew + u.hidden;
let r = sigmoidOf(gx[reset] + gh[reset]);
let za = gx[renew] + gh[renew];
let n = tanhOf(gx[fresh] + r * gh[fresh]);
y[i] = sigmoidOf(-za) * n + sigmoidOf(za) * h[i];
}
` as string,
} as const;

/**
 * ```text
 * The guard of a program's updates: counts the runs of the weights that it guards, and raises its flag at the first one whose
 * gradients must not be used: where a part of their norm is NaN or infinite, a learning rate is, or the largest rate times the
 * norm (after clipping, and at least 1) is so large that a weight may pass what f32 holds. A flag that is up stays up. What
 * it finds is left in verdict, which begins as the control of a step that is neither clipped nor corrected
 * (update-control.wgsl). Programs with several guards call it for each norm first, then for each state with SETTLE.
 * One workgroup, before all updates. The lanes meet in a tree: the order of the sum depends on the count only.
 * ```
 */
export const guard = {
  name: 'guard',
  bindings: {
    norm: { binding: 1, access: 'read', element: 'f32' },
    rates: { binding: 2, access: 'read', element: 'f32' },
    state: { binding: 3, access: 'read_write', element: 'u32' },
    verdict: { binding: 4, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      rates: { offset: 4, type: 'u32' },
      most: { offset: 8, type: 'f32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    SQUARES: { type: 'bool', value: false },
    FIRST: { type: 'bool', value: true },
    SETTLE: { type: 'bool', value: true },
    LARGEST: { type: 'f32', value: 1e+36 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `






struct Uniforms {
count: u32,
rates: u32,
most: f32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> norm: array<f32>;
@group(0) @binding(2) var<storage, read> rates: array<f32>;
@group(0) @binding(3) var<storage, read_write> state: array<u32>;
@group(0) @binding(4) var<storage, read_write> verdict: array<f32>;

const WORKGROUP: u32 = 64;
const SQUARES: bool = false;
const FIRST: bool = true;
const SETTLE: bool = true;

const LARGEST: f32 = 1e36;

var<workgroup> totals: array<f32, WORKGROUP>;
var<workgroup> faults: array<u32, WORKGROUP>;


fn notFinite(v: f32) -> bool {
return (bitcast<u32>(v) & 0x7f800000u) == 0x7f800000u;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) local: u32) {
var total = 0.0;
var fault = 0u;
for (var i = local; i < u.count; i += WORKGROUP) {
let part = norm[i];
total += part;
fault = select(fault, 1u, notFinite(part));
}
totals[local] = total;
faults[local] = fault;
workgroupBarrier();
for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
if (local < half) {
totals[local] = totals[local] + totals[local + half];
faults[local] = faults[local] | faults[local + half];
}
workgroupBarrier();
}
if (local == 0u) {
var largest = 0.0;
var bad = faults[0] != 0u || notFinite(totals[0]);
for (var i = 0u; i < u.rates; i++) {
let rate = abs(rates[i]);
bad = bad || notFinite(rate);
largest = max(largest, rate);
}
var length = totals[0];
if (SQUARES) {
length = sqrt(length);
}
let longest = largest * max(min(length, u.most), 1.0);
bad = bad || notFinite(longest) || longest > LARGEST;
var up = state[0] != 0u;
if (!FIRST) {
bad = bad || verdict[1] != 0.0;
up = up || verdict[2] != 0.0;
}
if (SETTLE) {
let run = state[1] + 1u;
state[1] = run;
if (bad && !up) {
state[0] = run;
}
}
verdict[0] = 1.0;
verdict[1] = select(0.0, 1.0, bad);
verdict[2] = select(0.0, 1.0, up);
verdict[3] = select(0.0, 1.0, bad || up);
}
}
` as string,
} as const;

/**
 * ```text
 * Copies elements as they lie, unless the flag of a guard is up: then output stays as it is. Bits of any dtype.
 * ```
 */
export const guardedCopy = {
  name: 'guardedCopy',
  bindings: {
    verdict: { binding: 1, access: 'read', element: 'f32' },
    input: { binding: 2, access: 'read', element: 'u32' },
    output: { binding: 3, access: 'read_write', element: 'u32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `

struct Uniforms {
count: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> verdict: array<f32>;
@group(0) @binding(2) var<storage, read> input: array<u32>;
@group(0) @binding(3) var<storage, read_write> output: array<u32>;

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) local: u32,
) {
let i = (group.y * groups.x + group.x) * WORKGROUP + local;
if (i < u.count && verdict[3] == 0.0) {
output[i] = input[i];
}
}
` as string,
} as const;

/**
 * ```text
 * Adds u.by to one u32 in place, modulo 2^32: the counter of the training runs. Where the flag of a guard is up it stays as it
 * is. One invocation.
 * ```
 */
export const increment = {
  name: 'increment',
  bindings: {
    verdict: { binding: 1, access: 'read', element: 'f32' },
    counter: { binding: 2, access: 'read_write', element: 'u32' },
  },
  uniforms: {
    size: 16,
    fields: {
      by: { offset: 0, type: 'u32' },
    },
  },
  constants: {},
  workgroup: [1, 1, 1],
  source: `


struct Uniforms {
by: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> verdict: array<f32>;
@group(0) @binding(2) var<storage, read_write> counter: array<u32>;

@compute @workgroup_size(1)
fn main() {
if (verdict[3] == 0.0) {
counter[0] = counter[0] + u.by;
}
}
` as string,
} as const;

/**
 * ```text
 * The backward of layer normalisation, from its normalised rows z and their scale: dx = scale (dz - mean(dz) - z mean(z dz)).
 * With COOPERATE a workgroup shares a row; without it every lane has a row of its own.
 * ```
 */
export const layerNormBackward = {
  name: 'layerNormBackward',
  bindings: {
    z: { binding: 1, access: 'read', element: 'f32' },
    scale: { binding: 2, access: 'read', element: 'f32' },
    dz: { binding: 3, access: 'read', element: 'f32' },
    dx: { binding: 4, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      rows: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 64 },
    COOPERATE: { type: 'bool', value: false },
  },
  workgroup: ['LANES', 1, 1],
  source: `


struct Uniforms {
rows: u32,
columns: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
@group(0) @binding(3) var<storage, read> dz: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

const LANES: u32 = 64;
const COOPERATE: bool = false;

var<workgroup> sums: array<vec2<f32>, LANES>;

fn sumsOfRow(lane: u32, own: vec2<f32>) -> vec2<f32> {
if (!COOPERATE) {
return own;
}
sums[lane] = own;
workgroupBarrier();
for (var width = LANES / 2u; width > 0u; width = width / 2u) {
if (lane < width) {
sums[lane] = sums[lane] + sums[lane + width];
}
workgroupBarrier();
}
return sums[0];
}

@compute @workgroup_size(LANES)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) lane: u32,
) {
let index = group.y * groups.x + group.x;
let row = select(index * LANES + lane, index, COOPERATE);
let first = select(0u, lane, COOPERATE);
let step = select(1u, LANES, COOPERATE);
let end = select(0u, u.columns, row < u.rows);
let base = row * u.columns;

var part = vec2<f32>(0.0, 0.0);
for (var i = base + first; i < base + end; i += step) {
part += vec2<f32>(dz[i], z[i] * dz[i]);
}
let means = sumsOfRow(lane, part) / f32(u.columns);
for (var i = base + first; i < base + end; i += step) {
dx[i] = scale[row] * (dz[i] - means.x - z[i] * means.y);
}
}
` as string,
} as const;

/**
 * ```text
 * Layer normalisation of every row: z = (x - mean) / sqrt(variance + epsilon), biased variance, y = z * weight + bias. The
 * mean is taken first, then the variance about it. Without AFFINE, y is z and weight, bias and z are not used.
 * With COOPERATE a workgroup shares a row; without it every lane has a row of its own.
 * ```
 */
export const layerNorm = {
  name: 'layerNorm',
  bindings: {
    x: { binding: 1, access: 'read', element: 'f32' },
    weight: { binding: 2, access: 'read', element: 'f32' },
    bias: { binding: 3, access: 'read', element: 'f32' },
    y: { binding: 4, access: 'read_write', element: 'f32' },
    scale: { binding: 5, access: 'read_write', element: 'f32' },
    z: { binding: 6, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      rows: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
      epsilon: { offset: 8, type: 'f32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 64 },
    COOPERATE: { type: 'bool', value: false },
    AFFINE: { type: 'bool', value: false },
  },
  workgroup: ['LANES', 1, 1],
  source: `



struct Uniforms {
rows: u32,
columns: u32,
epsilon: f32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> scale: array<f32>;
@group(0) @binding(6) var<storage, read_write> z: array<f32>;

const LANES: u32 = 64;
const COOPERATE: bool = false;
const AFFINE: bool = false;

var<workgroup> sums: array<f32, LANES>;

fn sumOfRow(lane: u32, own: f32) -> f32 {
if (!COOPERATE) {
return own;
}
workgroupBarrier();
sums[lane] = own;
workgroupBarrier();
for (var width = LANES / 2u; width > 0u; width = width / 2u) {
if (lane < width) {
sums[lane] = sums[lane] + sums[lane + width];
}
workgroupBarrier();
}
return sums[0];
}

@compute @workgroup_size(LANES)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) lane: u32,
) {
let index = group.y * groups.x + group.x;
let row = select(index * LANES + lane, index, COOPERATE);
let first = select(0u, lane, COOPERATE);
let step = select(1u, LANES, COOPERATE);
let end = select(0u, u.columns, row < u.rows);
let base = row * u.columns;
let size = f32(u.columns);

var part = 0.0;
for (var i = first; i < end; i += step) {
part += x[base + i];
}
let mean = sumOfRow(lane, part) / size;
part = 0.0;
for (var i = first; i < end; i += step) {
let distance = x[base + i] - mean;
part += distance * distance;
}
let factor = 1.0 / sqrt(sumOfRow(lane, part) / size + u.epsilon);
for (var i = first; i < end; i += step) {
let normal = (x[base + i] - mean) * factor;
if (AFFINE) {
z[base + i] = normal;
y[base + i] = normal * weight[i] + bias[i];
} else {
y[base + i] = normal;
}
}
if (first == 0u && row < u.rows) {
scale[row] = factor;
}
}
` as string,
} as const;

/**
 * ```text
 * The backward of lstm-gates.wgsl, one invocation a hidden unit: gates and c' are computed again from the inputs, so
 * nothing of the forward is kept. dyc is what reaches c' from outside; what comes through h' is added here.
 * Slopes are products of what is near 0, never 1 minus what is near 1: saturated gates keep their digits.
 * ```
 */
export const lstmGatesBackward = {
  name: 'lstmGatesBackward',
  bindings: {
    gates: { binding: 1, access: 'read', element: 'f32' },
    c: { binding: 2, access: 'read', element: 'f32' },
    dyh: { binding: 3, access: 'read', element: 'f32' },
    dyc: { binding: 4, access: 'read', element: 'f32' },
    dgates: { binding: 5, access: 'read_write', element: 'f32' },
    dc: { binding: 6, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      hidden: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `



struct Uniforms {
count: u32,
hidden: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gates: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read> dyh: array<f32>;
@group(0) @binding(4) var<storage, read> dyc: array<f32>;
@group(0) @binding(5) var<storage, read_write> dgates: array<f32>;
@group(0) @binding(6) var<storage, read_write> dc: array<f32>;

const WORKGROUP: u32 = 64;

fn tanhOf(v: f32) -> f32 {
let a = abs(v);
if (a < 0.1) {
let s = v * v;
return v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
}
let e = exp(-2.0 * a);
return sign(v) * (1.0 - e) / (1.0 + e);
}

fn tanhSlopeOf(v: f32) -> f32 {
let e = exp(-2.0 * abs(v));
return 4.0 * e / ((1.0 + e) * (1.0 + e));
}

fn sigmoidOf(v: f32) -> f32 {
let e = exp(-abs(v));
return select(e, 1.0, v >= 0.0) / (1.0 + e);
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
let first = (i / u.hidden) * 4u * u.hidden + i % u.hidden;
let ia = gates[first];
let fa = gates[first + u.hidden];
let ga = gates[first + 2u * u.hidden];
let oa = gates[first + 3u * u.hidden];
let admit = sigmoidOf(ia);
let keep = sigmoidOf(fa);
let fresh = tanhOf(ga);
let show = sigmoidOf(oa);
let next = keep * c[i] + admit * fresh;

let dnext = dyc[i] + dyh[i] * show * tanhSlopeOf(next);
dgates[first] = dnext * fresh * admit * sigmoidOf(-ia);
dgates[first + u.hidden] = dnext * c[i] * keep * sigmoidOf(-fa);
dgates[first + 2u * u.hidden] = dnext * admit * tanhSlopeOf(ga);
dgates[first + 3u * u.hidden] = dyh[i] * tanhOf(next) * show * sigmoidOf(-oa);
dc[i] = dnext * keep;
}
` as string,
} as const;

/**
 * ```text
 * The gates of an LSTM, one invocation a hidden unit, in the order input, forget, cell, output (torch.nn.LSTM):
 * c' = sigmoid(f) * c + sigmoid(i) * tanh(g), h' = sigmoid(o) * tanh(c').
 * The products with the weights, and their biases, are already in the gates. A row is a batch row, a step or a module.
 * ```
 */
export const lstmGates = {
  name: 'lstmGates',
  bindings: {
    gates: { binding: 1, access: 'read', element: 'f32' },
    c: { binding: 2, access: 'read', element: 'f32' },
    yh: { binding: 3, access: 'read_write', element: 'f32' },
    yc: { binding: 4, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      hidden: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `



struct Uniforms {
count: u32,
hidden: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gates: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read_write> yh: array<f32>;
@group(0) @binding(4) var<storage, read_write> yc: array<f32>;

const WORKGROUP: u32 = 64;

fn tanhOf(v: f32) -> f32 {
let a = abs(v);
if (a < 0.1) {
let s = v * v;
return v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
}
let e = exp(-2.0 * a);
return sign(v) * (1.0 - e) / (1.0 + e);
}

fn sigmoidOf(v: f32) -> f32 {
let e = exp(-abs(v));
return select(e, 1.0, v >= 0.0) / (1.0 + e);
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
let first = (i / u.hidden) * 4u * u.hidden + i % u.hidden;
let admit = sigmoidOf(gates[first]);
let keep = sigmoidOf(gates[first + u.hidden]);
let fresh = tanhOf(gates[first + 2u * u.hidden]);
let show = sigmoidOf(gates[first + 3u * u.hidden]);
let next = keep * c[i] + admit * fresh;
yc[i] = next;
yh[i] = show * tanhOf(next);
}
` as string,
} as const;

/**
 * ```text
 * Matrix products through strides, as matmul.wgsl has them and bit for bit the same, through workgroup memory: for GPUs, where
 * lanes of a workgroup share what they load. Works for any strides.
 * A workgroup of SPAN by SPAN invocations computes SIDE rows by SIDE columns, each invocation every SPAN-th of them.
 * DEPTH terms of a and b at a time lie in workgroup memory, a with rows side by side, b with columns. Beyond the last row or
 * column it is computed again and not stored.
 * ROWS and TERMS: as in matmul.wgsl.
 * ```
 */
export const matmulShared = {
  name: 'matmulShared',
  bindings: {
    a: { binding: 1, access: 'read', element: 'f32' },
    b: { binding: 2, access: 'read', element: 'f32' },
    plus: { binding: 3, access: 'read', element: 'f32' },
    mask: { binding: 4, access: 'read', element: 'f32' },
    terms: { binding: 5, access: 'read', element: 'u32' },
    y: { binding: 6, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 160,
    fields: {
      m: { offset: 0, type: 'u32' },
      n: { offset: 4, type: 'u32' },
      k: { offset: 8, type: 'u32' },
      batches: { offset: 12, type: 'u32' },
      scale: { offset: 16, type: 'f32' },
      batchRank: { offset: 20, type: 'u32' },
      maskOffset: { offset: 24, type: 'u32' },
      aStrides: { offset: 32, type: 'vec2<u32>' },
      bStrides: { offset: 40, type: 'vec2<u32>' },
      yStrides: { offset: 48, type: 'vec2<u32>' },
      plusStrides: { offset: 56, type: 'vec2<u32>' },
      offsets: { offset: 64, type: 'vec4<u32>' },
      batch: { offset: 80, type: 'array<vec4<u32>, 3>' },
      plusBatch: { offset: 128, type: 'vec4<u32>' },
      maskBatch: { offset: 144, type: 'vec4<u32>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 256 },
    SPAN: { type: 'u32', value: 16 },
    SIDE: { type: 'u32', value: 64 },
    DEPTH: { type: 'u32', value: 16 },
    PLUS: { type: 'bool', value: false },
    ROWS: { type: 'bool', value: false },
    TERMS: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `






struct Uniforms {
m: u32,
n: u32,
k: u32,
batches: u32,
scale: f32,
batchRank: u32,
maskOffset: u32,
aStrides: vec2<u32>,
bStrides: vec2<u32>,
yStrides: vec2<u32>,
plusStrides: vec2<u32>,
offsets: vec4<u32>,
batch: array<vec4<u32>, 3>,
plusBatch: vec4<u32>,
maskBatch: vec4<u32>,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> plus: array<f32>;
@group(0) @binding(4) var<storage, read> mask: array<f32>;
@group(0) @binding(5) var<storage, read> terms: array<u32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

const WORKGROUP: u32 = 256;
const SPAN: u32 = 16;
const SIDE: u32 = 64;
const DEPTH: u32 = 16;
const PLUS: bool = false;
const ROWS: bool = false;
const TERMS: bool = false;

const EACH: u32 = SIDE / SPAN;
const HELD: u32 = SIDE * DEPTH;
const CELLS: u32 = EACH * EACH;

var<workgroup> left: array<f32, HELD>;
var<workgroup> right: array<f32, HELD>;
var<workgroup> rows: array<u32, SIDE>;


fn nth(bits: vec2<u32>, rank: u32) -> u32 {
let low = countOneBits(bits.x);
let upper = rank >= low;
var rest = select(rank, rank - low, upper);
var word = select(bits.x, bits.y, upper);
var at = select(0u, 32u, upper);
for (var width = 16u; width > 0u; width = width >> 1u) {
let below = countOneBits(word & ((1u << width) - 1u));
if (rest >= below) {
rest -= below;
word = word >> width;
at += width;
}
}
return at;
}

@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) local: u32,
) {
let across = local % SPAN;
let down = local / SPAN;
let row = group.y * SIDE;
let column = group.x * SIDE;
for (var g = group.z; g < u.batches; g += groups.z) {
var rest = g;
var offset = u.offsets;
var masked = u.maskOffset;
for (var d = u.batchRank; d > 0u; d--) {
let dim = u.batch[d - 1u];
offset += (rest % dim.x) * vec4<u32>(dim.yzw, u.plusBatch[d - 1u]);
masked += (rest % dim.x) * u.maskBatch[d - 1u];
rest = rest / dim.x;
}

workgroupBarrier();
var valid = u.m - row;
if (ROWS) {

let origin = row & ~63u;
let end = min(64u, u.m - origin);
var bits = vec2<u32>(0u);
for (var i = 0u; i < end; i++) {
let taken = u32(mask[masked + (origin + i) * u.maskBatch.w] != 0.0) << (i & 31u);
bits |= select(vec2<u32>(0u, taken), vec2<u32>(taken, 0u), i < 32u);
}
let count = countOneBits(bits.x) + countOneBits(bits.y);
valid = count - min(count, row - origin);
if (local < SIDE) {
rows[local] = origin + nth(bits, min(row - origin + local, max(count, 1u) - 1u));
}
} else if (local < SIDE) {
rows[local] = min(row + local, u.m - 1u);
}
let list = g * (u.k + 1u);
var count = select(u.k, 0u, valid == 0u);
if (TERMS) {
count = terms[list];
}
var sums: array<f32, CELLS>;
for (var i = 0u; i < CELLS; i++) {
sums[i] = 0.0;
}
workgroupBarrier();
for (var k = 0u; k < count; k += DEPTH) {
for (var e = local; e < HELD; e += WORKGROUP) {

let alongK = u.aStrides.y == 1u;
let i = select(e % SIDE, e / DEPTH, alongK);
let t = select(e / SIDE, e % DEPTH, alongK);
var term = min(k + t, count - 1u);
if (TERMS) {
term = terms[list + 1u + term];
}
left[t * SIDE + i] = a[offset.x + rows[i] * u.aStrides.x + term * u.aStrides.y];
}
for (var e = local; e < HELD; e += WORKGROUP) {
let alongK = u.bStrides.x == 1u;
let j = select(e % SIDE, e / DEPTH, alongK);
let t = select(e / SIDE, e % DEPTH, alongK);
var term = min(k + t, count - 1u);
if (TERMS) {
term = terms[list + 1u + term];
}
right[t * SIDE + j] = b[offset.y + term * u.bStrides.x + min(column + j, u.n - 1u) * u.bStrides.y];
}
workgroupBarrier();
let deep = min(DEPTH, count - k);
for (var t = 0u; t < deep; t++) {
var r: array<f32, EACH>;
for (var j = 0u; j < EACH; j++) {
r[j] = right[t * SIDE + across + j * SPAN];
}
for (var i = 0u; i < EACH; i++) {
let l = left[t * SIDE + down + i * SPAN];
for (var j = 0u; j < EACH; j++) {
sums[i * EACH + j] = fma(l, r[j], sums[i * EACH + j]);
}
}
}
workgroupBarrier();
}
for (var i = 0u; i < EACH; i++) {
let at = down + i * SPAN;
for (var j = 0u; j < EACH; j++) {
let to = column + across + j * SPAN;
if (at < valid && to < u.n) {
let place = offset.z + rows[at] * u.yStrides.x + to * u.yStrides.y;
if (PLUS) {
let more = plus[offset.w + rows[at] * u.plusStrides.x + to * u.plusStrides.y];
y[place] = fma(u.scale, sums[i * EACH + j], more);
} else {
y[place] = u.scale * sums[i * EACH + j];
}
}
}
}
}
}
` as string,
} as const;

/**
 * ```text
 * Matrix products through strides, as matmul.wgsl has them, for adapters whose subgroups all have one size of 8 or more:
 * y[g,m,n] = scale * sum over k of a[g,m,k] b[g,k,n] + plus[g,m,n], bit for bit the same.
 * A workgroup is one subgroup. It computes TILE_M rows by 4 columns a lane. Lanes 0 to 7 load eight k of each row, side by
 * side, and pass them on: a lane then loads 4 numbers of b for TILE_M * 4 multiplications.
 * Loads beyond an edge read the last row, column or k again; and store it again. The sum runs over k in order.
 * ```
 */
export const matmulSubgroups = {
  name: 'matmulSubgroups',
  bindings: {
    a: { binding: 1, access: 'read', element: 'f32' },
    b: { binding: 2, access: 'read', element: 'f32' },
    plus: { binding: 3, access: 'read', element: 'f32' },
    y: { binding: 4, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 144,
    fields: {
      m: { offset: 0, type: 'u32' },
      n: { offset: 4, type: 'u32' },
      k: { offset: 8, type: 'u32' },
      batches: { offset: 12, type: 'u32' },
      scale: { offset: 16, type: 'f32' },
      batchRank: { offset: 20, type: 'u32' },
      aStrides: { offset: 24, type: 'vec2<u32>' },
      bStrides: { offset: 32, type: 'vec2<u32>' },
      yStrides: { offset: 40, type: 'vec2<u32>' },
      plusStrides: { offset: 48, type: 'vec2<u32>' },
      offsets: { offset: 64, type: 'vec4<u32>' },
      batch: { offset: 80, type: 'array<vec4<u32>, 3>' },
      plusBatch: { offset: 128, type: 'vec4<u32>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 8 },
    TILE_M: { type: 'u32', value: 16 },
    PLUS: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `





enable subgroups;

struct Uniforms {
m: u32,
n: u32,
k: u32,
batches: u32,
scale: f32,
batchRank: u32,
aStrides: vec2<u32>,
bStrides: vec2<u32>,
yStrides: vec2<u32>,
plusStrides: vec2<u32>,
offsets: vec4<u32>,
batch: array<vec4<u32>, 3>,
plusBatch: vec4<u32>,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> plus: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

const WORKGROUP: u32 = 8;
const TILE_M: u32 = 16;
const PLUS: bool = false;

fn rightOf(offset: u32, columns: vec4<u32>, k: u32) -> vec4<f32> {
let at = vec4<u32>(offset + k * u.bStrides.x) + columns;
return vec4<f32>(b[at.x], b[at.y], b[at.z], b[at.w]);
}

@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(subgroup_invocation_id) lane: u32,
) {
let column = (group.x * WORKGROUP + lane) * 4u;
let row = group.y * TILE_M;
let columns = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(u.n - 1u)) * u.bStrides.y;
for (var g = group.z; g < u.batches; g += groups.z) {
var rest = g;
var offset = u.offsets;
for (var d = u.batchRank; d > 0u; d--) {
let dim = u.batch[d - 1u];
offset += (rest % dim.x) * vec4<u32>(dim.yzw, u.plusBatch[d - 1u]);
rest = rest / dim.x;
}
var sums: array<vec4<f32>, TILE_M>;
for (var i = 0u; i < TILE_M; i++) {
sums[i] = vec4<f32>(0.0);
}
for (var k = 0u; k < u.k; k += 8u) {
let own = offset.x + min(k + lane % 8u, u.k - 1u) * u.aStrides.y;
var held: array<f32, TILE_M>;
for (var i = 0u; i < TILE_M; i++) {
held[i] = a[own + min(row + i, u.m - 1u) * u.aStrides.x];
}
if (k + 0u < u.k) {
let right = rightOf(offset.y, columns, k + 0u);
for (var i = 0u; i < TILE_M; i++) {
sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 0u)), right, sums[i]);
}
}
if (k + 1u < u.k) {
let right = rightOf(offset.y, columns, k + 1u);
for (var i = 0u; i < TILE_M; i++) {
sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 1u)), right, sums[i]);
}
}
if (k + 2u < u.k) {
let right = rightOf(offset.y, columns, k + 2u);
for (var i = 0u; i < TILE_M; i++) {
sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 2u)), right, sums[i]);
}
}
if (k + 3u < u.k) {
let right = rightOf(offset.y, columns, k + 3u);
for (var i = 0u; i < TILE_M; i++) {
sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 3u)), right, sums[i]);
}
}
if (k + 4u < u.k) {
let right = rightOf(offset.y, columns, k + 4u);
for (var i = 0u; i < TILE_M; i++) {
sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 4u)), right, sums[i]);
}
}
if (k + 5u < u.k) {
let right = rightOf(offset.y, columns, k + 5u);
for (var i = 0u; i < TILE_M; i++) {
sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 5u)), right, sums[i]);
}
}
if (k + 6u < u.k) {
let right = rightOf(offset.y, columns, k + 6u);
for (var i = 0u; i < TILE_M; i++) {
sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 6u)), right, sums[i]);
}
}
if (k + 7u < u.k) {
let right = rightOf(offset.y, columns, k + 7u);
for (var i = 0u; i < TILE_M; i++) {
sums[i] = fma(vec4<f32>(subgroupBroadcast(held[i], 7u)), right, sums[i]);
}
}
}

if (column < u.n) {
let across = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(u.n - 1u));
if (PLUS) {
let columnsOfPlus = vec4<u32>(offset.w) + across * u.plusStrides.y;
for (var i = 0u; i < TILE_M; i++) {
let at = vec4<u32>(min(row + i, u.m - 1u) * u.plusStrides.x) + columnsOfPlus;
sums[i] = fma(vec4<f32>(u.scale), sums[i], vec4<f32>(plus[at.x], plus[at.y], plus[at.z], plus[at.w]));
}
} else {
for (var i = 0u; i < TILE_M; i++) {
sums[i] *= u.scale;
}
}
let columnsOfY = vec4<u32>(offset.z) + across * u.yStrides.y;
for (var i = 0u; i < TILE_M; i++) {
let at = vec4<u32>(min(row + i, u.m - 1u) * u.yStrides.x) + columnsOfY;
y[at.x] = sums[i].x;
y[at.y] = sums[i].y;
y[at.z] = sums[i].z;
y[at.w] = sums[i].w;
}
}
}
}
` as string,
} as const;

/**
 * ```text
 * Matrix products through strides, as matmul.wgsl has them and bit for bit the same, in whole vectors and with
 * subgroups: for adapters whose subgroups all have one size of 8 or more, and operands whose vectors lie on multiples
 * of 4 elements. a is contiguous along k or along m, b along n or along k; y and plus along n; n is a multiple of 4,
 * and so is each size that an operand is contiguous along.
 * A workgroup is one subgroup. It computes TILE_M rows (4, 8, 12 or 16) by 4 columns a lane. Lanes load a side by side
 * and pass it on: for 16 rows a lane then loads 24 numbers for 256 multiplications. The loops below are cut so that
 * nothing in them is clamped or guarded.
 * ROWS and TERMS: as in matmul.wgsl; ROWS with a along k, TERMS with a along m and b along n.
 * ```
 */
export const matmulVec4Subgroups = {
  name: 'matmulVec4Subgroups',
  bindings: {
    a: { binding: 1, access: 'read', element: 'vec4<f32>' },
    b: { binding: 2, access: 'read', element: 'vec4<f32>' },
    plus: { binding: 3, access: 'read', element: 'vec4<f32>' },
    mask: { binding: 4, access: 'read', element: 'f32' },
    terms: { binding: 5, access: 'read', element: 'u32' },
    y: { binding: 6, access: 'read_write', element: 'vec4<f32>' },
  },
  uniforms: {
    size: 144,
    fields: {
      m: { offset: 0, type: 'u32' },
      n: { offset: 4, type: 'u32' },
      k: { offset: 8, type: 'u32' },
      batches: { offset: 12, type: 'u32' },
      scale: { offset: 16, type: 'f32' },
      batchRank: { offset: 20, type: 'u32' },
      maskOffset: { offset: 24, type: 'u32' },
      aStride: { offset: 28, type: 'u32' },
      bStride: { offset: 32, type: 'u32' },
      yStride: { offset: 36, type: 'u32' },
      plusStride: { offset: 40, type: 'u32' },
      offsets: { offset: 48, type: 'vec4<u32>' },
      batch: { offset: 64, type: 'array<vec4<u32>, 3>' },
      plusBatch: { offset: 112, type: 'vec4<u32>' },
      maskBatch: { offset: 128, type: 'vec4<u32>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 8 },
    TILE_M: { type: 'u32', value: 16 },
    A_ALONG_M: { type: 'bool', value: false },
    B_ALONG_K: { type: 'bool', value: false },
    PLUS: { type: 'bool', value: false },
    ROWS: { type: 'bool', value: false },
    TERMS: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `








enable subgroups;
diagnostic(off, subgroup_uniformity);

struct Uniforms {
m: u32,
n: u32,
k: u32,
batches: u32,
scale: f32,
batchRank: u32,
maskOffset: u32,
aStride: u32,
bStride: u32,
yStride: u32,
plusStride: u32,
offsets: vec4<u32>,
batch: array<vec4<u32>, 3>,
plusBatch: vec4<u32>,
maskBatch: vec4<u32>,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> plus: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> mask: array<f32>;
@group(0) @binding(5) var<storage, read> terms: array<u32>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4<f32>>;

const WORKGROUP: u32 = 8;
const TILE_M: u32 = 16;
const A_ALONG_M: bool = false;
const B_ALONG_K: bool = false;
const PLUS: bool = false;
const ROWS: bool = false;
const TERMS: bool = false;


const SPAN: u32 = min(WORKGROUP, TILE_M);
const LOADS: u32 = (TILE_M + SPAN - 1u) / SPAN;
const PAIRS: u32 = (TILE_M + 7u) / 8u;

alias Sums = array<vec4<f32>, TILE_M>;
alias Four = array<vec4<f32>, 4>;


fn chain(x: vec4<f32>, r: Four, sum: vec4<f32>) -> vec4<f32> {
let one = fma(vec4<f32>(x.x), r[0], sum);
let two = fma(vec4<f32>(x.y), r[1], one);
let three = fma(vec4<f32>(x.z), r[2], two);
return fma(vec4<f32>(x.w), r[3], three);
}


fn rightOf(ib: u32, step: u32, k: u32) -> Four {
if (!B_ALONG_K) {
let first = ib + 4u * k * step;
return Four(b[first], b[first + step], b[first + 2u * step], b[first + 3u * step]);
}
let c = Four(b[ib + k], b[ib + step + k], b[ib + 2u * step + k], b[ib + 3u * step + k]);
return Four(
vec4<f32>(c[0].x, c[1].x, c[2].x, c[3].x),
vec4<f32>(c[0].y, c[1].y, c[2].y, c[3].y),
vec4<f32>(c[0].z, c[1].z, c[2].z, c[3].z),
vec4<f32>(c[0].w, c[1].w, c[2].w, c[3].w),
);
}


fn nth(bits: vec2<u32>, rank: u32) -> u32 {
let low = countOneBits(bits.x);
let upper = rank >= low;
var rest = select(rank, rank - low, upper);
var word = select(bits.x, bits.y, upper);
var at = select(0u, 32u, upper);
for (var width = 16u; width > 0u; width = width >> 1u) {
let below = countOneBits(word & ((1u << width) - 1u));
if (rest >= below) {
rest -= below;
word = word >> width;
at += width;
}
}
return at;
}

@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(subgroup_invocation_id) lane: u32,
) {
let column = (group.x * WORKGROUP + lane) * 4u;
let safe = min(column, u.n - 4u);
let row = group.y * TILE_M;
let aStep = u.aStride / 4u;
let bStep = u.bStride / 4u;
for (var g = group.z; g < u.batches; g += groups.z) {
var rest = g;
var offset = u.offsets;
var masked = u.maskOffset;
for (var d = u.batchRank; d > 0u; d--) {
let dim = u.batch[d - 1u];
offset += (rest % dim.x) * vec4<u32>(dim.yzw, u.plusBatch[d - 1u]);
masked += (rest % dim.x) * u.maskBatch[d - 1u];
rest = rest / dim.x;
}

var rows: array<u32, LOADS>;
for (var i = 0u; i < LOADS; i++) {
let at = row + i * SPAN + lane % SPAN;
rows[i] = select(min(at, u.m - 1u), min(at & ~3u, u.m - 4u) + at % 4u, A_ALONG_M);
}
if (ROWS) {
let tiles = (64u + TILE_M - 1u) / TILE_M;
let origin = group.y / tiles * 64u;
let each = 64u / WORKGROUP;
let end = min(min(64u, u.m - origin), lane * each + each);
var own = vec2<u32>(0u);
for (var bit = lane * each; bit < end; bit++) {
let taken = u32(mask[masked + (origin + bit) * u.maskBatch.w] != 0.0) << (bit & 31u);
own |= select(vec2<u32>(0u, taken), vec2<u32>(taken, 0u), bit < 32u);
}
let bits = vec2<u32>(subgroupOr(own.x), subgroupOr(own.y));
let count = countOneBits(bits.x) + countOneBits(bits.y);
let first = group.y % tiles * TILE_M;
if (count <= first) {
continue;
}
for (var i = 0u; i < LOADS; i++) {
rows[i] = origin + nth(bits, min(first + i * SPAN + lane % SPAN, count - 1u));
}
}
var sums: Sums;
for (var i = 0u; i < TILE_M; i++) {
sums[i] = vec4<f32>(0.0);
}
let list = g * (u.k + 1u);
var count = u.k;
if (TERMS) {
count = terms[list];
}

var ib = (offset.y + safe) / 4u;
if (B_ALONG_K) {
ib = offset.y / 4u + safe * bStep;
}
if (A_ALONG_M) {

var ia: array<u32, PAIRS>;
for (var i = 0u; i < PAIRS; i++) {
ia[i] = (offset.x + min(row + i * 8u + lane / 4u % 2u * 4u, u.m - 4u)) / 4u;
}
let whole = count & ~3u;
for (var k = 0u; k < whole; k += 4u) {
var term = k + lane % 4u;
if (TERMS) {
term = terms[list + 1u + term];
}
var x: array<vec4<f32>, PAIRS>;
for (var i = 0u; i < PAIRS; i++) {
x[i] = a[ia[i] + term * aStep];
}
var r: Four;
if (TERMS) {
for (var t = 0u; t < 4u; t++) {
r[t] = b[ib + subgroupShuffle(term, t) * bStep];
}
} else {
r = rightOf(ib, bStep, k / 4u);
}
for (var i = 0u; i < TILE_M; i += 4u) {
let first = i / 4u % 2u * 4u;
let c0 = subgroupShuffle(x[i / 8u], first);
let c1 = subgroupShuffle(x[i / 8u], first + 1u);
let c2 = subgroupShuffle(x[i / 8u], first + 2u);
let c3 = subgroupShuffle(x[i / 8u], first + 3u);
sums[i] = chain(vec4<f32>(c0.x, c1.x, c2.x, c3.x), r, sums[i]);
sums[i + 1u] = chain(vec4<f32>(c0.y, c1.y, c2.y, c3.y), r, sums[i + 1u]);
sums[i + 2u] = chain(vec4<f32>(c0.z, c1.z, c2.z, c3.z), r, sums[i + 2u]);
sums[i + 3u] = chain(vec4<f32>(c0.w, c1.w, c2.w, c3.w), r, sums[i + 3u]);
}
}

for (var k = whole; k < count; k++) {
var term = k;
if (TERMS) {
term = terms[list + 1u + k];
}
let r = b[ib + term * bStep];
for (var i = 0u; i < TILE_M; i += 4u) {
let x = subgroupShuffle(a[ia[i / 8u] + term * aStep], i / 4u % 2u * 4u);
sums[i] = fma(vec4<f32>(x.x), r, sums[i]);
sums[i + 1u] = fma(vec4<f32>(x.y), r, sums[i + 1u]);
sums[i + 2u] = fma(vec4<f32>(x.z), r, sums[i + 2u]);
sums[i + 3u] = fma(vec4<f32>(x.w), r, sums[i + 3u]);
}
}
} else {
let start = offset.x / 4u;
let quads = count / 4u;
for (var k = 0u; k < quads; k++) {
var x: array<vec4<f32>, LOADS>;
for (var i = 0u; i < LOADS; i++) {
x[i] = a[start + rows[i] * aStep + k];
}
let r = rightOf(ib, bStep, k);
for (var i = 0u; i < TILE_M; i++) {
sums[i] = chain(subgroupShuffle(x[i / SPAN], i % SPAN), r, sums[i]);
}
}
}

for (var i = 0u; i < TILE_M; i++) {
if (PLUS) {
let at = subgroupShuffle(rows[i / SPAN], i % SPAN);
sums[i] = fma(vec4<f32>(u.scale), sums[i], plus[(offset.w + at * u.plusStride + safe) / 4u]);
} else {
sums[i] *= u.scale;
}
}
if (column < u.n) {
for (var i = 0u; i < TILE_M; i++) {
let at = subgroupShuffle(rows[i / SPAN], i % SPAN);
y[(offset.z + at * u.yStride + column) / 4u] = sums[i];
}
}
}
}
` as string,
} as const;

/**
 * ```text
 * Matrix products through strides, as matmul.wgsl has them and bit for bit the same, in whole vectors, on any adapter: for
 * operands whose vectors lie on multiples of 4 elements. a is contiguous along k or along m, b along n or along k; y and plus
 * along n; n is a multiple of 4, and so is each size that an operand is contiguous along.
 * An invocation computes TILE_M rows by TILE_N columns; a workgroup's invocations lie side by side as lanes.x tiles along n,
 * lanes.y along m and the rest over batches. Beyond the last row or column it is computed and stored again.
 * ROWS and TERMS: as in matmul.wgsl; ROWS with a along k, TERMS with a along m and b along n.
 * ```
 */
export const matmulVec4 = {
  name: 'matmulVec4',
  bindings: {
    a: { binding: 1, access: 'read', element: 'vec4<f32>' },
    b: { binding: 2, access: 'read', element: 'vec4<f32>' },
    plus: { binding: 3, access: 'read', element: 'vec4<f32>' },
    mask: { binding: 4, access: 'read', element: 'f32' },
    terms: { binding: 5, access: 'read', element: 'u32' },
    y: { binding: 6, access: 'read_write', element: 'vec4<f32>' },
  },
  uniforms: {
    size: 160,
    fields: {
      m: { offset: 0, type: 'u32' },
      n: { offset: 4, type: 'u32' },
      k: { offset: 8, type: 'u32' },
      batches: { offset: 12, type: 'u32' },
      scale: { offset: 16, type: 'f32' },
      batchRank: { offset: 20, type: 'u32' },
      maskOffset: { offset: 24, type: 'u32' },
      lanes: { offset: 32, type: 'vec2<u32>' },
      aStride: { offset: 40, type: 'u32' },
      bStride: { offset: 44, type: 'u32' },
      yStride: { offset: 48, type: 'u32' },
      plusStride: { offset: 52, type: 'u32' },
      offsets: { offset: 64, type: 'vec4<u32>' },
      batch: { offset: 80, type: 'array<vec4<u32>, 3>' },
      plusBatch: { offset: 128, type: 'vec4<u32>' },
      maskBatch: { offset: 144, type: 'vec4<u32>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    TILE_M: { type: 'u32', value: 8 },
    TILE_N: { type: 'u32', value: 4 },
    A_ALONG_M: { type: 'bool', value: false },
    B_ALONG_K: { type: 'bool', value: false },
    PLUS: { type: 'bool', value: false },
    ROWS: { type: 'bool', value: false },
    TERMS: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `






struct Uniforms {
m: u32,
n: u32,
k: u32,
batches: u32,
scale: f32,
batchRank: u32,
maskOffset: u32,
lanes: vec2<u32>,
aStride: u32,
bStride: u32,
yStride: u32,
plusStride: u32,
offsets: vec4<u32>,
batch: array<vec4<u32>, 3>,
plusBatch: vec4<u32>,
maskBatch: vec4<u32>,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> plus: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> mask: array<f32>;
@group(0) @binding(5) var<storage, read> terms: array<u32>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4<f32>>;

const WORKGROUP: u32 = 64;
const TILE_M: u32 = 8;
const TILE_N: u32 = 4;
const A_ALONG_M: bool = false;
const B_ALONG_K: bool = false;
const PLUS: bool = false;
const ROWS: bool = false;
const TERMS: bool = false;

alias Sums = array<vec4<f32>, TILE_M>;
alias Four = array<vec4<f32>, 4>;


fn chain(x: vec4<f32>, r: Four, sum: vec4<f32>) -> vec4<f32> {
let one = fma(vec4<f32>(x.x), r[0], sum);
let two = fma(vec4<f32>(x.y), r[1], one);
let three = fma(vec4<f32>(x.z), r[2], two);
return fma(vec4<f32>(x.w), r[3], three);
}


fn turned(c: Four) -> Four {
return Four(
vec4<f32>(c[0].x, c[1].x, c[2].x, c[3].x),
vec4<f32>(c[0].y, c[1].y, c[2].y, c[3].y),
vec4<f32>(c[0].z, c[1].z, c[2].z, c[3].z),
vec4<f32>(c[0].w, c[1].w, c[2].w, c[3].w),
);
}


fn rightOf(ib: u32, step: u32, t: vec4<u32>) -> Four {
if (!B_ALONG_K) {
return Four(b[ib + t.x * step], b[ib + t.y * step], b[ib + t.z * step], b[ib + t.w * step]);
}
let k = t.x / 4u;
return turned(Four(b[ib + k], b[ib + step + k], b[ib + 2u * step + k], b[ib + 3u * step + k]));
}


fn columnsAt(offset: u32, column: u32) -> u32 {
let safe = min(column, u.n - 4u);
return select((offset + safe) / 4u, offset / 4u + safe * (u.bStride / 4u), B_ALONG_K);
}

fn store(sums: ptr<function, Sums>, rows: array<u32, TILE_M>, column: u32, offset: vec4<u32>) {
for (var i = 0u; i < TILE_M; i++) {
if (PLUS) {
let more = plus[(offset.w + rows[i] * u.plusStride + column) / 4u];
(*sums)[i] = fma(vec4<f32>(u.scale), (*sums)[i], more);
} else {
(*sums)[i] *= u.scale;
}
y[(offset.z + rows[i] * u.yStride + column) / 4u] = (*sums)[i];
}
}

@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) local: u32,
) {
let column = (group.x * u.lanes.x + local % u.lanes.x) * TILE_N;
let tile = group.y * u.lanes.y + (local / u.lanes.x) % u.lanes.y;
let row = tile * TILE_M;
let layers = WORKGROUP / (u.lanes.x * u.lanes.y);
if (row >= u.m || column >= u.n) {
return;
}
let aStep = u.aStride / 4u;
let bStep = u.bStride / 4u;
for (var g = group.z * layers + local / (u.lanes.x * u.lanes.y); g < u.batches; g += groups.z * layers) {
var rest = g;
var offset = u.offsets;
var masked = u.maskOffset;
for (var d = u.batchRank; d > 0u; d--) {
let dim = u.batch[d - 1u];
offset += (rest % dim.x) * vec4<u32>(dim.yzw, u.plusBatch[d - 1u]);
masked += (rest % dim.x) * u.maskBatch[d - 1u];
rest = rest / dim.x;
}
var rows: array<u32, TILE_M>;
for (var i = 0u; i < TILE_M; i++) {
rows[i] = select(min(row + i, u.m - 1u), min((row + i) & ~3u, u.m - 4u) + i % 4u, A_ALONG_M);
}
if (ROWS) {

let origin = row & ~63u;
var bits = vec2<u32>(0u);
let end = min(64u, u.m - origin);
for (var i = 0u; i < end; i++) {
let taken = u32(mask[masked + (origin + i) * u.maskBatch.w] != 0.0) << (i & 31u);
bits |= select(vec2<u32>(0u, taken), vec2<u32>(taken, 0u), i < 32u);
}
for (var i = origin; i < row; i++) {
let x = bits.x;
bits.x = x & (x - u32(x != 0u));
bits.y = select(bits.y & (bits.y - u32(bits.y != 0u)), bits.y, x != 0u);
}
let valid = countOneBits(bits.x) + countOneBits(bits.y);
if (valid == 0u) {
continue;
}
var found = 0u;
for (var i = 0u; i < TILE_M; i++) {
let x = bits.x;
let first = select(32u + countTrailingZeros(bits.y), countTrailingZeros(x), x != 0u);
found = select(found, origin + first, i < valid);
rows[i] = found;
bits.x = x & (x - u32(x != 0u));
bits.y = select(bits.y & (bits.y - u32(bits.y != 0u)), bits.y, x != 0u);
}
}
let list = g * (u.k + 1u);
var count = u.k;
if (TERMS) {
count = terms[list];
}
let near = columnsAt(offset.y, column);
let far = columnsAt(offset.y, column + 4u);
var left: Sums;
var right: Sums;
for (var i = 0u; i < TILE_M; i++) {
left[i] = vec4<f32>(0.0);
right[i] = vec4<f32>(0.0);
}
let start = offset.x / 4u;
let whole = count & ~3u;
for (var k = 0u; k < whole; k += 4u) {
var t = vec4<u32>(k, k + 1u, k + 2u, k + 3u);
if (TERMS) {
let at = list + 1u + k;
t = vec4<u32>(terms[at], terms[at + 1u], terms[at + 2u], terms[at + 3u]);
}
var x: array<vec4<f32>, TILE_M>;
if (A_ALONG_M) {
for (var i = 0u; i < TILE_M; i += 4u) {
let at = start + rows[i] / 4u;
let four = turned(Four(a[at + t.x * aStep], a[at + t.y * aStep], a[at + t.z * aStep], a[at + t.w * aStep]));
x[i] = four[0];
x[i + 1u] = four[1];
x[i + 2u] = four[2];
x[i + 3u] = four[3];
}
} else {
for (var i = 0u; i < TILE_M; i++) {
x[i] = a[start + rows[i] * aStep + k / 4u];
}
}
let p = rightOf(near, bStep, t);
for (var i = 0u; i < TILE_M; i++) {
left[i] = chain(x[i], p, left[i]);
}
if (TILE_N == 8u) {
let q = rightOf(far, bStep, t);
for (var i = 0u; i < TILE_M; i++) {
right[i] = chain(x[i], q, right[i]);
}
}
}

for (var k = whole; k < count; k++) {
var t = k;
if (TERMS) {
t = terms[list + 1u + k];
}
let p = b[near + t * bStep];
let q = b[far + t * bStep];
for (var i = 0u; i < TILE_M; i++) {
let x = a[start + rows[i] / 4u + t * aStep][i % 4u];
left[i] = fma(vec4<f32>(x), p, left[i]);
right[i] = fma(vec4<f32>(x), q, right[i]);
}
}
store(&left, rows, column, offset);
if (TILE_N == 8u && column + 4u < u.n) {
store(&right, rows, column + 4u, offset);
}
}
}
` as string,
} as const;

/**
 * ```text
 * Matrix products through strides: y[g,m,n] = scale * sum over k of a[g,m,k] b[g,k,n] + plus[g,m,n], for every batch g. Plain, transposed,
 * batched and per-module products, and weight gradients, differ in their strides only. Works for any strides, on any adapter.
 * An invocation computes a register tile of TILE_M rows by TILE_N columns; a workgroup's invocations lie side by side as
 * lanes.x tiles along n, lanes.y along m and the rest over batches. Loads beyond an edge read the last row or column again;
 * and store it again. The sum is one chain of multiply-adds over k in order.
 * ROWS: of each block of 64 rows only those whose mask is not 0 are read and written, packed into tiles by their rank.
 * TERMS: k runs over a list (product-terms.wgsl) instead of over all of k.
 * ```
 */
export const matmul = {
  name: 'matmul',
  bindings: {
    a: { binding: 1, access: 'read', element: 'f32' },
    b: { binding: 2, access: 'read', element: 'f32' },
    plus: { binding: 3, access: 'read', element: 'f32' },
    mask: { binding: 4, access: 'read', element: 'f32' },
    terms: { binding: 5, access: 'read', element: 'u32' },
    y: { binding: 6, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 176,
    fields: {
      m: { offset: 0, type: 'u32' },
      n: { offset: 4, type: 'u32' },
      k: { offset: 8, type: 'u32' },
      batches: { offset: 12, type: 'u32' },
      scale: { offset: 16, type: 'f32' },
      batchRank: { offset: 20, type: 'u32' },
      maskOffset: { offset: 24, type: 'u32' },
      lanes: { offset: 32, type: 'vec2<u32>' },
      aStrides: { offset: 40, type: 'vec2<u32>' },
      bStrides: { offset: 48, type: 'vec2<u32>' },
      yStrides: { offset: 56, type: 'vec2<u32>' },
      plusStrides: { offset: 64, type: 'vec2<u32>' },
      offsets: { offset: 80, type: 'vec4<u32>' },
      batch: { offset: 96, type: 'array<vec4<u32>, 3>' },
      plusBatch: { offset: 144, type: 'vec4<u32>' },
      maskBatch: { offset: 160, type: 'vec4<u32>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    TILE_M: { type: 'u32', value: 8 },
    TILE_N: { type: 'u32', value: 4 },
    PLUS: { type: 'bool', value: false },
    ROWS: { type: 'bool', value: false },
    TERMS: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `







struct Uniforms {
m: u32,
n: u32,
k: u32,
batches: u32,
scale: f32,
batchRank: u32,
maskOffset: u32,
lanes: vec2<u32>,
aStrides: vec2<u32>,
bStrides: vec2<u32>,
yStrides: vec2<u32>,
plusStrides: vec2<u32>,
offsets: vec4<u32>,
batch: array<vec4<u32>, 3>,
plusBatch: vec4<u32>,
maskBatch: vec4<u32>,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> plus: array<f32>;
@group(0) @binding(4) var<storage, read> mask: array<f32>;
@group(0) @binding(5) var<storage, read> terms: array<u32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

const WORKGROUP: u32 = 64;
const TILE_M: u32 = 8;
const TILE_N: u32 = 4;
const PLUS: bool = false;
const ROWS: bool = false;
const TERMS: bool = false;

alias Sums = array<vec4<f32>, TILE_M>;


fn store(sums: ptr<function, Sums>, rows: array<u32, TILE_M>, columns: vec4<u32>, offset: vec4<u32>) {
if (PLUS) {
for (var i = 0u; i < TILE_M; i++) {
let at = vec4<u32>(offset.w + rows[i] * u.plusStrides.x) + columns * u.plusStrides.y;
let more = vec4<f32>(plus[at.x], plus[at.y], plus[at.z], plus[at.w]);
(*sums)[i] = fma(vec4<f32>(u.scale), (*sums)[i], more);
}
} else {
for (var i = 0u; i < TILE_M; i++) {
(*sums)[i] *= u.scale;
}
}
for (var i = 0u; i < TILE_M; i++) {
let at = vec4<u32>(offset.z + rows[i] * u.yStrides.x) + columns * u.yStrides.y;
y[at.x] = (*sums)[i].x;
y[at.y] = (*sums)[i].y;
y[at.z] = (*sums)[i].z;
y[at.w] = (*sums)[i].w;
}
}

@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) local: u32,
) {
let column = (group.x * u.lanes.x + local % u.lanes.x) * TILE_N;
let row = (group.y * u.lanes.y + (local / u.lanes.x) % u.lanes.y) * TILE_M;
let layers = WORKGROUP / (u.lanes.x * u.lanes.y);
if (row >= u.m || column >= u.n) {
return;
}
let last = vec4<u32>(u.n - 1u);
let near = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), last) * u.bStrides.y;
let far = min(vec4<u32>(column) + vec4<u32>(4u, 5u, 6u, 7u), last) * u.bStrides.y;
for (var g = group.z * layers + local / (u.lanes.x * u.lanes.y); g < u.batches; g += groups.z * layers) {
var rest = g;
var offset = u.offsets;
var masked = u.maskOffset;
for (var d = u.batchRank; d > 0u; d--) {
let dim = u.batch[d - 1u];
offset += (rest % dim.x) * vec4<u32>(dim.yzw, u.plusBatch[d - 1u]);
masked += (rest % dim.x) * u.maskBatch[d - 1u];
rest = rest / dim.x;
}
var rows: array<u32, TILE_M>;
if (ROWS) {

let origin = row & ~63u;
var bits = vec2<u32>(0u);
let end = min(64u, u.m - origin);
for (var i = 0u; i < end; i++) {
let taken = u32(mask[masked + (origin + i) * u.maskBatch.w] != 0.0) << (i & 31u);
bits |= select(vec2<u32>(0u, taken), vec2<u32>(taken, 0u), i < 32u);
}
for (var i = origin; i < row; i++) {
let x = bits.x;
bits.x = x & (x - u32(x != 0u));
bits.y = select(bits.y & (bits.y - u32(bits.y != 0u)), bits.y, x != 0u);
}
let valid = countOneBits(bits.x) + countOneBits(bits.y);
if (valid == 0u) {
continue;
}
var found = 0u;
for (var i = 0u; i < TILE_M; i++) {
let x = bits.x;
let first = select(32u + countTrailingZeros(bits.y), countTrailingZeros(x), x != 0u);
found = select(found, origin + first, i < valid);
rows[i] = found;
bits.x = x & (x - u32(x != 0u));
bits.y = select(bits.y & (bits.y - u32(bits.y != 0u)), bits.y, x != 0u);
}
} else {
for (var i = 0u; i < TILE_M; i++) {
rows[i] = min(row + i, u.m - 1u);
}
}
var ia: array<u32, TILE_M>;
var left: Sums;
var right: Sums;
for (var i = 0u; i < TILE_M; i++) {
ia[i] = offset.x + rows[i] * u.aStrides.x;
left[i] = vec4<f32>(0.0);
right[i] = vec4<f32>(0.0);
}
let list = g * (u.k + 1u);
var count = u.k;
if (TERMS) {
count = terms[list];
}
for (var i = 0u; i < count; i++) {
var k = i;
if (TERMS) {
k = terms[list + 1u + i];
}
let base = offset.y + k * u.bStrides.x;
let p = vec4<f32>(b[base + near.x], b[base + near.y], b[base + near.z], b[base + near.w]);
var q = vec4<f32>(0.0);
if (TILE_N == 8u) {
q = vec4<f32>(b[base + far.x], b[base + far.y], b[base + far.z], b[base + far.w]);
}
for (var i = 0u; i < TILE_M; i++) {
let each = a[ia[i] + k * u.aStrides.y];
left[i] = fma(vec4<f32>(each), p, left[i]);
if (TILE_N == 8u) {
right[i] = fma(vec4<f32>(each), q, right[i]);
}
}
}
let upper = vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u);
store(&left, rows, min(upper, last), offset);
if (TILE_N == 8u) {
store(&right, rows, min(upper + vec4<u32>(4u), last), offset);
}
}
}
` as string,
} as const;

/**
 * ```text
 * Looks through a tensor for numbers that are not finite: how many there are, where the first is (u.count where there is none),
 * and the largest magnitude of the others, into one row of a report. Exactly u.count elements are read: what lies behind them
 * is padding, or another's. One workgroup, whose lanes take every WORKGROUP-th element and meet in a tree.
 * ```
 */
export const nonFinite = {
  name: 'nonFinite',
  bindings: {
    x: { binding: 1, access: 'read', element: 'f32' },
    report: { binding: 2, access: 'read_write', element: 'vec4<u32>' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      row: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 256 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `



struct Uniforms {
count: u32,
row: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> report: array<vec4<u32>>;

const WORKGROUP: u32 = 256;

var<workgroup> counts: array<u32, WORKGROUP>;
var<workgroup> firsts: array<u32, WORKGROUP>;
var<workgroup> largest: array<u32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) local: u32) {
var count = 0u;
var first = u.count;
var most = 0u;
for (var i = local; i < u.count; i += WORKGROUP) {

let magnitude = bitcast<u32>(x[i]) & 0x7fffffffu;
let odd = magnitude >= 0x7f800000u;
first = select(first, i, odd && count == 0u);
count += select(0u, 1u, odd);
most = select(max(most, magnitude), most, odd);
}
counts[local] = count;
firsts[local] = first;
largest[local] = most;
workgroupBarrier();
for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
if (local < half) {
counts[local] = counts[local] + counts[local + half];
firsts[local] = min(firsts[local], firsts[local + half]);
largest[local] = max(largest[local], largest[local + half]);
}
workgroupBarrier();
}
if (local == 0u) {
let place = min(firsts[0], u.count - 1u);
report[u.row] = vec4<u32>(counts[0], firsts[0], bitcast<u32>(x[place]), largest[0]);
}
}
` as string,
} as const;

/**
 * ```text
 * Sums of squares of pieces of many tensors: y[first + piece] = sum of x^2 over one piece of WORKGROUP * ELEMENTS elements.
 * The pieces of a call are those of its first tensor, then of its second, and so on; each workgroup has one. Its lanes
 * take every WORKGROUP-th element and meet in a tree, so that the order of a sum depends on the tensors' sizes only.
 * norm-total.wgsl adds the pieces up.
 * ```
 */
export const normParts = {
  name: 'normParts',
  bindings: {
    x0: { binding: 1, access: 'read', element: 'f32' },
    x1: { binding: 2, access: 'read', element: 'f32' },
    x2: { binding: 3, access: 'read', element: 'f32' },
    x3: { binding: 4, access: 'read', element: 'f32' },
    x4: { binding: 5, access: 'read', element: 'f32' },
    x5: { binding: 6, access: 'read', element: 'f32' },
    y: { binding: 7, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 1040,
    fields: {
      tensors: { offset: 0, type: 'u32' },
      pieces: { offset: 4, type: 'u32' },
      first: { offset: 8, type: 'u32' },
      rows: { offset: 16, type: 'array<vec4<u32>, 64>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    ELEMENTS: { type: 'u32', value: 16 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `




struct Uniforms {
tensors: u32,
pieces: u32,
first: u32,
rows: array<vec4<u32>, 64>,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x0: array<f32>;
@group(0) @binding(2) var<storage, read> x1: array<f32>;
@group(0) @binding(3) var<storage, read> x2: array<f32>;
@group(0) @binding(4) var<storage, read> x3: array<f32>;
@group(0) @binding(5) var<storage, read> x4: array<f32>;
@group(0) @binding(6) var<storage, read> x5: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

const WORKGROUP: u32 = 64;
const ELEMENTS: u32 = 16;

var<workgroup> lanes: array<f32, WORKGROUP>;

fn load(buffer: u32, i: u32) -> f32 {
if (buffer == 0u) {
return x0[i];
}
if (buffer == 1u) {
return x1[i];
}
if (buffer == 2u) {
return x2[i];
}
if (buffer == 3u) {
return x3[i];
}
if (buffer == 4u) {
return x4[i];
}
return x5[i];
}


fn rowOf(piece: u32) -> u32 {
var row = 0u;
for (var half = 32u; half > 0u; half = half / 2u) {
let next = row + half;
if (next < u.tensors) {
row = select(row, next, piece >= u.rows[next].x);
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
let index = group.y * groups.x + group.x;
let piece = min(index, u.pieces - 1u);
let row = u.rows[rowOf(piece)];
let begin = (piece - row.x) * WORKGROUP * ELEMENTS + local;
var total = 0.0;
for (var k = 0u; k < ELEMENTS; k++) {
let i = begin + k * WORKGROUP;
if (i < row.y) {
let value = load(row.w, row.z + i);
total = fma(value, value, total);
}
}
lanes[local] = total;
workgroupBarrier();
for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
if (local < half) {
lanes[local] = lanes[local] + lanes[local + half];
}
workgroupBarrier();
}
if (local == 0u && index < u.pieces) {
y[u.first + index] = lanes[0];
}
}
` as string,
} as const;

/**
 * ```text
 * The root of the sum of all pieces that norm-parts.wgsl left: y[0] = sqrt(sum of x). One workgroup, whose lanes take every
 * WORKGROUP-th piece and meet in a tree: the order depends on the count only.
 * ```
 */
export const normTotal = {
  name: 'normTotal',
  bindings: {
    x: { binding: 1, access: 'read', element: 'f32' },
    y: { binding: 2, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `


struct Uniforms {
count: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const WORKGROUP: u32 = 64;

var<workgroup> lanes: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) local: u32) {
var total = 0.0;
for (var i = local; i < u.count; i += WORKGROUP) {
total += x[i];
}
lanes[local] = total;
workgroupBarrier();
for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
if (local < half) {
lanes[local] = lanes[local] + lanes[local + half];
}
workgroupBarrier();
}
if (local == 0u) {
y[0] = sqrt(lanes[0]);
}
}
` as string,
} as const;

/**
 * ```text
 * The terms of a product that a mask leaves in it: for every list, how many elements of its part of the mask are not 0, and
 * which, in ascending order. The products with TERMS (matmul.wgsl) walk these lists.
 * A workgroup makes one list: every invocation counts a run of its own, a prefix sum over the counts says where it writes.
 * ```
 */
export const productTerms = {
  name: 'productTerms',
  bindings: {
    mask: { binding: 1, access: 'read', element: 'f32' },
    terms: { binding: 2, access: 'read_write', element: 'u32' },
  },
  uniforms: {
    size: 112,
    fields: {
      lists: { offset: 0, type: 'u32' },
      k: { offset: 4, type: 'u32' },
      listRank: { offset: 8, type: 'u32' },
      termRank: { offset: 12, type: 'u32' },
      list: { offset: 16, type: 'array<vec4<u32>, 3>' },
      term: { offset: 64, type: 'array<vec4<u32>, 3>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `



struct Uniforms {
lists: u32,
k: u32,
listRank: u32,
termRank: u32,
list: array<vec4<u32>, 3>,
term: array<vec4<u32>, 3>,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> mask: array<f32>;
@group(0) @binding(2) var<storage, read_write> terms: array<u32>;

const WORKGROUP: u32 = 64;

var<workgroup> counts: array<u32, WORKGROUP>;

fn present(start: u32, k: u32) -> bool {
var rest = k;
var at = start;
for (var d = u.termRank; d > 0u; d--) {
let dim = u.term[d - 1u];
at += (rest % dim.x) * dim.y;
rest = rest / dim.x;
}
return mask[at] != 0.0;
}

@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) local: u32,
) {
let run = (u.k + WORKGROUP - 1u) / WORKGROUP;
let first = min(local * run, u.k);
let last = min(first + run, u.k);
for (var list = group.x; list < u.lists; list += groups.x) {
var rest = list;
var start = 0u;
for (var d = u.listRank; d > 0u; d--) {
let dim = u.list[d - 1u];
start += (rest % dim.x) * dim.y;
rest = rest / dim.x;
}
var own = 0u;
for (var k = first; k < last; k++) {
own += u32(present(start, k));
}
counts[local] = own;
workgroupBarrier();
var before = 0u;
for (var i = 0u; i < local; i++) {
before += counts[i];
}
workgroupBarrier();
var to = list * (u.k + 1u);
if (local == WORKGROUP - 1u) {
terms[to] = before + own;
}
to += 1u + before;
for (var k = first; k < last; k++) {
if (present(start, k)) {
terms[to] = k;
to++;
}
}
}
}
` as string,
} as const;

/**
 * ```text
 * Reduces strided runs of elements to one number each: sum, sum of squares, maximum or minimum, by OP. Result r reads
 * count elements, found through the kept dimensions (which r walks) and the reduced ones (which the run walks).
 * With COOPERATE a workgroup shares one run: its lanes take every WORKGROUP-th element and meet in a tree. Without it
 * every lane has a run of its own. A run may be cut into parts for a second pass: part p of result r is y[p * results + r].
 * The order of a sum depends on the shape only. An extreme is NaN where an element is.
 * ```
 */
export const reduce = {
  name: 'reduce',
  bindings: {
    x: { binding: 1, access: 'read', element: 'f32' },
    y: { binding: 2, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 160,
    fields: {
      results: { offset: 0, type: 'u32' },
      count: { offset: 4, type: 'u32' },
      parts: { offset: 8, type: 'u32' },
      keptRank: { offset: 12, type: 'u32' },
      reducedRank: { offset: 16, type: 'u32' },
      kept: { offset: 32, type: 'array<vec4<u32>, 4>' },
      reduced: { offset: 96, type: 'array<vec4<u32>, 4>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    OP: { type: 'u32', value: 0 },
    COOPERATE: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `





struct Uniforms {
results: u32,
count: u32,
parts: u32,
keptRank: u32,
reducedRank: u32,
kept: array<vec4<u32>, 4>,
reduced: array<vec4<u32>, 4>,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const WORKGROUP: u32 = 64;
const OP: u32 = 0;
const COOPERATE: bool = false;

var<workgroup> lanes: array<f32, WORKGROUP>;


fn isNaN(v: f32) -> bool {
return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

fn joined(a: f32, b: f32) -> f32 {
if (OP == 0u || OP == 1u) {
return a + b;
}
let extreme = select(min(a, b), max(a, b), OP == 2u);
return select(select(extreme, b, isNaN(b)), a, isNaN(a));
}

fn offsetOfResult(r: u32) -> u32 {
var rest = r;
var offset = 0u;
for (var k = u.keptRank; k > 0u; k--) {
let dim = u.kept[k - 1u];
offset += (rest % dim.x) * dim.y;
rest = rest / dim.x;
}
return offset;
}

fn offsetInRun(i: u32) -> u32 {
var rest = i;
var offset = 0u;
for (var k = u.reducedRank; k > 0u; k--) {
let dim = u.reduced[k - 1u];
offset += (rest % dim.x) * dim.y;
rest = rest / dim.x;
}
return offset;
}



fn walk(base: u32, begin: u32, end: u32, step: u32) -> f32 {
var total = 0.0;
if (OP > 1u) {
total = x[base + offsetInRun(min(begin, u.count - 1u))];
}
for (var i = begin; i < end; i += step) {
let value = x[base + offsetInRun(i)];
total = joined(total, select(value, value * value, OP == 1u));
}
return total;
}

@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) local: u32,
) {
let piece = (u.count + u.parts - 1u) / u.parts;
let index = group.y * groups.x + group.x;
if (COOPERATE) {
let own = min(index, u.results * u.parts - 1u);
let base = offsetOfResult(own % u.results);
let first = (own / u.results) * piece;
lanes[local] = walk(base, first + local, min(first + piece, u.count), WORKGROUP);
workgroupBarrier();
for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
if (local < half) {
lanes[local] = joined(lanes[local], lanes[local + half]);
}
workgroupBarrier();
}
if (local == 0u && index < u.results * u.parts) {
y[index] = lanes[0];
}
} else {
let own = index * WORKGROUP + local;
if (own < u.results * u.parts) {
let base = offsetOfResult(own % u.results);
let first = (own / u.results) * piece;
y[own] = walk(base, first, min(first + piece, u.count), 1u);
}
}
}
` as string,
} as const;

/**
 * ```text
 * The backward of rim-gru.wgsl, a workgroup a module of a batch row: what reaches the candidate of an active module goes to its
 * gates, its query and its old h; an inactive module passes on what reaches its state. The choice has no gradient.
 * Without CACHED the part of an active module's dh that does not pass through its gates is left in dafter, not in dh.
 * With CACHED the memory is a state: an inactive module's is passed on, but for what others read of it (rim-talk-backward.wgsl).
 * Slopes are products of what is near 0, never 1 minus what is near 1: saturated gates keep their digits.
 * ```
 */
export const rimGruBackward = {
  name: 'rimGruBackward',
  bindings: {
    saved: { binding: 1, access: 'read', element: 'vec4<f32>' },
    uk: { binding: 2, access: 'read', element: 'vec4<f32>' },
    side: { binding: 3, access: 'read', element: 'vec4<f32>' },
    dcandidate: { binding: 4, access: 'read', element: 'vec4<f32>' },
    dafter: { binding: 5, access: 'read_write', element: 'vec4<f32>' },
    dh: { binding: 6, access: 'read_write', element: 'vec4<f32>' },
    dbefore: { binding: 7, access: 'read_write', element: 'vec4<f32>' },
    duk: { binding: 8, access: 'read_write', element: 'vec4<f32>' },
  },
  uniforms: {
    size: 32,
    fields: {
      count: { offset: 0, type: 'u32' },
      modules: { offset: 4, type: 'u32' },
      quads: { offset: 8, type: 'u32' },
      keyQuads: { offset: 12, type: 'u32' },
      input: { offset: 16, type: 'u32' },
      memory: { offset: 20, type: 'u32' },
      saved: { offset: 24, type: 'u32' },
      width: { offset: 28, type: 'u32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 32 },
    CACHED: { type: 'bool', value: false },
    NULLS: { type: 'bool', value: false },
    BIASED: { type: 'bool', value: false },
    DROPPED: { type: 'bool', value: false },
  },
  workgroup: ['LANES', 1, 1],
  source: `





struct Uniforms {
count: u32,
modules: u32,
quads: u32,
keyQuads: u32,
input: u32,
memory: u32,
saved: u32,
width: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> saved: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> uk: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> side: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> dcandidate: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> dafter: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> dh: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> dbefore: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> duk: array<vec4<f32>>;

const LANES: u32 = 32;
const CACHED: bool = false;
const NULLS: bool = false;
const BIASED: bool = false;
const DROPPED: bool = false;

var<workgroup> sums: array<f32, LANES>;

fn tanhOf(v: vec4<f32>) -> vec4<f32> {
let a = abs(v);
let s = v * v;
let e = exp(-2.0 * a);
let far = sign(v) * (1.0 - e) / (1.0 + e);
let near = v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
return select(far, near, a < vec4<f32>(0.1));
}

fn tanhSlopeOf(v: vec4<f32>) -> vec4<f32> {
let e = exp(-2.0 * abs(v));
return 4.0 * e / ((1.0 + e) * (1.0 + e));
}

fn sigmoidOf(v: vec4<f32>) -> vec4<f32> {
let e = exp(-abs(v));
return select(e, vec4<f32>(1.0), v >= vec4<f32>(0.0)) / (1.0 + e);
}

fn sigmoidSlopeOf(v: vec4<f32>) -> vec4<f32> {
let e = exp(-abs(v));
return e / ((1.0 + e) * (1.0 + e));
}

@compute @workgroup_size(LANES)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) lane: u32,
) {
let each = group.y * groups.x + group.x;
if (each >= u.count) {
return;
}
let gates = 3u * u.quads;
let tail = saved[(each + 1u) * u.saved - 1u];
if (tail.y == 0.0) {
for (var unit = lane; unit < u.quads; unit += LANES) {
dh[each * u.quads + unit] = dcandidate[each * u.quads + unit];
}
for (var i = lane; i < select(gates + u.keyQuads, u.width, NULLS); i += LANES) {
duk[each * u.width + i] = vec4<f32>(0.0);
}
if (CACHED) {
for (var i = lane; i < gates + u.keyQuads; i += LANES) {
dbefore[each * u.memory + i] = dafter[each * u.memory + i];
}
}
return;
}

var p = tail.z;
var rest = 1.0;
var slopes = vec2<f32>(1.0, 0.0);
if (DROPPED) {
let factors = uk[(each + 1u) * u.input - 1u];
slopes = vec2<f32>(factors.x, factors.x - factors.y);
rest = factors.x * p + factors.y * (1.0 - p);
p = factors.x * p;
}
let nullGate = (each % u.modules) * gates;
var part = 0.0;
for (var unit = lane; unit < u.quads; unit += LANES) {
let place = each * u.saved + unit;
let reset = saved[place + u.quads];
let renew = saved[place + 2u * u.quads];
let fresh = saved[place + 3u * u.quads];
let recurrent = saved[place + 4u * u.quads];
let old = saved[place + 5u * u.quads];
let d = dcandidate[each * u.quads + unit];
let dfresh = d * sigmoidOf(-renew) * tanhSlopeOf(fresh);
let drenew = d * (old - tanhOf(fresh)) * sigmoidSlopeOf(renew);
let dreset = dfresh * recurrent * sigmoidSlopeOf(reset);
if (CACHED) {
dh[each * u.quads + unit] = d * sigmoidOf(renew);
} else {
dafter[each * u.quads + unit] = d * sigmoidOf(renew);
}
let gate = each * u.memory + unit;
dbefore[gate] = dreset;
dbefore[gate + u.quads] = drenew;
dbefore[gate + 2u * u.quads] = dfresh * sigmoidOf(reset);
let change = each * u.input + unit;
part += slopes.x * (dot(dreset, uk[change]) + dot(drenew, uk[change + u.quads]) + dot(dfresh, uk[change + 2u * u.quads]));
if (DROPPED) {
let offset = nullGate + unit;
part += slopes.y * (dot(dreset, side[offset]) + dot(drenew, side[offset + u.quads]) + dot(dfresh, side[offset + 2u * u.quads]));
}
let result = each * u.width + unit;
duk[result] = p * dreset;
duk[result + u.quads] = p * drenew;
duk[result + 2u * u.quads] = p * dfresh;
if (NULLS) {
let offset = result + gates + u.keyQuads;
duk[offset] = rest * dreset;
duk[offset + u.quads] = rest * drenew;
duk[offset + 2u * u.quads] = rest * dfresh;
}
if (BIASED) {
duk[(each + 1u) * u.width - u.quads + unit] = dfresh;
}
}
sums[lane] = part;
workgroupBarrier();
for (var width = LANES / 2u; width > 0u; width = width / 2u) {
if (lane < width) {
sums[lane] = sums[lane] + sums[lane + width];
}
workgroupBarrier();
}
let e = exp(-abs(tail.x));
let dodds = sums[0] * e / ((1.0 + e) * (1.0 + e));
for (var i = lane; i < u.keyQuads; i += LANES) {
dbefore[each * u.memory + gates + i] = dodds * uk[each * u.input + gates + i];
duk[each * u.width + gates + i] = dodds * saved[each * u.saved + 6u * u.quads + i];
}
}
` as string,
} as const;

/**
 * ```text
 * Choice and dynamics of one RIM step with GRU modules, a workgroup a batch row: log-odds and ranking of all its
 * modules, the u.topK best of which are active, then their gates. p is the input's share: the gates of the input are
 * those of the null row and p times dU, those of the state are in the memory row. All rows are whole vec4s.
 * Rows hold, in order: memory gates r, z, n of the state, query, what others read; uk dU r, z, n, key, with DROPPED two
 * factors, with OWN the gates of the null row; saved candidate, r, z, n, recurrent n, h, query, (log-odds, mask, p, 0).
 * An inactive module keeps h bit for bit; with CACHED its memory too, where the memory row is that of the step before.
 * With CANDIDATES the candidates of inactive modules are computed as well (others read them); with ZERO these read no
 * input. What one state owns lies beside the next one in one buffer: both are bound read_write, h and before only read,
 * without CACHED after too.
 * ```
 */
export const rimGru = {
  name: 'rimGru',
  bindings: {
    h: { binding: 1, access: 'read_write', element: 'vec4<f32>' },
    before: { binding: 2, access: 'read_write', element: 'vec4<f32>' },
    uk: { binding: 3, access: 'read', element: 'vec4<f32>' },
    side: { binding: 4, access: 'read', element: 'vec4<f32>' },
    next: { binding: 5, access: 'read_write', element: 'vec4<f32>' },
    after: { binding: 6, access: 'read_write', element: 'vec4<f32>' },
    saved: { binding: 7, access: 'read_write', element: 'vec4<f32>' },
    mask: { binding: 8, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 32,
    fields: {
      rows: { offset: 0, type: 'u32' },
      modules: { offset: 4, type: 'u32' },
      quads: { offset: 8, type: 'u32' },
      keyQuads: { offset: 12, type: 'u32' },
      input: { offset: 16, type: 'u32' },
      memory: { offset: 20, type: 'u32' },
      saved: { offset: 24, type: 'u32' },
      topK: { offset: 28, type: 'u32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 64 },
    PARTS: { type: 'u32', value: 8 },
    MODULES: { type: 'u32', value: 64 },
    CACHED: { type: 'bool', value: false },
    CANDIDATES: { type: 'bool', value: false },
    ZERO: { type: 'bool', value: false },
    RAW: { type: 'bool', value: false },
    DROPPED: { type: 'bool', value: false },
    OWN: { type: 'bool', value: false },
  },
  workgroup: ['LANES', 1, 1],
  source: `









struct Uniforms {
rows: u32,
modules: u32,
quads: u32,
keyQuads: u32,
input: u32,
memory: u32,
saved: u32,
topK: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> h: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> before: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> uk: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> side: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> next: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> after: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> saved: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> mask: array<f32>;

const LANES: u32 = 64;
const PARTS: u32 = 8;
const MODULES: u32 = 64;
const PARTIALS: u32 = MODULES * PARTS;
const CACHED: bool = false;
const CANDIDATES: bool = false;
const ZERO: bool = false;
const RAW: bool = false;
const DROPPED: bool = false;
const OWN: bool = false;

var<workgroup> partials: array<vec2<f32>, PARTIALS>;
var<workgroup> odds: array<f32, MODULES>;
var<workgroup> ranking: array<u32, MODULES>;
var<workgroup> chosen: array<u32, MODULES>;

fn tanhOf(v: vec4<f32>) -> vec4<f32> {
let a = abs(v);
let s = v * v;
let e = exp(-2.0 * a);
let far = sign(v) * (1.0 - e) / (1.0 + e);
let near = v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
return select(far, near, a < vec4<f32>(0.1));
}

fn sigmoidOf(v: vec4<f32>) -> vec4<f32> {
let e = exp(-abs(v));
return select(e, vec4<f32>(1.0), v >= vec4<f32>(0.0)) / (1.0 + e);
}


fn keyOf(bits: u32) -> u32 {
let magnitude = bits & 0x7fffffffu;
if (magnitude > 0x7f800000u) {
return 0xffffffffu;
}
if (magnitude == 0u) {
return 0x80000000u;
}
return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

@compute @workgroup_size(LANES)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) lane: u32,
) {
let row = group.y * groups.x + group.x;
if (row >= u.rows) {
return;
}
let first = row * u.modules;
let gates = 3u * u.quads;
let ofBias = u.modules * gates;
let ofKey = ofBias + u.modules * u.quads;

for (var i = lane; i < u.modules * PARTS; i += LANES) {
let each = first + i / PARTS;
var part = vec2<f32>(0.0, 0.0);
for (var e = i % PARTS; e < u.keyQuads; e += PARTS) {
let place = each * u.memory + gates + e;
var query = vec4<f32>(0.0);
if (CACHED) {
query = before[place];
} else {
query = after[place];
}
part.x += dot(query, uk[each * u.input + gates + e]);
if (RAW) {
part.y += dot(query, side[ofKey + e]);
}
}
partials[i] = part;
}
workgroupBarrier();
for (var m = lane; m < u.modules; m += LANES) {
var score = vec2<f32>(0.0, 0.0);
for (var i = 0u; i < PARTS; i++) {
score += partials[m * PARTS + i];
}
odds[m] = score.x;
ranking[m] = keyOf(bitcast<u32>(score.x + score.y));
}
workgroupBarrier();
for (var m = lane; m < u.modules; m += LANES) {
let own = ranking[m];
var better = 0u;
for (var j = 0u; j < u.modules; j++) {
let other = ranking[j];
if (other > own || (other == own && j < m)) {
better++;
}
}
let isChosen = better < u.topK;
chosen[m] = select(0u, 1u, isChosen);
mask[m * u.rows + row] = select(0.0, 1.0, isChosen);
let share = 1.0 / (1.0 + exp(-abs(odds[m])));
let p = select(exp(-abs(odds[m])) * share, share, odds[m] >= 0.0);
saved[(first + m + 1u) * u.saved - 1u] = vec4<f32>(odds[m], select(0.0, 1.0, isChosen), p, 0.0);
}
workgroupBarrier();

for (var i = lane; i < u.modules * u.quads; i += LANES) {
let m = i / u.quads;
let unit = i - m * u.quads;
let each = first + m;
let isActive = chosen[m] == 1u;
let old = h[first * u.quads + i];
if (!isActive) {
next[first * u.quads + i] = old;
}
if (isActive || CANDIDATES) {
let share = 1.0 / (1.0 + exp(-abs(odds[m])));
var p = select(exp(-abs(odds[m])) * share, share, odds[m] >= 0.0);
var rest = 1.0;
if (DROPPED) {
let factors = uk[(each + 1u) * u.input - 1u];
rest = factors.x * p + factors.y * (1.0 - p);
p = factors.x * p;
}
if (ZERO && !isActive) {
p = 0.0;
rest = 0.0;
}
let gate = each * u.memory + unit;
let change = each * u.input + unit;
let nullGate = m * gates + unit;
var nulls: array<vec4<f32>, 3>;
for (var g = 0u; g < 3u; g++) {
if (OWN) {
nulls[g] = rest * uk[change + gates + u.keyQuads + g * u.quads];
} else {
nulls[g] = rest * side[nullGate + g * u.quads];
}
}
var reset = vec4<f32>(0.0);
var renew = vec4<f32>(0.0);
var recurrent = vec4<f32>(0.0);
if (CACHED) {
reset = before[gate];
renew = before[gate + u.quads];
recurrent = before[gate + 2u * u.quads];
} else {
reset = after[gate];
renew = after[gate + u.quads];
recurrent = after[gate + 2u * u.quads];
}
reset += nulls[0] + p * uk[change];
renew += nulls[1] + p * uk[change + u.quads];
let ofInput = nulls[2] + p * uk[change + 2u * u.quads] + side[ofBias + m * u.quads + unit];
let fresh = ofInput + sigmoidOf(reset) * recurrent;
let place = each * u.saved + unit;
saved[place] = sigmoidOf(-renew) * tanhOf(fresh) + sigmoidOf(renew) * old;
saved[place + u.quads] = reset;
saved[place + 2u * u.quads] = renew;
saved[place + 3u * u.quads] = fresh;
saved[place + 4u * u.quads] = recurrent;
saved[place + 5u * u.quads] = old;
}
}

for (var m = 0u; m < u.modules; m++) {
let each = first + m;
if (chosen[m] == 1u) {
for (var e = lane; e < u.keyQuads; e += LANES) {
let place = each * u.memory + gates + e;
if (CACHED) {
saved[each * u.saved + 6u * u.quads + e] = before[place];
} else {
saved[each * u.saved + 6u * u.quads + e] = after[place];
}
}
} else if (CACHED) {
for (var e = lane; e < u.memory; e += LANES) {
after[each * u.memory + e] = before[each * u.memory + e];
}
}
}
}
` as string,
} as const;

/**
 * ```text
 * The backward of rim-lstm.wgsl, a workgroup a module of a batch row: what reaches the candidate of an active module goes to its
 * gates, its query and its old c; an inactive module passes on what reaches its h and c. The choice has no gradient.
 * An active module's h is reached through its gates only: with CACHED dh gets 0, without nothing is written.
 * With CACHED the memory is a state: an inactive module's is passed on, but for what others read of it (rim-talk-backward.wgsl).
 * Slopes are products of what is near 0, never 1 minus what is near 1: saturated gates keep their digits.
 * ```
 */
export const rimLstmBackward = {
  name: 'rimLstmBackward',
  bindings: {
    saved: { binding: 1, access: 'read', element: 'vec4<f32>' },
    uk: { binding: 2, access: 'read', element: 'vec4<f32>' },
    side: { binding: 3, access: 'read', element: 'vec4<f32>' },
    dcandidate: { binding: 4, access: 'read', element: 'vec4<f32>' },
    dafter: { binding: 5, access: 'read_write', element: 'vec4<f32>' },
    dh: { binding: 6, access: 'read_write', element: 'vec4<f32>' },
    dbefore: { binding: 7, access: 'read_write', element: 'vec4<f32>' },
    duk: { binding: 8, access: 'read_write', element: 'vec4<f32>' },
  },
  uniforms: {
    size: 32,
    fields: {
      count: { offset: 0, type: 'u32' },
      modules: { offset: 4, type: 'u32' },
      quads: { offset: 8, type: 'u32' },
      keyQuads: { offset: 12, type: 'u32' },
      input: { offset: 16, type: 'u32' },
      memory: { offset: 20, type: 'u32' },
      saved: { offset: 24, type: 'u32' },
      width: { offset: 28, type: 'u32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 32 },
    CACHED: { type: 'bool', value: false },
    NULLS: { type: 'bool', value: false },
    DROPPED: { type: 'bool', value: false },
  },
  workgroup: ['LANES', 1, 1],
  source: `





struct Uniforms {
count: u32,
modules: u32,
quads: u32,
keyQuads: u32,
input: u32,
memory: u32,
saved: u32,
width: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> saved: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> uk: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> side: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> dcandidate: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> dafter: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> dh: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> dbefore: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> duk: array<vec4<f32>>;

const LANES: u32 = 32;
const CACHED: bool = false;
const NULLS: bool = false;
const DROPPED: bool = false;

var<workgroup> sums: array<f32, LANES>;

fn tanhOf(v: vec4<f32>) -> vec4<f32> {
let a = abs(v);
let s = v * v;
let e = exp(-2.0 * a);
let far = sign(v) * (1.0 - e) / (1.0 + e);
let near = v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
return select(far, near, a < vec4<f32>(0.1));
}

fn tanhSlopeOf(v: vec4<f32>) -> vec4<f32> {
let e = exp(-2.0 * abs(v));
return 4.0 * e / ((1.0 + e) * (1.0 + e));
}

fn sigmoidOf(v: vec4<f32>) -> vec4<f32> {
let e = exp(-abs(v));
return select(e, vec4<f32>(1.0), v >= vec4<f32>(0.0)) / (1.0 + e);
}

fn sigmoidSlopeOf(v: vec4<f32>) -> vec4<f32> {
let e = exp(-abs(v));
return e / ((1.0 + e) * (1.0 + e));
}

@compute @workgroup_size(LANES)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) lane: u32,
) {
let each = group.y * groups.x + group.x;
if (each >= u.count) {
return;
}
let gates = 4u * u.quads;
let cell = (each + 1u) * u.memory - u.quads;
let tail = saved[(each + 1u) * u.saved - 1u];
if (tail.y == 0.0) {
for (var unit = lane; unit < u.quads; unit += LANES) {
dh[each * u.quads + unit] = dcandidate[each * u.quads + unit];
dbefore[cell + unit] = dafter[cell + unit];
}
for (var i = lane; i < select(gates + u.keyQuads, u.width, NULLS); i += LANES) {
duk[each * u.width + i] = vec4<f32>(0.0);
}
if (CACHED) {
for (var i = lane; i < gates + u.keyQuads; i += LANES) {
dbefore[each * u.memory + i] = dafter[each * u.memory + i];
}
}
return;
}

var p = tail.z;
var rest = 1.0;
var slopes = vec2<f32>(1.0, 0.0);
if (DROPPED) {
let factors = uk[(each + 1u) * u.input - 1u];
slopes = vec2<f32>(factors.x, factors.x - factors.y);
rest = factors.x * p + factors.y * (1.0 - p);
p = factors.x * p;
}
let nullGate = (each % u.modules) * gates;
var part = 0.0;
for (var unit = lane; unit < u.quads; unit += LANES) {
let place = each * u.saved + unit;
let enter = saved[place + u.quads];
let forget = saved[place + 2u * u.quads];
let fresh = saved[place + 3u * u.quads];
let show = saved[place + 4u * u.quads];
let old = saved[place + 5u * u.quads];
let tanhFresh = tanhOf(fresh);
let c = sigmoidOf(forget) * old + sigmoidOf(enter) * tanhFresh;
let d = dcandidate[each * u.quads + unit];
let dc = dafter[cell + unit] + d * sigmoidOf(show) * tanhSlopeOf(c);
let denter = dc * tanhFresh * sigmoidSlopeOf(enter);
let dforget = dc * old * sigmoidSlopeOf(forget);
let dfresh = dc * sigmoidOf(enter) * tanhSlopeOf(fresh);
let dshow = d * tanhOf(c) * sigmoidSlopeOf(show);
if (CACHED) {
dh[each * u.quads + unit] = vec4<f32>(0.0);
}
dbefore[cell + unit] = dc * sigmoidOf(forget);
let gate = each * u.memory + unit;
dbefore[gate] = denter;
dbefore[gate + u.quads] = dforget;
dbefore[gate + 2u * u.quads] = dfresh;
dbefore[gate + 3u * u.quads] = dshow;
let change = each * u.input + unit;
part += slopes.x * (dot(denter, uk[change]) + dot(dforget, uk[change + u.quads]));
part += slopes.x * (dot(dfresh, uk[change + 2u * u.quads]) + dot(dshow, uk[change + 3u * u.quads]));
if (DROPPED) {
let offset = nullGate + unit;
part += slopes.y * (dot(denter, side[offset]) + dot(dforget, side[offset + u.quads]));
part += slopes.y * (dot(dfresh, side[offset + 2u * u.quads]) + dot(dshow, side[offset + 3u * u.quads]));
}
let result = each * u.width + unit;
duk[result] = p * denter;
duk[result + u.quads] = p * dforget;
duk[result + 2u * u.quads] = p * dfresh;
duk[result + 3u * u.quads] = p * dshow;
if (NULLS) {
let offset = result + gates + u.keyQuads;
duk[offset] = rest * denter;
duk[offset + u.quads] = rest * dforget;
duk[offset + 2u * u.quads] = rest * dfresh;
duk[offset + 3u * u.quads] = rest * dshow;
}
}
sums[lane] = part;
workgroupBarrier();
for (var width = LANES / 2u; width > 0u; width = width / 2u) {
if (lane < width) {
sums[lane] = sums[lane] + sums[lane + width];
}
workgroupBarrier();
}
let e = exp(-abs(tail.x));
let dodds = sums[0] * e / ((1.0 + e) * (1.0 + e));
for (var i = lane; i < u.keyQuads; i += LANES) {
dbefore[each * u.memory + gates + i] = dodds * uk[each * u.input + gates + i];
duk[each * u.width + gates + i] = dodds * saved[each * u.saved + 6u * u.quads + i];
}
}
` as string,
} as const;

/**
 * ```text
 * Choice and dynamics of one RIM step with LSTM modules, a workgroup a batch row: log-odds and ranking of all its
 * modules, the u.topK best of which are active, then their gates. p is the input's share: the gates of the input are
 * those of the null row and p times dU, those of the state are in the memory row. All rows are whole vec4s.
 * Rows hold, in order: memory gates i, f, g, o of the state with their biases, query, what others read, c; uk dU i, f,
 * g, o, key, with DROPPED two factors, with OWN the gates of the null row; saved candidate, i, f, g, o, c, query,
 * (log-odds, mask, p, 0).
 * An inactive module keeps h and c bit for bit; with CACHED its memory too, where the memory row is that of the step
 * before. With CANDIDATES the candidates of inactive modules are computed as well (others read them); with ZERO these
 * read no input. What one state owns lies beside the next one in one buffer: both are bound read_write, h and before
 * only read, without CACHED gates and query of after too.
 * ```
 */
export const rimLstm = {
  name: 'rimLstm',
  bindings: {
    h: { binding: 1, access: 'read_write', element: 'vec4<f32>' },
    before: { binding: 2, access: 'read_write', element: 'vec4<f32>' },
    uk: { binding: 3, access: 'read', element: 'vec4<f32>' },
    side: { binding: 4, access: 'read', element: 'vec4<f32>' },
    next: { binding: 5, access: 'read_write', element: 'vec4<f32>' },
    after: { binding: 6, access: 'read_write', element: 'vec4<f32>' },
    saved: { binding: 7, access: 'read_write', element: 'vec4<f32>' },
    mask: { binding: 8, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 32,
    fields: {
      rows: { offset: 0, type: 'u32' },
      modules: { offset: 4, type: 'u32' },
      quads: { offset: 8, type: 'u32' },
      keyQuads: { offset: 12, type: 'u32' },
      input: { offset: 16, type: 'u32' },
      memory: { offset: 20, type: 'u32' },
      saved: { offset: 24, type: 'u32' },
      topK: { offset: 28, type: 'u32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 64 },
    PARTS: { type: 'u32', value: 8 },
    MODULES: { type: 'u32', value: 64 },
    CACHED: { type: 'bool', value: false },
    CANDIDATES: { type: 'bool', value: false },
    ZERO: { type: 'bool', value: false },
    RAW: { type: 'bool', value: false },
    DROPPED: { type: 'bool', value: false },
    OWN: { type: 'bool', value: false },
  },
  workgroup: ['LANES', 1, 1],
  source: `










struct Uniforms {
rows: u32,
modules: u32,
quads: u32,
keyQuads: u32,
input: u32,
memory: u32,
saved: u32,
topK: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> h: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> before: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> uk: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> side: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> next: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> after: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> saved: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> mask: array<f32>;

const LANES: u32 = 64;
const PARTS: u32 = 8;
const MODULES: u32 = 64;
const PARTIALS: u32 = MODULES * PARTS;
const CACHED: bool = false;
const CANDIDATES: bool = false;
const ZERO: bool = false;
const RAW: bool = false;
const DROPPED: bool = false;
const OWN: bool = false;

var<workgroup> partials: array<vec2<f32>, PARTIALS>;
var<workgroup> odds: array<f32, MODULES>;
var<workgroup> ranking: array<u32, MODULES>;
var<workgroup> chosen: array<u32, MODULES>;

fn tanhOf(v: vec4<f32>) -> vec4<f32> {
let a = abs(v);
let s = v * v;
let e = exp(-2.0 * a);
let far = sign(v) * (1.0 - e) / (1.0 + e);
let near = v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
return select(far, near, a < vec4<f32>(0.1));
}

fn sigmoidOf(v: vec4<f32>) -> vec4<f32> {
let e = exp(-abs(v));
return select(e, vec4<f32>(1.0), v >= vec4<f32>(0.0)) / (1.0 + e);
}


fn keyOf(bits: u32) -> u32 {
let magnitude = bits & 0x7fffffffu;
if (magnitude > 0x7f800000u) {
return 0xffffffffu;
}
if (magnitude == 0u) {
return 0x80000000u;
}
return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

@compute @workgroup_size(LANES)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) lane: u32,
) {
let row = group.y * groups.x + group.x;
if (row >= u.rows) {
return;
}
let first = row * u.modules;
let gates = 4u * u.quads;
let ofKey = u.modules * gates;

for (var i = lane; i < u.modules * PARTS; i += LANES) {
let each = first + i / PARTS;
var part = vec2<f32>(0.0, 0.0);
for (var e = i % PARTS; e < u.keyQuads; e += PARTS) {
let place = each * u.memory + gates + e;
var query = vec4<f32>(0.0);
if (CACHED) {
query = before[place];
} else {
query = after[place];
}
part.x += dot(query, uk[each * u.input + gates + e]);
if (RAW) {
part.y += dot(query, side[ofKey + e]);
}
}
partials[i] = part;
}
workgroupBarrier();
for (var m = lane; m < u.modules; m += LANES) {
var score = vec2<f32>(0.0, 0.0);
for (var i = 0u; i < PARTS; i++) {
score += partials[m * PARTS + i];
}
odds[m] = score.x;
ranking[m] = keyOf(bitcast<u32>(score.x + score.y));
}
workgroupBarrier();
for (var m = lane; m < u.modules; m += LANES) {
let own = ranking[m];
var better = 0u;
for (var j = 0u; j < u.modules; j++) {
let other = ranking[j];
if (other > own || (other == own && j < m)) {
better++;
}
}
let isChosen = better < u.topK;
chosen[m] = select(0u, 1u, isChosen);
mask[m * u.rows + row] = select(0.0, 1.0, isChosen);
let share = 1.0 / (1.0 + exp(-abs(odds[m])));
let p = select(exp(-abs(odds[m])) * share, share, odds[m] >= 0.0);
saved[(first + m + 1u) * u.saved - 1u] = vec4<f32>(odds[m], select(0.0, 1.0, isChosen), p, 0.0);
}
workgroupBarrier();

for (var i = lane; i < u.modules * u.quads; i += LANES) {
let m = i / u.quads;
let unit = i - m * u.quads;
let each = first + m;
let isActive = chosen[m] == 1u;
let ofCell = (each + 1u) * u.memory - u.quads + unit;
let old = before[ofCell];
if (!isActive) {
next[first * u.quads + i] = h[first * u.quads + i];
after[ofCell] = old;
}
if (isActive || CANDIDATES) {
let share = 1.0 / (1.0 + exp(-abs(odds[m])));
var p = select(exp(-abs(odds[m])) * share, share, odds[m] >= 0.0);
var rest = 1.0;
if (DROPPED) {
let factors = uk[(each + 1u) * u.input - 1u];
rest = factors.x * p + factors.y * (1.0 - p);
p = factors.x * p;
}
if (ZERO && !isActive) {
p = 0.0;
rest = 0.0;
}
let gate = each * u.memory + unit;
let change = each * u.input + unit;
let nullGate = m * gates + unit;
var nulls: array<vec4<f32>, 4>;
for (var g = 0u; g < 4u; g++) {
if (OWN) {
nulls[g] = rest * uk[change + gates + u.keyQuads + g * u.quads];
} else {
nulls[g] = rest * side[nullGate + g * u.quads];
}
}
var enter = vec4<f32>(0.0);
var forget = vec4<f32>(0.0);
var fresh = vec4<f32>(0.0);
var show = vec4<f32>(0.0);
if (CACHED) {
enter = before[gate];
forget = before[gate + u.quads];
fresh = before[gate + 2u * u.quads];
show = before[gate + 3u * u.quads];
} else {
enter = after[gate];
forget = after[gate + u.quads];
fresh = after[gate + 2u * u.quads];
show = after[gate + 3u * u.quads];
}
enter += nulls[0] + p * uk[change];
forget += nulls[1] + p * uk[change + u.quads];
fresh += nulls[2] + p * uk[change + 2u * u.quads];
show += nulls[3] + p * uk[change + 3u * u.quads];
let c = sigmoidOf(forget) * old + sigmoidOf(enter) * tanhOf(fresh);
if (isActive) {
after[ofCell] = c;
}
let place = each * u.saved + unit;
saved[place] = sigmoidOf(show) * tanhOf(c);
saved[place + u.quads] = enter;
saved[place + 2u * u.quads] = forget;
saved[place + 3u * u.quads] = fresh;
saved[place + 4u * u.quads] = show;
saved[place + 5u * u.quads] = old;
}
}

for (var m = 0u; m < u.modules; m++) {
let each = first + m;
if (chosen[m] == 1u) {
for (var e = lane; e < u.keyQuads; e += LANES) {
let place = each * u.memory + gates + e;
if (CACHED) {
saved[each * u.saved + 6u * u.quads + e] = before[place];
} else {
saved[each * u.saved + 6u * u.quads + e] = after[place];
}
}
} else if (CACHED) {
for (var e = lane; e < u.memory - u.quads; e += LANES) {
after[each * u.memory + e] = before[each * u.memory + e];
}
}
}
}
` as string,
} as const;

/**
 * ```text
 * The backward of rim-talk.wgsl, from its input and its probabilities p. An invocation does one module of one head of one
 * batch row: first as a reader, if it is active, the gradients of its probabilities, of its scores (0 where p is 0: sources
 * that it does not read have no gradient) and of its query; then, behind a barrier, as a source, those of its key and value.
 * With CACHED those of an inactive source are added to what already waits in its memory's gradient, and an active source's
 * memory, which nobody read, gets 0; without, an inactive reader's query gets 0.
 * A workgroup does u.perGroup heads, all of their modules: perGroup * N is at most LANES. The gradients of their scores
 * are in workgroup memory, sums over readers pass inactive ones over. Rows are whole vec4s, of each head too.
 * ```
 */
export const rimTalkBackward = {
  name: 'rimTalkBackward',
  bindings: {
    qkv: { binding: 1, access: 'read', element: 'vec4<f32>' },
    mask: { binding: 2, access: 'read', element: 'f32' },
    p: { binding: 3, access: 'read', element: 'f32' },
    dcontext: { binding: 4, access: 'read', element: 'vec4<f32>' },
    dafter: { binding: 5, access: 'read_write', element: 'vec4<f32>' },
    dbefore: { binding: 6, access: 'read_write', element: 'vec4<f32>' },
    dqkv: { binding: 7, access: 'read_write', element: 'vec4<f32>' },
  },
  uniforms: {
    size: 48,
    fields: {
      rows: { offset: 0, type: 'u32' },
      heads: { offset: 4, type: 'u32' },
      modules: { offset: 8, type: 'u32' },
      keyQuads: { offset: 12, type: 'u32' },
      valueQuads: { offset: 16, type: 'u32' },
      memory: { offset: 20, type: 'u32' },
      cache: { offset: 24, type: 'u32' },
      perGroup: { offset: 28, type: 'u32' },
      scale: { offset: 32, type: 'f32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 64 },
    SCORES: { type: 'u32', value: 4096 },
    CHUNK: { type: 'u32', value: 4 },
    CACHED: { type: 'bool', value: false },
    DROPPED: { type: 'bool', value: false },
  },
  workgroup: ['LANES', 1, 1],
  source: `







struct Uniforms {
rows: u32,
heads: u32,
modules: u32,
keyQuads: u32,
valueQuads: u32,
memory: u32,
cache: u32,
perGroup: u32,
scale: f32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> qkv: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> mask: array<f32>;
@group(0) @binding(3) var<storage, read> p: array<f32>;
@group(0) @binding(4) var<storage, read> dcontext: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> dafter: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> dbefore: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> dqkv: array<vec4<f32>>;

const LANES: u32 = 64;
const SCORES: u32 = 4096;
const CHUNK: u32 = 4;
const CACHED: bool = false;
const DROPPED: bool = false;

var<workgroup> slopes: array<f32, SCORES>;

fn isOn(bits: vec2<u32>, m: u32) -> bool {
return ((select(bits.y, bits.x, m < 32u) >> (m & 31u)) & 1u) == 1u;
}

@compute @workgroup_size(LANES)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) lane: u32,
) {
let local = lane / u.modules;
let own = lane - local * u.modules;
let pair = (group.y * groups.x + group.x) * u.perGroup + local;
let pairs = u.rows * u.heads;
let present = local < u.perGroup && pair < pairs;
let head = pair % u.heads;
let row = pair / u.heads;
let first = row * u.modules;
let width = u.heads * (2u * u.keyQuads + u.valueQuads);
let span = u.heads * u.valueQuads;
let queries = first * width + head * u.keyQuads;
let keys = queries + u.heads * u.keyQuads;
let values = first * width + 2u * u.heads * u.keyQuads + head * u.valueQuads;
let keysBefore = first * u.memory + u.cache + head * u.keyQuads;
let valuesBefore = first * u.memory + u.cache + u.heads * u.keyQuads + head * u.valueQuads;
let taken = first * span + head * u.valueQuads;
let square = u.modules * u.modules;
let start = local * square;
let ofPair = pair * square;
let behind = pairs * square;

var bits = vec2<u32>(0u, 0u);
if (present) {
for (var m = 0u; m < u.modules; m++) {
if (mask[m * u.rows + row] != 0.0) {
if (m < 32u) {
bits.x |= 1u << m;
} else {
bits.y |= 1u << (m - 32u);
}
}
}
}
let isActive = isOn(bits, own);
if (present && isActive) {
let base = start + own * u.modules;
let given = ofPair + own * u.modules;
for (var w = 0u; w < u.valueQuads; w += CHUNK) {
var d: array<vec4<f32>, CHUNK>;
for (var j = 0u; j < CHUNK; j++) {
d[j] = dcontext[taken + own * span + min(w + j, u.valueQuads - 1u)];
if (w + j >= u.valueQuads) {
d[j] = vec4<f32>(0.0);
}
}
for (var m = 0u; m < u.modules; m++) {
var total = vec4<f32>(0.0);
for (var j = 0u; j < CHUNK; j++) {
total = fma(d[j], qkv[values + m * width + min(w + j, u.valueQuads - 1u)], total);
}
var part = (total.x + total.y) + (total.z + total.w);
if (w > 0u) {
part += slopes[base + m];
}
slopes[base + m] = part;
}
}
var inner = 0.0;
for (var m = 0u; m < u.modules; m++) {
let probability = p[given + m];
var d = slopes[base + m];
if (DROPPED) {
d = d * p[behind + given + m];
slopes[base + m] = d;
}
if (probability != 0.0) {
inner += probability * d;
}
}
for (var f = 0u; f < u.keyQuads; f += CHUNK) {
var total: array<vec4<f32>, CHUNK>;
for (var j = 0u; j < CHUNK; j++) {
total[j] = vec4<f32>(0.0);
}
for (var m = 0u; m < u.modules; m++) {
if (f == 0u) {
let probability = p[given + m];
if (probability == 0.0) {
slopes[base + m] = 0.0;
} else {
slopes[base + m] = u.scale * (probability * (slopes[base + m] - inner));
}
}
let slope = vec4<f32>(slopes[base + m]);
for (var j = 0u; j < CHUNK; j++) {
total[j] = fma(slope, qkv[keys + m * width + min(f + j, u.keyQuads - 1u)], total[j]);
}
}
for (var j = 0u; j < CHUNK; j++) {
if (f + j < u.keyQuads) {
dqkv[queries + own * width + f + j] = total[j];
}
}
}
}
workgroupBarrier();

if (present) {
let waits = CACHED && !isActive;
if (!CACHED && !isActive) {
for (var f = 0u; f < u.keyQuads; f++) {
dqkv[queries + own * width + f] = vec4<f32>(0.0);
}
}
for (var f = 0u; f < u.keyQuads; f += CHUNK) {
var total: array<vec4<f32>, CHUNK>;
for (var j = 0u; j < CHUNK; j++) {
total[j] = vec4<f32>(0.0);
}
for (var n = 0u; n < u.modules; n++) {
if (isOn(bits, n)) {
let slope = vec4<f32>(slopes[start + n * u.modules + own]);
for (var j = 0u; j < CHUNK; j++) {
total[j] = fma(slope, qkv[queries + n * width + min(f + j, u.keyQuads - 1u)], total[j]);
}
}
}
for (var j = 0u; j < CHUNK; j++) {
if (f + j < u.keyQuads) {
let place = keysBefore + own * u.memory + f + j;
if (waits) {
dbefore[place] = dafter[place] + total[j];
} else {
dqkv[keys + own * width + f + j] = total[j];
if (CACHED) {
dbefore[place] = vec4<f32>(0.0);
}
}
}
}
}
for (var w = 0u; w < u.valueQuads; w += CHUNK) {
var total: array<vec4<f32>, CHUNK>;
for (var j = 0u; j < CHUNK; j++) {
total[j] = vec4<f32>(0.0);
}
for (var n = 0u; n < u.modules; n++) {
if (isOn(bits, n)) {
var weight = p[ofPair + n * u.modules + own];
if (DROPPED) {
weight = weight * p[behind + ofPair + n * u.modules + own];
}
for (var j = 0u; j < CHUNK; j++) {
let d = dcontext[taken + n * span + min(w + j, u.valueQuads - 1u)];
total[j] = fma(vec4<f32>(weight), d, total[j]);
}
}
}
for (var j = 0u; j < CHUNK; j++) {
if (w + j < u.valueQuads) {
let place = valuesBefore + own * u.memory + w + j;
if (waits) {
dbefore[place] = dafter[place] + total[j];
} else {
dqkv[values + own * width + w + j] = total[j];
if (CACHED) {
dbefore[place] = vec4<f32>(0.0);
}
}
}
}
}
}
}
` as string,
} as const;

/**
 * ```text
 * Communication among the modules of a RIM, read by the active ones: scores of a reader and every source m, of which
 * with TOP_K only the u.topK greatest are kept (of equal ones the lowest source), softmax over sources, and the values
 * so read. An invocation does one reader of one head of one batch row: the r-th active module, found in the mask, so
 * that neighbours work alike; those past the last active one write the zeros of an inactive module, and with CACHED its
 * keys and values of the memory, where it is read from, into qkv for the backward.
 * A row of the probabilities is a reader's, over sources, and holds its scores before; with DROPPED all factors are
 * copied behind the last row. Rows of the others are whole vec4s, of each head too.
 * Scores are ranked by bits, in one total order; as in softmax.wgsl a NaN or +infinity makes all of its reader's row
 * NaN.
 * ```
 */
export const rimTalk = {
  name: 'rimTalk',
  bindings: {
    qkv: { binding: 1, access: 'read_write', element: 'vec4<f32>' },
    memory: { binding: 2, access: 'read', element: 'vec4<f32>' },
    mask: { binding: 3, access: 'read', element: 'f32' },
    factors: { binding: 4, access: 'read', element: 'f32' },
    context: { binding: 5, access: 'read_write', element: 'vec4<f32>' },
    probabilities: { binding: 6, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 48,
    fields: {
      rows: { offset: 0, type: 'u32' },
      heads: { offset: 4, type: 'u32' },
      modules: { offset: 8, type: 'u32' },
      keyQuads: { offset: 12, type: 'u32' },
      valueQuads: { offset: 16, type: 'u32' },
      memory: { offset: 20, type: 'u32' },
      cache: { offset: 24, type: 'u32' },
      topK: { offset: 28, type: 'u32' },
      nan: { offset: 32, type: 'u32' },
      scale: { offset: 36, type: 'f32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    CHUNK: { type: 'u32', value: 4 },
    CACHED: { type: 'bool', value: false },
    TOP_K: { type: 'bool', value: false },
    DROPPED: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `









struct Uniforms {
rows: u32,
heads: u32,
modules: u32,
keyQuads: u32,
valueQuads: u32,
memory: u32,
cache: u32,
topK: u32,
nan: u32,
scale: f32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> qkv: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> memory: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> mask: array<f32>;
@group(0) @binding(4) var<storage, read> factors: array<f32>;
@group(0) @binding(5) var<storage, read_write> context: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> probabilities: array<f32>;

const WORKGROUP: u32 = 64;
const CHUNK: u32 = 4;
const CACHED: bool = false;
const TOP_K: bool = false;
const DROPPED: bool = false;


fn keyOf(score: f32) -> u32 {
let bits = bitcast<u32>(score);
let magnitude = bits & 0x7fffffffu;
if (magnitude > 0x7f800000u) {
return 0xffffffffu;
}
if (magnitude == 0u) {
return 0x80000000u;
}
return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

fn isOn(bits: vec2<u32>, m: u32) -> bool {
return ((select(bits.y, bits.x, m < 32u) >> (m & 31u)) & 1u) == 1u;
}

@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) local: u32,
) {
let i = (group.y * groups.x + group.x) * WORKGROUP + local;
if (i >= u.rows * u.heads * u.modules) {
return;
}
let rank = i % u.modules;
let head = (i / u.modules) % u.heads;
let row = i / (u.modules * u.heads);


var bits = vec2<u32>(0u, 0u);
for (var m = 0u; m < u.modules; m++) {
if (mask[m * u.rows + row] != 0.0) {
if (m < 32u) {
bits.x |= 1u << m;
} else {
bits.y |= 1u << (m - 32u);
}
}
}
let count = countOneBits(bits.x) + countOneBits(bits.y);
let isActive = rank < count;
var seen = select(count, 0u, isActive);
var reader = 0u;
for (var m = 0u; m < u.modules; m++) {
if (isOn(bits, m) == isActive) {
if (seen == rank) {
reader = m;
}
seen++;
}
}
let own = ((row * u.heads + head) * u.modules + reader) * u.modules;
if (DROPPED) {
let behind = u.rows * u.heads * u.modules * u.modules;
for (var m = 0u; m < u.modules; m++) {
probabilities[behind + own + m] = factors[own + m];
}
}
let first = row * u.modules;
let width = u.heads * (2u * u.keyQuads + u.valueQuads);
let query = (first + reader) * width + head * u.keyQuads;
let keys = first * width + (u.heads + head) * u.keyQuads;
let values = first * width + 2u * u.heads * u.keyQuads + head * u.valueQuads;
let keysBefore = first * u.memory + u.cache + head * u.keyQuads;
let valuesBefore = first * u.memory + u.cache + u.heads * u.keyQuads + head * u.valueQuads;
if (!isActive) {
for (var m = 0u; m < u.modules; m++) {
probabilities[own + m] = 0.0;
}
if (CACHED) {
for (var f = 0u; f < u.keyQuads; f++) {
qkv[keys + reader * width + f] = memory[keysBefore + reader * u.memory + f];
}
for (var w = 0u; w < u.valueQuads; w++) {
qkv[values + reader * width + w] = memory[valuesBefore + reader * u.memory + w];
}
}
return;
}


for (var f = 0u; f < u.keyQuads; f += CHUNK) {
var q: array<vec4<f32>, CHUNK>;
for (var j = 0u; j < CHUNK; j++) {
q[j] = qkv[query + min(f + j, u.keyQuads - 1u)];
if (f + j >= u.keyQuads) {
q[j] = vec4<f32>(0.0);
}
}
for (var m = 0u; m < u.modules; m++) {
var total = vec4<f32>(0.0);
if (CACHED && !isOn(bits, m)) {
for (var j = 0u; j < CHUNK; j++) {
total = fma(q[j], memory[keysBefore + m * u.memory + min(f + j, u.keyQuads - 1u)], total);
}
} else {
for (var j = 0u; j < CHUNK; j++) {
total = fma(q[j], qkv[keys + m * width + min(f + j, u.keyQuads - 1u)], total);
}
}
var score = u.scale * ((total.x + total.y) + (total.z + total.w));
if (f > 0u) {
score += probabilities[own + m];
}
probabilities[own + m] = score;
}
}
var greatest = 0u;
for (var m = 0u; m < u.modules; m++) {
greatest = max(greatest, keyOf(probabilities[own + m]));
}

var least = 0u;
var last = u.modules;
if (TOP_K) {
for (var m = 0u; m < u.modules; m++) {
let key = keyOf(probabilities[own + m]);
var better = 0u;
for (var j = 0u; j < u.modules; j++) {
let other = keyOf(probabilities[own + j]);
if (other > key || (other == key && j < m)) {
better++;
}
}
if (better == u.topK - 1u) {
least = key;
last = m;
}
}
}
let broken = greatest >= 0xff800000u || greatest <= 0x007fffffu;
let peak = bitcast<f32>(select(~greatest, greatest & 0x7fffffffu, greatest >= 0x80000000u));
var sum = 0.0;
for (var m = 0u; m < u.modules; m++) {
let score = probabilities[own + m];
var e = 0.0;
if (!TOP_K || keyOf(score) > least || (keyOf(score) == least && m <= last)) {
e = exp(max(score - peak, -128.0));
}
probabilities[own + m] = e;
sum += e;
}
let result = ((first + reader) * u.heads + head) * u.valueQuads;
for (var w = 0u; w < u.valueQuads; w += CHUNK) {
var total: array<vec4<f32>, CHUNK>;
for (var j = 0u; j < CHUNK; j++) {
total[j] = vec4<f32>(0.0);
}
for (var m = 0u; m < u.modules; m++) {
var p = probabilities[own + m];
if (w == 0u) {
p = p / sum;
if (broken) {
p = bitcast<f32>(u.nan);
}
probabilities[own + m] = p;
}
if (DROPPED) {
p = p * factors[own + m];
}
if (CACHED && !isOn(bits, m)) {
for (var j = 0u; j < CHUNK; j++) {
let value = memory[valuesBefore + m * u.memory + min(w + j, u.valueQuads - 1u)];
total[j] = fma(vec4<f32>(p), value, total[j]);
}
} else {
for (var j = 0u; j < CHUNK; j++) {
let value = qkv[values + m * width + min(w + j, u.valueQuads - 1u)];
total[j] = fma(vec4<f32>(p), value, total[j]);
}
}
}
for (var j = 0u; j < CHUNK; j++) {
if (w + j < u.valueQuads) {
context[result + w + j] = total[j];
}
}
}
}
` as string,
} as const;

/**
 * ```text
 * What begins the backward of a RIM's step: the gradient of h', of the step after and with ARRIVES of a reader outside. That of
 * an inactive module goes on as the gradient of its h, in dcandidate. Of an active one it is left in total, where with
 * FLUSHED a part of it waits, that of its memory; and with PROJECTED the gradient of the projected context is made of it,
 * through the factors of dropout and with GATED through sigmoid(gate) tanh(product). One invocation a vec4 of a module's states.
 * Slopes are products of what is near 0, never 1 minus what is near 1: saturated gates keep their digits.
 * ```
 */
export const rimUpdateBackward = {
  name: 'rimUpdateBackward',
  bindings: {
    dh: { binding: 1, access: 'read', element: 'vec4<f32>' },
    arriving: { binding: 2, access: 'read', element: 'vec4<f32>' },
    mask: { binding: 3, access: 'read', element: 'f32' },
    pre: { binding: 4, access: 'read', element: 'vec4<f32>' },
    factors: { binding: 5, access: 'read', element: 'vec4<f32>' },
    total: { binding: 6, access: 'read_write', element: 'vec4<f32>' },
    dcandidate: { binding: 7, access: 'read_write', element: 'vec4<f32>' },
    dpre: { binding: 8, access: 'read_write', element: 'vec4<f32>' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      rows: { offset: 4, type: 'u32' },
      modules: { offset: 8, type: 'u32' },
      quads: { offset: 12, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    ARRIVES: { type: 'bool', value: false },
    FLUSHED: { type: 'bool', value: false },
    PROJECTED: { type: 'bool', value: false },
    GATED: { type: 'bool', value: false },
    DROPPED: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `





struct Uniforms {
count: u32,
rows: u32,
modules: u32,
quads: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> dh: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> arriving: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> mask: array<f32>;
@group(0) @binding(4) var<storage, read> pre: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> factors: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> total: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> dcandidate: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> dpre: array<vec4<f32>>;

const WORKGROUP: u32 = 64;
const ARRIVES: bool = false;
const FLUSHED: bool = false;
const PROJECTED: bool = false;
const GATED: bool = false;
const DROPPED: bool = false;

fn isNaN(v: vec4<f32>) -> vec4<bool> {
return (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
}

fn tanhOf(v: vec4<f32>) -> vec4<f32> {
let a = abs(v);
let s = v * v;
let e = exp(-2.0 * a);
let far = sign(v) * (1.0 - e) / (1.0 + e);
let near = v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
return select(far, near, a < vec4<f32>(0.1));
}

fn tanhSlopeOf(v: vec4<f32>) -> vec4<f32> {
let e = exp(-2.0 * abs(v));
return 4.0 * e / ((1.0 + e) * (1.0 + e));
}

fn sigmoidOf(v: vec4<f32>) -> vec4<f32> {
let e = exp(-abs(v));
return select(e, vec4<f32>(1.0), v >= vec4<f32>(0.0)) / (1.0 + e);
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
var d = dh[i];
if (ARRIVES) {
d = d + arriving[i];
}
let each = i / u.quads;
let unit = i - each * u.quads;
let row = each / u.modules;
if (mask[(each - row * u.modules) * u.rows + row] == 0.0) {
dcandidate[i] = d;
return;
}
if (FLUSHED) {
d = d + total[i];
}
total[i] = d;
if (PROJECTED) {
var factor = vec4<f32>(1.0);
if (DROPPED) {
factor = factors[i];
}
if (GATED) {
let place = 2u * each * u.quads + unit;
let x = pre[place] * factor;
let gate = pre[place + u.quads];
let broken = isNaN(x) | isNaN(gate);
dpre[place] = select(factor * d * sigmoidOf(gate) * tanhSlopeOf(x), x + gate, broken);
dpre[place + u.quads] = select(d * tanhOf(x) * sigmoidOf(gate) * sigmoidOf(-gate), x + gate, broken);
} else {
dpre[i] = factor * d;
}
}
}
` as string,
} as const;

/**
 * ```text
 * The update of a RIM's active modules where more is done than to add a projection: context times weights, plus bias, times
 * the factors of dropout, with GATED sigmoid(gate) tanh(product), product and gate side by side in the columns of w; the
 * result is added to the candidate: h'. Inactive modules are left as they are.
 * An invocation computes a register tile of TILE_M batch rows of one module by 4 states; the rows are the module's active ones
 * in order, within blocks of BLOCK rows; a tile past the last active row ends at once. Lanes lie side by side as
 * lanes.x tiles along states, lanes.y along rows and the rest over modules. The sum runs over the context in order.
 * ```
 */
export const rimUpdate = {
  name: 'rimUpdate',
  bindings: {
    context: { binding: 1, access: 'read', element: 'vec4<f32>' },
    w: { binding: 2, access: 'read', element: 'vec4<f32>' },
    bias: { binding: 3, access: 'read', element: 'vec4<f32>' },
    saved: { binding: 4, access: 'read', element: 'vec4<f32>' },
    mask: { binding: 5, access: 'read', element: 'f32' },
    factors: { binding: 6, access: 'read', element: 'vec4<f32>' },
    next: { binding: 7, access: 'read_write', element: 'vec4<f32>' },
    pre: { binding: 8, access: 'read_write', element: 'vec4<f32>' },
  },
  uniforms: {
    size: 48,
    fields: {
      rows: { offset: 0, type: 'u32' },
      modules: { offset: 4, type: 'u32' },
      innerQuads: { offset: 8, type: 'u32' },
      quads: { offset: 12, type: 'u32' },
      saved: { offset: 16, type: 'u32' },
      wModule: { offset: 20, type: 'u32' },
      biasModule: { offset: 24, type: 'u32' },
      lanes: { offset: 32, type: 'vec2<u32>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    TILE_M: { type: 'u32', value: 8 },
    BLOCK: { type: 'u32', value: 64 },
    GATED: { type: 'bool', value: false },
    BIASED: { type: 'bool', value: false },
    DROPPED: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `






struct Uniforms {
rows: u32,
modules: u32,
innerQuads: u32,
quads: u32,
saved: u32,
wModule: u32,
biasModule: u32,
lanes: vec2<u32>,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> context: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> saved: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> mask: array<f32>;
@group(0) @binding(6) var<storage, read> factors: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> next: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> pre: array<vec4<f32>>;

const WORKGROUP: u32 = 64;
const TILE_M: u32 = 8;
const BLOCK: u32 = 64;
const GATED: bool = false;
const BIASED: bool = false;
const DROPPED: bool = false;

fn isNaN(v: vec4<f32>) -> vec4<bool> {
return (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
}

fn tanhOf(v: vec4<f32>) -> vec4<f32> {
let a = abs(v);
let s = v * v;
let e = exp(-2.0 * a);
let far = sign(v) * (1.0 - e) / (1.0 + e);
let near = v * (1.0 - s * (0.33333333 - s * (0.13333334 - s * 0.053968254)));
return select(far, near, a < vec4<f32>(0.1));
}

fn sigmoidOf(v: vec4<f32>) -> vec4<f32> {
let e = exp(-abs(v));
return select(e, vec4<f32>(1.0), v >= vec4<f32>(0.0)) / (1.0 + e);
}

@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) local: u32,
) {
let unit = group.x * u.lanes.x + local % u.lanes.x;
let tile = group.y * u.lanes.y + (local / u.lanes.x) % u.lanes.y;
let layers = WORKGROUP / (u.lanes.x * u.lanes.y);
let tilesOfBlock = BLOCK / TILE_M;
let firstRow = (tile / tilesOfBlock) * BLOCK;
let firstRank = (tile % tilesOfBlock) * TILE_M;
if (firstRow >= u.rows || unit >= u.quads) {
return;
}
let outputs = select(u.quads, 2u * u.quads, GATED);
for (var n = group.z * layers + local / (u.lanes.x * u.lanes.y); n < u.modules; n += groups.z * layers) {
var row: array<u32, TILE_M>;
for (var i = 0u; i < TILE_M; i++) {
row[i] = firstRow;
}
var rank = 0u;
for (var b = firstRow; b < min(firstRow + BLOCK, u.rows); b++) {
if (mask[n * u.rows + b] != 0.0) {
if (rank >= firstRank && rank < firstRank + TILE_M) {
row[rank - firstRank] = b;
}
rank++;
}
}
if (rank <= firstRank) {
continue;
}
let present = min(rank - firstRank, TILE_M);
var left: array<vec4<f32>, TILE_M>;
var right: array<vec4<f32>, TILE_M>;
for (var i = 0u; i < TILE_M; i++) {
left[i] = vec4<f32>(0.0);
right[i] = vec4<f32>(0.0);
}
for (var k = 0u; k < u.innerQuads; k++) {
let base = n * u.wModule + 4u * k * outputs + unit;
let w0 = w[base];
let w1 = w[base + outputs];
let w2 = w[base + 2u * outputs];
let w3 = w[base + 3u * outputs];
var g0 = vec4<f32>(0.0);
var g1 = vec4<f32>(0.0);
var g2 = vec4<f32>(0.0);
var g3 = vec4<f32>(0.0);
if (GATED) {
g0 = w[base + u.quads];
g1 = w[base + outputs + u.quads];
g2 = w[base + 2u * outputs + u.quads];
g3 = w[base + 3u * outputs + u.quads];
}
for (var i = 0u; i < TILE_M; i++) {
let each = context[(row[i] * u.modules + n) * u.innerQuads + k];
left[i] = fma(each.wwww, w3, fma(each.zzzz, w2, fma(each.yyyy, w1, fma(each.xxxx, w0, left[i]))));
if (GATED) {
right[i] = fma(each.wwww, g3, fma(each.zzzz, g2, fma(each.yyyy, g1, fma(each.xxxx, g0, right[i]))));
}
}
}
for (var i = 0u; i < TILE_M; i++) {
if (i < present) {
let each = row[i] * u.modules + n;
var x = left[i];
if (BIASED) {
x = x + bias[n * u.biasModule + unit];
}
pre[each * outputs + unit] = x;
if (DROPPED) {
x = x * factors[each * u.quads + unit];
}
if (GATED) {
var gate = right[i];
if (BIASED) {
gate = gate + bias[n * u.biasModule + u.quads + unit];
}
pre[each * outputs + u.quads + unit] = gate;
let broken = isNaN(x) | isNaN(gate);
x = select(sigmoidOf(gate) * tanhOf(x), x + gate, broken);
}
next[each * u.quads + unit] = saved[each * u.saved + unit] + x;
}
}
}
}
` as string,
} as const;

/**
 * ```text
 * One step of RMSprop (Tieleman and Hinton 2012), in place: g = scale * gradient + decay * p, with scale from
 * update-control.wgsl, v = alpha v + (1 - alpha) g^2, step = g / (sqrt(v) + epsilon), p = p - rate * step.
 * CENTERED keeps the mean a of g too and takes v - a^2, not below 0, in place of v (Graves 2013). With MOMENTUM,
 * m = momentum * m + step takes the place of step. A buffer whose flag is off is neither read nor written.
 * Many parameters in one call: a row for each says in which buffers, from where on, it has its elements; a workgroup changes
 * one block of WORKGROUP * ELEMENTS elements of one parameter, and every element is one invocation's. Where control says that
 * a guard's flag is up, nothing changes.
 * ```
 */
export const rmsprop = {
  name: 'rmsprop',
  bindings: {
    gradient: { binding: 1, access: 'read', element: 'f32' },
    rates: { binding: 2, access: 'read', element: 'f32' },
    control: { binding: 3, access: 'read', element: 'f32' },
    v: { binding: 4, access: 'read_write', element: 'f32' },
    m: { binding: 5, access: 'read_write', element: 'f32' },
    a: { binding: 6, access: 'read_write', element: 'f32' },
    p0: { binding: 7, access: 'read_write', element: 'f32' },
    p1: { binding: 8, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 1056,
    fields: {
      parameters: { offset: 0, type: 'u32' },
      blocks: { offset: 4, type: 'u32' },
      epsilon: { offset: 8, type: 'f32' },
      momentum: { offset: 12, type: 'f32' },
      alpha: { offset: 16, type: 'f32' },
      complement: { offset: 20, type: 'f32' },
      rows: { offset: 32, type: 'array<vec4<u32>, 64>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    ELEMENTS: { type: 'u32', value: 4 },
    MOMENTUM: { type: 'bool', value: false },
    CENTERED: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `







struct Uniforms {
parameters: u32,
blocks: u32,
epsilon: f32,
momentum: f32,
alpha: f32,
complement: f32,
rows: array<vec4<u32>, 64>,

}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> rates: array<f32>;
@group(0) @binding(3) var<storage, read> control: array<f32>;
@group(0) @binding(4) var<storage, read_write> v: array<f32>;
@group(0) @binding(5) var<storage, read_write> m: array<f32>;
@group(0) @binding(6) var<storage, read_write> a: array<f32>;
@group(0) @binding(7) var<storage, read_write> p0: array<f32>;
@group(0) @binding(8) var<storage, read_write> p1: array<f32>;

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
` as string,
} as const;

/**
 * ```text
 * Chains the positions of equal index, in their order: for every position, the next one of its group with the same index;
 * for every row of the table, the first. Links are 1 + position, 0 where the chain ends; links must be 0 before. Every link
 * has one writer. An invocation looks back from one position to the nearest of the same index.
 * ```
 */
export const segmentChain = {
  name: 'segmentChain',
  bindings: {
    index: { binding: 1, access: 'read', element: 'u32' },
    links: { binding: 2, access: 'read_write', element: 'u32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      positions: { offset: 4, type: 'u32' },
      rows: { offset: 8, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `



struct Uniforms {
count: u32,
positions: u32,
rows: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read_write> links: array<u32>;

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) local: u32,
) {
let p = (group.y * groups.x + group.x) * WORKGROUP + local;
if (p >= u.count) {
return;
}
let row = index[p];
if (row >= u.rows) {
return;
}
let base = p - p % u.positions;

var before = 0u;
for (var q = p; q > base && before == 0u; q--) {
if (index[q - 1u] == row) {
before = q;
}
}
if (before != 0u) {
links[before - 1u] = p + 1u;
} else {
links[u.count + (p / u.positions) * u.rows + row] = p + 1u;
}
}
` as string,
} as const;

/**
 * ```text
 * Sums rows by index: y[g, s, v, :] = sum of d[g, p, :] over the positions p of part s of group g with index[g, p] = v, in the
 * order of the positions. The positions of a group are cut into equal parts, summed in a second pass. One invocation an
 * element of y; it reads every index of its part, so this is for few rows. For many: segment-chain and segment-walk.
 * ```
 */
export const segmentSum = {
  name: 'segmentSum',
  bindings: {
    d: { binding: 1, access: 'read', element: 'f32' },
    index: { binding: 2, access: 'read', element: 'u32' },
    y: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 32,
    fields: {
      count: { offset: 0, type: 'u32' },
      positions: { offset: 4, type: 'u32' },
      parts: { offset: 8, type: 'u32' },
      partLength: { offset: 12, type: 'u32' },
      rows: { offset: 16, type: 'u32' },
      columns: { offset: 20, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `



struct Uniforms {
count: u32,
positions: u32,
parts: u32,
partLength: u32,
rows: u32,
columns: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> d: array<f32>;
@group(0) @binding(2) var<storage, read> index: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

const WORKGROUP: u32 = 64;

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
let column = i % u.columns;
let row = (i / u.columns) % u.rows;
let piece = i / (u.columns * u.rows);
let base = (piece / u.parts) * u.positions;
let first = (piece % u.parts) * u.partLength;
let end = min(first + u.partLength, u.positions);
var total = 0.0;
for (var p = base + first; p < base + end; p++) {
if (index[p] == row) {
total += d[p * u.columns + column];
}
}
y[i] = total;
}
` as string,
} as const;

/**
 * ```text
 * Sums rows along the chains that segment-chain made: y[g, v, :] = sum of d[g, p, :] over the positions p with index[g, p] = v, in
 * their order. One invocation an element of y.
 * ```
 */
export const segmentWalk = {
  name: 'segmentWalk',
  bindings: {
    d: { binding: 1, access: 'read', element: 'f32' },
    links: { binding: 2, access: 'read', element: 'u32' },
    y: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      links: { offset: 4, type: 'u32' },
      columns: { offset: 8, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `


struct Uniforms {
count: u32,
links: u32,
columns: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> d: array<f32>;
@group(0) @binding(2) var<storage, read> links: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

const WORKGROUP: u32 = 64;

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
let column = i % u.columns;
var total = 0.0;
for (var link = links[u.links + i / u.columns]; link != 0u; link = links[link - 1u]) {
total += d[(link - 1u) * u.columns + column];
}
y[i] = total;
}
` as string,
} as const;

/**
 * ```text
 * One step of stochastic gradient descent, in place: g = scale * gradient + decay * p, p = p - rate * g, with scale from
 * update-control.wgsl. With MOMENTUM, m = momentum * m + g takes the place of g; with NESTEROV g + momentum * m does.
 * Without MOMENTUM the buffer m is neither read nor written.
 * Many parameters in one call: a row for each says in which buffers, from where on, it has its elements; a workgroup changes
 * one block of WORKGROUP * ELEMENTS elements of one parameter, and every element is one invocation's. Where control says that
 * a guard's flag is up, nothing changes.
 * ```
 */
export const sgd = {
  name: 'sgd',
  bindings: {
    gradient: { binding: 1, access: 'read', element: 'f32' },
    rates: { binding: 2, access: 'read', element: 'f32' },
    control: { binding: 3, access: 'read', element: 'f32' },
    m: { binding: 4, access: 'read_write', element: 'f32' },
    p0: { binding: 5, access: 'read_write', element: 'f32' },
    p1: { binding: 6, access: 'read_write', element: 'f32' },
    p2: { binding: 7, access: 'read_write', element: 'f32' },
    p3: { binding: 8, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 1040,
    fields: {
      parameters: { offset: 0, type: 'u32' },
      blocks: { offset: 4, type: 'u32' },
      momentum: { offset: 8, type: 'f32' },
      rows: { offset: 16, type: 'array<vec4<u32>, 64>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    ELEMENTS: { type: 'u32', value: 4 },
    MOMENTUM: { type: 'bool', value: false },
    NESTEROV: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `






struct Uniforms {
parameters: u32,
blocks: u32,
momentum: f32,
rows: array<vec4<u32>, 64>,

}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> rates: array<f32>;
@group(0) @binding(3) var<storage, read> control: array<f32>;
@group(0) @binding(4) var<storage, read_write> m: array<f32>;
@group(0) @binding(5) var<storage, read_write> p0: array<f32>;
@group(0) @binding(6) var<storage, read_write> p1: array<f32>;
@group(0) @binding(7) var<storage, read_write> p2: array<f32>;
@group(0) @binding(8) var<storage, read_write> p3: array<f32>;

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
` as string,
} as const;

/**
 * ```text
 * The backward of softmax, from its result p: dx = p (dp - sum of p dp over the row). Where p is 0, dx is 0 whatever dp is:
 * columns that took no part have no gradient.
 * With COOPERATE a workgroup shares a row; without it every lane has a row of its own.
 * ```
 */
export const softmaxBackward = {
  name: 'softmaxBackward',
  bindings: {
    p: { binding: 1, access: 'read', element: 'f32' },
    dp: { binding: 2, access: 'read', element: 'f32' },
    dx: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      rows: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 64 },
    COOPERATE: { type: 'bool', value: false },
  },
  workgroup: ['LANES', 1, 1],
  source: `



struct Uniforms {
rows: u32,
columns: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> p: array<f32>;
@group(0) @binding(2) var<storage, read> dp: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

const LANES: u32 = 64;
const COOPERATE: bool = false;

var<workgroup> sums: array<f32, LANES>;

fn sumOfRow(lane: u32, own: f32) -> f32 {
if (!COOPERATE) {
return own;
}
sums[lane] = own;
workgroupBarrier();
for (var width = LANES / 2u; width > 0u; width = width / 2u) {
if (lane < width) {
sums[lane] = sums[lane] + sums[lane + width];
}
workgroupBarrier();
}
return sums[0];
}

@compute @workgroup_size(LANES)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) lane: u32,
) {
let index = group.y * groups.x + group.x;
let row = select(index * LANES + lane, index, COOPERATE);
let first = select(0u, lane, COOPERATE);
let step = select(1u, LANES, COOPERATE);
let end = select(0u, u.columns, row < u.rows);
let base = row * u.columns;

var part = 0.0;
for (var i = base + first; i < base + end; i += step) {
if (p[i] != 0.0) {
part += p[i] * dp[i];
}
}
let total = sumOfRow(lane, part);
for (var i = base + first; i < base + end; i += step) {
if (p[i] == 0.0) {
dx[i] = 0.0;
} else {
dx[i] = p[i] * (dp[i] - total);
}
}
}
` as string,
} as const;

/**
 * ```text
 * Softmax of every row: y = e^(x - max) / sum. With MASKED only columns whose mask is not 0 take part, with TOP_K only the
 * u.topK largest of those (of equal scores the lowest column); all others, and rows with nothing left, are 0.
 * The greatest score is subtracted first, so that scores of any size are safe. A row in which a NaN, +infinity or nothing
 * but -infinity takes part is NaN wherever a column takes part. Scores are compared by bits, in one total order.
 * With COOPERATE a workgroup shares a row; without it every lane has a row of its own.
 * ```
 */
export const softmax = {
  name: 'softmax',
  bindings: {
    x: { binding: 1, access: 'read', element: 'u32' },
    mask: { binding: 2, access: 'read', element: 'f32' },
    y: { binding: 3, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 128,
    fields: {
      rows: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
      topK: { offset: 8, type: 'u32' },
      nan: { offset: 12, type: 'u32' },
      maskRank: { offset: 16, type: 'u32' },
      maskColumn: { offset: 20, type: 'u32' },
      maskRows: { offset: 32, type: 'array<vec4<u32>, 6>' },
    },
  },
  constants: {
    LANES: { type: 'u32', value: 64 },
    COOPERATE: { type: 'bool', value: false },
    MASKED: { type: 'bool', value: false },
    TOP_K: { type: 'bool', value: false },
  },
  workgroup: ['LANES', 1, 1],
  source: `





struct Uniforms {
rows: u32,
columns: u32,
topK: u32,
nan: u32,
maskRank: u32,
maskColumn: u32,
maskRows: array<vec4<u32>, 6>,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read> mask: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

const LANES: u32 = 64;
const COOPERATE: bool = false;
const MASKED: bool = false;
const TOP_K: bool = false;

var<workgroup> keys: array<u32, LANES>;
var<workgroup> sums: array<f32, LANES>;


fn keyOf(bits: u32) -> u32 {
let magnitude = bits & 0x7fffffffu;
if (magnitude > 0x7f800000u) {
return 0xffffffffu;
}
if (magnitude == 0u) {
return 0x80000000u;
}
return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

fn scoreOf(key: u32) -> f32 {
return bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u));
}


fn keyAt(base: u32, maskBase: u32, column: u32) -> u32 {
if (MASKED) {
if (mask[maskBase + column * u.maskColumn] == 0.0) {
return 0u;
}
}
return keyOf(x[base + column]);
}

fn isAmongTopK(base: u32, maskBase: u32, column: u32, key: u32) -> bool {
if (!TOP_K) {
return true;
}
var rank = 0u;
for (var j = 0u; j < u.columns && rank < u.topK; j++) {
let other = keyAt(base, maskBase, j);
if (other > key || (other == key && j < column)) {
rank++;
}
}
return rank < u.topK;
}

fn maskOffset(row: u32) -> u32 {
var rest = row;
var offset = 0u;
for (var k = u.maskRank; k > 0u; k--) {
let dim = u.maskRows[k - 1u];
offset += (rest % dim.x) * dim.y;
rest = rest / dim.x;
}
return offset;
}

fn greatestOfRow(lane: u32, own: u32) -> u32 {
if (!COOPERATE) {
return own;
}
keys[lane] = own;
workgroupBarrier();
for (var width = LANES / 2u; width > 0u; width = width / 2u) {
if (lane < width) {
keys[lane] = max(keys[lane], keys[lane + width]);
}
workgroupBarrier();
}
return keys[0];
}

fn sumOfRow(lane: u32, own: f32) -> f32 {
if (!COOPERATE) {
return own;
}
sums[lane] = own;
workgroupBarrier();
for (var width = LANES / 2u; width > 0u; width = width / 2u) {
if (lane < width) {
sums[lane] = sums[lane] + sums[lane + width];
}
workgroupBarrier();
}
return sums[0];
}

@compute @workgroup_size(LANES)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) lane: u32,
) {
let index = group.y * groups.x + group.x;
let row = select(index * LANES + lane, index, COOPERATE);
let first = select(0u, lane, COOPERATE);
let step = select(1u, LANES, COOPERATE);
let end = select(0u, u.columns, row < u.rows);
let base = row * u.columns;
let maskBase = maskOffset(row);

var own = 0u;
for (var i = first; i < end; i += step) {
own = max(own, keyAt(base, maskBase, i));
}
let greatest = greatestOfRow(lane, own);
let broken = greatest >= 0xff800000u || greatest <= 0x007fffffu;
let peak = scoreOf(greatest);

var part = 0.0;
for (var i = first; i < end; i += step) {
let key = keyAt(base, maskBase, i);
var e = 0.0;
if (key != 0u) {
if (isAmongTopK(base, maskBase, i, key)) {
e = exp(max(bitcast<f32>(x[base + i]) - peak, -128.0));
}
}
y[base + i] = e;
part += e;
}
let total = sumOfRow(lane, part);

for (var i = first; i < end; i += step) {
if (broken) {
y[base + i] = select(bitcast<f32>(u.nan), 0.0, keyAt(base, maskBase, i) == 0u);
} else {
y[base + i] = y[base + i] / total;
}
}
}
` as string,
} as const;

/**
 * ```text
 * Sorts every row: values, and the column that each came from. Equal elements keep their order, in both directions. An
 * invocation places one element: its place is the number of elements that go before it, so the work grows with the square
 * of the row. Elements are compared by bits, in one total order: -0 as 0, every NaN above all.
 * ```
 */
export const sort = {
  name: 'sort',
  bindings: {
    x: { binding: 1, access: 'read', element: 'u32' },
    values: { binding: 2, access: 'read_write', element: 'u32' },
    indices: { binding: 3, access: 'read_write', element: 'u32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
    DESCENDING: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `



struct Uniforms {
count: u32,
columns: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> values: array<u32>;
@group(0) @binding(3) var<storage, read_write> indices: array<u32>;

const WORKGROUP: u32 = 64;
const DESCENDING: bool = false;

fn keyOf(bits: u32) -> u32 {
let magnitude = bits & 0x7fffffffu;
if (magnitude > 0x7f800000u) {
return 0xffffffffu;
}
if (magnitude == 0u) {
return 0x80000000u;
}
return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
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
let column = i % u.columns;
let base = i - column;
let key = keyOf(x[i]);
var place = 0u;
for (var j = 0u; j < u.columns; j++) {
let other = keyOf(x[base + j]);
let before = select(other < key, (other > key), DESCENDING);
if (before || (other == key && j < column)) {
place++;
}
}
values[base + place] = x[i];
indices[base + place] = column;
}
` as string,
} as const;

/**
 * ```text
 * strided-copy.wgsl for views whose innermost elements lie side by side on both sides, in whole vec4s: four elements an
 * invocation. Sizes, strides and offsets are those of the view of vec4s. Elements are moved as bits, f32 or u32.
 * Not a reduction: no two elements may have the same place in the output.
 * ```
 */
export const stridedCopyVectors = {
  name: 'stridedCopyVectors',
  bindings: {
    input: { binding: 1, access: 'read', element: 'vec4<u32>' },
    output: { binding: 2, access: 'read_write', element: 'vec4<u32>' },
  },
  uniforms: {
    size: 144,
    fields: {
      count: { offset: 0, type: 'u32' },
      rank: { offset: 4, type: 'u32' },
      inOffset: { offset: 8, type: 'u32' },
      outOffset: { offset: 12, type: 'u32' },
      dims: { offset: 16, type: 'array<vec4<i32>, 8>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `



struct Uniforms {
count: u32,
rank: u32,
inOffset: u32,
outOffset: u32,
dims: array<vec4<i32>, 8>,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> input: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<u32>>;

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) local: u32,
) {
let e = (group.y * groups.x + group.x) * WORKGROUP + local;
if (e >= u.count) {
return;
}
var rest = e;
var inIndex = i32(u.inOffset);
var outIndex = i32(u.outOffset);
for (var k = u.rank; k > 0u; k--) {
let dim = u.dims[k - 1u];
let size = u32(dim.x);
let coordinate = i32(rest % size);
rest = rest / size;
inIndex += coordinate * dim.y;
outIndex += coordinate * dim.z;
}
output[outIndex] = input[inIndex];
}
` as string,
} as const;

/**
 * ```text
 * Copies one strided view into another: reshape, permute, slice, flip, broadcast and concat are this kernel.
 * Element e of the view has one coordinate per dimension, the last dimension the fastest; a coordinate moves the
 * input by its input stride and the output by its output stride. A stride may be 0 (broadcast, input only) or
 * negative (flip); the offsets then name the element of coordinate 0.
 * Elements are moved as bits, so that f32 (NaN payloads too) and u32 pass unchanged.
 * Not a reduction: no two elements may have the same place in the output.
 * ```
 */
export const stridedCopy = {
  name: 'stridedCopy',
  bindings: {
    input: { binding: 1, access: 'read', element: 'u32' },
    output: { binding: 2, access: 'read_write', element: 'u32' },
  },
  uniforms: {
    size: 144,
    fields: {
      count: { offset: 0, type: 'u32' },
      rank: { offset: 4, type: 'u32' },
      inOffset: { offset: 8, type: 'u32' },
      outOffset: { offset: 12, type: 'u32' },
      dims: { offset: 16, type: 'array<vec4<i32>, 8>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `






struct Uniforms {
count: u32,
rank: u32,
inOffset: u32,
outOffset: u32,
dims: array<vec4<i32>, 8>,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;

const WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) local: u32,
) {
let e = (group.y * groups.x + group.x) * WORKGROUP + local;
if (e >= u.count) {
return;
}
var rest = e;
var inIndex = i32(u.inOffset);
var outIndex = i32(u.outOffset);
for (var k = u.rank; k > 0u; k--) {
let dim = u.dims[k - 1u];
let size = u32(dim.x);
let coordinate = i32(rest % size);
rest = rest / size;
inIndex += coordinate * dim.y;
outIndex += coordinate * dim.z;
}
output[outIndex] = input[inIndex];
}
` as string,
} as const;

/**
 * ```text
 * y = 1 for the u.topK largest scores of every row, else 0; of equal scores the lowest column wins. An invocation ranks one
 * element: it counts the elements that go before it. Scores are compared by bits, in one total order: -0 as 0, every NaN
 * above all.
 * ```
 */
export const topKMask = {
  name: 'topKMask',
  bindings: {
    x: { binding: 1, access: 'read', element: 'u32' },
    y: { binding: 2, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 16,
    fields: {
      count: { offset: 0, type: 'u32' },
      columns: { offset: 4, type: 'u32' },
      topK: { offset: 8, type: 'u32' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 64 },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `



struct Uniforms {
count: u32,
columns: u32,
topK: u32,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const WORKGROUP: u32 = 64;

fn keyOf(bits: u32) -> u32 {
let magnitude = bits & 0x7fffffffu;
if (magnitude > 0x7f800000u) {
return 0xffffffffu;
}
if (magnitude == 0u) {
return 0x80000000u;
}
return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
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
let column = i % u.columns;
let base = i - column;
let key = keyOf(x[i]);
var rank = 0u;
for (var j = 0u; j < u.columns && rank < u.topK; j++) {
let other = keyOf(x[base + j]);
if (other > key || (other == key && j < column)) {
rank++;
}
}
y[i] = select(0.0, 1.0, rank < u.topK);
}
` as string,
} as const;

/**
 * ```text
 * What all parameters of an optimiser's step share: the factor of the gradients and Adam's bias corrections.
 * With CLIP the factor is min(1, maxNorm / (norm + 1e-6)), as PyTorch's clip_grad_norm_ has it, and NaN for a norm that is;
 * without it 1, and norm is not read. With CORRECT, d = beta * d + (1 - beta), which is 1 - beta^t after t steps from d = 0
 * (raising beta to a power on the device would lose digits); without it d is neither read nor written. 1 - beta comes from
 * the host, rounded once, as in adam.wgsl: its rounding then cancels in v / d. Runs before the parameters of the same step.
 * Where the flag of a guard is up, d stays as it is, and the parameters will.
 * ```
 */
export const updateControl = {
  name: 'updateControl',
  bindings: {
    verdict: { binding: 1, access: 'read', element: 'f32' },
    norm: { binding: 2, access: 'read', element: 'f32' },
    d: { binding: 3, access: 'read_write', element: 'f32' },
    control: { binding: 4, access: 'read_write', element: 'f32' },
  },
  uniforms: {
    size: 32,
    fields: {
      maxNorm: { offset: 0, type: 'f32' },
      betas: { offset: 8, type: 'vec2<f32>' },
      complements: { offset: 16, type: 'vec2<f32>' },
    },
  },
  constants: {
    WORKGROUP: { type: 'u32', value: 1 },
    CLIP: { type: 'bool', value: false },
    CORRECT: { type: 'bool', value: false },
  },
  workgroup: ['WORKGROUP', 1, 1],
  source: `






struct Uniforms {
maxNorm: f32,
betas: vec2<f32>,
complements: vec2<f32>,
}

@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> verdict: array<f32>;
@group(0) @binding(2) var<storage, read> norm: array<f32>;
@group(0) @binding(3) var<storage, read_write> d: array<f32>;
@group(0) @binding(4) var<storage, read_write> control: array<f32>;

const WORKGROUP: u32 = 1;
const CLIP: bool = false;
const CORRECT: bool = false;


fn isNaN(v: f32) -> bool {
return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

@compute @workgroup_size(WORKGROUP)
fn main() {
control[0] = 1.0;
if (CLIP) {
let factor = u.maxNorm / (norm[0] + 1e-6);
control[0] = select(min(factor, 1.0), factor, isNaN(factor));
}
control[3] = verdict[3];
if (CORRECT && verdict[3] == 0.0) {
let first = fma(u.betas.x, d[0], u.complements.x);
let second = fma(u.betas.y, d[1], u.complements.y);
d[0] = first;
d[1] = second;
control[1] = first;
control[2] = second;
}
}
` as string,
} as const;

type Checked<K extends Kernel> = K;

/** Any kernel of this catalogue. */
export type AnyKernel = Checked<
  | typeof adam
  | typeof binaryCrossEntropy
  | typeof conv2dInput
  | typeof conv2dWeight
  | typeof conv2d
  | typeof copy
  | typeof crossEntropyBackward
  | typeof crossEntropy
  | typeof cumulativeProductBackward
  | typeof cumulative
  | typeof dropoutMask
  | typeof elementwise
  | typeof fill
  | typeof gather
  | typeof gruGatesBackward
  | typeof gruGates
  | typeof guard
  | typeof guardedCopy
  | typeof increment
  | typeof layerNormBackward
  | typeof layerNorm
  | typeof lstmGatesBackward
  | typeof lstmGates
  | typeof matmulShared
  | typeof matmulSubgroups
  | typeof matmulVec4Subgroups
  | typeof matmulVec4
  | typeof matmul
  | typeof nonFinite
  | typeof normParts
  | typeof normTotal
  | typeof productTerms
  | typeof reduce
  | typeof rimGruBackward
  | typeof rimGru
  | typeof rimLstmBackward
  | typeof rimLstm
  | typeof rimTalkBackward
  | typeof rimTalk
  | typeof rimUpdateBackward
  | typeof rimUpdate
  | typeof rmsprop
  | typeof segmentChain
  | typeof segmentSum
  | typeof segmentWalk
  | typeof sgd
  | typeof softmaxBackward
  | typeof softmax
  | typeof sort
  | typeof stridedCopyVectors
  | typeof stridedCopy
  | typeof topKMask
  | typeof updateControl
>;
