// Cases of engine/ops/einsum.ts: plain, transposed, batched and grouped products, both tile shapes and their edges, and
// operands that must be arranged before they are multiplied.

import { einsum, groupedMatmul, matmul } from '../../engine/ops/einsum.ts';
import { tanh } from '../../engine/ops/elementwise.ts';
import type { Case } from '../draw.ts';

function product(equation: string, a: readonly number[], b: readonly number[]): Case {
  return {
    name: `einsum: ${equation} of [${a}], [${b}]`,
    graph: (draw) => [tanh(einsum(equation, draw.normal(a), draw.normal(b, { std: 0.4 })))],
  };
}

/** Cases of products. */
export const einsumCases: readonly Case[] = [
  product('mk,kn->mn', [3, 4], [4, 5]),
  product('mk,kn->mn', [1, 1], [1, 1]),
  product('mk,kn->mn', [17, 3], [3, 18]),
  product('mk,kn->mn', [65, 2], [2, 33]),
  product('mk,kn->mn', [3, 2], [2, 33]),
  product('mk,kn->mn', [5, 2], [2, 33]),
  product('mk,kn->mn', [5, 2], [2, 9]),
  product('mk,nk->mn', [5, 6], [7, 6]),
  product('km,kn->nm', [5, 3], [5, 4]),
  product('bmk,bkn->bmn', [3, 2, 4], [3, 4, 5]),
  product('rni,nio->rno', [4, 3, 2], [3, 2, 5]),
  product('rno,rni->nio', [4, 3, 2], [4, 3, 5]),
  product('bnch,bmch->bcnm', [2, 3, 2, 4], [2, 3, 2, 4]),
  product('bcnm,bmch->bnch', [2, 2, 3, 3], [2, 3, 2, 4]),
  product('i,j->ij', [4], [3]),
  product('i,i->', [6], [6]),
  product('ij,ij->i', [3, 5], [3, 5]),
  product('b,b->b', [5], [5]),
  product('amck,kbc->cmab', [2, 3, 2, 2], [2, 3, 2]),
  { name: 'matmul: rows by weights', graph: (draw) => [tanh(matmul(draw.normal([2, 3, 4]), draw.normal([4, 5])))] },
  { name: 'matmul: batched', graph: (draw) => [tanh(matmul(draw.normal([2, 2, 3, 4]), draw.normal([2, 2, 4, 2])))] },
  { name: 'groupedMatmul', graph: (draw) => [tanh(groupedMatmul(draw.normal([2, 2, 3, 4]), draw.normal([3, 4, 5])))] },
];
