// Bundles the command line for the npm package: dist/bench/ with the packages that it is built on (commander, cli-progress,
// vega) becomes dist/cli/, so that the library itself depends on nothing. `npm pack` runs it (prepack).
//
// Always: what may be there or not stays outside (webgpu, the benchmark's peers, what drives a browser); a file is written only where it changed, and
// whole, so that two runs at once do no harm. The licences of what is inside lie beside it.
// Not here: the library, which is shipped as tsc wrote it.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = join(root, 'dist', 'cli');

/** Every script that is run by its path: the command line, and what it starts in processes of their own. */
const scripts = {
  rimgrad: 'dist/bench/rimgrad.js',
  cold: 'dist/bench/speed/cold.js',
  jax: 'dist/bench/speed/peers/jax.js',
  tfjs: 'dist/bench/speed/peers/tfjs.js',
};
/** Found where the user installed them, or not at all. */
const outside = [/^webgpu$/, /^playwright-core$/, /^@jax-js\//, /^@tensorflow\//, /^canvas$/];

const { output } = await build({
  root,
  configFile: false,
  publicDir: false,
  logLevel: 'warn',
  ssr: { noExternal: true },
  build: {
    ssr: true,
    write: false,
    target: 'node20',
    minify: 'oxc',
    license: { fileName: 'licences.md' },
    rollupOptions: {
      input: scripts,
      external: outside,
      output: { entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' },
    },
  },
});

const files = new Map(output.map((each) => [each.fileName, each.type === 'chunk' ? each.code : each.source]));
files.set('torch_step.py', readFileSync(join(root, 'bench/speed/peers/torch_step.py'), 'utf8'));
mkdirSync(target, { recursive: true });
for (const name of readdirSync(target)) if (!files.has(name) && !name.endsWith('.part')) rmSync(join(target, name));
for (const [name, content] of files) {
  const path = join(target, name);
  if (existsSync(path) && readFileSync(path, 'utf8') === String(content)) continue;
  writeFileSync(`${path}.${process.pid}.part`, content);
  renameSync(`${path}.${process.pid}.part`, path);
}
