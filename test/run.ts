// The test runner behind `npm test`: runs every dist/test/**/*.test.js in a process of its own, two at a time, and
// with them the linter and the type checks, one test each. Arguments pick files by part of their name. A file that
// crashes, hangs, does not end by itself or tests nothing is a failure. The last line is `N passed, N failed`
// (`, N skipped`); with CI set in the environment a skip fails. It asserts nothing itself.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Job {
  readonly name: string;
  readonly args: readonly string[];
  readonly uvu: boolean;
}

interface Outcome {
  passed: number;
  failed: number;
  skipped: number;
  /** Why the file as a whole failed, beyond its failing tests. */
  trouble: string;
}

const root = fileURLToPath(new URL('../../', import.meta.url));
const tests = fileURLToPath(new URL('.', import.meta.url));
const FILE_LIMIT = 15 * 60_000; // ms a file may take
const EXIT_LIMIT = 15_000; // ms between a file's summary and its end

const children = new Set<ReturnType<typeof spawn>>();

function jobs(filters: readonly string[]): Job[] {
  const tsc = 'node_modules/typescript/bin/tsc';
  const checks: Job[] = [
    { name: 'lint', args: ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings'], uvu: false },
    ...['tsconfig.json', 'tsconfig.core.json'].map((file) => ({
      name: `types (${file})`,
      args: [tsc, '-p', file, '--noEmit'],
      uvu: false,
    })),
  ];
  const files = readdirSync(tests, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js'))
    .toSorted()
    .map((file) => ({ name: file.replace(/\.js$/, ''), args: ['--enable-source-maps', join(tests, file)], uvu: true }));
  return [...checks, ...files].filter(
    ({ name }) => filters.length === 0 || filters.some((part) => name.includes(part)),
  );
}

/** Reads the last summary that uvu printed: total, passed, skipped; undefined when there is none. */
function summary(output: string): { total: number; passed: number; skipped: number } | undefined {
  const found = [...output.matchAll(/^ {2}Total: +(\d+)\n {2}Passed: +(\d+)\n {2}Skipped: +(\d+)\n/gm)].at(-1);
  return found && { total: Number(found[1]), passed: Number(found[2]), skipped: Number(found[3]) };
}

function judge(job: Job, output: string, code: number | null, stopped: string): Outcome {
  if (!job.uvu) return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0, trouble: stopped };
  const counts = summary(output);
  if (!counts) return { passed: 0, failed: 1, skipped: 0, trouble: stopped || `ended (${code}) without a summary` };
  const { total, passed, skipped } = counts;
  const failed = total - passed;
  const empty = total + skipped === 0 ? 'has no test' : '';
  const crash = failed === 0 && code !== 0 ? `ended with ${code} after its summary` : '';
  const trouble = stopped || empty || crash;
  return { passed, failed: failed + (trouble ? 1 : 0), skipped, trouble };
}

function run(job: Job): Promise<void> {
  const started = performance.now();
  const child = spawn(process.execPath, job.args, {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0', NODE_NO_WARNINGS: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  let output = '';
  let stopped = '';
  const stopAfter = (ms: number, why: string): NodeJS.Timeout =>
    setTimeout(() => {
      stopped ||= why;
      child.kill('SIGKILL');
    }, ms);
  const limit = stopAfter(FILE_LIMIT, `stopped after ${FILE_LIMIT / 60_000} minutes`);
  let exitLimit: NodeJS.Timeout | undefined;
  const collect = (text: string): void => {
    output += text;
    if (job.uvu && summary(output)) {
      exitLimit ??= stopAfter(EXIT_LIMIT, `still running ${EXIT_LIMIT / 1000} s after its summary: dispose the device`);
    }
  };
  child.stdout.setEncoding('utf8').on('data', collect);
  child.stderr.setEncoding('utf8').on('data', collect);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(limit);
      clearTimeout(exitLimit);
      children.delete(child);
      report(job, judge(job, output, code, stopped), output, (performance.now() - started) / 1000);
      resolve();
    });
  });
}

const sum: Outcome = { passed: 0, failed: 0, skipped: 0, trouble: '' };

function report(job: Job, outcome: Outcome, output: string, seconds: number): void {
  sum.passed += outcome.passed;
  sum.failed += outcome.failed;
  sum.skipped += outcome.skipped;
  const skipped = outcome.skipped > 0 ? `, ${outcome.skipped} skipped` : '';
  const count = outcome.failed > 0 ? `${outcome.passed} passed, ${outcome.failed} FAILED` : `${outcome.passed} passed`;
  console.log(`${outcome.failed > 0 ? 'FAIL' : 'ok  '} ${job.name}: ${count}${skipped} (${seconds.toFixed(1)} s)`);
  const lines = output.trimEnd().split('\n');
  const shown = outcome.failed > 0 ? lines : lines.filter((line) => line.startsWith('skip: '));
  for (const line of shown) console.log(`     ${line}`);
  if (outcome.trouble) console.log(`     ${job.name} ${outcome.trouble}`);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    for (const child of children) child.kill('SIGKILL');
    process.exit(signal === 'SIGINT' ? 130 : 143);
  });
}

const filters = process.argv.slice(2);
const queue = jobs(filters);
if (!queue.some((job) => job.uvu) && filters.length === 0) queue.length = 0; // linting alone is no test run
if (queue.length === 0) {
  console.log(filters.length > 0 ? `no test file has a name with ${filters.join(' or ')}` : 'there are no tests');
  sum.failed += 1;
}
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
console.log(`rimgrad ${version}: ${queue.length} test files and checks from ${relative(process.cwd(), tests) || '.'}`);
const workers = Array.from({ length: Math.min(2, availableParallelism()) }, async () => {
  for (let job = queue.shift(); job; job = queue.shift()) await run(job);
});
await Promise.all(workers);
const strict = Boolean(process.env.CI) && sum.skipped > 0;
if (strict) console.log('CI is set: a skipped test fails');
console.log(`${sum.passed} passed, ${sum.failed} failed${sum.skipped > 0 ? `, ${sum.skipped} skipped` : ''}`);
process.exitCode = sum.failed > 0 || strict ? 1 : 0;
