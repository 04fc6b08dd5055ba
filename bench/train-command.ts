// `rimgrad train`, and `npm start`: gives the main job its process. The first Ctrl-C stops the training and keeps what there is,
// a second one, a second or more later, ends the process at once. (One Ctrl-C may arrive several times: the terminal
// sends it to every process, and a parent process may pass it on as well.)
//
// Always: the exit code is the job's; output that nobody reads any more (a closed pipe) stops the training too.
// Not here: everything that can be told without a process (main-job.ts).

import { EXIT } from './command-line.ts';
import { runMainJob } from './main-job.ts';
import { describe } from './messages.ts';
import { trainJob } from './train.ts';

const SAME_PRESS_MS = 1000;

/** Runs the main job in this process. @returns its exit code */
export async function train(args: readonly string[]): Promise<number> {
  const controller = new AbortController();
  let pressed = Number.POSITIVE_INFINITY;

  function interrupt(): void {
    if (controller.signal.aborted) {
      if (performance.now() - pressed < SAME_PRESS_MS) return;
      if (process.stdout.isTTY) process.stdout.write('\x1b[?25h\n');
      process.exit(EXIT.stopped);
    }
    pressed = performance.now();
    controller.abort();
  }

  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  process.stdout.on('error', () => controller.abort());
  process.on('uncaughtException', (error) => {
    process.stderr.write(`rimgrad: ${describe(error)}\n`);
    process.exit(EXIT.failed);
  });

  try {
    return await runMainJob(args, {
      stdout: process.stdout,
      stderr: process.stderr,
      train: trainJob,
      signal: controller.signal,
    });
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}
