// Cases of the ops of the rims room, one by one; whole cells are in rims.ts.

import type { Case } from '../draw.ts';
import { rimGatesCases } from './rim-gates.ts';
import { rimTalkCases, rimUpdateCases } from './rim-talk.ts';

/** Cases of the rows of a RIM's step. */
export const rimOpCases: readonly Case[] = [...rimGatesCases, ...rimTalkCases, ...rimUpdateCases];
