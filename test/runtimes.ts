// What the runtime tests stand on: where Deno and Chromium are, how an entry is run in them as plain modules of dist/ (no bundler, no
// server, no network), and the skip that names itself when one is not there. The set-up of `npm test` finds or installs Chromium and hands its path down in RIMGRAD_CHROMIUM; Deno is an npm package.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

/** dist/, where the compiled modules lie as the sources do. */
const dist = fileURLToPath(new URL('../', import.meta.url));
/** Milliseconds that a browser may take to start or to open a page, on a busy machine too. */
const LIMIT = 120_000;

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

/** Runs an entry of dist/ in Deno, whose npm package is a script for Node, and reads the JSON that it wrote to stdout. */
export async function runDeno<Found>(script: string, entry: string): Promise<Found> {
  const folder = mkdtempSync(join(tmpdir(), 'rimgrad-deno-'));
  try {
    const args = ['run', '--no-prompt', '--no-remote', '--no-npm', '--no-config', '--no-lock', join(dist, entry)];
    const child = spawn(process.execPath, [script, ...args], {
      env: { ...process.env, DENO_DIR: folder, DENO_NO_UPDATE_CHECK: '1', NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output.stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output.stderr += text;
    });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    if (code !== 0) throw new Error(`deno ended with ${code}:\n${output.stderr}`);
    return JSON.parse(output.stdout) as Found;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Opens a page whose files come from dist/ by interception, imports an entry there as a module, and reads what it exports as `found`. */
export async function runChromium<Found>(executablePath: string, entry: string): Promise<Found> {
  const browser = await chromium.launch({ executablePath, args: [...chromiumFlags], headless: true, timeout: LIMIT });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(LIMIT);
    const origin = 'http://localhost'; // WebGPU wants a secure context, and localhost is one
    await page.route('**/*', (route) => {
      const { pathname } = new URL(route.request().url());
      if (pathname === '/')
        return route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>rimgrad</title>' });
      return pathname.endsWith('.js') ? route.fulfill({ path: join(dist, pathname) }) : route.fulfill({ status: 404 });
    });
    await page.goto(`${origin}/`);
    // As text: a function would come here as tsc has rewritten it.
    return await page.evaluate<Found>(`import('${origin}/${entry}').then(({ found }) => found)`);
  } finally {
    await browser.close();
  }
}

/** Skips a uvu test aloud: the runner shows the line, and counts the skip as a failure when CI is set. */
export function skip(test: { skip: (name?: string) => void }, name: string, why: string): void {
  console.log(`skip: ${name}: ${why}`);
  test.skip(name);
}
