// What the runtime tests stand on: where Deno and Chromium are, and the skip that names itself when one is not. The
// set-up of `npm test` finds or installs Chromium and hands its path down in RIMGRAD_CHROMIUM; Deno is an npm package.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

/** The executable script of the npm package `deno` (run it with node), or undefined where it is not installed. */
export function denoScript(): string | undefined {
  try {
    return createRequire(import.meta.url).resolve('deno/bin.cjs');
  } catch {
    return undefined;
  }
}

/** Path of a Chromium executable, or undefined. */
export function chromiumPath(): string | undefined {
  const path = process.env.RIMGRAD_CHROMIUM;
  return path && existsSync(path) ? path : undefined;
}

/** Flags that give headless Chromium a WebGPU adapter on a machine without a GPU, and keep it off the network. */
export const chromiumFlags: readonly string[] = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--no-sandbox',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-quic',
  '--disable-sync',
];

/** Skips a uvu test aloud: the runner shows the line, and counts the skip as a failure when CI is set. */
export function skip(test: { skip: (name?: string) => void }, name: string, why: string): void {
  console.log(`skip: ${name}: ${why}`);
  test.skip(name);
}
