// Cases of the kernels that products can be computed by (engine/product-kernels.ts), whatever the device would take by itself:
// operands that lie in vectors along either axis and that do not, tiles and their edges, with something added, over the terms of
// a mask, and over active rows in two blocks. A kernel that the device lacks, or that does not fit, gives way to its usual one.
// Tiles of scalars are what small products take anywhere; of the others, those that devices take untuned, and of each kernel one.
// Their gradients are other products, and whether these are derivatives is asked by the cases of einsum.ts.

import { einsum } from '../../engine/ops/einsum.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Case, Draw } from '../draw.ts';
import { activeProduct } from './rim-step.ts';

function forms(draw: Draw): readonly Tensor[] {
  const outputs = [
    // a along k, b along n; two batches; a bias.
    einsum('bmk,bkn->bmn', draw.normal([2, 18, 12]), draw.normal([2, 12, 36]), { plus: ['n', draw.normal([36])] }),
    // b along k.
    einsum('mk,nk->mn', draw.normal([17, 8]), draw.normal([20, 8]), {
      scale: 0.5,
      plus: ['mn', draw.normal([17, 20])],
    }),
    // a along m, over the terms of a mask.
    einsum('bkm,bkn->bmn', draw.normal([2, 19, 20]), draw.normal([2, 19, 12]), {
      rows: ['bk', draw.mask([2, 19], 0.6)],
    }),
    // No vectors; what is added repeats along rows.
    einsum('mk,kn->mn', draw.normal([35, 5]), draw.normal([5, 37]), { plus: ['m', draw.normal([35])] }),
    activeProduct(draw),
  ];
  draw.wrt.length = 0;
  return outputs;
}

const chosen = ['vector-4x4', 'scalar-subgroup-16x4', 'vector-subgroup-8x4', 'shared-64-8-16', 'shared-16-8-32'];

/** Cases of the kernels of products. */
export const productCases: readonly Case[] = chosen.map((candidate) => ({
  name: `product by ${candidate}`,
  graph: forms,
  candidate,
  blocked: true,
}));
