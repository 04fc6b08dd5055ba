// Convolutions of images: three ops that are each other's gradients. `convolve` takes images and weights to images,
// `convolveInput` is its gradient for the images, `convolveWeight` that for the weights. Each is linear in both
// operands, so the backward of every one is two of the three, to any order; a transposed convolution is `convolveInput`
// used forward. Correct, not tuned: plain gathers, every sum in an order that the shapes fix.
//
// Shapes: images x [..., Ci, Hi, Wi] and y [..., Co, Ho, Wo] under equal leading sizes; weights [Co, Ci, P, Q] for all of
// them, or [L, Co, Ci, P, Q] with a set for each index L of the first leading size (a scan whose weights vary by step).

import { conv2dInput, conv2dWeight, conv2d as convKernel } from '../../kernels/catalogue.ts';
import { at, checkOptions, formatShape, OptionError, RimgradError, ShapeError } from '../errors.ts';
import { applyOne, gridOf, type Op, type OverTime } from '../op.ts';
import { type Shape, sameShape, sizeOf, type Tensor } from '../tensor.ts';
import { add } from './elementwise.ts';
import { reshape } from './shape.ts';

interface ConvolveAttrs {
  readonly stride: number;
  readonly padding: number;
}

interface ConvolveInputAttrs extends ConvolveAttrs {
  /** Rows and columns of x, which those of y do not tell where the stride is over 1. */
  readonly size: readonly [number, number];
}

interface ConvolveWeightAttrs extends ConvolveAttrs {
  /** Rows and columns of the weights. */
  readonly kernel: readonly [number, number];
  /** True for a set of weights for each index of the first leading size; else one set, summed over all images. */
  readonly grouped: boolean;
}

/** x [..., Ci, Hi, Wi] and weights to y [..., Co, Ho, Wo]: y[o,i,j] = sum x[c, i*stride+p-padding, ...] w[o,c,p,q]. */
const convolveOp: Op<ConvolveAttrs> = {
  name: 'convolve',
  infer: ([x, w], { stride, padding }) => {
    const [lead, [channels, ...size]] = imagesOf('convolve', x);
    const [out, inner, ...kernel] = weightsOf('convolve', w, lead);
    checkChannels('convolve', inner, channels, x, w);
    const y = size.map((each, i) => Math.floor((each + 2 * padding - at(kernel, i)) / stride) + 1);
    if (y.some((each) => each < 1)) {
      throw new ShapeError(
        `convolve: weights ${formatShape(shapeOf(w))} are larger than ${formatShape(shapeOf(x))} padded by ${padding}; use a smaller kernel or more padding`,
      );
    }
    return [{ shape: [...lead, out, ...y], dtype: 'f32' }];
  },
  plan: (emit, { inputs, outputs, attrs }) => {
    const [x, w, y] = [at(inputs, 0), at(inputs, 1), at(outputs, 0)];
    emit.call(convKernel, {
      buffers: { x: at(emit.inputs, 0), w: at(emit.inputs, 1), y: at(emit.outputs, 0) },
      uniforms: { count: y.size, ...geometry(x.shape, w.shape, y.shape, attrs) },
      workgroups: gridOf(y.size, convKernel.constants.WORKGROUP.value),
      operations: operationsOf(w.shape, y.shape),
    });
  },
  backward: ({ inputs, attrs }, [d]) => {
    if (d === undefined) return [];
    const [x, w] = [at(inputs, 0), at(inputs, 1)];
    return [convolveInput(d, w, lastTwo(x.shape), attrs), convolveWeight(x, d, w.shape, attrs)];
  },
  overTime: (over) => [applyOne(convolveOp, imagesOverTime(over), over.attrs)],
};

/** y [..., Co, Ho, Wo] and weights to x [..., Ci, Hi, Wi]: the transpose of `convolve`. */
const convolveInputOp: Op<ConvolveInputAttrs> = {
  name: 'convolveInput',
  infer: ([y, w], { size, ...attrs }) => {
    const [lead, [channels, ...small]] = imagesOf('convolveInput', y);
    const [inner, out, ...kernel] = weightsOf('convolveInput', w, lead);
    checkChannels('convolveInput', inner, channels, y, w);
    const fits = small.every(
      (each, i) => Math.floor((at(size, i) + 2 * attrs.padding - at(kernel, i)) / attrs.stride) + 1 === each,
    );
    if (!fits) {
      throw new ShapeError(
        `convolveInput: images ${formatShape(size)} do not come to ${formatShape(shapeOf(y))} under ${formatShape(kernel)}`,
      );
    }
    return [{ shape: [...lead, out, ...size], dtype: 'f32' }];
  },
  plan: (emit, { inputs, outputs, attrs }) => {
    const [y, w, x] = [at(inputs, 0), at(inputs, 1), at(outputs, 0)];
    emit.call(conv2dInput, {
      buffers: { y: at(emit.inputs, 0), w: at(emit.inputs, 1), x: at(emit.outputs, 0) },
      uniforms: { count: x.size, ...geometry(x.shape, w.shape, y.shape, attrs) },
      workgroups: gridOf(x.size, conv2dInput.constants.WORKGROUP.value),
      operations: operationsOf(w.shape, y.shape),
    });
  },
  backward: ({ inputs, attrs }, [d]) => {
    if (d === undefined) return [];
    const [y, w] = [at(inputs, 0), at(inputs, 1)];
    return [convolve(d, w, attrs), convolveWeight(d, y, w.shape, attrs)];
  },
  overTime: (over) => [applyOne(convolveInputOp, imagesOverTime(over), over.attrs)],
};

/** x [..., Ci, Hi, Wi] and y [..., Co, Ho, Wo] to weights: the gradient of `convolve` for them, y being its gradient. */
const convolveWeightOp: Op<ConvolveWeightAttrs> = {
  name: 'convolveWeight',
  infer: ([x, y], { kernel, grouped }) => {
    const [lead, [channels]] = imagesOf('convolveWeight', x);
    const [leadY, [out]] = imagesOf('convolveWeight', y);
    if (!sameShape(lead, leadY)) {
      throw new ShapeError(
        `convolveWeight: ${formatShape(shapeOf(x))} and ${formatShape(shapeOf(y))} differ in their leading sizes`,
      );
    }
    return [{ shape: [...(grouped ? lead.slice(0, 1) : []), out, channels, ...kernel], dtype: 'f32' }];
  },
  plan: (emit, { inputs, outputs, attrs }) => {
    const [x, y, w] = [at(inputs, 0), at(inputs, 1), at(outputs, 0)];
    emit.call(conv2dWeight, {
      buffers: { x: at(emit.inputs, 0), y: at(emit.inputs, 1), w: at(emit.outputs, 0) },
      uniforms: { count: w.size, ...geometry(x.shape, w.shape, y.shape, attrs) },
      workgroups: gridOf(w.size, 1),
      operations: operationsOf(w.shape, y.shape),
    });
  },
  backward: ({ inputs, attrs }, [d]) => {
    if (d === undefined) return [];
    const [x, y] = [at(inputs, 0), at(inputs, 1)];
    return [convolveInput(y, d, lastTwo(x.shape), attrs), convolve(x, d, attrs)];
  },
  overTime: ({ attrs, sequence }) => {
    if (attrs.grouped) throw nested('convolveWeight');
    return [applyOne(convolveWeightOp, [sequence(0), sequence(1)], { ...attrs, grouped: true })];
  },
  // The sum over steps is the sum over more images.
  sumOverTime: ({ attrs, sequence }) => {
    if (attrs.grouped) throw nested('convolveWeight');
    return applyOne(convolveWeightOp, [sequence(0), sequence(1)], attrs);
  },
};

/** How a kernel moves over the images. */
export interface ConvOptions {
  /** [Co], added to every place of its channel. Default: none. */
  readonly bias?: Tensor;
  /** Places from one window to the next, in both directions. Default 1. */
  readonly stride?: number;
  /** Rows and columns of zeros on every side. Default 0. */
  readonly padding?: number;
}

/** The same for a transposed convolution. */
export interface ConvTransposeOptions extends ConvOptions {
  /** Rows and columns more at the bottom and right; below the stride. Default 0. */
  readonly outputPadding?: number;
}

/**
 * Cross-correlation of images with a bank of kernels (what networks call a convolution; torch.nn.Conv2d).
 * @param x [..., Ci, Hi, Wi]
 * @param weight [Co, Ci, P, Q]
 * @returns [..., Co, Ho, Wo] with Ho = floor((Hi + 2 padding - P) / stride) + 1, and Wo likewise
 * @throws ShapeError where channels differ or the kernel is larger than the padded image; OptionError for bad options
 */
export function conv2d(x: Tensor, weight: Tensor, options: ConvOptions = {}): Tensor {
  checkOptions('conv2d', options, ['bias', 'stride', 'padding']);
  const { bias, stride = 1, padding = 0 } = options;
  checkWhole('conv2d', { stride, padding });
  checkRank('conv2d', weight, '[Co, Ci, P, Q]');
  return withBias('conv2d', applyOne(convolveOp, [x, weight], { stride, padding }), bias);
}

/**
 * Transposed convolution: the gradient of conv2d for its images, used forward (torch.nn.ConvTranspose2d).
 * @param x [..., Ci, Hi, Wi]
 * @param weight [Ci, Co, P, Q]
 * @returns [..., Co, Ho, Wo] with Ho = (Hi - 1) stride - 2 padding + P + outputPadding, and Wo likewise
 * @throws ShapeError where channels differ or nothing is left of the image; OptionError for bad options
 */
export function convTranspose2d(x: Tensor, weight: Tensor, options: ConvTransposeOptions = {}): Tensor {
  checkOptions('convTranspose2d', options, ['bias', 'stride', 'padding', 'outputPadding']);
  const { bias, stride = 1, padding = 0, outputPadding = 0 } = options;
  checkWhole('convTranspose2d', { stride, padding, outputPadding });
  if (outputPadding >= stride) {
    throw new OptionError(
      `convTranspose2d: outputPadding ${outputPadding} must be smaller than the stride ${stride}; use more of the stride or none`,
    );
  }
  checkRank('convTranspose2d', weight, '[Ci, Co, P, Q]');
  imagesOf('convTranspose2d', x);
  const [rows, columns] = lastTwo(x.shape);
  const [P, Q] = lastTwo(weight.shape);
  const sizeFrom = (size: number, kernel: number): number => (size - 1) * stride - 2 * padding + kernel + outputPadding;
  const size: [number, number] = [sizeFrom(rows, P), sizeFrom(columns, Q)];
  if (size.some((each) => each < 1)) {
    throw new ShapeError(
      `convTranspose2d: ${formatShape(x.shape)} under weights ${formatShape(weight.shape)} and padding ${padding} leaves images of ${formatShape(size)}; use less padding`,
    );
  }
  return withBias('convTranspose2d', convolveInput(x, weight, size, { stride, padding }), bias);
}

/** The rows of this file, for tables of all ops. @internal */
export const convOps: readonly Op[] = [convolveOp, convolveInputOp, convolveWeightOp] as readonly Op[];

function convolve(x: Tensor, w: Tensor, { stride, padding }: ConvolveAttrs): Tensor {
  return applyOne(convolveOp, [x, w], { stride, padding });
}

function convolveInput(
  y: Tensor,
  w: Tensor,
  size: readonly [number, number],
  { stride, padding }: ConvolveAttrs,
): Tensor {
  return applyOne(convolveInputOp, [y, w], { stride, padding, size });
}

function convolveWeight(x: Tensor, y: Tensor, shape: Shape, { stride, padding }: ConvolveAttrs): Tensor {
  return applyOne(convolveWeightOp, [x, y], { stride, padding, kernel: lastTwo(shape), grouped: shape.length === 5 });
}

function withBias(where: string, y: Tensor, bias: Tensor | undefined): Tensor {
  if (bias === undefined) return y;
  const channels = at(y.shape, y.shape.length - 3);
  if (!sameShape(bias.shape, [channels])) {
    throw new ShapeError(
      `${where}: the bias ${formatShape(bias.shape)} must be [${channels}], one number a channel of the result`,
    );
  }
  return add(y, reshape(bias, [channels, 1, 1]));
}

/** Images and weights over all steps: weights that vary become a set a step. */
function imagesOverTime(over: OverTime<unknown>): Tensor[] {
  if (at(over.node.inputs, 1).shape.length === 5) throw nested(over.node.op.name);
  return [over.sequence(0), over.varies(1) ? over.sequence(1) : over.constant(1)];
}

function nested(name: string): RimgradError {
  return new RimgradError(
    `${name}: weights by step inside the cell of another scan are not supported; unroll the inner scan`,
  );
}

/** Uniforms that the three kernels share. */
function geometry(x: Shape, w: Shape, y: Shape, { stride, padding }: ConvolveAttrs) {
  const groups = w.length === 5 ? at(w, 0) : 1;
  return {
    images: sizeOf(x.slice(0, -3)) / groups,
    channels: [at(x, x.length - 3), at(y, y.length - 3)],
    xSize: lastTwo(x),
    ySize: lastTwo(y),
    kernelSize: lastTwo(w),
    stride,
    padding,
  };
}

/** Multiplications and additions: each element of y meets all weights of its channel. */
function operationsOf(w: Shape, y: Shape): number {
  return 2 * sizeOf(y) * sizeOf(w.slice(-3));
}

/** Leading sizes, and [channels, rows, columns]. */
function imagesOf(where: string, x: Tensor | undefined): [number[], [number, number, number]] {
  const shape = shapeOf(x);
  if (x?.dtype !== 'f32' || shape.length < 3) {
    throw new ShapeError(
      `${where}: takes f32 images [..., channels, rows, columns], not ${x?.dtype} ${formatShape(shape)}`,
    );
  }
  return [shape.slice(0, -3), [at(shape, shape.length - 3), ...lastTwo(shape)]];
}

/** The sizes of one set of weights, [Co, Ci, P, Q]. */
function weightsOf(where: string, w: Tensor | undefined, lead: Shape): [number, number, number, number] {
  const shape = shapeOf(w);
  if (w?.dtype !== 'f32' || (shape.length !== 4 && (shape.length !== 5 || shape[0] !== lead[0]))) {
    throw new ShapeError(`${where}: takes f32 weights of four dimensions, not ${w?.dtype} ${formatShape(shape)}`);
  }
  return [at(shape, shape.length - 4), at(shape, shape.length - 3), ...lastTwo(shape)];
}

function checkChannels(
  where: string,
  weights: number,
  images: number,
  x: Tensor | undefined,
  w: Tensor | undefined,
): void {
  if (weights === images) return;
  throw new ShapeError(
    `${where}: images ${formatShape(shapeOf(x))} have ${images} channels and weights ${formatShape(shapeOf(w))} take ${weights}; make them equal`,
  );
}

function checkRank(where: string, weight: Tensor, shape: string): void {
  if (weight.shape.length !== 4)
    throw new ShapeError(`${where}: the weights must be ${shape}, not ${formatShape(weight.shape)}`);
}

function checkWhole(where: string, options: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(options)) {
    const least = name === 'stride' ? 1 : 0;
    if (!Number.isInteger(value) || value < least) {
      throw new OptionError(`${where}: ${name} must be a whole number of at least ${least}, not ${value}`);
    }
  }
}

function lastTwo(shape: Shape): [number, number] {
  return [at(shape, shape.length - 2), at(shape, shape.length - 1)];
}

function shapeOf(x: Tensor | undefined): Shape {
  if (x === undefined) throw new ShapeError('a convolution was given too few operands');
  return x.shape;
}
