// Cases of engine/ops/einsum.ts: plain, transposed, batched and grouped products, both tile shapes and their edges,
// operands that must be arranged before they are multiplied, and sums over some rows only.

import { need } from '../../engine/errors.ts';
import { einsum, groupedMatmul, matmul } from '../../engine/ops/einsum.ts';
import { add, blockGradient, tanh } from '../../engine/ops/elementwise.ts';
import { scan } from '../../engine/scan.ts';
import { sizeOf } from '../../engine/tensor.ts';
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
  // Labels of one operand that lie apart in the result.
  product('abk,kc->acb', [2, 3, 4], [4, 5]),
  product('tbmk,bkn->tbmn', [3, 2, 4, 2], [2, 2, 5]),
  product('bk,bkan->anb', [3, 4], [3, 4, 2, 5]),
  // A bias, what lies like the result, what repeats along an inner axis, and a product inside of a scan with each.
  ...(['n', 'bn', 'bmn', 'm', 'b', 'bm', ''] as const).map(
    (labels): Case => ({
      name: `einsum bmk,bkn->bmn + ${labels || 'a number'}`,
      graph: (draw) => {
        const sizes: Readonly<Record<string, number>> = { b: 3, m: 5, n: 6 };
        const added = draw.normal([...labels].map((label) => need(sizes[label], 'a size')));
        const [x, w] = [draw.normal([3, 5, 4]), draw.normal([3, 4, 6])];
        return [tanh(einsum('bmk,bkn->bmn', x, w, { scale: 0.5, plus: [labels, added] }))];
      },
    }),
  ),
  {
    name: 'einsum + a bias, shared rows',
    graph: (draw) => {
      const [x, w] = [draw.normal([2, 17, 3]), draw.normal([3, 33])];
      return [tanh(einsum('tbk,kn->tbn', x, w, { plus: ['bn', draw.normal([17, 33])] }))];
    },
  },
  {
    name: 'einsum + in a scan',
    graph: (draw) => {
      const [x, h, w, u, b] = [
        draw.normal([3, 2, 4]),
        draw.normal([2, 5]),
        draw.normal([4, 5]),
        draw.normal([5, 5]),
        draw.normal([5]),
      ];
      const { outputs, state } = scan(
        (input, s) => {
          const own = einsum('bk,kn->bn', input.x, w, { plus: ['n', b] });
          const next = tanh(einsum('bk,kn->bn', s.h, u, { plus: ['bn', own] }));
          return { state: { h: next }, output: { y: einsum('bk,kn->bn', next, u, { plus: ['n', b] }) } };
        },
        { x },
        { h },
      );
      return [outputs.y, state.h];
    },
  },
  // Over active rows only: it has no gradient, so that another product brings one.
  ...(
    [
      ['bni,bno->nio', [9, 3, 4], [9, 3, 8], 'nb', [3, 9]],
      ['tbni,tbno->nio', [3, 5, 2, 7], [3, 5, 2, 5], 'tnb', [3, 2, 5]],
      // So many terms that each of the 64 lanes that list them has three.
      ['kn,km->mn', [192, 8], [192, 4], 'k', [192]],
    ] as const
  ).map(
    ([equation, a, b, labels, rows]): Case => ({
      name: `einsum: ${equation} over the rows of a mask`,
      graph: (draw) => {
        const [x, w] = [draw.normal(a), draw.normal(b, { std: 1 / Math.sqrt(sizeOf(rows)) })];
        const some = einsum(equation, x, w, { scale: 0.5, rows: [labels, draw.mask(rows, 0.6)] });
        return [tanh(add(einsum(equation, x, w), blockGradient(some)))];
      },
    }),
  ),
  { name: 'matmul: rows by weights', graph: (draw) => [tanh(matmul(draw.normal([2, 3, 4]), draw.normal([4, 5])))] },
  { name: 'matmul: batched', graph: (draw) => [tanh(matmul(draw.normal([2, 2, 3, 4]), draw.normal([2, 2, 4, 2])))] },
  { name: 'groupedMatmul', graph: (draw) => [tanh(groupedMatmul(draw.normal([2, 2, 3, 4]), draw.normal([3, 4, 5])))] },
];
