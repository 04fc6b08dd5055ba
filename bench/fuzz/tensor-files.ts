// Safetensors files as a fuzzer needs them: drawn or given ones as their parts, whole or with their header, lengths, offsets,
// padding and data damaged.
//
// Always: the bytes are put together here, not by the writer that is tested. Not here: what a file must be (format.ts).

import fc from 'fast-check';
import { at } from '../../engine/errors.ts';
import {
  bytesChanges,
  type Change,
  changeBytes,
  changeTree,
  joined,
  render,
  type Tree,
  treeChanges,
  treeOf,
} from './damage.ts';

/** A file to load, and what was done to it; nothing was where it is as it should be. */
export interface Drawn {
  readonly bytes: Uint8Array;
  readonly damage: readonly string[];
}

/** A tensor of a whole file. */
export interface DrawnTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** A whole file as its parts. */
export interface TensorParts {
  readonly tensors: readonly DrawnTensor[];
  readonly metadata: Readonly<Record<string, string>>;
}

const SIZES = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

/** Bytes of an element of each dtype of the format that a rimgrad file may have. */
export const ITEM_SIZES: ReadonlyMap<string, number> = new Map(Object.entries(SIZES));

/** A tensor of any shape and bytes. */
export function drawnTensor(
  name: fc.Arbitrary<string>,
  dtype: fc.Arbitrary<string> = fc.constantFrom(...ITEM_SIZES.keys()),
  shape: fc.Arbitrary<readonly number[]> = fc.array(fc.nat({ max: 3 }), { maxLength: 3 }),
): fc.Arbitrary<DrawnTensor> {
  return fc.tuple(name, dtype, shape).chain(([itsName, itsDtype, itsShape]) => {
    const length = itsShape.reduce((product, size) => product * size, ITEM_SIZES.get(itsDtype) ?? 1);
    return fc
      .uint8Array({ minLength: length, maxLength: length })
      .map((data) => ({ name: itsName, dtype: itsDtype, shape: itsShape, data }));
  });
}

const names = fc.oneof(
  fc.constantFrom('w', 'b', 'rim.cell.0.key', '__proto__', 'constructor', 'toString', 'grün', '0', '', 'a"\\\n'),
  fc.string({ unit: 'grapheme', maxLength: 6 }),
);

/** Any whole file. */
export const anyTensors: fc.Arbitrary<TensorParts> = fc.record({
  tensors: fc.uniqueArray(drawnTensor(names), { selector: ({ name }) => name, maxLength: 4 }),
  metadata: fc
    .uniqueArray(fc.tuple(names, fc.string({ unit: 'grapheme', maxLength: 5 })), {
      selector: ([key]) => key,
      maxLength: 3,
    })
    .map((pairs) => Object.fromEntries(pairs)),
});

type FileWhat = 'length' | 'padding' | 'shift' | 'swap' | 'grow' | 'shrink' | 'same' | 'data' | 'order' | 'text';

const fileChanges: fc.Arbitrary<Change<FileWhat>> = fc.record({
  what: fc.constantFrom<FileWhat[]>(
    ...(['length', 'padding', 'shift', 'swap', 'grow', 'shrink', 'same', 'data', 'order', 'text', 'text'] as const),
  ),
  where: fc.nat({ max: 100 }),
  which: fc.nat({ max: 100 }),
});

/** Texts of the metadata where numbers and choices are wanted. */
const TEXTS = [
  ...[
    '',
    ' ',
    '0',
    '1',
    '2',
    '3',
    '7',
    '700',
    '100000',
    '1e9',
    '4294967296',
    '9007199254740991',
    '9007199254740992',
    '-1',
  ],
  ...[
    '1.5',
    '1e-300',
    'NaN',
    'Infinity',
    '0x10',
    'true',
    'false',
    '1 2',
    '1 2 3',
    '__proto__',
    'toString',
    '\u0000\n',
    'LSTM',
  ],
  'x'.repeat(2000),
];

const PADDINGS = ['', ' ', '\n', '\t \r\n', '\0', 'x', '}', '{}', '\ufeff', ' '.repeat(5000)];

/** Files made of these parts, most of them damaged. */
export function tensorFiles(parts: fc.Arbitrary<TensorParts>): fc.Arbitrary<Drawn> {
  const none = fc.constant([]);
  // Mostly damage of one sort: of two sorts, the coarser hides the finer.
  const damage = (tree: number, file: number, bytes: number) =>
    fc.record({
      parts,
      tree: tree > 0 ? fc.array(treeChanges, { maxLength: tree }) : none,
      file: file > 0 ? fc.array(fileChanges, { maxLength: file }) : none,
      bytes: bytes > 0 ? fc.array(bytesChanges, { maxLength: bytes }) : none,
    });
  return fc
    .oneof(
      { arbitrary: damage(2, 0, 0), weight: 4 },
      { arbitrary: damage(0, 1, 0), weight: 2 },
      { arbitrary: damage(0, 0, 2), weight: 2 },
      { arbitrary: damage(2, 1, 2), weight: 1 },
    )
    .map((drawn) => assemble(drawn.parts, drawn.tree, drawn.file[0], drawn.bytes));
}

function assemble(
  { tensors, metadata }: TensorParts,
  tree: readonly Parameters<typeof changeTree>[1][],
  file: Change<FileWhat> | undefined,
  bytes: readonly Parameters<typeof changeBytes>[1][],
): Drawn {
  const offsets = layOut(tensors);
  let data = joined(...tensors.map((tensor) => tensor.data));
  if (file !== undefined) changeOffsets(offsets, file);
  if (file?.what === 'data') data = data.slice(0, file.where % 2 === 0 ? -(1 + (file.which % 9)) : undefined);
  if (file?.what === 'data' && file.where % 2 === 1) data = joined(data, new Uint8Array(1 + (file.which % 9)));
  const fields = tensors.map(({ name, dtype, shape }, i): [string, Tree] => [
    JSON.stringify(name),
    treeOf({ dtype, shape, data_offsets: at(offsets, i) }),
  ]);
  if (file?.what === 'order') fields.reverse();
  const texts = Object.entries(metadata).map(([key, text], i, all): [string, string] => {
    return [key, file?.what === 'text' && i === file.where % all.length ? at(TEXTS, file.which % TEXTS.length) : text];
  });
  if (texts.length > 0) fields.unshift(['"__metadata__"', treeOf(Object.fromEntries(texts))]);
  let header: Tree = { kind: 'object', fields };
  for (const change of tree) header = changeTree(header, change);
  const padding = file?.what === 'padding' ? at(PADDINGS, file.which % PADDINGS.length) : '';
  const before = file?.what === 'padding' && file.where % 4 === 0;
  const written = new TextEncoder().encode(before ? padding + render(header) : render(header) + padding);
  const total = 8 + written.length + data.length;
  const length = file?.what === 'length' ? wrongLength(file, written.length, total) : BigInt(written.length);
  let whole = joined(new Uint8Array(8), written, data);
  new DataView(whole.buffer).setBigUint64(0, BigInt.asUintN(64, length), true);
  const start = 8 + written.length;
  const borders = [0, 7, 8, 9, start - 1, start, ...offsets.map(([, end]) => start + end), total].filter((b) => b >= 0);
  for (const change of bytes) whole = changeBytes(whole, change, borders) as typeof whole;
  const named = [...tree, ...(file ? [file] : []), ...bytes].map(({ what }) => what);
  return { bytes: whole, damage: named };
}

function layOut(tensors: readonly DrawnTensor[]): [number, number][] {
  let end = 0;
  return tensors.map(({ data }) => {
    const begin = end;
    end += data.length;
    return [begin, end];
  });
}

/** Makes ranges overlap, leave holes, run backwards or past the end. */
function changeOffsets(offsets: [number, number][], { what, where, which }: Change<FileWhat>): void {
  if (offsets.length === 0) return;
  const range = at(offsets, where % offsets.length);
  const by = 1 + (which % 16);
  if (what === 'shift') {
    for (const end of [0, 1] as const) range[end] = which % 2 === 0 ? range[end] + by : Math.max(0, range[end] - by);
  }
  if (what === 'swap') range.reverse();
  if (what === 'grow') range[1] += by;
  if (what === 'shrink') range[1] = Math.max(0, range[1] - by);
  if (what === 'same') [range[0], range[1]] = at(offsets, which % offsets.length);
}

function wrongLength({ which }: Change<FileWhat>, right: number, total: number): bigint {
  const wrong = [
    ...[0n, 1n, 2n ** 63n, 2n ** 64n - 1n, -8n, 2n ** 53n + 1n, 2n ** 32n, 100_000_000n, 100_000_001n],
    ...[right - 1, right + 1, right + 8, total - 8, total - 7, total].map(BigInt),
  ];
  return at(wrong, which % wrong.length);
}
