// The package as npm packs it: what lies in it, its types under three compilers, its size in a bundle, that importing it does
// nothing, what two linters of packages say, and dry runs of publishing it to npm and to JSR. Nothing here needs a network or an
// adapter. Running it is the consumers' test.

import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from 'vite';
import { need } from '../engine/errors.ts';
import { ended, npm, output, root, tool, userEnvironment, Workshop } from './packed.ts';
import { denoScript, skip } from './runtimes.ts';

/** Bytes of a bundle that a browser downloads with gzip. What README says follows it. */
const LIMITS = { everything: 96_000, training: 82_000 };
const test = suite('the package');
const workshop = new Workshop();

interface Manifest {
  readonly version: string;
  readonly license: string;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies?: object;
}

let tarball = '';
let consumer = '';
let inside = '';
test.before(async () => {
  tarball = await workshop.pack();
  consumer = await workshop.consumer('consumer', tarball);
  inside = join(consumer, 'node_modules', 'rimgrad');
});
test.after(() => workshop.clear());

function read<T>(...path: string[]): T {
  return JSON.parse(readFileSync(join(...path), 'utf8')) as T;
}

/** Files of the installed package, with slashes. */
function files(pattern: RegExp): string[] {
  return readdirSync(inside, { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => pattern.test(file));
}

/** Bundles a program for browsers as Vite does, minified. */
async function bundled(name: string, program: string): Promise<string> {
  const input = join(consumer, `${name}.js`);
  writeFileSync(input, program);
  const result = await build({
    root: consumer,
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      target: 'es2022',
      modulePreload: false,
      rollupOptions: { input, preserveEntrySignatures: 'strict' },
    },
  });
  const [first] = Array.isArray(result) ? result : [result];
  if (first === undefined || !('output' in first)) throw new Error('Vite gave no bundle');
  return first.output.map((each) => (each.type === 'chunk' ? each.code : '')).join('');
}

test('every page that its README links to is in it', () => {
  const links = [...readFileSync(join(inside, 'README.md'), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g)];
  assert.ok(links.length > 5);
  for (const [, page] of links) assert.ok(existsSync(join(inside, page ?? '')), `${page} is missing`);
});

test('it holds the library with its types and maps, the command line, and nothing of the tests', () => {
  const top = new Set(files(/./).map((file) => file.split('/').slice(0, 2).join('/')));
  for (const name of ['README.md', 'LICENSE', 'CHANGELOG.md', 'dist/engine', 'dist/cli', 'setup/rimgrad.mjs'])
    assert.ok(top.has(name), `${name} is missing`);
  assert.equal(files(/(^|\/)(test|golden|demo|speed)\/|tsbuildinfo|\.part$|(?<!\.d)\.ts$/), []);
  for (const file of files(/^dist\/(?!cli\/).*\.js$/)) {
    assert.ok(existsSync(join(inside, file.replace(/\.js$/, '.d.ts'))), `${file} has no types`);
    const { sourcesContent } = read<{ sourcesContent?: readonly (string | null)[] }>(inside, `${file}.map`);
    assert.ok(
      sourcesContent?.every((text) => text),
      `${file}.map has no sources`,
    );
  }
  assert.ok(statSync(join(inside, 'setup/rimgrad.mjs')).mode & 0o100 || process.platform === 'win32');
  assert.match(readFileSync(join(inside, 'dist/cli/licences.md'), 'utf8'), /## commander [\s\S]*## vega /);
});

test('it depends on nothing: only the Node entry names the binding, and all other imports are relative files', () => {
  assert.is(read<Manifest>(inside, 'package.json').dependencies, undefined);
  const bare: string[] = [];
  for (const file of files(/^dist\/(?!cli\/).*\.js$/)) {
    const code = readFileSync(join(inside, file), 'utf8').replace(/^\s*(\/\/|\*|\/\*).*$/gm, '');
    for (const [, from = ''] of code.matchAll(/(?<!['"])\b(?:from|import)\s*\(?\s*['"]([^'"\n]+)['"]/g)) {
      if (!from.startsWith('.')) bare.push(`${file}: ${from}`);
      else assert.ok(existsSync(join(inside, file, '..', from)), `${file}: there is no ${from}`);
    }
  }
  assert.equal(bare, ['dist/engine/node.js: webgpu']);
});

test('there is one version, and npm and JSR have the same entries', () => {
  const manifest = read<Manifest>(root, 'package.json');
  const jsr = read<Manifest>(root, 'jsr.json');
  assert.equal([jsr.version, jsr.license], [manifest.version, manifest.license]);
  const entries = Object.keys(manifest.exports).filter((name) => name !== './package.json');
  assert.equal(Object.keys(jsr.exports).sort(), entries.sort());
  for (const [name, source] of Object.entries(jsr.exports)) {
    const built = String(source).replace(/^\.\/(.*)\.ts$/, './dist/$1.js');
    assert.ok(JSON.stringify(manifest.exports[name]).includes(`"${built}"`), `${name} is not ${built} in package.json`);
    assert.ok(existsSync(join(inside, built)), built);
  }
  assert.is(manifest.scripts.prepack, 'node setup/run.mjs bundle');
});

test('publint and attw find nothing', async () => {
  const options = { cwd: consumer, env: userEnvironment() };
  const [lint, types] = await Promise.all([
    ended(process.execPath, [tool('publint/src/cli.js'), 'run', tarball, '--strict'], options),
    ended(process.execPath, [tool('@arethetypeswrong/cli/dist/index.js'), tarball, '--profile', 'esm-only'], options),
  ]);
  assert.ok(lint.code === 0 && lint.stdout.includes('All good!'), lint.stdout + lint.stderr);
  assert.is(types.code, 0, types.stdout + types.stderr);
});

test('its types hold on TypeScript 6 and 7 with nothing else, and on 5.9 with @webgpu/types', async () => {
  writeFileSync(join(consumer, 'step.ts'), readFileSync(join(root, 'test/consumers/step.ts')));
  const checks: Promise<void>[] = [];
  for (const [compiler, types] of [
    ['typescript-5', [tool('@webgpu/types')]],
    ['typescript-6', []],
    ['typescript', []],
  ] as const) {
    for (const [module, moduleResolution] of [
      ['nodenext', 'nodenext'],
      ['esnext', 'bundler'],
    ] as const) {
      const file = join(consumer, `tsconfig.${compiler}.${module}.json`);
      // es2022 has no Symbol.dispose of its own: the package brings the reference.
      const strict = { strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false, noEmit: true };
      const compilerOptions = { ...strict, target: 'es2022', lib: ['es2022', 'dom'], types, module, moduleResolution };
      writeFileSync(file, JSON.stringify({ compilerOptions, files: ['step.ts'] }));
      const check = ended(process.execPath, [tool(`${compiler}/bin/tsc`), '-p', file], { cwd: consumer });
      checks.push(check.then(({ code, stdout }) => assert.is(code, 0, `${compiler}, ${module}: ${stdout}`)));
    }
  }
  await Promise.all(checks);
});

test('importing does nothing: no output, no global, and nothing left of it in a bundle', async () => {
  const entries = Object.keys(read<Manifest>(root, 'package.json').exports).filter((name) => !name.endsWith('.json'));
  const names = entries.map((name) => name.replace('.', 'rimgrad'));
  const imports = names.map((name) => `import * as ${name.replace(/\W/g, '_')} from '${name}';`).join('\n');
  assert.is((await bundled('unused', imports)).trim(), '', 'an unused import leaves code in a bundle');
  const watching = `const before = new Set(Reflect.ownKeys(globalThis));
    for (const name of ${JSON.stringify(names)}) await import(name);
    console.log(Reflect.ownKeys(globalThis).filter((key) => !before.has(key)).length);`;
  writeFileSync(join(consumer, 'watching.mjs'), watching);
  const { code, stdout, stderr } = await ended(process.execPath, ['watching.mjs'], { cwd: consumer });
  assert.equal([code, stdout, stderr], [0, '0\n', '']);
});

test('it is small', async () => {
  const program = readFileSync(join(root, 'README.md'), 'utf8').match(/```js\n(import \{ adam[\s\S]*?)```/)?.[1];
  const codes = {
    everything: await bundled('everything', "export * from 'rimgrad';\nexport * from 'rimgrad/rims';\n"),
    training: await bundled('training', need(program, 'the program in README.md')),
  };
  for (const [name, limit] of Object.entries(LIMITS)) {
    const code = codes[name as keyof typeof LIMITS];
    const bytes = gzipSync(code, { level: 9 }).length;
    const brotli = brotliCompressSync(code).length;
    console.log(
      `size of ${name}: ${bytes} bytes gzipped (limit ${limit}), ${brotli} with brotli, ${code.length} plain`,
    );
    assert.ok(bytes <= limit, `${name}: ${bytes} bytes gzipped, more than ${limit}`);
    assert.ok(bytes > limit / 2, `${name}: ${bytes} bytes gzipped is less than half of the limit: lower it`);
    assert.not.match(code, /\bwebgpu['"`]\)/, 'the Node binding is in a bundle for browsers');
  }
});

test('npm would publish it', async () => {
  const said = await npm(['publish', '--dry-run', '--ignore-scripts', '--json', tarball], consumer);
  assert.match(said, /"name": "rimgrad"/);
});

const deno = denoScript();
if (deno === undefined) skip(test, 'JSR would publish it', 'the npm package deno is not installed');
else {
  test('JSR would publish it, with types that need no inference', async () => {
    const home = join(workshop.folder, 'deno');
    mkdirSync(home);
    const env = userEnvironment({ DENO_DIR: home, DENO_NO_UPDATE_CHECK: '1' });
    const args = [deno, 'publish', '--dry-run', '--allow-dirty', '--config', 'jsr.json'];
    const { code, stdout, stderr } = await ended(process.execPath, args, { cwd: root, env });
    assert.ok(code === 0 && /Dry run complete/.test(stdout + stderr), stdout + stderr);
    assert.not.match(stdout + stderr, /warning/i);
    assert.not.match(stdout + stderr, /engine\/node\.ts|\/test\//);
  });
}

test('a consumer without the Node binding is told what to install', async () => {
  const program =
    "import { openDevice } from 'rimgrad';\nawait openDevice().catch((error) => console.log(String(error)));\n";
  writeFileSync(join(consumer, 'bare.mjs'), program);
  assert.match(
    await output(process.execPath, ['bare.mjs'], { cwd: consumer }),
    /^DeviceError: .*npm install webgpu\n$/,
  );
});

test.run();
