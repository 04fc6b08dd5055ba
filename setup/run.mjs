// The door of every npm script: `node setup/run.mjs COMMAND [ARG ...]`. It makes sure of what the command needs (npm
// packages, build, WebGPU adapter), then runs it in a child process with the right environment and passes on
// arguments, signals and the exit code. Only Node's own modules are used, so that it runs on a bare clone.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { adapterMend, ensureAdapter, findAdapter } from './adapter.mjs';
import { ensureChromium, findChromium } from './browser.mjs';
import { build } from './build.mjs';
import { ensurePackages } from './packages.mjs';
import { root, SetupError, say } from './say.mjs';

const biome = 'node_modules/@biomejs/biome/bin/biome';

// `script` is run with `args` before the user's own, and node with `node` before it; `build`: dist/ must be built ('try': type
// errors are reported by the script itself); `adapter`: 'ensure' or only 'find'; `chromium` likewise.
const commands = {
  start: { script: 'dist/bench/main.js', build: true, adapter: 'ensure' },
  test: { script: 'dist/test/run.js', build: 'try', adapter: 'ensure', chromium: 'ensure' },
  doctor: { script: 'dist/bench/doctor.js', build: true, adapter: 'find', chromium: 'find' },
  golden: { script: 'dist/bench/golden.js', build: true, adapter: 'ensure' },
  gradcheck: { script: 'dist/bench/gradcheck.js', build: true, adapter: 'ensure', chromium: 'find' },
  search: { script: 'dist/bench/search.js', build: true, adapter: 'ensure' },
  bench: { script: 'dist/bench/speed/command.js', build: true, adapter: 'ensure' },
  soak: { script: 'dist/bench/soak/command.js', build: true, adapter: 'ensure', node: ['--expose-gc'] },
  fuzz: { script: 'dist/bench/fuzz/command.js', build: true },
  report: { script: 'dist/bench/report-command.js', build: true },
  kernels: { script: 'kernels/generate.mjs' },
  docs: { script: 'docs/reference.mjs' },
  build: { build: true },
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
  return run([...(command.node ?? []), join(root, command.script), ...(command.args ?? []), ...args], env);
}

/** Two lines that Dawn writes to stderr for every adapter of some drivers, and that tell a user nothing. */
const dawnNoise = /^Warning: maxDynamic\w+BuffersPerPipelineLayout artificially reduced/;

/** Runs node with `args`; resolves with its exit code (128 + n when signal n ended it). */
function run(args, env) {
  const child = spawn(process.execPath, ['--enable-source-maps', ...args], {
    env,
    stdio: ['inherit', 'inherit', 'pipe'],
  });
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (!dawnNoise.test(line)) process.stderr.write(`${line}\n`);
  });
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  process.on('SIGHUP', () => child.kill('SIGHUP'));
  process.on('SIGINT', () => {
    if (!process.stdin.isTTY) child.kill('SIGINT'); // a terminal has sent it to the child already
  });
  if (process.env.npm_lifecycle_event) {
    // npm's shell between us does not pass on a SIGTERM: it dies, which shows as another parent
    const shell = process.ppid;
    setInterval(() => process.ppid === shell || child.kill('SIGTERM'), 500).unref();
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(code ?? 128 + (constants.signals[signal] ?? 0)));
  });
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
