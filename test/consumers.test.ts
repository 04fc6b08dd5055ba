// The packed tarball in fresh consumers: each imports every entry and takes real training steps of a RIM. Node, the oldest and
// the newest; Deno; a page that Vite built, and a page without any tool whose module script imports the package's files as they
// lie. All must give the same first losses. A runtime that is not there is a skip with its name.

import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from 'vite';
import { at, need } from '../engine/errors.ts';
import type { Found } from './consumers/step.ts';
import { output, userEnvironment, Workshop } from './packed.ts';
import { chromiumFlags, chromiumPath, denoScript, skip } from './runtimes.ts';

const test = suite('consumers of the package');
const workshop = new Workshop();
/** Milliseconds that a browser may take, on a busy machine too. */
const LIMIT = 240_000;
const program = readFileSync(fileURLToPath(new URL('consumers/step.js', import.meta.url)), 'utf8');
const printing = "import { train } from './step.js';\nconsole.log(JSON.stringify(await train()));\n";
const keeping = "import { train } from './step.js';\nglobalThis.found = train();\n";

let folder = '';
test.before(async () => {
  folder = await workshop.consumer('consumer', await workshop.pack(), ['webgpu']);
  writeFileSync(join(folder, 'step.js'), program);
  writeFileSync(join(folder, 'print.js'), printing);
});
test.after(() => workshop.clear());

/** The first that was found, which all others must agree with. */
let reference: Found | undefined;

function judge(found: Found): void {
  const [first, second] = found.losses;
  assert.is(found.losses.length, 2);
  assert.ok(need(first, 'a loss') > need(second, 'a second loss'), `no step was taken: ${found.losses}`);
  assert.ok(found.kernels > 40 && found.baseline > 100 && found.checked[0] && found.checked[1] > 0);
  reference ??= found;
  const [own, other] = [at(found.losses, 1), at(reference.losses, 1)];
  assert.ok(Math.abs(own - other) <= 1e-4, `the second loss is ${own}, elsewhere ${other}`);
}

test('Node, the oldest that is supported, trains', async () => {
  judge(JSON.parse(await output(process.execPath, ['print.js'], { cwd: folder, env: userEnvironment() })) as Found);
});

const newest = process.env.RIMGRAD_NEWEST_NODE;
const newestName = 'Node, the newest, trains';
if (!newest || !existsSync(newest)) skip(test, newestName, 'not found; RIMGRAD_NEWEST_NODE names one');
else {
  test(newestName, async () => {
    const version = await output(newest, ['--version'], { env: userEnvironment() });
    assert.ok(Number.parseInt(version.slice(1), 10) >= 26, version);
    judge(JSON.parse(await output(newest, ['print.js'], { cwd: folder, env: userEnvironment() })) as Found);
  });
}

const deno = denoScript();
if (deno === undefined) skip(test, 'Deno trains', 'the npm package deno is not installed');
else {
  test('Deno trains, without the Node binding', async () => {
    const bare = join(workshop.folder, 'deno');
    mkdirSync(bare);
    for (const file of ['package.json', 'step.js', 'print.js', 'node_modules/rimgrad'])
      cpSync(join(folder, file), join(bare, file), { recursive: true });
    const env = userEnvironment({ DENO_DIR: join(workshop.folder, 'deno-dir'), DENO_NO_UPDATE_CHECK: '1' });
    const args = [deno, 'run', '--no-prompt', '--no-remote', '--cached-only', '--no-lock', 'print.js'];
    judge(JSON.parse(await output(process.execPath, args, { cwd: bare, env })) as Found);
  });
}

/** Opens a page whose files are served from a folder, and waits for what its module found. */
async function visit(browser: Browser, served: string): Promise<Found> {
  const page = await browser.newPage();
  page.setDefaultTimeout(LIMIT);
  const troubles: string[] = [];
  page.on('pageerror', (error) => troubles.push(error.message));
  page.on('console', (message) => troubles.push(message.text()));
  const types = { html: 'text/html', js: 'text/javascript', json: 'application/json', css: 'text/css' };
  await page.route('**/*', (route) => {
    const { pathname } = new URL(route.request().url());
    const file = join(served, pathname === '/' ? 'index.html' : pathname);
    if (pathname === '/favicon.ico') return route.fulfill({ status: 204 });
    if (!existsSync(file)) troubles.push(`there is no ${pathname}`);
    const kind = Object.entries(types).find(([ending]) => file.endsWith(ending))?.[1];
    return existsSync(file) ? route.fulfill({ path: file, contentType: kind ?? '' }) : route.fulfill({ status: 404 });
  });
  await page.goto('http://localhost/'); // a secure context, which WebGPU wants
  const found = await page.evaluate<Found | null>('globalThis.found ?? null');
  assert.equal(troubles, []);
  return need(found ?? undefined, 'what the page found');
}

const browserPath = chromiumPath();
const [viteName, plainName] = ['a page built by Vite trains in Chromium', 'a page without any tool trains in Chromium'];
if (browserPath === undefined) {
  for (const name of [viteName, plainName]) skip(test, name, 'no Chromium found; RIMGRAD_CHROMIUM names one');
} else {
  const inBrowser = async (served: string): Promise<void> => {
    const browser = await chromium.launch({ executablePath: browserPath, args: [...chromiumFlags], timeout: LIMIT });
    try {
      judge(await visit(browser, served));
    } finally {
      await browser.close();
    }
  };

  test(viteName, async () => {
    const [source, built] = [join(folder, 'page'), join(workshop.folder, 'built')];
    mkdirSync(source);
    writeFileSync(join(source, 'step.js'), program);
    writeFileSync(join(source, 'main.js'), keeping);
    writeFileSync(join(source, 'index.html'), '<!doctype html><script type="module" src="/main.js"></script>');
    const target = { outDir: built, target: 'es2022' };
    await build({ root: source, configFile: false, logLevel: 'error', build: target });
    assert.not(readFileSync(join(built, 'index.html'), 'utf8').includes('main.js'), 'it was not built');
    await inBrowser(built);
  });

  test(plainName, async () => {
    const served = join(workshop.folder, 'plain');
    cpSync(join(folder, 'node_modules/rimgrad'), join(served, 'rimgrad'), { recursive: true });
    const { exports } = JSON.parse(readFileSync(join(served, 'rimgrad/package.json'), 'utf8')) as Manifest;
    const fileOf = (name: string): string => {
      const { default: entry } = need(exports[name === '' ? '.' : `.${name}`], `an entry ${name}`);
      return `/rimgrad/${typeof entry === 'string' ? entry : entry.default}`.replace('/./', '/');
    };
    const plain = program.replace(/'rimgrad((?:\/\w+)?)'/g, (_, name: string) => `'${fileOf(name)}'`);
    writeFileSync(join(served, 'step.js'), plain);
    writeFileSync(
      join(served, 'index.html'),
      `<!doctype html><link rel="icon" href="data:,"><script type="module">${keeping.replace('./', '/')}</script>`,
    );
    await inBrowser(served);
  });
}

interface Manifest {
  readonly exports: Readonly<Record<string, { readonly default: string | { readonly default: string } }>>;
}

test.run();
