// The kinds of RIM cells: those of the paper, of the official code and of dido's, and their training.

import type { Kind } from './case.ts';
import { didoKinds } from './dido.ts';
import { officialKinds } from './official.ts';
import { paperKinds } from './paper.ts';
import { trainingKinds } from './training.ts';

/** The kinds of this file. */
export const rimKinds: readonly Kind[] = [...paperKinds, ...officialKinds, ...didoKinds, ...trainingKinds];
