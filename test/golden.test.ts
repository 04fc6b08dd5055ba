// The golden check on the files that the project carries: all agree; every kind that the checker knows has a file; and it
// fails, with a line that says why, on a file with one value changed, of an unknown kind, cut short, or with a tensor too
// many or too few.

import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EXIT } from '../bench/command-line.ts';
import { runGolden } from '../bench/golden/command.ts';
import { GoldenFile } from '../bench/golden/file.ts';
import { kindOf, kinds } from '../bench/golden/kinds.ts';
import { need } from '../engine/errors.ts';
import { readSafetensors, type SafetensorsTensor, writeSafetensors } from '../engine/safetensors.ts';

const golden = fileURLToPath(new URL('../../test/golden/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'rimgrad-golden-'));
let folders = 0;

interface Ran {
  readonly code: number;
  readonly lines: readonly string[];
  readonly error: string;
}

async function run(...args: string[]): Promise<Ran> {
  const written = { stdout: '', stderr: '' };
  const sink = (name: keyof typeof written) => ({ write: (text: string) => (written[name] += text) });
  const code = await runGolden(args, { stdout: sink('stdout'), stderr: sink('stderr') });
  return { code, lines: written.stdout.trimEnd().split('\n'), error: written.stderr };
}

type Change = (tensors: Map<string, SafetensorsTensor>, metadata: Record<string, string>) => void;

/** A folder with changed copies of golden files. */
function changed(...files: readonly (readonly [file: string, change: Change])[]): string {
  const path = join(folder, String(folders++));
  mkdirSync(path);
  files.forEach(([file, change], i) => {
    const { tensors, metadata } = readSafetensors(readFileSync(join(golden, `${file}.safetensors`)));
    const copy = new Map(tensors);
    const texts = { ...metadata };
    change(copy, texts);
    writeFileSync(join(path, `${i}_${file}.safetensors`), writeSafetensors(copy, texts));
  });
  return path;
}

/** Changes one element of one tensor. */
function set(name: string, index: number, value: (before: number) => number): Change {
  return (tensors) => {
    const tensor = need(tensors.get(name), name);
    if (tensor.dtype !== 'F32' && tensor.dtype !== 'F64') throw new TypeError(tensor.dtype);
    tensor.data[index] = value(need(tensor.data[index], 'the element'));
  };
}

test('all files agree, and every kind is among them', async () => {
  const { code, lines, error } = await run(golden);
  assert.is(error, '');
  assert.is(code, EXIT.done, lines.join('\n'));
  const names = readdirSync(golden).filter((name) => name.endsWith('.safetensors'));
  assert.is(lines.length, names.length + 1);
  for (const line of lines.slice(0, -1)) assert.match(line, /^(ok {4}|record) /);
  assert.match(
    lines.at(-1) ?? '',
    new RegExp(`^${names.length} files: ${names.length - 1} agree, 1 for the record, 0 failed; `),
  );
  const found = names.map((name) => kindOf(new GoldenFile(name, readFileSync(join(golden, name)))).name);
  assert.equal(
    kinds.map(({ name }) => name).filter((name) => !found.includes(name)),
    [],
  );
});

test('one value off in any tensor is a failure that names the tensor', async () => {
  const off = (value: number): number => value + 0.01 * Math.max(1, Math.abs(value));
  const cases: readonly (readonly [string, string, number, (value: number) => number])[] = [
    ['subop_linear', 'out64.y', 7, off],
    ['subop_linear', 'out.y', 7, off],
    ['subop_linear', 'grad.param.weight', 3, off],
    ['subop_linear', 'grad64.input.x', 0, off],
    ['subop_linear', 'out64.loss', 0, () => Number.NaN],
    ['subop_adam', 'out64.m', 99, off],
    ['subop_select_dido', 'out.mask', 5, (value) => 1 - value],
    ['dido_lstm_step_inheads2', 'grad64.param.key.bias', 2, (value) => value + 1e-4],
    ['dido_lstm_train', 'out64.final.rim.rimcell.0.value.bias', 1, off],
    ['official_gru_step_read4', 'grad64.blk.weight_hh', 11, off],
    ['official_lstm_seq_zerostate', 'grad.input.cx0', 4, off],
    ['official_gru_train', 'out64.final.bc_lst.0.block_lstm.gru.weight_ih', 24, () => 0.01],
    ['paper_gru_train', 'out.grad_norm', 2, off],
    ['paper_lstm_step_dropvalues', 'grad64.out.in_context', 9, off],
  ];
  const { code, lines } = await run(
    changed(...cases.map(([file, tensor, index, value]) => [file, set(tensor, index, value)] as const)),
  );
  assert.is(code, EXIT.failed);
  for (const [i, [file, tensor]] of cases.entries()) {
    const at = lines.findIndex((line) => line.startsWith(`FAIL   ${i}_${file} `));
    assert.ok(at >= 0, `${file} passed with ${tensor} changed:\n${lines.join('\n')}`);
    assert.match(lines[at] ?? '', `, 1 off, largest error`);
    assert.match(lines[at + 1] ?? '', `! ${tensor} `);
  }
  assert.match(lines.at(-1) ?? '', `${cases.length} files: 0 agree, ${cases.length} failed`);
});

test('what is not known is a failure with its reason, and the other files are checked', async () => {
  const path = changed(
    ['subop_mse', (_, metadata) => Object.assign(metadata, { case: 'hinge loss' })],
    ['subop_mse', (_, metadata) => delete metadata.case],
    ['subop_mse', (tensors) => tensors.set('out.extra', need(tensors.get('out.loss'), 'loss'))],
    ['subop_mse', (tensors) => tensors.delete('grad.input.pred') && tensors.delete('grad64.input.pred')],
    ['subop_mse', (tensors) => tensors.delete('input.target')],
    ['paper_gru_step_nocomm', (_, metadata) => Object.assign(metadata, { cell: 'RNN' })],
    ['paper_gru_step_nocomm', (_, metadata) => Object.assign(metadata, { k: '9' })],
    ['paper_gru_step_nocomm', (_, metadata) => Object.assign(metadata, { hidden_size: '6' })],
    ['official_gru_step_read4', set('blk.weight_hh', 0, (value) => value + 1)],
    ['subop_embedding', (tensors) => setIndex(tensors, 'input.index', 99)],
    ['subop_mse', () => {}],
  );
  const whole = readFileSync(join(golden, 'subop_mse.safetensors'));
  writeFileSync(join(path, 'z_cut.safetensors'), whole.subarray(0, whole.length - 8));
  writeFileSync(join(path, 'z_foreign.safetensors'), 'no tensors at all, just words');
  writeFileSync(join(path, 'z_empty.safetensors'), '');
  copyFileSync(join(golden, 'README.md'), join(path, 'README.md'));
  const { code, lines, error } = await run(path);
  assert.is(code, EXIT.failed);
  assert.is(error, '');
  const expected: readonly (readonly [string, RegExp])[] = [
    ['0_subop_mse', /"hinge loss" is no kind of case that this checker knows/],
    ['10_subop_mse', /^ok/],
    ['1_subop_mse', /its metadata has no 'case'/],
    ['2_subop_mse', /"out\.extra"; they were not compared/],
    ['3_subop_mse', /no tensor 'grad\.input\.pred'/],
    ['4_subop_mse', /no tensor 'input\.target'/],
    ['5_paper_gru_step_nocomm', /'cell' is "RNN"; this checker knows LSTM, GRU/],
    ['6_paper_gru_step_nocomm', /9 modules cannot be active of 4/],
    ['7_paper_gru_step_nocomm', /does not fit the sizes in the metadata/],
    ['8_official_gru_step_read4', /'blk\.weight_hh' does not hold the blocks/],
    ['9_subop_embedding', /holds 99/],
    ['z_cut', /cut short/],
    ['z_empty', /0 bytes/],
    ['z_foreign', /is it a safetensors file/],
  ];
  assert.is(lines.length, expected.length + 1);
  for (const [i, [name, reason]] of expected.entries()) {
    const line = lines[i] ?? '';
    assert.match(line, name);
    assert.match(line, reason);
    assert.not.match(line, /a bug of rimgrad|\n\s+at /);
  }
});

function setIndex(tensors: Map<string, SafetensorsTensor>, name: string, value: number): void {
  const tensor = need(tensors.get(name), name);
  if (tensor.dtype === 'I32') tensor.data[0] = value;
}

test('the command line', async () => {
  const refused: readonly (readonly [string[], RegExp])[] = [
    [[], /missing required argument 'folder'/],
    [[golden, '--fliter', 'x'], /unknown option '--fliter'/],
    [[join(folder, 'nowhere')], /cannot be read \(ENOENT\)/],
    [[changed()], /has no \*\.safetensors files/],
    [[golden, '--filter', 'nothing like it'], /none of the \d+ files/],
  ];
  for (const [args, reason] of refused) {
    const { code, error } = await run(...args);
    assert.is(code, EXIT.usage);
    assert.match(error, reason);
    assert.is(error.trimEnd().split('\n').length, 1);
  }
  const help = await run('--help');
  assert.is(help.code, EXIT.done);
  assert.match(help.lines.join('\n'), '--verbose');

  const verbose = await run(golden, '--filter', 'dido_lstm_train', '--verbose');
  assert.is(verbose.code, EXIT.done);
  assert.match(verbose.lines.join('\n'), /out64\.final\.rim\.rimcell\.0\.key\.weight +48 elements {2}error /);
  assert.match(verbose.lines.join('\n'), /its final value is not compared/);

  const json = await run(golden, '--filter', 'subop_mse', '--json');
  const report: unknown = JSON.parse(json.lines.join('\n'));
  assert.ok(typeof report === 'object' && report !== null && 'ok' in report && 'files' in report);
  assert.is(report.ok, true);
  assert.ok(Array.isArray(report.files) && report.files.length === 1);
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
