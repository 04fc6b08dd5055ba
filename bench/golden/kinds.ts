// All kinds of cases that the checker knows, and the look-up by the text that a file carries.

import { quote, RimgradError } from '../../engine/errors.ts';
import { baselineKinds } from './baselines.ts';
import type { Kind } from './case.ts';
import { Tally } from './compare.ts';
import type { GoldenFile } from './file.ts';
import { optimiserKinds } from './optimisers.ts';
import { rimKinds } from './rim-kinds.ts';
import { subopKinds } from './subops.ts';

const tiesKind: Kind = {
  name: 'ties observed',
  case: /^observed torch\.topk/,
  record: 'what PyTorch picked among equal values: for the record, nothing to compare (here the lowest index wins)',
  check: (file) => Promise.resolve(new Tally(file)),
};

/** Every kind. */
export const kinds: readonly Kind[] = [...subopKinds, ...optimiserKinds, ...baselineKinds, ...rimKinds, tiesKind];

/** The kind of a file, by its metadata. @throws RimgradError for one that is not known */
export function kindOf(file: GoldenFile): Kind {
  const found = kinds.filter((kind) => kind.case.test(file.case));
  const [kind] = found;
  if (kind !== undefined && found.length === 1) return kind;
  throw new RimgradError(
    `${file.name}: ${quote(file.case)} is no kind of case that this checker knows; nothing of the file was compared`,
  );
}
