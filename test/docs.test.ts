// The documents are true: every public symbol has a docstring and every type of a public signature is exported (typedoc finds
// nothing to warn of), and the code of the guides and of README.md is type-checked and runs to its end.
// What the programs print is for readers; where one must not be wrong, it throws.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, guides } from './guides.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
// Within the package, so that `rimgrad` is its own name there.
const folder = join(root, 'dist', 'guides');

/** Runs node in the repository; what it wrote, and how it ended. */
function node(...args: string[]): { readonly output: string; readonly status: number | null } {
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  return { output: stdout + stderr, status };
}

test('the reference: every public symbol is documented', () => {
  const out = mkdtempSync(join(tmpdir(), 'rimgrad-docs-'));
  try {
    const { output, status } = node('docs/reference.mjs', out);
    assert.is(output, '');
    assert.is(status, 0);
    for (const page of ['modules/rimgrad.html', 'classes/rimgrad.Program.html', 'documents/first-steps.html']) {
      assert.ok(existsSync(join(out, page)), `there is no ${page}`);
    }
  } finally {
    rmSync(out, { recursive: true });
  }
});

test('code is taken from a page as a reader would type it', () => {
  const page = 'text\n```ts\nconst a = 1;\n```\n```sh\nls\n```\n    const no = 1;\n```ts\nconst b = 2;\n```\n';
  const { code, language, blocks } = codeOf(page);
  assert.is(blocks, 2);
  assert.is(language, 'ts');
  assert.equal(code.split('\n').filter(Boolean), ['const a = 1;', 'const b = 2;']);
  assert.is(code.split('\n').indexOf('const b = 2;'), page.split('\n').indexOf('const b = 2;'));
});

const pages = guides();

test('the guides pass the type checks', () => {
  assert.ok(pages.length >= 6, `only ${pages.map(({ page }) => page).join(', ')} have code`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const { file, code } of pages) writeFileSync(join(folder, file), code);
  const compilerOptions = {
    target: 'es2023',
    module: 'nodenext',
    lib: ['es2023', 'esnext.disposable', 'dom'],
    types: ['@webgpu/types', 'node'],
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    allowJs: true,
    rootDir: '.',
    outDir: 'out',
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.mts', '*.mjs'] }));
  assert.is(node('node_modules/typescript/bin/tsc', '-p', folder).output, '');
});

for (const { page, file, blocks } of pages) {
  test(`${page}: its ${blocks} blocks run`, () => {
    const { output, status } = node(join(folder, 'out', file.replace(/\.mts$/, '.mjs')));
    assert.is(status, 0, output);
    assert.ok(output.length > 0, 'it prints nothing');
  });
}

test.run();
