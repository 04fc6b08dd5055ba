// Builds dist/ with tsc, incrementally and file for file, and removes outputs whose source is gone: what lies in
// dist/ always mirrors the sources, dist/cli/ apart, which bench/bundle.mjs keeps. It never bundles. It returns whether the types check; tsc writes its output
// either way, so that the tests can report a type error as one failure among the others.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { root, say } from './say.mjs';

const dist = join(root, 'dist');
const outputs = /(\.d\.ts|\.js|\.js\.map)$/;

function removeStale() {
  if (!existsSync(dist)) return;
  for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !outputs.test(entry.name)) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (/^cli[\\/]/.test(relative(dist, path))) continue;
    if (!existsSync(join(root, relative(dist, path)).replace(outputs, '.ts'))) rmSync(path);
  }
}

/** Compiles the sources into dist/; true when tsc reports no error. Its messages go to stderr, unless `quiet`. */
export function build({ quiet = false } = {}) {
  removeStale();
  if (!existsSync(dist)) say('building');
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const output = quiet ? 'ignore' : 2;
  return spawnSync(process.execPath, [tsc, '-p', root], { cwd: root, stdio: ['ignore', output, output] }).status === 0;
}
