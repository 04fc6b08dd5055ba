// Disks that fail a run: a process killed at every single file system call of a checkpoint, a disk that is full and then is not, files
// that may not grow, a folder that cannot be written. The last good checkpoint stays, what could not be written is told with the mend,
// and the run goes on to the same bytes.

import { execFileSync, spawnSync } from 'node:child_process';
import fs, { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { NotFlushedError, readBytes, writeAtomically } from '../bench/disk.ts';
import { readMnistFolder } from '../bench/mnist-files.ts';
import { RunFolder, readRun, readRunCheckpoint, readRunConfig } from '../bench/runs.ts';
import { hold } from '../bench/tables/hold.ts';
import { type TrainJob, trainJob } from '../bench/train.ts';
import { readProgress } from '../bench/training-state.ts';
import { FileError, need } from '../engine/errors.ts';
import { bytesOf, mainJob, random, sameRuns, tinyRIM } from './tiny-training.ts';

const test = suite('disk', { out: '' });

test.before.each((context) => {
  context.out = mkdtempSync(join(tmpdir(), 'rimgrad-disk-'));
});
test.after.each((context) => {
  rmSync(context.out, { recursive: true, force: true });
});

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const posix = process.platform !== 'win32';

test('killed at any file system call: the old checkpoint or the new one, and the metrics that it counts', ({ out }) => {
  const crash = (folder: string, n: number) =>
    spawnSync(process.execPath, [file('crash.js'), folder, `${n}`], { encoding: 'utf8' });
  const calm = crash(join(out, 'calm'), 0);
  const calls = calm.stdout.trim().split(' ');
  const folder = posix ? ['open', 'fsync', 'close'] : [];
  const wanted = ['write', 'fsync', 'open', 'write', 'fsync', 'close', 'rename', ...folder];
  assert.equal(calls, wanted, `flushed before it is renamed, and the folder after: ${calm.stderr}`);
  const found: number[] = [];
  for (let n = 1; n <= calls.length; n++) {
    const where = join(out, `${n}`);
    const { signal, stdout } = crash(where, n);
    if (posix) assert.is(signal, 'SIGKILL', `at ${n}, ${calls[n - 1]}: ${stdout}`);
    const path = join(where, 'a');
    const { record, weights } = need(readRunCheckpoint(path), 'a checkpoint');
    assert.equal(weights.tensors.get('w')?.data, new Float32Array(1000).fill(Number(record.told)));
    found.push(Number(record.told));
    const { folder, metrics } = RunFolder.reopen(path, Number(record.told), readRunConfig(path));
    folder.close();
    assert.is(metrics.length, record.told);
    assert.equal(readdirSync(path).sort(), ['checkpoint.safetensors', 'config.json', 'metrics.jsonl'], 'remains');
    assert.equal(readRun(path).metrics, metrics);
  }
  const renamed = calls.indexOf('rename') + 1;
  assert.equal(
    found,
    calls.map((_, i) => (i < renamed ? 1 : 2)),
  );
});

const args = [...tinyRIM, ...random, '--steps', '60', '--evaluate-every', '20', '--checkpoint-every', '10'];

/** A trainer that calls `at` after each step that is told. */
function watched(at: (step: number) => void): TrainJob {
  return (options, events, from) => {
    const onStep: typeof events.onStep = (step) => {
      events.onStep(step);
      at(step.step);
    };
    return trainJob(options, { ...events, onStep }, from);
  };
}

/** A file system of its own of so many KiB; undefined where this may not mount one. */
function smallDisk(path: string, KiB: number): (() => void) | undefined {
  mkdirSync(path, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${KiB}k`, 'tmpfs', path], { stdio: 'ignore' });
  } catch {
    console.log('no tmpfs may be mounted here: limits on the size of files take its place');
    return undefined;
  }
  return () => {
    execFileSync('umount', ['-l', path], { stdio: 'ignore' });
  };
}

/** Fills a disk to its last byte. */
function fill(path: string): void {
  for (const KiB of [1024, 64, 8, 4, 1]) {
    for (let i = 0; ; i++) {
      try {
        writeFileSync(join(path, `filler-${KiB}-${i}`), new Uint8Array(1024 * KiB));
      } catch {
        break;
      }
    }
  }
}

function unfill(path: string): void {
  for (const name of readdirSync(path)) if (name.startsWith('filler')) rmSync(join(path, name));
}

const stepOf = (path: string): number | undefined =>
  readProgress(need(readRunCheckpoint(path), 'a checkpoint')).models[0]?.step;

test('a full disk is told of, the training goes on, and what waits is written when there is room', async ({ out }) => {
  const disk = join(out, 'disk');
  const unmount = smallDisk(disk, 512);
  if (unmount === undefined) return;
  try {
    const whole = join(out, 'a');
    await mainJob([...args, '--out', out, '--name', 'a']);
    const path = join(disk, 'a');
    const passing = await mainJob(
      [...args, '--out', disk, '--name', 'a'],
      watched((step) => {
        if (step === 20) fill(disk);
        if (step === 50) {
          assert.is(stepOf(path), 10, 'the last good one');
          unfill(disk);
        }
      }),
    );
    assert.is(passing.code, 0, passing.stderr);
    assert.match(
      passing.stderr,
      /^rimgrad: .*checkpoint\.safetensors: the disk is full; free some space\. The training goes on; /m,
    );
    sameRuns(path, whole);
    assert.is(stepOf(path), 60);
    // And one that stays full: the end of the run is an error, its last good checkpoint is there, and it goes on from it.
    const lasting = await mainJob(
      [...args, '--out', disk, '--name', 'a', '--force'],
      watched((step) => {
        if (step === 30) fill(disk);
      }),
    );
    assert.is(lasting.code, 1);
    assert.match(lasting.stderr, /\nrimgrad: .*: the disk is full; free some space\n$/);
    // It trained all the same: its results are told, and the config has its last word in room that was kept for it.
    assert.match(lasting.stdout, /\nAccuracy\n[\s\S]* 5 [^\n]*\n[\s\S]*\nWhat there is lies in .*\n$/);
    const { status, note } = readRunConfig(path);
    assert.is(status, 'failed');
    assert.match(note ?? '', /: the disk is full; free some space$/);
    assert.equal(remains(path), []);
    assert.is(stepOf(path), 20);
    unfill(disk);
    assert.is((await mainJob(['--resume', path])).code, 0);
    sameRuns(path, whole);
  } finally {
    unmount();
  }
});

const remains = (path: string): string[] => readdirSync(path).filter((name) => name.endsWith('.part'));

test('a run folder that is removed while it is used is told of once and made anew', async ({ out }) => {
  const path = join(out, 'runs', 'a');
  await mainJob([...args, '--out', out, '--name', 'a']);
  const removing = (when: number): TrainJob =>
    watched((step) => {
      if (step === when) rmSync(join(out, 'runs'), { recursive: true });
    });
  for (const when of [20, 60]) {
    // Between two checkpoints, and at the end.
    const { code, stderr } = await mainJob([...args, '--out', join(out, 'runs'), '--name', 'a'], removing(when));
    assert.is(code, 0, stderr);
    assert.is(
      stderr,
      `rimgrad: ${path}: the run folder was removed while it was in use. It is made anew, with all figures\n`,
    );
    sameRuns(path, join(out, 'a'), `removed at ${when}`);
    assert.is(readRunConfig(path).status, 'finished');
    assert.is(stepOf(path), 60);
    rmSync(path, { recursive: true });
  }
});

test('a run never writes into the folder of another that has taken its place', async ({ out }) => {
  const path = join(out, 'a');
  const { code, stdout, stderr } = await mainJob(
    [...args, '--out', out, '--name', 'a'],
    watched((step) => {
      if (step !== 30) return;
      const config = readRunConfig(path);
      rmSync(path, { recursive: true });
      RunFolder.create({ out, name: 'a' }, { ...config, started: '2026-01-31T23:59:59.000Z' }).close();
    }),
  );
  assert.is(code, 1);
  assert.match(stderr, /^rimgrad: .*a: another run has taken the place of this one; move that one away\. The training/);
  assert.match(stdout, /\nAccuracy\n/);
  assert.equal(readdirSync(path).sort(), ['config.json', 'metrics.jsonl']);
  assert.is(readRun(path).metrics.length, 0);
});

if (process.platform === 'linux') {
  test('where no folder can be made, the run is refused at once, and its folder named', async ({ out }) => {
    const refused = async (folder: string, said: RegExp): Promise<void> => {
      const { code, stderr } = await mainJob([...args, '--out', folder, '--name', 'a']);
      assert.is(code, 1);
      assert.match(stderr, said);
    };
    // The recursive mkdir of Node 20 would try without end.
    await refused('/proc/x/y', /^rimgrad: \/proc\/x: no folder can be made there; give another one with --out\n$/);
    const disk = join(out, 'disk');
    const unmount = smallDisk(disk, 512);
    if (unmount === undefined) return;
    try {
      await mainJob([...args, '--out', disk, '--name', 'old', '--steps', '10']);
      execFileSync('mount', ['-o', 'remount,ro', disk]);
      await refused(
        join(disk, 'runs', 'new'),
        /^rimgrad: .*disk: the file system is read-only; give another folder with --out\n$/,
      );
      const resumed = await mainJob(['--resume', join(disk, 'old'), '--steps', '20']);
      assert.is(resumed.code, 1);
      const mend = 'the file system is read-only; copy the run to a folder that can be written';
      assert.match(resumed.stderr, new RegExp(`^rimgrad: .*old(/[a-z.]*)?: ${mend}\n$`));
    } finally {
      unmount();
    }
  });
}

test('what is only read is not told of with the mends of writing', ({ out }) => {
  const name = join(out, 't10k-images-idx3-ubyte');
  mkdirSync(name);
  writeFileSync(join(out, 't10k-labels-idx1-ubyte'), 'x');
  assert.throws(
    () => readMnistFolder(out),
    /t10k-images-idx3-ubyte: it is a folder where a file is wanted; name another/,
  );
  assert.throws(() => readBytes(join(name, 'x')), /x: no such file or folder; name another$/);
});

if (posix) {
  test('files that may not grow: told with the mend, and the last good checkpoint stays', ({ out }) => {
    // 16 blocks of 512 bytes: room for the config, the metrics and a small checkpoint.
    const line = [`ulimit -f 16; exec "$0" "$@"`, process.execPath, file('limited.js'), out];
    const { status, stderr } = spawnSync('sh', ['-c', ...line], { encoding: 'utf8' });
    assert.is(status, 1, stderr);
    const mend = 'files may not be as large here; raise the limit \\(ulimit -f\\), or give another folder with --out';
    assert.match(
      stderr,
      new RegExp(`^rimgrad: .*a/checkpoint\\.safetensors: ${mend}\\. The training goes on; the last`, 'm'),
    );
    assert.match(stderr, new RegExp(`\nrimgrad: .*a/report\\.html: ${mend}\n$`));
    assert.is(stderr.split('\n').length, 3, stderr);
    const path = join(out, 'a');
    assert.is(need(readRunCheckpoint(path), 'a checkpoint').record.told, 1);
    assert.is(readRun(path).metrics.length, 2);
    assert.equal(remains(path), []);
  });
}

/** Does something while calls of the file system are others. */
async function patched<T>(
  calls: Partial<Pick<typeof fs, 'fsyncSync' | 'ftruncateSync' | 'writeSync'>>,
  act: () => T,
): Promise<Awaited<T>> {
  const { fsyncSync, ftruncateSync, writeSync } = fs;
  Object.assign(fs, calls);
  syncBuiltinESMExports();
  try {
    return await act();
  } finally {
    Object.assign(fs, { fsyncSync, ftruncateSync, writeSync });
    syncBuiltinESMExports();
  }
}

const ioError = (): Error => Object.assign(new Error('it was made to fail'), { code: 'EIO' });

test('on a full disk nobody holds a cell that cannot be held', async ({ out }) => {
  const full = (): never => {
    throw Object.assign(new Error('it was made to fail'), { code: 'ENOSPC' });
  };
  await patched({ writeSync: full }, () => assert.throws(() => hold(out, 'cell'), /the disk is full; free some space/));
  assert.equal(readdirSync(out), []);
  const held = need(hold(out, 'cell'), 'a hold');
  held.release();
});

test('a run that goes on says so before its last lines are cut away', async ({ out }) => {
  await mainJob([...args, '--out', out, '--name', 'a']);
  const path = join(out, 'a');
  const { config, metrics } = readRun(path);
  assert.is(config.status, 'finished');
  const lines = metrics.length - 2;
  const { ftruncateSync } = fs;
  const killed = (file: number, length?: number): void => {
    ftruncateSync(file, length);
    throw ioError();
  };
  const reopen = (): unknown => RunFolder.reopen(path, lines, { ...config, status: 'running' });
  await patched({ ftruncateSync: killed }, () => assert.throws(reopen, /the file system answers EIO/));
  assert.is(readRun(path).metrics.length, lines, 'cut');
  assert.is(readRunConfig(path).status, 'running', 'not the whole run that it was any more');
});

if (posix) {
  test('a folder that cannot be flushed: the new file is there, and nobody says that the old one is', async ({
    out,
  }) => {
    const { fsyncSync } = fs;
    const target = join(out, 'file');
    let failing = true;
    const failingOnFolders = (file: number): void => {
      if (failing && fs.fstatSync(file).isDirectory()) throw ioError();
      fsyncSync(file);
    };
    writeAtomically(target, 'old');
    await patched({ fsyncSync: failingOnFolders }, () => {
      assert.throws(
        () => writeAtomically(target, 'new'),
        (error: unknown) =>
          error instanceof NotFlushedError &&
          /file: it is written, but a power cut may undo that.*\(.*the file system answers EIO\)$/.test(error.message),
      );
    });
    assert.is(bytesOf(out, 'file'), 'new');
    failing = false;
    const job = watched((step) => {
      failing = step >= 10 && step < 40;
    });
    const { code, stderr } = await patched({ fsyncSync: failingOnFolders }, () =>
      mainJob([...args, '--out', out, '--name', 'a'], job),
    );
    assert.is(code, 0, stderr);
    assert.match(
      stderr,
      /^(rimgrad: .*checkpoint\.safetensors: it is written, but a power cut .* The training goes on\n)+$/,
    );
  });
}

test('what cannot be written is refused with the file and the mend, and the old content stays', ({ out }) => {
  const refused = (path: string, message: RegExp): void => {
    try {
      writeAtomically(path, 'new');
    } catch (error) {
      assert.instance(error, FileError);
      assert.match(String(error), message);
      return;
    }
    assert.unreachable(`${path} was written`);
  };
  const folder = join(out, 'folder');
  mkdirSync(folder);
  const target = join(folder, 'checkpoint.safetensors');
  writeAtomically(target, 'old');
  mkdirSync(join(folder, `.checkpoint.safetensors.${process.pid}.part`));
  refused(target, /checkpoint\.safetensors: a folder is in the way of a file; move it away/);
  rmSync(join(folder, `.checkpoint.safetensors.${process.pid}.part`), { recursive: true });
  const root = process.getuid?.() === 0;
  const unmount = root ? smallDisk(folder, 64) : undefined;
  if (unmount !== undefined) {
    writeAtomically(target, 'old');
    execFileSync('mount', ['-o', 'remount,ro', folder]);
    try {
      refused(target, /the file system is read-only; give another folder with --out/);
      assert.is(bytesOf(folder, 'checkpoint.safetensors'), 'old');
    } finally {
      unmount();
    }
  }
  if (posix && !root) {
    chmodSync(folder, 0o555);
    refused(target, /permission denied; give another folder with --out, or change its permissions/);
    chmodSync(folder, 0o755);
  }
  assert.is(bytesOf(folder, 'checkpoint.safetensors'), 'old');
  assert.equal(readdirSync(folder), ['checkpoint.safetensors']);
  refused(join(target, 'x'), /not a folder|a part of the path is a file/);
});

test.run();
