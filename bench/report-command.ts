// `rimgrad report RUN_FOLDER`, and `npm run report`: renders report.html of a run again from what lies in its folder, also of one that was killed.
//
// Always: what cannot be read is one clear line on stderr and exit code 1, and leaves the page as it was.
// Not here: the page (report.ts) and the reading of run folders (runs.ts).

import { commandOf, EXIT, endWhenUnread, readArguments } from './command-line.ts';
import { renderReport } from './report.ts';
import { readRun, writeReport } from './runs.ts';

/** Renders a page again. @returns the exit code */
export async function report(args: readonly string[]): Promise<number> {
  const command = commandOf('report', 'Renders report.html of a run again from its folder.', [
    ['runs/copying-20260131-235959-seed1', 'also of a run that was killed'],
  ]).argument('<folder>', 'the folder of a run, such as runs/copying-20260131-235959-seed1');
  endWhenUnread();
  const help = readArguments(command, args);
  if (help !== undefined) {
    process.stdout.write(help);
    return EXIT.done;
  }
  const [folder = ''] = command.args;
  const page = writeReport(folder, await renderReport(readRun(folder)));
  process.stdout.write(`Report: ${page}\n`);
  return EXIT.done;
}
