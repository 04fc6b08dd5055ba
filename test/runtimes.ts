// What the runtime tests stand on: the skip that names itself when a runtime is not there. Where Deno and Chromium are, and how a
// module is run there, stands in bench/runtimes.ts: the set-up of `npm test` finds or installs Chromium and hands its path down in
// RIMGRAD_CHROMIUM; Deno is an npm package.

export { chromiumFlags, chromiumPath, denoScript, inChromium, inDeno } from '../bench/runtimes.ts';

/** Skips a uvu test aloud: the runner shows the line, and counts the skip as a failure when CI is set. */
export function skip(test: { skip: (name?: string) => void }, name: string, why: string): void {
  console.log(`skip: ${name}: ${why}`);
  test.skip(name);
}
