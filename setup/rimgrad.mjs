#!/usr/bin/env node
// The command `rimgrad` of the npm package: finds a WebGPU adapter for the commands that compute, then runs the command line
// (dist/cli/rimgrad.js) in a child process with the environment in which that adapter is found. In a checkout it is the command
// line as the sources have it: built first, as for npm's scripts (run.mjs), and not bundled.
//
// Always: the machine is not changed, and the package installs nothing; what is missing comes with the command that mends it. Help
// and errors of usage need no adapter.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { adapterMend, findAdapter } from './adapter.mjs';
import { findChromium } from './browser.mjs';
import { runNode } from './child.mjs';
import { SetupError, say } from './say.mjs';

const computing = ['train', 'eval', 'table', 'gradcheck', 'doctor', 'bench'];

function bindingInstalled() {
  try {
    import.meta.resolve('webgpu');
    return true;
  } catch {
    return false;
  }
}

/** The environment of the command. */
function environment([name, ...args]) {
  const env = { ...process.env };
  if (!computing.includes(name) || args.some((arg) => arg === '-h' || arg === '--help')) return env;
  if (name === 'gradcheck' || name === 'doctor') env.RIMGRAD_CHROMIUM = findChromium() ?? '';
  if (!bindingInstalled()) {
    env.RIMGRAD_MEND = `npm install webgpu; without installing it: npx -p webgpu -p rimgrad rimgrad ${name}`;
    return env;
  }
  const found = findAdapter();
  Object.assign(env, found.env);
  if (!found.adapter) env.RIMGRAD_MEND = found.problem ?? adapterMend();
  return env;
}

/** Its script: in the package the bundle, in a checkout (which alone has the build) what the sources become. */
async function commandLine() {
  const here = (path) => fileURLToPath(new URL(path, import.meta.url));
  if (!existsSync(here('build.mjs'))) return here('../dist/cli/rimgrad.js');
  const [{ ensurePackages }, { build }] = await Promise.all([import('./packages.mjs'), import('./build.mjs')]);
  ensurePackages();
  if (!build()) throw new SetupError('the build failed (see above)');
  return here('../dist/bench/rimgrad.js');
}

process.stderr.on('error', () => {}); // nobody reads it any more
try {
  const args = process.argv.slice(2);
  process.exitCode = await runNode([await commandLine(), ...args], environment(args));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
