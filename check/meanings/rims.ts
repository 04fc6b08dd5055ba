// The meanings of the ops of the rims room: a RIM's step in a few rows.

import type { Meanings } from './meaning.ts';
import { rimGateMeanings } from './rim-gates.ts';
import { rimTalkMeanings } from './rim-talk.ts';
import { rimUpdateMeanings } from './rim-update.ts';

/** Meanings of the rows of a RIM's step. */
export const rimMeanings: Meanings = {
  ...rimGateMeanings,
  ...rimTalkMeanings,
  ...rimUpdateMeanings,
};
