// The rows of the rims room: what the op table is for the engine. One file an op; nothing else is here.

import type { Op } from '../engine/op.ts';
import { activeOuterOps } from './active-outer.ts';
import { stepBackwardOps } from './step-backward.ts';
import { stepOps } from './step-op.ts';

/** Every row of the rims room. */
export const rimOps: readonly Op[] = [...stepOps, ...stepBackwardOps, ...activeOuterOps];
