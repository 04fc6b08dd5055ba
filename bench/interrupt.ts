// What Ctrl-C does to a command that trains: the first one asks it to stop and keep what there is, a second one, a second or more
// later, ends the process at once. (One Ctrl-C may arrive several times: the terminal sends it to every process, and a parent process
// may pass it on as well.)
//
// Always: output that nobody reads any more (a closed pipe) stops it too; what nobody caught is one line and an exit code.
// Not here: what stopping means.

import { EXIT } from './command-line.ts';
import { describe } from './messages.ts';

const SAME_PRESS_MS = 1000;

/** Runs something that takes long in this process. @param run is given what Ctrl-C aborts @returns what it returns */
export async function interruptible(run: (signal: AbortSignal) => Promise<number>): Promise<number> {
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
    return await run(controller.signal);
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}
