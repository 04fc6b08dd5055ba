// What the runtime tests stand on: the skip that names itself when a runtime is not there, and the report that a module logs elsewhere.
// Where Deno and Chromium are, and how a module is run there, stands in bench/runtimes.ts: the set-up of `npm test` finds or installs
// Chromium and hands its path down in RIMGRAD_CHROMIUM; Deno is an npm package.

import { inChromium, inDeno } from '../bench/runtimes.ts';
import { need } from '../engine/errors.ts';

export { chromiumFlags, chromiumPath, denoScript, inChromium, inDeno } from '../bench/runtimes.ts';

/** Runs a module elsewhere, and reads the one line of JSON that it logs. */
async function reported<Found>(run: (onLine: (line: string) => void) => Promise<void>): Promise<Found> {
  const lines: string[] = [];
  await run((line) => lines.push(line));
  return JSON.parse(need(lines[0], 'a report')) as Found;
}

/** What an entry of dist/ reports in Deno. */
export const runDeno = <Found>(script: string, entry: string): Promise<Found> =>
  reported((onLine) => inDeno(script, entry, '', onLine));

/** What an entry of dist/ reports in a page of headless Chromium. */
export const runChromium = <Found>(path: string, entry: string): Promise<Found> =>
  reported((onLine) => inChromium(path, entry, '', onLine));

/** Skips a uvu test aloud: the runner shows the line, and counts the skip as a failure when CI is set. */
export function skip(test: { skip: (name?: string) => void }, name: string, why: string): void {
  console.log(`skip: ${name}: ${why}`);
  test.skip(name);
}
