// Everything that reads a file or parsed JSON of unknown origin, in one table: what it is given, how it is called, what a
// refusal must say. A new loader is a new row.
//
// Not here: what must hold of all of them (rules.ts).

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { loadCheckpoint, readCheckpoint, saveCheckpoint } from '../../engine/checkpoint.ts';
import type { Device } from '../../engine/core.ts';
import { FileError, OptionError, RimgradError } from '../../engine/errors.ts';
import { readSafetensors, writeSafetensors } from '../../engine/safetensors.ts';
import { checkTuning, type Tuning } from '../../engine/tuning.ts';
import { type Variable, variable } from '../../engine/variable.ts';
import { loadVariables, saveVariables } from '../../engine/weights.ts';
import { type PresetOptions, presetOptions } from '../../rims/index.ts';
import { GoldenFile } from '../golden/file.ts';
import { kindOf } from '../golden/kinds.ts';
import { parseMetrics, parseObject } from '../metrics.ts';
import { keptOptions, lastingOptions } from '../options.ts';
import { parseConfig, textOf, writeConfig } from '../run-config.ts';
import { readIdxImages, readIdxLabels } from '../tasks/index.ts';
import { formatDefect } from './format.ts';
import { idxDefect, idxFiles, imageFiles, labelFiles, writeIdx } from './idx-files.ts';
import { asLines, cells, configs, jsonFiles, metrics, runOptions, tunings } from './json-files.ts';
import { Broken } from './rules.ts';
import {
  anyTensors,
  type Drawn,
  type DrawnTensor,
  drawnTensor,
  type TensorParts,
  tensorFiles,
} from './tensor-files.ts';

/** What a loader made of a file. */
export interface Loaded {
  /** All of it as a text: equal for equal contents. */
  readonly content: () => string | Promise<string>;
  /** The file written again, where there is a writer. */
  readonly again?: () => Uint8Array | Promise<Uint8Array>;
  /** Data that may be views of the file's bytes. */
  readonly views?: readonly ArrayBufferView[];
}

/** One way into the library for bytes of unknown origin. */
export interface Loader {
  readonly name: string;
  /** How many of all cases are its, beside the others'. */
  readonly share: number;
  readonly files: fc.Arbitrary<Drawn>;
  /** Loads, or throws. @param file what messages are to call the file */
  load(bytes: Uint8Array, file: string): Loaded | Promise<Loaded>;
  /** The errors that it may throw, the most special first, and what their messages must match; FILE is the file's name. */
  readonly refusals: readonly (readonly [type: new (message: string) => Error, message: RegExp])[];
  /** What keeps bytes from being such a file, decided independently; undefined where nothing does. */
  readonly defect?: (bytes: Uint8Array) => string | undefined;
}

/** A message that begins with the file, perhaps the line, and ends with the mend. */
const FILE_AND_MEND = /^FILE( line \d+)?: .+; .+$/;

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What a user would give who parses a file by himself: any JSON. */
function parsedBy(bytes: Uint8Array, file: string): unknown {
  try {
    return JSON.parse(textOf(bytes, file));
  } catch (error) {
    if (error instanceof SyntaxError) throw new FileError(`${file}: no JSON; not the library's to read`);
    throw error;
  }
}

/** The Variables that weights are loaded into. */
const MODEL: readonly (readonly [name: string, dtype: string, shape: readonly number[]])[] = [
  ['rim.query', 'F32', [2, 3]],
  ['rim.bias', 'F32', [4]],
  ['scale', 'F32', []],
  ['counter', 'U32', [2]],
];

const modelTensors: fc.Arbitrary<TensorParts> = fc.record({
  tensors: fc.tuple(
    ...MODEL.map(([name, dtype, shape]): fc.Arbitrary<DrawnTensor> => {
      const dtypes = dtype === 'F32' ? ['F32', 'F16', 'BF16', 'F64'] : [dtype];
      return drawnTensor(fc.constant(name), fc.constantFrom(...dtypes), fc.constant(shape));
    }),
  ),
  metadata: fc.constant({}),
});

/** The bytes of a tensor with the highest bit of every exponent off: numbers below 2. */
function finite({ dtype, data }: DrawnTensor): Uint8Array {
  const size = { F16: 2, BF16: 2, F32: 4, F64: 8 }[dtype];
  return size === undefined ? data : data.map((byte, i) => (i % size === size - 1 ? byte & 0xbf : byte));
}

/** Checkpoints of the same weights, with any record. */
const checkpoints: fc.Arbitrary<TensorParts> = fc
  .tuple(modelTensors, fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 5 }))
  .map(([parts, record]) => ({
    tensors: parts.tensors.map((tensor) => ({ ...tensor, data: finite(tensor) })),
    metadata: { format: 'rimgrad checkpoint 1', record: JSON.stringify(record) },
  }));

const loadWeights = (bytes: Uint8Array, file: string): Promise<Loaded> =>
  loadedInto(
    (variables) => {
      loadVariables(bytes, variables, { file });
      return {};
    },
    (variables) => saveVariables(variables),
  );

const loadRecorded = (bytes: Uint8Array, file: string): Promise<Loaded> =>
  loadedInto((variables) => loadCheckpoint(readCheckpoint(bytes, file), variables), saveCheckpoint);

/** What a load makes of the Variables, and of a record that it gives. */
async function loadedInto(
  load: (variables: readonly Variable[]) => Readonly<Record<string, unknown>>,
  save: (variables: readonly Variable[], record: Readonly<Record<string, unknown>>) => Promise<Uint8Array>,
): Promise<Loaded> {
  const variables = MODEL.map(([name, dtype, shape]) => {
    const size = shape.reduce((product, each) => product * each, 1);
    return variable(name, dtype === 'U32' ? new Uint32Array(size).fill(7) : new Float32Array(size).fill(7), shape);
  });
  const content = async (): Promise<string> => {
    const values = await Promise.all(variables.map((each) => each.read()));
    return JSON.stringify(values.map((data) => [...new Uint32Array(data.buffer, data.byteOffset, data.length)]));
  };
  const before = await content();
  let record: Readonly<Record<string, unknown>>;
  try {
    record = load(variables);
  } catch (error) {
    if ((await content()) !== before) throw new Broken('a refused file changed a Variable');
    throw error;
  }
  return {
    content: async () => `${JSON.stringify(record)} ${await content()}`,
    again: () => save(variables, record),
  };
}

/** A device that says when a golden case gets as far as to it. */
class Reached extends Error {}
const nowhere = new Proxy({} as Device, {
  get: () => {
    throw new Reached();
  },
});

/** A golden file as its parts. */
function partsOf(bytes: Uint8Array): TensorParts {
  const { tensors, metadata } = readSafetensors(bytes);
  return {
    metadata,
    tensors: Array.from(tensors, ([name, { dtype, shape, data }]) => {
      return { name, dtype, shape, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
    }),
  };
}

async function loadGolden(bytes: Uint8Array, name: string): Promise<Loaded> {
  const file = new GoldenFile(name, bytes);
  const kind = kindOf(file);
  try {
    await kind.check(file, nowhere);
  } catch (error) {
    if (!(error instanceof Reached)) throw error;
  }
  return { content: () => JSON.stringify([file.case, file.names()]) };
}

function goldenLoader(folder: string): Loader {
  const files = readdirSync(folder).filter((name) => name.endsWith('.safetensors'));
  const parts = files.map((name) => partsOf(readFileSync(join(folder, name))));
  const small = parts.filter(({ tensors }) => tensors.reduce((sum, { data }) => sum + data.length, 0) < 50_000);
  return {
    name: 'golden',
    share: 2,
    files: tensorFiles(fc.constantFrom(...small)),
    load: loadGolden,
    refusals: [
      [FileError, /^FILE: /],
      [RimgradError, /^(?!.*fault of the library)/],
    ],
  };
}

/** All loaders. @param golden the folder of golden files that serve as examples */
export function allLoaders(golden: string): readonly Loader[] {
  return [
    {
      name: 'safetensors',
      share: 5,
      files: tensorFiles(anyTensors),
      load: (bytes, file) => {
        const { metadata, tensors } = readSafetensors(bytes, file);
        const views = [...tensors.values()].map(({ data }) => data);
        const hex = (data: ArrayBufferView): string =>
          Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex');
        const all = [...tensors].map(([name, { dtype, shape, data }]) =>
          JSON.stringify([name, dtype, shape, hex(data)]),
        );
        const texts = Object.entries(metadata).map((pair) => JSON.stringify(pair));
        return {
          content: () => [...all.sort(), ...texts.sort()].join('\n'),
          again: () => writeSafetensors(tensors, metadata),
          views,
        };
      },
      refusals: [[FileError, FILE_AND_MEND]],
      defect: formatDefect,
    },
    {
      name: 'variables',
      share: 2,
      files: tensorFiles(modelTensors),
      load: loadWeights,
      refusals: [[FileError, FILE_AND_MEND]],
    },
    {
      name: 'checkpoint',
      share: 2,
      files: tensorFiles(checkpoints),
      load: loadRecorded,
      refusals: [[FileError, FILE_AND_MEND]],
    },
    {
      name: 'config',
      share: 2,
      files: jsonFiles(configs),
      load: (bytes, file) => {
        const config = parseConfig(bytes, file);
        return { content: () => JSON.stringify(config), again: () => encode(writeConfig(config)) };
      },
      refusals: [[FileError, FILE_AND_MEND]],
    },
    {
      name: 'run options',
      share: 1,
      files: jsonFiles(runOptions),
      load: (bytes, file) => {
        const content = JSON.stringify(lastingOptions(keptOptions(parseObject(textOf(bytes, file), file), file)));
        return { content: () => content, again: () => encode(content) };
      },
      refusals: [[FileError, FILE_AND_MEND]],
    },
    {
      name: 'metrics',
      share: 2,
      files: jsonFiles(metrics, asLines),
      load: (bytes, file) => {
        const lines = parseMetrics(textOf(bytes, file), file).map((metric) => JSON.stringify(metric));
        return { content: () => lines.join(), again: () => encode(lines.map((line) => `${line}\n`).join('')) };
      },
      refusals: [[FileError, FILE_AND_MEND]],
    },
    {
      name: 'tuning',
      share: 1,
      files: jsonFiles(tunings),
      load: (bytes, file) => {
        const tuning = parsedBy(bytes, file);
        checkTuning(tuning as Tuning, { vendor: '', architecture: '', device: '', description: '', software: true });
        return { content: () => JSON.stringify(tuning), again: () => encode(JSON.stringify(tuning)) };
      },
      refusals: [
        [FileError, FILE_AND_MEND],
        [OptionError, /^openDevice: .+; make it anew with tune\(\)$/],
      ],
    },
    {
      name: 'cell options',
      share: 2,
      files: jsonFiles(cells),
      load: (bytes, file) => {
        const given = parsedBy(bytes, file);
        const options = presetOptions('paper', given as PresetOptions);
        return { content: () => JSON.stringify(options), again: () => encode(JSON.stringify(options)) };
      },
      refusals: [
        [FileError, FILE_AND_MEND],
        [OptionError, /^RIM: .+$/],
      ],
    },
    {
      name: 'idx images',
      share: 1,
      files: idxFiles(imageFiles, labelFiles),
      load: (bytes, file) => {
        const { count, rows, columns, pixels } = readIdxImages(bytes, file);
        return {
          content: () => JSON.stringify([count, rows, columns, [...pixels]]),
          again: () => writeIdx([count, rows, columns], pixels),
          views: [pixels],
        };
      },
      refusals: [[FileError, FILE_AND_MEND]],
      defect: (bytes) => idxDefect(bytes, 3),
    },
    {
      name: 'idx labels',
      share: 1,
      files: idxFiles(labelFiles, imageFiles),
      load: (bytes, file) => {
        const labels = readIdxLabels(bytes, file);
        return { content: () => [...labels].join(), again: () => writeIdx([labels.length], labels), views: [labels] };
      },
      refusals: [[FileError, FILE_AND_MEND]],
      defect: (bytes) => idxDefect(bytes, 1),
    },
    goldenLoader(golden),
  ];
}
