// A training killed with SIGKILL at 40 drawn moments and resumed each time ends with the bytes and the figures of one that was never
// disturbed. Half of the moments are drawn in time, from the start of a process to about its first steps; half are the n-th time that
// the system reports a change in the run's folder: these land in the middle of the writing of a checkpoint. The seed is printed;
// RIMGRAD_SEED=N draws the same moments again, though what a process has done by then differs.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, type FSWatcher, mkdirSync, mkdtempSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readRun, readRunCheckpoint } from '../bench/runs.ts';
import { at } from '../engine/errors.ts';
import { uniformArray } from '../engine/random.ts';
import { random, sameRuns, tiny } from './tiny-training.ts';

const seed = Number(process.env.RIMGRAD_SEED ?? Date.now() % 1_000_000_007);
console.log(`kills drawn from seed ${seed} (RIMGRAD_SEED=${seed} draws them again)`);

const KILLS = 40;
/** Most changes in the folder before a kill; a checkpoint makes about five. */
const CHANGES = 50;
/** Trainings that are killed at the same time, each in turn. */
const CHAINS = 2;
const rimgrad = fileURLToPath(new URL('../bench/rimgrad.js', import.meta.url));
const args = [
  ...[
    ...tiny,
    ...random,
    '--select',
    'validation',
    '--test-batches',
    '1',
    '--steps',
    '100',
    '--evaluate-every',
    '40',
    '--checkpoint-every',
    '1',
  ],
];

/** How a process ended: its code, or undefined where it was killed. */
interface Ended {
  readonly code: number | undefined;
  readonly stderr: string;
}

/** Runs the main job, and calls `begun` once it is started. */
function job(line: readonly string[], begun: (child: ChildProcess) => void = () => {}): Promise<Ended> {
  const child = spawn(process.execPath, [rimgrad, 'train', ...line], { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  begun(child);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const ended = signal === 'SIGKILL' ? undefined : (code ?? -1);
      resolve({ code: ended, stderr });
    });
  });
}

/** Starts or resumes the run in a folder, kills it at a moment, and says whether it was killed before it was finished. */
async function killed(out: string, moment: number, byChanges: boolean, usual: number): Promise<boolean> {
  const path = join(out, 'a');
  const begun = existsSync(join(path, 'config.json'));
  let timer: NodeJS.Timeout | undefined;
  let watcher: FSWatcher | undefined;
  const { code, stderr } = await job(
    begun ? ['--resume', 'a', '--out', out] : [...args, '--name', 'a', '--out', out],
    (child) => {
      const kill = (): void => {
        child.kill('SIGKILL');
      };
      if (byChanges && begun) {
        let left = 1 + Math.floor(CHANGES * moment);
        watcher = watch(path, () => {
          if (--left === 0) kill();
        });
      } else timer = setTimeout(kill, moment * usual);
    },
  );
  clearTimeout(timer);
  watcher?.close();
  assert.ok(code === undefined || code === 0, `ended with ${code}: ${stderr}`);
  if (!existsSync(join(path, 'config.json'))) return true;
  // At any moment: a run that can be read, and a checkpoint that is whole or was never written.
  readRunCheckpoint(path);
  const { config } = readRun(path);
  // It may be killed behind its last word, too.
  if (config.status === 'finished') assert.ok(existsSync(join(path, 'report.html')), 'finished without a report');
  return config.status !== 'finished';
}

if (process.platform !== 'win32') {
  test(`${KILLS} kills, and the bytes of a training that was left alone`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rimgrad-kill-'));
    try {
      const whole = join(folder, 'whole');
      const began = performance.now();
      let usual = Number.POSITIVE_INFINITY;
      let looking: NodeJS.Timeout | undefined;
      const { code, stderr } = await job([...args, '--name', 'a', '--out', whole], () => {
        looking = setInterval(() => {
          if (existsSync(join(whole, 'a', 'checkpoint.safetensors')))
            usual = Math.min(usual, performance.now() - began);
        }, 20);
      });
      clearInterval(looking);
      assert.is(code, 0, stderr);
      const moments = uniformArray(2 * KILLS, { seed, stream: 40 });
      let [attempts, kills, runs] = [0, 0, 0];
      const chain = async (): Promise<void> => {
        while (kills < KILLS) {
          const out = join(folder, `run${runs++}`);
          mkdirSync(out);
          let finished = false;
          while (kills < KILLS && !finished) {
            const attempt = attempts++ % KILLS;
            finished = !(await killed(out, at(moments, 2 * attempt), at(moments, 2 * attempt + 1) < 0.5, usual));
            if (!finished) kills++;
          }
          if (!finished) {
            const last = await job(['--resume', 'a', '--out', out]);
            // Killed before there was a run: then there is none to resume.
            if (existsSync(join(out, 'a', 'config.json'))) assert.is(last.code, 0, last.stderr);
            else continue;
          }
          sameRuns(join(out, 'a'), join(whole, 'a'));
        }
      };
      await Promise.all(Array.from({ length: CHAINS }, chain));
      assert.ok(kills >= KILLS, `${kills} kills`);
      console.log(`${kills} kills over ${runs} trainings`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

test.run();
