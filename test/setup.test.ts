// The set-up behind every npm script, as far as it can be tried without changing the machine: the reading of apt's
// sources, the packages that count as installed, the lock file, and its errors, which are one clear message each and
// never a stack trace. Installing a driver on a bare system is not tried here; .ci/run does it on a bare machine.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { skip } from './runtimes.ts';

interface AptEntry {
  readonly kind: string;
  readonly text: string;
  readonly suites: readonly string[];
}
interface Apt {
  aptEntries(etc: string): AptEntry[];
  backportsOf(entries: readonly AptEntry[], codename: string): AptEntry | undefined;
  hasApt(os: Readonly<Record<string, string>>): boolean;
}
interface Lock {
  packages: Record<string, { version?: string; resolved?: string; optionalDependencies?: Record<string, string> }>;
}

const root = fileURLToPath(new URL('../../', import.meta.url));
const setup = (file: string): string => new URL(`../../setup/${file}`, import.meta.url).href;
const { aptEntries, backportsOf, hasApt } = (await import(setup('apt.mjs'))) as Apt;
const { adapterMend } = (await import(setup('adapter.mjs'))) as { adapterMend(os: object): string };
const { packagesInstalled } = (await import(setup('packages.mjs'))) as { packagesInstalled(folder: string): boolean };

const test = suite<{ folder: string }>('setup');
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'rimgrad-test-'));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }));

test('backports come from the mirror of a one-line source', ({ folder }) => {
  writeFileSync(
    join(folder, 'sources.list'),
    '# deb http://old.example/debian bookworm main\ndeb-src http://m.example/debian bookworm main\n' +
      'deb [arch=amd64 signed-by=/k.gpg] http://m.example/debian bookworm main contrib\n' +
      'deb http://m.example/debian-security bookworm-security main\n',
  );
  const entries = aptEntries(folder);
  assert.equal(
    entries.map(({ suites }) => suites.join()),
    ['bookworm', 'bookworm-security'],
  );
  assert.is(
    backportsOf(entries, 'bookworm')?.text,
    'deb [arch=amd64 signed-by=/k.gpg] http://m.example/debian bookworm-backports main contrib',
  );
});

test('backports come from the mirror of a deb822 source, other vendors left alone', ({ folder }) => {
  const parts = join(folder, 'sources.list.d');
  mkdirSync(parts);
  writeFileSync(
    join(parts, 'debian.sources'),
    'Types: deb\n# a comment\nURIs: http://m.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n' +
      'Signed-By: /k.gpg\n\nTypes: deb\nURIs: http://m.example/security\nSuites: bookworm-security\n\n' +
      'Types: deb\nEnabled: no\nURIs: http://m.example/off\nSuites: bookworm\n',
  );
  writeFileSync(join(parts, 'vendor.list'), 'deb https://vendor.example/apt vendor-bookworm main\n');
  const entries = aptEntries(folder);
  assert.equal(entries.map(({ suites }) => suites.join()).sort(), [
    'bookworm,bookworm-updates',
    'bookworm-security',
    'vendor-bookworm',
  ]);
  assert.is(
    backportsOf(entries, 'bookworm')?.text,
    'Types: deb\nURIs: http://m.example/debian\nSuites: bookworm-backports\nComponents: main\nSigned-By: /k.gpg',
  );
  assert.is(backportsOf(entries, 'trixie'), undefined);
});

test('packages count as installed by version, other platforms apart', ({ folder }) => {
  const put = (path: string, packages: object): void => {
    mkdirSync(join(folder, 'node_modules'), { recursive: true });
    writeFileSync(join(folder, path), JSON.stringify({ packages }));
  };
  const wanted = {
    '': {},
    'node_modules/a': { version: '1.0.0' },
    'node_modules/b': { version: '2.0.0', optional: true },
  };
  put('package-lock.json', wanted);
  assert.not(packagesInstalled(folder), 'without node_modules');
  put('node_modules/.package-lock.json', { 'node_modules/a': { version: '1.0.0' } });
  assert.ok(packagesInstalled(folder));
  put('node_modules/.package-lock.json', { 'node_modules/a': { version: '1.0.1' } });
  assert.not(packagesInstalled(folder), 'another version');
  put('node_modules/.package-lock.json', { 'node_modules/b': { version: '2.0.0' } });
  assert.not(packagesInstalled(folder), 'a package less');
});

test('the lock file is complete for every platform and names no registry', () => {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lock;
  for (const [path, entry] of Object.entries(packages)) {
    assert.is(entry.resolved, undefined, path);
    if (path !== '') assert.ok(entry.version, `${path} has no version`);
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const locked = packages[`node_modules/${name}`]?.version;
      assert.ok(locked, `npm ci refuses a lock without ${name}`);
      if (/^\d/.test(version)) assert.is(locked, version, `npm ci refuses a lock with another ${name}`);
    }
  }
});

test('each system gets a command of its own', () => {
  assert.ok(hasApt({ ID: 'linuxmint', ID_LIKE: 'ubuntu debian' }) === (process.platform === 'linux'));
  assert.not(hasApt({ ID: 'fedora' }));
  if (process.platform !== 'linux') return;
  assert.match(adapterMend({ ID: 'debian' }), /^sudo ".*node.*" ".*adapter\.mjs"$/);
  assert.match(adapterMend({ ID: 'rocky', ID_LIKE: 'rhel centos fedora' }), /^sudo dnf install /);
  assert.match(adapterMend({ ID: 'arch' }), /^sudo pacman -S /);
  assert.match(adapterMend({}), /lavapipe/);
});

test('an unknown command is refused with the known ones', () => {
  const { status, stderr } = spawnSync(process.execPath, ['setup/run.mjs', 'nonsense'], {
    cwd: root,
    encoding: 'utf8',
  });
  assert.is(status, 1);
  assert.match(stderr, /^rimgrad: no command nonsense; there are start, test, .*\n$/);
});

test('the command in a checkout is what the sources become, and not a bundle of before', ({ folder }) => {
  cpSync(join(root, 'setup'), join(folder, 'setup'), { recursive: true });
  const put = (path: string, text: string): void => {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  put('package.json', '{ "type": "module" }');
  put('dist/cli/rimgrad.js', 'console.log("bundled")');
  put('dist/bench/rimgrad.js', 'console.log("stale")');
  put('setup/packages.mjs', 'export function ensurePackages() {}');
  const built = 'console.log("built")';
  put(
    'setup/build.mjs',
    `import { writeFileSync } from 'node:fs';
    export function build() { writeFileSync('dist/bench/rimgrad.js', ${JSON.stringify(built)}); return true; }`,
  );
  const command = (): string => {
    const { stdout, stderr } = spawnSync(process.execPath, ['setup/rimgrad.mjs'], { cwd: folder, encoding: 'utf8' });
    return stdout + stderr;
  };
  assert.is(command(), 'built\n');
  put('setup/build.mjs', 'export function build() { return false; }');
  assert.is(command(), 'rimgrad: the build failed (see above)\n');
  rmSync(join(folder, 'setup/build.mjs'));
  assert.is(command(), 'bundled\n', 'in the package');
});

const noAdapter = 'no adapter is one clear error';
if (process.platform !== 'linux') skip(test, noAdapter, 'only Linux lets a test hide the drivers');
else {
  test(noAdapter, ({ folder }) => {
    const nowhere = join(folder, 'none.json');
    const env = { ...process.env, VK_ICD_FILENAMES: nowhere, VK_DRIVER_FILES: nowhere };
    const { status, stderr } = spawnSync(process.execPath, ['setup/adapter.mjs'], { cwd: root, encoding: 'utf8', env });
    assert.is(status, 1);
    assert.match(stderr, /^rimgrad: no WebGPU adapter with the Vulkan driver that VK_ICD_FILENAMES.*\n$/);
  });
}

test.run();
