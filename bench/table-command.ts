// `rimgrad table NAME`, and `npm run table`: gives the tables their process.
//
// Always: the exit code is the table's. Not here: everything that can be told without a process (tables/command.ts).

import { openDevice } from '../engine/node.ts';
import { fail } from './command-line.ts';
import { interruptible } from './interrupt.ts';
import { runTable } from './tables/command.ts';
import { trainJob } from './train.ts';

/** Runs a table in this process. @returns its exit code */
export async function table(args: readonly string[]): Promise<number> {
  return interruptible(async (signal) => {
    try {
      const { stdout, stderr } = process;
      return await runTable(args, { stdout, stderr, signal, open: () => openDevice(), train: trainJob });
    } catch (error) {
      return fail(error);
    }
  });
}
