// `rimgrad train`, and `npm start`: gives the main job its process.
//
// Always: the exit code is the job's. Not here: everything that can be told without a process (main-job.ts), and what Ctrl-C does
// (interrupt.ts).

import { interruptible } from './interrupt.ts';
import { runMainJob } from './main-job.ts';
import { trainJob } from './train.ts';

/** Runs the main job in this process. @returns its exit code */
export async function train(args: readonly string[]): Promise<number> {
  return interruptible((signal) =>
    runMainJob(args, { stdout: process.stdout, stderr: process.stderr, train: trainJob, signal }),
  );
}
