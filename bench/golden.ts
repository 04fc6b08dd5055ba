// The entry of `npm run golden -- DIR`: gives the check its process. Everything else is in golden/.

import { EXIT } from './command-line.ts';
import { runGolden } from './golden/command.ts';

process.on('uncaughtException', (error) => {
  process.stderr.write(`rimgrad: an unexpected error, a bug of rimgrad: ${error.message}\n`);
  process.exit(EXIT.usage);
});
process.exitCode = await runGolden(process.argv.slice(2), process);
// Set by the set-up where it found no adapter: what to do about it.
if (process.exitCode === EXIT.usage && process.env.RIMGRAD_MEND) process.stderr.write(`${process.env.RIMGRAD_MEND}\n`);
