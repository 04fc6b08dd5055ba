#!/usr/bin/env node
// The command `rimgrad` of the npm package: finds a WebGPU adapter for the commands that compute, then runs the command line
// (dist/cli/rimgrad.js) in a child process with the environment in which that adapter is found.
//
// Always: nothing is installed and nothing is changed; what is missing comes with the command that mends it. Help and errors of
// usage need no adapter. In a checkout, npm's scripts do more (run.mjs).
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { adapterMend, findAdapter } from './adapter.mjs';
import { findChromium } from './browser.mjs';
import { runNode } from './child.mjs';
import { say } from './say.mjs';

const cli = fileURLToPath(new URL('../dist/cli/rimgrad.js', import.meta.url));
const computing = ['train', 'eval', 'gradcheck', 'doctor', 'bench'];

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

process.stderr.on('error', () => {}); // nobody reads it any more
if (existsSync(cli)) {
  const args = process.argv.slice(2);
  process.exitCode = await runNode([cli, ...args], environment(args));
} else {
  say('this is a checkout: run npm start, npm run doctor and the like, or npm run bundle first');
  process.exitCode = 1;
}
