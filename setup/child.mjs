// Runs a Node script as a child process, as npm's scripts and the package's command both do: arguments, signals and the exit
// code are passed on, stdin and stdout are its own, and stderr comes through without what Dawn writes of itself.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { createInterface } from 'node:readline';

/** Two lines that Dawn writes to stderr for every adapter of some drivers, and that tell a user nothing. */
const dawnNoise = /^Warning: maxDynamic\w+BuffersPerPipelineLayout artificially reduced/;

/** Runs node with `args` and `env`, its stdout ours; resolves with its exit code (128 + n when signal n ended it). */
export function runNode(args, env) {
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
