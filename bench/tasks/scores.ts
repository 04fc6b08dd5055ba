// What every task asks of the scores that a model gives it: that they are of the steps at which the task wants them.
//
// Always: scores of other sizes are refused here, by the word that says when they are wanted. Not here: what is computed of them.

import type { Shape, Tensor } from '../../engine/core.ts';
import { ShapeError } from '../../engine/errors.ts';
import type { Task } from './task.ts';

/** Refuses scores of other sizes than those that are wanted. @throws ShapeError */
export function checkScores(where: string, scored: Task['scored'], scores: Tensor, wanted: Shape): void {
  const { shape } = scores;
  if (shape.length === wanted.length && shape.every((size, i) => size === wanted[i])) return;
  const when = scored === 'every step' ? 'every step, [T,B,O]' : 'the last step alone, [B,O]';
  throw new ShapeError(
    `${where}: the scores are [${shape.join()}], where y asks for [${wanted.join()}]; \`scored\` is '${scored}': give those of ${when}`,
  );
}
