// A process that writes a run's metrics and checkpoint and is killed at the n-th file system call of that: where it is a write, in
// the middle of it. The entry of a child process of disk.test.ts: `node crash.js FOLDER N`; it prints the calls where N is 0. The calls
// are counted from the first line that is appended to the end of `writeCheckpoint`.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import type { RunConfig } from '../bench/run-config.ts';
import { RunFolder } from '../bench/runs.ts';
import { saveCheckpoint, variable } from '../engine/node.ts';
import { factsFor } from './made-task.ts';

const [folder = '', at = '0'] = process.argv.slice(2);

/** The metrics and the checkpoint of a run after `step` steps. */
async function write(run: RunFolder, step: number): Promise<void> {
  run.append({ kind: 'train', model: 'RIM', step, loss: 1 / step, figures: { accuracy: 0 }, seconds: step });
  const weights = variable('w', new Float32Array(1000).fill(step), [1000]);
  run.writeCheckpoint(await saveCheckpoint([weights], { told: step }));
}

const config: RunConfig = {
  task: await factsFor(),
  started: '2026-01-31T23:59:59.000Z',
  status: 'running',
  adapter: 'an adapter',
  runtime: 'Node',
  parameters: {},
  options: {},
};
const run = RunFolder.create({ out: folder, name: 'a' }, config);
await write(run, 1);

const calls: string[] = [];
const real = { ...fs };
const die = (): never => {
  process.kill(process.pid, 'SIGKILL');
  for (;;);
};
const counted = <A extends unknown[], R>(name: string, call: (...args: A) => R, half?: (...args: A) => void) => {
  return (...args: A): R => {
    calls.push(name);
    if (calls.length === Number(at)) {
      half?.(...args);
      die();
    }
    return call(...args);
  };
};
Object.assign(fs, {
  openSync: counted('open', real.openSync),
  fsyncSync: counted('fsync', real.fsyncSync),
  closeSync: counted('close', real.closeSync),
  renameSync: counted('rename', real.renameSync),
  writeSync: counted(
    'write',
    (file: number, bytes: Uint8Array, from: number, length: number, position: number) =>
      real.writeSync(file, bytes, from, length, position),
    (file, bytes, from, length, position) => {
      real.writeSync(file, bytes, from, length >> 1, position);
    },
  ),
});
syncBuiltinESMExports();
await write(run, 2);
const { openSync, fsyncSync, closeSync, renameSync, writeSync } = real;
Object.assign(fs, { openSync, fsyncSync, closeSync, renameSync, writeSync });
syncBuiltinESMExports();
console.log(calls.join(' '));
run.close();
