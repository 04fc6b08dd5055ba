// Variables to a safetensors file and back, those of a RIM on a device among them; and every file that does not fit, which must
// leave all Variables as they were.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, FileError, need, OptionError } from '../engine/errors.ts';
import {
  type Data,
  evaluate,
  input,
  loadVariables,
  RandomState,
  readSafetensors,
  saveVariables,
  type Variable,
  variable,
  writeSafetensors,
} from '../engine/node.ts';
import { normalArray } from '../engine/random.ts';
import type { SafetensorsTensor } from '../engine/safetensors.ts';
import { RIM } from '../rims/index.ts';
import { isError, onAdapter, rejects, theDevice } from './on-adapter.ts';

onAdapter(test);

const bits = (data: Data): number[] => [...new Uint32Array(data.buffer, data.byteOffset, data.length)];
const valuesOf = async (variables: readonly Variable[]): Promise<number[][]> =>
  (await Promise.all(variables.map((each) => each.read()))).map(bits);

/** Three Variables of both dtypes, with other values for each start. */
function model(start: number): Variable[] {
  return [
    variable('a.weight', [start, -0, 2.5, 1e-30, start / 3, 6], [2, 3]),
    variable('a.bias', [start], []),
    variable('steps', new Uint32Array([start, 4294967295]), [2]),
  ];
}

/** Expects a refused file, and that nothing was written. */
async function refused(
  bytes: Uint8Array,
  variables: readonly Variable[],
  parts: readonly string[],
  options = {},
): Promise<void> {
  const before = await valuesOf(variables);
  try {
    loadVariables(bytes, variables, options);
    assert.unreachable(`nothing was refused; expected ${parts.join(', ')}`);
  } catch (error) {
    assert.instance(error, FileError, String(error));
    for (const part of parts) assert.ok(String(error).includes(part), `'${part}' is not in: ${String(error)}`);
  }
  assert.equal(await valuesOf(variables), before);
}

test('saved and loaded values are the same to the bit', async () => {
  const [from, to] = [model(7), model(1)];
  const bytes = await saveVariables(from, { model: 'test' });
  assert.equal(loadVariables(bytes, to), ['a.weight', 'a.bias', 'steps']);
  assert.equal(await valuesOf(to), await valuesOf(from));
  assert.equal(
    await saveVariables(to.toReversed(), { model: 'test' }),
    bytes,
    'equal values give equal bytes, in any order',
  );
  assert.is(readSafetensors(bytes).metadata.model, 'test');
});

test("a RIM's weights move to another RIM by a file: the same outputs to the bit", async () => {
  const random = new RandomState({ seed: 3 });
  const options = { inputSize: 3, hiddenSize: 4, modules: 3, active: 2, layers: 2, initialState: 'learned' } as const;
  // Both with a random state: what draws from one and what does not may take different ways to the same numbers.
  const [first, second] = [
    RIM.official(options, { seed: 1, dropout: random }),
    RIM.official(options, { seed: 2, dropout: random }),
  ];
  const feeds = { x: normalArray(2 * 2 * 3, { seed: 5, stream: 0 }) };
  const hidden = async (rim: typeof first): Promise<Data> =>
    (await evaluate(theDevice(), { y: rim(input('x', [2, 2, 3])).hidden }, feeds)).y;
  const [expected, other] = [await hidden(first), await hidden(second)];
  assert.not.equal(bits(other), bits(expected));
  // Both live on the device by now.
  const bytes = await saveVariables([...first.variables, ...random.variables]);
  assert.is(readSafetensors(bytes).tensors.size, first.variables.length + 1);
  await refused(bytes, second.variables, ["'random' is not in the model"]);
  loadVariables(bytes, second.variables, { partial: true });
  assert.equal(bits(await hidden(second)), bits(expected));
});

test('files that do not fit name every tensor that is at fault, and write nothing', async () => {
  const variables = model(1);
  const { tensors } = readSafetensors(await saveVariables(model(9)));
  const tensor = (name: string): SafetensorsTensor => need(tensors.get(name), name);
  const all = { 'a.weight': tensor('a.weight'), 'a.bias': tensor('a.bias'), steps: tensor('steps') };
  const { steps: _, ...few } = all;
  await refused(writeSafetensors(few), variables, ["'steps' is missing", 'partial: true']);
  await refused(writeSafetensors({ ...all, 'b.weight': all['a.bias'] }), variables, ["'b.weight' is not in the model"]);
  await refused(writeSafetensors({ 'a.weigth': all['a.weight'], steps: all.steps }), variables, [
    "'a.weight', 'a.bias' are missing",
    "'a.weigth' is not in the model",
  ]);
  const turned = { ...all, 'a.weight': { dtype: 'F32', shape: [3, 2], data: new Float32Array(6) } } as const;
  const parts = ["'a.weight' is F32 [3,2] where the model has F32 [2,3]"];
  await refused(writeSafetensors(turned), variables, parts);
  await refused(writeSafetensors(turned), variables, parts, { partial: true });
  await refused(writeSafetensors({ ...all, steps: { dtype: 'I32', shape: [2], data: new Int32Array(2) } }), variables, [
    "'steps' is I32 [2] where the model has U32 [2]",
  ]);
});

test('files that are none are refused by name', async () => {
  const variables = model(1);
  const bytes = await saveVariables(model(9));
  await refused(bytes.slice(0, -4), variables, ['best.safetensors', 'cut short'], { file: 'best.safetensors' });
  await refused(new TextEncoder().encode('{"not": "safetensors"}'), variables, ['weights: ']);
  await refused(new Uint8Array(0), variables, ['too few']);
});

test('partial: only the names that both have', async () => {
  const variables = model(1);
  const before = await valuesOf(variables);
  const bytes = writeSafetensors({
    'a.bias': { dtype: 'F32', shape: [], data: Float32Array.of(42) },
    other: { dtype: 'I64', shape: [1], data: BigInt64Array.of(1n) },
  });
  assert.equal(loadVariables(bytes, variables, { partial: true }), ['a.bias']);
  const after = await valuesOf(variables);
  assert.equal(after, [at(before, 0), bits(Float32Array.of(42)), at(before, 2)]);
  const foreign = writeSafetensors({ other: { dtype: 'F32', shape: [1], data: Float32Array.of(1) } });
  await refused(foreign, variables, ["'a.weight', 'a.bias', 'steps' are missing"], { partial: true });
});

test('other floating-point formats become f32', () => {
  const one = [variable('w', [0, 0], [2])];
  for (const tensor of [
    { dtype: 'F64', shape: [2], data: Float64Array.of(0.1, -2) },
    { dtype: 'F16', shape: [2], data: Uint16Array.of(0x3c00, 0xc000) },
    { dtype: 'BF16', shape: [2], data: Uint16Array.of(0x3f80, 0xc000) },
  ] as const) {
    loadVariables({ metadata: {}, tensors: new Map([['w', tensor]]) }, one);
  }
  return one[0]?.read().then((data) => assert.equal([...data], [1, -2]));
});

test('two Variables of one name, and unknown options', async () => {
  const twice = [...model(1), variable('steps', [1], [1])];
  await rejects(() => saveVariables(twice), OptionError);
  const bytes = await saveVariables(model(1));
  assert.throws(() => loadVariables(bytes, twice), isError(OptionError));
  assert.throws(
    () => loadVariables(bytes, model(1), Object.assign({ partial: true }, { strict: false })),
    /no option 'strict'/,
  );
  const [same] = model(1);
  assert.is(readSafetensors(await saveVariables([same, same].filter((each) => each !== undefined))).tensors.size, 1);
});

test.run();
