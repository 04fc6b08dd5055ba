// Running a compiled module of dist/ in another runtime: in Deno, whose npm package is a script for Node, and in headless Chromium,
// whose page gets its files by interception. No bundler, no server, no network. A module says what it found with console.log, a
// line at a time, in either runtime; what it is told comes as one argument, or behind the # of the page.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BrowserType } from 'playwright-core';
import { RimgradError } from '../engine/errors.ts';

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

/** Path of a Chromium executable, which the set-up hands down in RIMGRAD_CHROMIUM, or undefined. */
export function chromiumPath(): string | undefined {
  const path = process.env.RIMGRAD_CHROMIUM;
  return path && existsSync(path) ? path : undefined;
}

/** What drives Chromium: an npm package that not every user of this one has. @throws RimgradError where it is not installed */
async function playwright(): Promise<BrowserType> {
  try {
    return (await import('playwright-core')).chromium;
  } catch (cause) {
    const missing = cause instanceof Error && 'code' in cause && cause.code === 'ERR_MODULE_NOT_FOUND';
    if (!missing) throw cause;
    throw new RimgradError(missingPackage('playwright-core'), { cause });
  }
}

/** What is said where an npm package is needed that is not there. */
export function missingPackage(name: string): string {
  return `the npm package ${name} is not installed; install it beside rimgrad: npm install ${name}`;
}

/** What makes WebGPU of headless Chromium run on any machine, and keeps it off the network. */
const flags: readonly string[] = [
  ...['--enable-unsafe-webgpu', '--no-sandbox', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-quic', '--disable-sync'],
];

/** Flags that give headless Chromium a WebGPU adapter on a machine without a GPU, too. */
export const chromiumFlags: readonly string[] = [...flags, '--use-webgpu-adapter=swiftshader'];

/** Flags that leave the adapter to the browser: that of the machine's GPU, or none. */
export const hardwareFlags: readonly string[] = [...flags, '--enable-features=Vulkan', '--ignore-gpu-blocklist'];

/**
 * Runs a module in Deno, and gives every line that it logs.
 * @param script of `denoScript`
 * @param entry the module, from dist/
 * @throws RimgradError where Deno ends with an error, with what it wrote
 */
export async function inDeno(
  script: string,
  entry: string,
  told: string,
  onLine: (line: string) => void,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'rimgrad-deno-'));
  try {
    const args = ['run', '--no-prompt', '--no-remote', '--no-npm', '--no-config', '--no-lock', join(dist, entry), told];
    const child = spawn(process.execPath, [script, ...args], {
      env: { ...process.env, DENO_DIR: folder, DENO_NO_UPDATE_CHECK: '1', NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let problems = '';
    let rest = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      problems += text;
    });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    if (code !== 0) throw new RimgradError(`Deno ended with ${code}: ${problems.trim()}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Runs a module in a page of headless Chromium, and gives every line that it logs.
 * @param executablePath of `chromiumPath`
 * @param entry the module, from dist/
 */
export async function inChromium(
  executablePath: string,
  entry: string,
  told: string,
  onLine: (line: string) => void,
  args: readonly string[] = chromiumFlags,
): Promise<void> {
  const chromium = await playwright();
  const browser = await chromium.launch({ executablePath, args: [...args], headless: true, timeout: LIMIT });
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
    page.on('console', (message) => {
      if (message.type() === 'log') onLine(message.text());
    });
    await page.goto(`${origin}/#${encodeURIComponent(told)}`);
    // As text: a function would come here as tsc has rewritten it.
    await page.evaluate(`import('${origin}/${entry}').then(() => undefined)`);
  } finally {
    await browser.close();
  }
}
