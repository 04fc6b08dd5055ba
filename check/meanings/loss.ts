// The meanings of engine/ops/loss.ts: cross-entropy with labels, binary cross-entropy with targets.

import { at } from '../../engine/errors.ts';
import { mapRows, type Numbers, rows, type Value } from '../value.ts';
import { softplusOf } from './elementwise.ts';
import { type Meanings, means, meansAll } from './meaning.ts';

/** The greatest logit of a row, and the sum of e^(logit - greatest). */
function statsOf(row: Numbers): [number, number] {
  const most = Math.max(...row);
  return [most, Array.from(row, (x) => Math.exp(x - most)).reduce((total, x) => total + x, 0)];
}

/** Meanings of the losses. */
export const lossMeanings: Meanings = {
  crossEntropy: meansAll((inputs, _, specs) => {
    const [logits, labels] = [at(inputs, 0), at(inputs, 1)];
    const losses = mapRows(logits, (row, r) => {
      const [most, total] = statsOf(row);
      const label = at(labels.data, r);
      return [label < row.length ? most + Math.log(total) - at(row, label) : Number.NaN];
    });
    const loss: Value = { shape: at(specs, 0).shape, data: losses.data };
    return [loss, mapRows(logits, statsOf)];
  }),

  // d (e^(logit - greatest) / sum - [this is the label])
  crossEntropyBackward: means((inputs) => {
    const [logits, labels, stats, d] = [at(inputs, 0), at(inputs, 1), rows(at(inputs, 2)), at(inputs, 3)];
    return mapRows(logits, (row, r) => {
      const [most, total] = [at(stats.row(r), 0), at(stats.row(r), 1)];
      return row.map((x, i) => at(d.data, r) * (Math.exp(x - most) / total - (i === at(labels.data, r) ? 1 : 0)));
    });
  }),

  // -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)), in a form that keeps its digits.
  binaryCrossEntropy: means((inputs, _, { shape }) => {
    const [x, t] = [at(inputs, 0), at(inputs, 1)];
    return { shape, data: Float64Array.from(x.data, (logit, i) => softplusOf(logit) - logit * at(t.data, i)) };
  }),
};
