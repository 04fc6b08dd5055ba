// Installs the npm packages of package-lock.json when they are not there: `npm ci`, once. Whether they are there is
// decided by content (every locked package is installed at its locked version), never by file times, so a checkout,
// a copied folder or a hand-run `npm ci` all count. It never changes package-lock.json.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, SetupError, say } from './say.mjs';

/** True when node_modules holds what package-lock.json names; packages for other platforms may be absent. */
export function packagesInstalled(folder = root) {
  const record = join(folder, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return false;
  const wanted = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8')).packages;
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages;
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    if (path === '') return true;
    return path in installed ? installed[path].version === version : optional === true;
  });
}

/** Makes sure of the packages; runs `npm ci` if need be. */
export function ensurePackages() {
  if (packagesInstalled()) return;
  say('installing the npm packages (npm ci)');
  const options = ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = process.env.npm_execpath;
  const output = { cwd: root, encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] };
  const done = npm
    ? spawnSync(process.execPath, [npm, ...options], output)
    : spawnSync('npm', options, { ...output, shell: process.platform === 'win32' });
  if (done.status === 0) return;
  const why = `${done.error?.message ?? done.stderr}`.trim().split('\n').slice(0, 12).join('\n  ');
  throw new SetupError(`npm ci failed:\n  ${why}`);
}
