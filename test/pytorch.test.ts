// docs/pytorch/rimgrad_weights.py, on bytes alone (no torch): what it makes of the authors' parameters is what the golden
// checker reads them as, and gives the reference's outputs; from rimgrad to the authors' code and back the bytes are the same;
// what it does not know is refused in one line. Where there is no Python these tests are skips with its name.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GoldenFile } from '../bench/golden/file.ts';
import { officialLayout } from '../bench/golden/official.ts';
import { loadWeights } from '../bench/golden/rim-weights.ts';
import { at, need } from '../engine/errors.ts';
import {
  constant,
  embedding,
  evaluate,
  linear,
  loadVariables,
  readSafetensors,
  saveVariables,
  toFloat32,
  type Variable,
  variable,
  writeSafetensors,
} from '../engine/node.ts';
import { type CellOptions, makeRIM, presetOptions } from '../rims/index.ts';
import { close, onAdapter, theDevice } from './on-adapter.ts';
import { skip } from './runtimes.ts';

onAdapter(test);
const root = fileURLToPath(new URL('../../', import.meta.url));
const script = join(root, 'docs/pytorch/rimgrad_weights.py');
const folder = mkdtempSync(join(tmpdir(), 'rimgrad-pytorch-'));
test.after(() => rmSync(folder, { recursive: true }));

const python = ['python3', 'python'].find((name) => spawnSync(name, ['-c', 'import json']).status === 0);
const withPython = (name: string, run: () => Promise<void>): void => {
  if (python === undefined) skip(test, name, 'there is no python3');
  else test(name, run);
};

/** Runs the script on bytes. */
function convert(command: string, bytes: Uint8Array, ...options: string[]): { bytes: Uint8Array; error: string } {
  const [source, target] = [join(folder, 'source.safetensors'), join(folder, 'target.safetensors')];
  writeFileSync(source, bytes);
  const { status, stderr } = spawnSync(need(python, 'python'), [script, command, ...options, source, target], {
    encoding: 'utf8',
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
  });
  if (status !== 0) return { bytes: new Uint8Array(), error: stderr };
  return { bytes: readFileSync(target), error: stderr };
}

const goldenBytes = (name: string): Uint8Array => readFileSync(join(root, 'test/golden', `${name}.safetensors`));

/** The parameters of a golden file, by the authors' names. */
function parametersOf(name: string): Uint8Array {
  const { tensors } = readSafetensors(goldenBytes(name), name);
  const own = [...tensors].filter(([key]) => key.startsWith('param.'));
  return writeSafetensors(new Map(own.map(([key, tensor]) => [key.slice('param.'.length), tensor])));
}

for (const [name, prefix] of [
  ['official_gru_train', 'bc_lst.0.'],
  ['official_lstm_seq_zerostate', ''],
  ['official_gru_step_read4', ''],
] as const) {
  withPython(`from-official reads ${name} as the golden checker does`, async () => {
    const { bytes, error } = convert('from-official', parametersOf(name));
    assert.is(error, '');
    const file = new GoldenFile(name, goldenBytes(name));
    const layout = officialLayout(file, prefix);
    const cellOf = (): ReturnType<typeof makeRIM> => makeRIM(layout.options, { seed: 0 });
    const [mine, theirs] = [cellOf(), cellOf()];
    loadVariables(bytes, mine.variables, { partial: true });
    loadWeights(file, prefix, at(theirs.cells, 0).weights, layout);
    assert.equal(await valuesOf(mine.variables), await valuesOf(theirs.variables));
  });
}

withPython('a RIM with weights from the authors’ code gives the reference’s logits', async () => {
  const name = 'official_gru_train';
  const file = new GoldenFile(name, goldenBytes(name));
  const { options } = officialLayout(file, 'bc_lst.0.');
  const model = modelOf(options, 20);
  loadVariables(convert('from-official', parametersOf(name)).bytes, model.variables);
  const [, T = 0, B = 0] = file.shape('input.tokens', 3);
  const tokens = constant(file.indices('input.tokens').slice(0, T * B), [T, B]);
  const h = variable('h', file.floats('input.hx0'), [B, options.modules, options.hiddenSize]);
  const { hidden } = model.rim(model.embed(tokens), { state: [{ h }] });
  const { logits } = await evaluate(theDevice(), { logits: model.readout(hidden) });
  close(logits, file.floats('out.logits_step0'), 1e-4);
});

for (const cell of ['lstm', 'gru'] as const) {
  withPython(`there and back the bytes are the same, ${cell}`, async () => {
    const options = presetOptions('official', { inputSize: 3, hiddenSize: 2, modules: 4, active: 2, cell });
    const { variables } = modelOf(options, 5);
    const bytes = await saveVariables(variables);
    const official = convert('to-official', bytes);
    assert.is(official.error, '');
    const dense = need(
      readSafetensors(official.bytes).tensors.get(`bc_lst.0.block_lstm.${cell}.weight_hh`),
      'the recurrent matrix',
    );
    assert.equal(dense.shape, [(cell === 'lstm' ? 4 : 3) * 8, 8]);
    assert.is(toFloat32(dense).filter((x) => x !== 0).length, dense.data.length / 4, 'blocks alone');
    assert.equal(new Uint8Array(convert('from-official', official.bytes).bytes), bytes);

    const core = variables.filter((each) => each.name.startsWith('rim.'));
    const coreBytes = await saveVariables(core);
    const blocks = convert('to-official', coreBytes, '--core');
    assert.ok(readSafetensors(blocks.bytes).tensors.has('mha.fc.weight'), blocks.error);
    assert.equal(new Uint8Array(convert('from-official', blocks.bytes).bytes), coreBytes);
  });
}

withPython('what it does not know is refused in one line', async () => {
  const options = presetOptions('paper', { inputSize: 3, hiddenSize: 2, modules: 3, active: 2 });
  const paper = await saveVariables(modelOf(options, 5).variables);
  const lineOf = (command: string, bytes: Uint8Array): string => convert(command, bytes).error.trimEnd();
  assert.match(lineOf('to-official', paper), /^rimgrad_weights: 'rim.key' has .*give weights of RIM.official.*$/);
  assert.match(lineOf('from-official', paper), /^rimgrad_weights: there is no 'inp_att.GLN_qs.w'; .*$/);
  assert.match(lineOf('to-official', Uint8Array.of(1, 2, 3)), /^rimgrad_weights: .* is no safetensors file .*$/);
  const more = await saveVariables([
    ...modelOf({ ...presetOptions('official', { inputSize: 3, hiddenSize: 2, modules: 3, active: 2 }) }, 5).variables,
    variable('adam.m', [0], [1]),
  ]);
  assert.match(lineOf('to-official', more), /^rimgrad_weights: .*nothing like 'adam.m'.*$/);
});

/** Embedding, RIM and readout, by the names that layers take by themselves. */
function modelOf(options: CellOptions, tokens: number) {
  const embed = embedding({ tokens, size: options.inputSize }, { seed: 1 });
  const rim = makeRIM(options, { seed: 2 });
  const readout = linear({ from: options.modules * options.hiddenSize, to: tokens }, { seed: 3, name: 'readout' });
  return { embed, rim, readout, variables: [...embed.variables, ...rim.variables, ...readout.variables] };
}

async function valuesOf(variables: readonly Variable[]): Promise<unknown> {
  return Promise.all(variables.map(async (each) => [each.name, [...(await each.read())]]));
}

test.run();
