// The command lines of the page: `npm run demo` serves it on this machine, `npm run demo:build` writes a static folder.

import { resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { buildSite, serveSite } from './site.ts';

function portOf(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new InvalidArgumentError('Give a port from 0 to 65535.');
}

const program = new Command('npm run demo').description('The page on which a RIM learns in the browser.');

program
  .command('serve')
  .description('serves the page on this machine until Ctrl-C')
  .option('--port <number>', 'port; 0 takes any that is free', portOf, 8000)
  .action(async ({ port }: { port: number }) => {
    const { url } = await serveSite(port);
    console.log(`The page is at ${url} (Ctrl-C ends it). A browser with WebGPU: Chrome, Edge, Safari 26, Firefox 141.`);
  });

program
  .command('build')
  .description('writes the page as a static folder that any host can serve')
  .option('--out <folder>', 'where to', 'site')
  .action(async ({ out }: { out: string }) => {
    const folder = resolve(out);
    await buildSite(folder);
    console.log(`The page is in ${folder}: serve it from any host, over https or on localhost.`);
  });

try {
  await program.parseAsync();
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  const mend = /address already in use/.test(message)
    ? '; give another one with --port, or 0 for any that is free'
    : '';
  process.stderr.write(`rimgrad: ${message}${mend}\n`);
  process.exitCode = 1;
}
