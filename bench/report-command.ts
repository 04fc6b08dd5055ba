// `npm run report -- RUN_FOLDER`: renders report.html of a run again from what lies in its folder, also of one that was killed.
//
// Always: what cannot be read is one clear line on stderr and exit code 1, and leaves the page as it was.
// Not here: the page (report.ts) and the reading of run folders (runs.ts).

import { Command, CommanderError } from 'commander';
import { EXIT } from './main-job.ts';
import { describe, oneLine } from './messages.ts';
import { renderReport } from './report.ts';
import { readRun, writeReport } from './runs.ts';

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const command = new Command('npm run report --')
    .description('Renders report.html of a run again from its folder.')
    .argument('<folder>', 'the folder of a run, such as runs/copying-20260131-235959-seed1')
    .configureOutput({ writeErr: () => {} })
    .exitOverride();
  try {
    command.parse([...args], { from: 'user' });
    const [folder = ''] = command.args;
    const page = writeReport(folder, await renderReport(readRun(folder)));
    process.stdout.write(`Report: ${page}\n`);
    return EXIT.done;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.code === 'commander.helpDisplayed') return EXIT.done;
      process.stderr.write(`rimgrad: ${oneLine(error.message).replace(/^error: /, '')}; see --help\n`);
      return EXIT.usage;
    }
    process.stderr.write(`rimgrad: ${describe(error)}\n`);
    return EXIT.failed;
  }
}
