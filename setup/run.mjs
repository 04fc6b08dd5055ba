// The door of every npm script: `node setup/run.mjs COMMAND [ARG ...]`. It makes sure of what the command needs (npm
// packages, build, WebGPU adapter), then runs it in a child process with the right environment and passes on
// arguments, signals and the exit code. Only Node's own modules are used, so that it runs on a bare clone.
import { join } from 'node:path';
import { adapterMend, ensureAdapter, findAdapter } from './adapter.mjs';
import { ensureChromium, findChromium } from './browser.mjs';
import { build } from './build.mjs';
import { runNode } from './child.mjs';
import { ensureNewestNode } from './newest-node.mjs';
import { ensurePackages } from './packages.mjs';
import { root, SetupError, say } from './say.mjs';

const biome = 'node_modules/@biomejs/biome/bin/biome';
const cli = 'dist/bench/rimgrad.js';

// `script` is run with `args` before the user's own, and node with `node` before it; `build`: dist/ must be built ('try': type
// errors are reported by the script itself); `adapter`: 'ensure' or only 'find'; `chromium` likewise.
const commands = {
  start: { script: cli, args: ['train'], build: true, adapter: 'ensure' },
  test: { script: 'dist/test/run.js', build: 'try', adapter: 'ensure', chromium: 'ensure', newestNode: true },
  doctor: { script: cli, args: ['doctor'], build: true, adapter: 'find', chromium: 'find' },
  golden: { script: 'dist/bench/golden.js', build: true, adapter: 'ensure' },
  gradcheck: { script: cli, args: ['gradcheck'], build: true, adapter: 'ensure', chromium: 'find' },
  demo: { script: 'dist/demo/command.js', args: ['serve'], build: true },
  'demo:build': { script: 'dist/demo/command.js', args: ['build'], build: true },
  search: { script: 'dist/bench/search.js', build: true, adapter: 'ensure' },
  bench: { script: cli, args: ['bench'], build: true, adapter: 'ensure' },
  eval: { script: cli, args: ['eval'], build: true, adapter: 'ensure' },
  report: { script: cli, args: ['report'], build: true },
  table: { script: cli, args: ['table'], build: true, adapter: 'ensure' },
  soak: { script: 'dist/bench/soak/command.js', build: true, adapter: 'ensure', node: ['--expose-gc'] },
  fuzz: { script: 'dist/bench/fuzz/command.js', build: true },
  kernels: { script: 'kernels/generate.mjs' },
  docs: { script: 'docs/reference.mjs' },
  build: { build: true },
  bundle: { script: 'bench/bundle.mjs', build: true },
  lint: { script: biome, args: ['check'] },
  format: { script: biome, args: ['check', '--write'] },
};

async function main([name, ...args]) {
  const command = Object.hasOwn(commands, name ?? '') ? commands[name] : undefined;
  if (!command) throw new SetupError(`no command ${name ?? ''}; there are ${Object.keys(commands).join(', ')}`);
  ensurePackages();
  if (command.build === 'try') build({ quiet: true });
  else if (command.build && !build()) throw new SetupError('the build failed (see above)');
  if (!command.script) return 0;
  const env = { ...process.env };
  if (command.adapter) {
    const found = command.adapter === 'ensure' ? ensureAdapter() : findAdapter();
    Object.assign(env, found.env);
    if (!found.adapter) env.RIMGRAD_MEND = found.problem ?? adapterMend();
  }
  if (command.chromium)
    env.RIMGRAD_CHROMIUM = (command.chromium === 'ensure' ? ensureChromium() : findChromium()) ?? '';
  if (command.newestNode) env.RIMGRAD_NEWEST_NODE = ensureNewestNode() ?? '';
  // What help calls the command: this is how it was called here. Tests call commands as users do.
  if (name !== 'test') env.RIMGRAD_CALLED = name === 'start' ? 'npm start --' : `npm run ${name} --`;
  return runNode([...(command.node ?? []), join(root, command.script), ...(command.args ?? []), ...args], env);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
