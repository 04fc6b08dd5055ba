// What the tests of the page share: the built page served from a sub-folder, a browser with or without WebGPU, the tiny run
// that they train, waits that end when something holds, screenshots into dist/screenshots/. It tests nothing itself.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { buildSite, type Served, serveFolder } from '../demo/site.ts';
import { chromiumFlags } from './runtimes.ts';

/** Milliseconds that anything may take on a busy machine. */
export const LIMIT = 120_000;

/** A run that a software adapter in a browser trains quickly. */
export const TINY =
  'digits=1&blank=2&modules=4&active=2&hidden=8&embedding=8&keySize=8&valueSize=8&commHeads=1&commKeySize=8&commValueSize=8&width=16&batch=16&learningRate=0.02&evaluateEvery=20&testBatches=1';

/** The page on a server, and a browser. */
export interface Stage {
  /** The address of the page, with a slash. */
  readonly url: string;
  readonly browser: Browser;
  /** A folder for files, gone at the end. */
  readonly folder: string;
  end(): Promise<void>;
}

/** Builds and serves the page and starts a browser. @param flags of the browser */
export async function setStage(executablePath: string, flags: readonly string[] = chromiumFlags): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'rimgrad-demo-'));
  await buildSite(join(folder, 'some', 'where'));
  const served: Served = await serveFolder(folder);
  const browser = await chromium.launch({ executablePath, args: [...flags], headless: true, timeout: LIMIT });
  return {
    url: `${served.url}some/where/`,
    browser,
    folder,
    end: async () => {
      await browser.close();
      await served.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A page that keeps what went wrong in it. */
export interface Opened {
  readonly page: Page;
  readonly problems: string[];
}

/** Opens a page and waits until it knows its device, or that there is none. */
export async function open(stage: Stage, query: string, options: BrowserContextOptions = {}): Promise<Opened> {
  const context = await stage.browser.newContext({ acceptDownloads: true, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(LIMIT);
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text());
  });
  await page.goto(`${stage.url}?${query}`);
  await holds(page, `document.getElementById('state').dataset.phase !== 'opening'`);
  return { page, problems };
}

/** Waits until an expression is true in the page. Asked from here: the page's own policy forbids to evaluate text in it. */
export async function holds(page: Page, expression: string): Promise<void> {
  const end = performance.now() + LIMIT;
  while (!(await page.evaluate<boolean>(expression))) {
    if (performance.now() > end) {
      throw new Error(`it did not come to hold: ${expression}\n${(await text(page, 'main')).slice(0, 2000)}`);
    }
    await page.waitForTimeout(50);
  }
}

/** Waits for a phase of the run. */
export function phase(page: Page, name: string): Promise<void> {
  return holds(page, `document.getElementById('state').dataset.phase === '${name}'`);
}

/** The text of an element, as it is read. */
export async function text(page: Page, selector: string): Promise<string> {
  return ((await page.locator(selector).textContent()) ?? '').replaceAll(/\s+/g, ' ').trim();
}

/** A figure of the last step, such as 'Step', as its text. */
export async function figure(page: Page, name: string): Promise<string> {
  return text(page, `[data-figure="${name}"] dd`);
}

/** Updates done, as shown. */
export async function steps(page: Page): Promise<number> {
  return Number((await figure(page, 'Step')).replaceAll(',', ''));
}

/** Waits until that many steps are shown. */
export function reached(page: Page, count: number): Promise<void> {
  return holds(
    page,
    `Number(document.querySelector('[data-figure="Step"] dd').textContent.replaceAll(',', '')) >= ${count}`,
  );
}

/** Waits until no work is under way, and the worker has answered everything that was asked of it. */
export async function settled(page: Page): Promise<void> {
  await holds(page, `['idle', 'paused'].includes(document.getElementById('state').dataset.phase)`);
}

/** Keeps a picture of the whole page, to be looked at. */
export async function screenshot(page: Page, name: string): Promise<void> {
  const folder = fileURLToPath(new URL('../screenshots/', import.meta.url));
  mkdirSync(folder, { recursive: true });
  await page.evaluate('scrollTo(0, 0)');
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}
