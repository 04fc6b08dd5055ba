// The meanings of engine/ops/conv.ts. All three speak of the same products: y[o,i,j] has x[c, i*stride + p - padding,
// j*stride + q - padding] times w[o,c,p,q] in its sum. One walks over all of them and adds to whichever is wanted.

import { at } from '../../engine/errors.ts';
import { type Shape, sizeOf } from '../../engine/tensor.ts';
import { type Meanings, means } from './meaning.ts';

interface Window {
  readonly stride: number;
  readonly padding: number;
}

/** Calls f with the places in x, w and y of every product; w may hold a set of weights for each first leading index. */
function forEachProduct(
  x: Shape,
  w: Shape,
  y: Shape,
  { stride, padding }: Window,
  f: (ix: number, iw: number, iy: number) => void,
): void {
  const images = sizeOf(x.slice(0, -3));
  const sets = w.length === 5 ? at(w, 0) : 1;
  const [outs, channels, kernelRows, kernelColumns] = w.slice(-4) as [number, number, number, number];
  const [xRows, xColumns] = x.slice(-2) as [number, number];
  const [yRows, yColumns] = y.slice(-2) as [number, number];
  const place = (sizes: readonly number[], index: readonly number[]): number =>
    index.reduce((total, coordinate, axis) => total * at(sizes, axis) + coordinate, 0);
  for (let image = 0; image < images; image++) {
    const set = Math.floor(image / (images / sets));
    for (let o = 0; o < outs; o++)
      for (let c = 0; c < channels; c++) {
        for (let p = 0; p < kernelRows; p++)
          for (let q = 0; q < kernelColumns; q++) {
            for (let i = 0; i < yRows; i++)
              for (let j = 0; j < yColumns; j++) {
                const [row, column] = [i * stride + p - padding, j * stride + q - padding];
                if (row < 0 || row >= xRows || column < 0 || column >= xColumns) continue;
                f(
                  place([images, channels, xRows, xColumns], [image, c, row, column]),
                  place([sets, outs, channels, kernelRows, kernelColumns], [set, o, c, p, q]),
                  place([images, outs, yRows, yColumns], [image, o, i, j]),
                );
              }
          }
      }
  }
}

/** Meanings of the convolutions. */
export const convMeanings: Meanings = {
  convolve: means<Window>((inputs, window, { shape }) => {
    const [x, w] = [at(inputs, 0), at(inputs, 1)];
    const y = new Float64Array(sizeOf(shape));
    forEachProduct(x.shape, w.shape, shape, window, (ix, iw, iy) => {
      y[iy] = at(y, iy) + at(x.data, ix) * at(w.data, iw);
    });
    return { shape, data: y };
  }),

  convolveInput: means<Window>((inputs, window, { shape }) => {
    const [y, w] = [at(inputs, 0), at(inputs, 1)];
    const x = new Float64Array(sizeOf(shape));
    forEachProduct(shape, w.shape, y.shape, window, (ix, iw, iy) => {
      x[ix] = at(x, ix) + at(y.data, iy) * at(w.data, iw);
    });
    return { shape, data: x };
  }),

  convolveWeight: means<Window>((inputs, window, { shape }) => {
    const [x, y] = [at(inputs, 0), at(inputs, 1)];
    const w = new Float64Array(sizeOf(shape));
    forEachProduct(x.shape, shape, y.shape, window, (ix, iw, iy) => {
      w[iw] = at(w, iw) + at(x.data, ix) * at(y.data, iy);
    });
    return { shape, data: w };
  }),
};
