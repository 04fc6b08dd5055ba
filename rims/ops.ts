// The rows of the rims room: what the op table is for the engine. One file an op; nothing else is here.

import type { Op } from '../engine/op.ts';
import { rimGatesOps } from './gates-op.ts';
import { talkOps } from './talk-op.ts';
import { updateOps } from './update-op.ts';

/** Every row of the rims room. */
export const rimOps: readonly Op[] = [...rimGatesOps, ...talkOps, ...updateOps];
