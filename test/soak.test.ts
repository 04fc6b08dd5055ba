// The long run: 1,000 steps of the command that `npm run soak` is, in a process of its own, keep heap, bytes and objects; and
// the questions are questions: samples that grow, and a training that makes something at each step, are found out.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FEWEST_SAMPLES, FIELDS, type Field, judge, type Sample, Samples } from '../bench/soak/samples.ts';
import { soak } from '../bench/soak/soak.ts';
import { at } from '../engine/errors.ts';
import { openDevice } from '../engine/node.ts';

const command = fileURLToPath(new URL('../bench/soak/command.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'rimgrad-soak-'));

function run(...args: string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  return spawnSync(process.execPath, ['--expose-gc', command, ...args], { encoding: 'utf8' });
}

test('1,000 steps keep heap, bytes and objects', () => {
  const out = join(folder, 'soak.json');
  const { status, stdout, stderr } = run('--steps', '1000', '--every', '25', '--out', out);
  assert.is(status, 0, stdout + stderr);
  const { ok, findings, samples } = JSON.parse(readFileSync(out, 'utf8')) as {
    ok: boolean;
    findings: { ok: boolean }[];
    samples: Sample[];
  };
  assert.ok(ok && findings.length === 7 && findings.every((finding) => finding.ok));
  assert.is(samples.length, 40);
  assert.ok(at(samples, 39).loss < 0.8 * at(samples, 0).loss, 'it learned nothing: was anything trained?');
  assert.ok(at(samples, 39).asked > 100 && at(samples, 39).gpuBytes > 100_000);
});

test('a short run takes its samples more often by itself, and one that is too short says so', () => {
  const out = join(folder, 'short.json');
  const { stdout, stderr } = run('--steps', '60', '--out', out);
  const { every, samples } = JSON.parse(readFileSync(out, 'utf8')) as { every: number; samples: Sample[] };
  assert.equal([every, samples.length], [Math.floor(60 / FEWEST_SAMPLES), Math.floor(60 / every)], stdout + stderr);
  const none = run('--steps', `${FEWEST_SAMPLES - 1}`);
  assert.is(none.status, 2);
  assert.match(none.stderr, /it needs \d+; raise --steps or lower --every\n$/);
});

/** Samples of a run in which nothing grows but what `value` says, by the share of the run that is over. */
function sampled(field: Field, value: (share: number) => number): readonly Sample[] {
  const samples = new Samples(40);
  for (let i = 0; i < 40; i++) {
    const sample = Object.fromEntries(FIELDS.map((each) => [each, 1000])) as Record<Field, number>;
    sample[field] = value(i / 39);
    samples.add(sample);
  }
  return samples.all();
}

test('each question finds what it asks for, and nothing else', () => {
  const failed = (samples: readonly Sample[]): string[] =>
    judge(samples).flatMap(({ ok, what }) => (ok ? [] : [what.split(' ')[0] ?? '']));
  assert.equal(failed(sampled('resident', (share) => 1000 + 500 * share)), [], 'the process as a whole is not judged');
  assert.equal(failed(sampled('heap', (share) => 1000 + 35 * share)), [], '1.7 %');
  assert.equal(failed(sampled('heap', (share) => 1000 + 50 * share)), ['heap'], '2.4 %');
  assert.equal(failed(sampled('heap', (share) => 1000 - 50 * share)), ['heap']);
  assert.equal(failed(sampled('heap', (share) => (share < 0.2 ? 500 : 1000))), [], 'a warm-up');
  assert.equal(failed(sampled('heap', (share) => (share === 1 ? 9000 : 1000))), [], 'one sample');
  assert.equal(failed(sampled('gpuBytes', (share) => (share > 0.9 ? 1001 : 1000))), ['bytes']);
  assert.equal(failed(sampled('gpuPeak', (share) => (share > 0.9 ? 1001 : 1000))), ['their']);
  assert.equal(failed(sampled('gpuBuffers', (share) => (share > 0.9 ? 1001 : 1000))), ['buffers']);
  assert.equal(failed(sampled('created', (share) => (share > 0.9 ? 1001 : 1000))), ['objects']);
  assert.equal(failed(sampled('asked', (share) => (share > 0.9 ? 1001 : 1000))), ['objects']);
  assert.equal(failed(sampled('loss', (share) => (share > 0.9 ? Number.NaN : 1))), ['every']);
  assert.equal(failed(sampled('loss', () => 1).slice(0, 7)), ['enough']);
});

test('a training that makes something at each step is found out', async () => {
  const device = await openDevice();
  try {
    const kept: Float64Array[] = [];
    const leak = (step: number): void => {
      kept.push(new Float64Array(2000).fill(step));
      device.bindGroup(device.gpu.createBindGroupLayout({ entries: [] }), []);
      if (step % 8 === 0) device.buffer('leak', 16, 128);
    };
    const samples = await soak(device, { steps: 32, every: 4 }, { collect: () => {}, onStep: leak });
    const found = judge(samples).filter(({ ok }) => !ok);
    for (const what of ['bytes on', 'their peak', 'buffers on', 'objects that the engine', 'objects that the device']) {
      assert.ok(
        found.some((finding) => finding.what.startsWith(what)),
        what,
      );
    }
    assert.ok(at(samples, 7).external > at(samples, 0).external);
  } finally {
    device.dispose();
  }
});

test('the command line', () => {
  assert.match(run('--help').stdout, /--steps <n>/);
  for (const [args, message] of [
    [['--steps', '100', '--every', '50'], /give 2 samples, and it needs 8; raise --steps or lower --every/],
    [['--steps', 'x'], /Give a whole number/],
    [['--what'], /there is no option '--what'/],
  ] as const) {
    const { status, stderr } = run(...args);
    assert.is(status, 2, stderr);
    assert.match(stderr, message);
    assert.is(stderr.trimEnd().split('\n').length, 1);
  }
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
