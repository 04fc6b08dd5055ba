// Safetensors: what is written is read back to the bit, the bytes are the format's, and no damaged file gets past or
// raises anything else than a FileError.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, FileError, OptionError, ShapeError } from '../engine/errors.ts';
import { integers } from '../engine/random.ts';
import { readSafetensors, type SafetensorsTensor, toFloat32, writeSafetensors } from '../engine/safetensors.ts';

// A file from its header, as text or as an object, and as many bytes of data.
function fileOf(header: string | object, dataLength = 0): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + dataLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const f32 = (shape: number[], ...values: number[]): SafetensorsTensor => ({
  dtype: 'F32',
  shape,
  data: new Float32Array(values),
});

function refused(bytes: Uint8Array): FileError {
  try {
    readSafetensors(bytes, 'weights');
  } catch (error) {
    if (error instanceof FileError) return error;
    throw error;
  }
  throw new Error('a bad file was read');
}

test('a file has exactly the bytes of the format', () => {
  const bytes = writeSafetensors(
    { b: f32([2], 1, -2), a: { dtype: 'U8', shape: [], data: new Uint8Array([7]) } },
    { k: 'v' },
  );
  const header =
    '{"__metadata__":{"k":"v"},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},' +
    '"a":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}';
  const padded = header.padEnd(Math.ceil(header.length / 8) * 8);
  assert.is(new DataView(bytes.buffer).getBigUint64(0, true), BigInt(padded.length));
  assert.is(new TextDecoder().decode(bytes.subarray(8, 8 + padded.length)), padded);
  assert.equal([...bytes.subarray(8 + padded.length)], [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 7]);
});

test('a file of another writer is read: no padding, unaligned data, any order of the header', () => {
  const bytes = fileOf(
    ' '.repeat(0) +
      '{"x":{"data_offsets":[1,9],"shape":[1,1],"dtype":"F64"}, "y":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}} ',
    9,
  );
  const view = new DataView(bytes.buffer);
  view.setInt8(bytes.length - 9, -3);
  view.setFloat64(bytes.length - 8, Math.PI, true);
  for (let shift = 0; shift < 8; shift++) {
    const moved = new Uint8Array(bytes.length + shift).subarray(shift);
    moved.set(bytes);
    const { tensors, metadata } = readSafetensors(moved);
    assert.equal(tensors.get('x'), { dtype: 'F64', shape: [1, 1], data: new Float64Array([Math.PI]) });
    assert.equal(tensors.get('y'), { dtype: 'I8', shape: [1], data: new Int8Array([-3]) });
    assert.equal({ ...metadata }, {});
  }
});

test('a Buffer of Node is read as any other bytes', () => {
  const bytes = Buffer.from(fileOf({ x: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }, 4));
  bytes.writeFloatLE(1.5, bytes.length - 4);
  for (let shift = 0; shift < 4; shift++) {
    const moved = Buffer.concat([Buffer.alloc(shift), bytes]).subarray(shift);
    assert.equal(readSafetensors(moved).tensors.get('x')?.data, new Float32Array([1.5]));
  }
});

const shapes = fc.array(fc.nat(4), { maxLength: 4 });

// A random tensor, of random bytes, so that NaNs with payloads and both zeros occur.
const tensors: fc.Arbitrary<SafetensorsTensor> = shapes.chain((shape) => {
  const count = shape.reduce((product, size) => product * size, 1);
  const filled = (itemBytes: number): fc.Arbitrary<ArrayBuffer> =>
    fc
      .uint8Array({ minLength: count * itemBytes, maxLength: count * itemBytes })
      .map((bytes) => new Uint8Array(bytes).buffer);
  return fc.oneof<fc.Arbitrary<SafetensorsTensor>[]>(
    filled(8).map((b) => ({ dtype: 'F64', shape, data: new Float64Array(b) })),
    filled(4).map((b) => ({ dtype: 'F32', shape, data: new Float32Array(b) })),
    filled(2).map((b) => ({ dtype: 'F16', shape, data: new Uint16Array(b) })),
    filled(2).map((b) => ({ dtype: 'BF16', shape, data: new Uint16Array(b) })),
    filled(8).map((b) => ({ dtype: 'I64', shape, data: new BigInt64Array(b) })),
    filled(8).map((b) => ({ dtype: 'U64', shape, data: new BigUint64Array(b) })),
    filled(4).map((b) => ({ dtype: 'I32', shape, data: new Int32Array(b) })),
    filled(4).map((b) => ({ dtype: 'U32', shape, data: new Uint32Array(b) })),
    filled(2).map((b) => ({ dtype: 'I16', shape, data: new Int16Array(b) })),
    filled(2).map((b) => ({ dtype: 'U16', shape, data: new Uint16Array(b) })),
    filled(1).map((b) => ({ dtype: 'I8', shape, data: new Int8Array(b) })),
    filled(1).map((b) => ({ dtype: 'U8', shape, data: new Uint8Array(b) })),
    filled(1).map((b) => ({ dtype: 'BOOL', shape, data: new Uint8Array(b) })),
  );
});

const names = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('__proto__', 'constructor', 'toString', '', '0', '"\\', 'weight.grün'),
);

const bytesOf = ({ data }: SafetensorsTensor): number[] => [
  ...new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
];

test('what is written is read back to the bit, in every dtype, shape and name', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(names, tensors), { maxLength: 8 }),
      fc.array(fc.tuple(names, fc.string({ unit: 'grapheme' })), { maxLength: 4 }),
      (entries, pairs) => {
        const written = new Map(entries);
        const metadata = Object.fromEntries(pairs);
        const bytes = writeSafetensors(written, metadata);
        const read = readSafetensors(bytes);
        assert.equal([...read.tensors.keys()].sort(), [...written.keys()].sort());
        for (const [name, tensor] of written) {
          const same = read.tensors.get(name);
          assert.ok(same !== undefined);
          assert.is(same.dtype, tensor.dtype);
          assert.equal(same.shape, tensor.shape);
          assert.is(same.data.constructor, tensor.data.constructor);
          assert.equal(bytesOf(same), bytesOf(tensor));
          assert.is(same.data.buffer, bytes.buffer, 'all data are aligned, so none are copied');
        }
        assert.equal(Object.entries(read.metadata).sort(), Object.entries(metadata).sort());
        assert.equal(writeSafetensors(read.tensors, read.metadata), bytes);
      },
    ),
  );
});

test('the order of writing does not show', () => {
  const [a, b, c] = [f32([1], 1), f32([1], 2), { dtype: 'F64', shape: [], data: new Float64Array([3]) } as const];
  const bytes = writeSafetensors({ a, b, c }, { m: '1', n: '2' });
  assert.equal(writeSafetensors({ c, b, a }, { n: '2', m: '1' }), bytes);
  assert.equal([...readSafetensors(bytes).tensors.keys()], ['c', 'a', 'b']);
});

test('no name reaches a prototype', () => {
  const bytes = fileOf(
    '{"__metadata__":{"__proto__":"x"},"__proto__":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
  );
  const { tensors, metadata } = readSafetensors(bytes);
  assert.is(tensors.get('__proto__')?.dtype, 'U8');
  assert.equal(Object.entries(metadata), [['__proto__', 'x']]);
  assert.is(Object.getPrototypeOf(metadata), null);
  assert.not.ok('toString' in metadata);
});

test('toFloat32 converts the floating-point dtypes and no others', () => {
  const half = (...bits: number[]): number[] => [
    ...toFloat32({ dtype: 'F16', shape: [bits.length], data: new Uint16Array(bits) }),
  ];
  assert.equal(half(0x3c00, 0xc000, 0x3555, 0x7bff), [1, -2, 0.333251953125, 65504]);
  assert.equal(half(0x0001, 0x83ff, 0x0400), [2 ** -24, -1023 * 2 ** -24, 2 ** -14]);
  assert.equal(half(0x7c00, 0xfc00), [Infinity, -Infinity]);
  assert.ok(Object.is(at(half(0x8000), 0), -0));
  assert.ok(Number.isNaN(at(half(0x7e01), 0)));
  const bfloat = toFloat32({ dtype: 'BF16', shape: [3], data: new Uint16Array([0x3f80, 0xc049, 0xff80]) });
  assert.equal([...bfloat], [1, -3.140625, -Infinity]);
  assert.equal(toFloat32({ dtype: 'F64', shape: [1], data: new Float64Array([0.1]) }), new Float32Array([0.1]));
  const data = new Float32Array(2);
  assert.is(toFloat32({ dtype: 'F32', shape: [2], data }), data);
  assert.throws(
    () => toFloat32({ dtype: 'I32', shape: [1], data: new Int32Array(1) }),
    (e: unknown) => e instanceof ShapeError && /I32 \[1\] holds no floating-point/.test(e.message),
  );
});

test('every defect of a file is refused by name', () => {
  const x = (fields: object, more: object = {}, dataLength = 8): Uint8Array =>
    fileOf({ x: { dtype: 'F32', shape: [2], data_offsets: [0, 8], ...fields }, ...more }, dataLength);
  const u8 = (begin: number, end: number): object => ({
    dtype: 'U8',
    shape: [end - begin],
    data_offsets: [begin, end],
  });
  assert.is(readSafetensors(x({})).tensors.size, 1);
  const length = (bytes: number[]): Uint8Array => new Uint8Array([...bytes, 0x7b, 0x7d]);
  const cases: [string, Uint8Array, string][] = [
    ['empty', new Uint8Array(0), 'weights: 0 bytes, too few'],
    ['no room for a length', new Uint8Array(7), 'weights: 7 bytes, too few'],
    ['header past the end', length([3, 0, 0, 0, 0, 0, 0, 0]), 'a header of 3 bytes in a file of 10'],
    ['header past the limit', length([1, 0xe1, 0xf5, 5, 0, 0, 0, 0]), 'a header of 100000001 bytes, over 100000000;'],
    ['header of 2^64 - 1', length(Array(8).fill(255)), 'a header of 18446744073709551615 bytes, over 100000000;'],
    ['no header', fileOf(''), 'the header is not JSON'],
    ['not JSON', fileOf('{"x":}'), 'the header is not JSON'],
    ['not UTF-8', fileOf('{"x":1}').fill(0xff, 10, 11), 'not JSON in UTF-8'],
    ['a byte order mark', fileOf('\ufeff{}'), 'the header is not JSON'],
    ['deep nesting', fileOf('['.repeat(200_000)), 'the header is not JSON'],
    ['deep valid nesting', fileOf('['.repeat(200_000) + ']'.repeat(200_000)), 'no JSON object'],
    [
      'deep nesting in a tensor',
      fileOf(`{"x":{"dtype":${'['.repeat(200_000)}${']'.repeat(200_000)}}}`),
      'a level below the 3 that there may be',
    ],
    ['a list', fileOf('[]'), 'no JSON object'],
    ['null', fileOf('null'), 'no JSON object'],
    ['leading space', fileOf(' {}'), 'no JSON object starts at byte 8'],
    ['a name twice', fileOf('{"x":1,"y":{},"x" :2}'), 'the name "x" stands twice'],
    ['a name twice, escaped', fileOf('{"x":1,"\\u0078":2}'), 'the name "x" stands twice'],
    ['a field twice', fileOf('{"x":{"dtype":"U8","dtype":"F32"}}'), 'the name "dtype" stands twice'],
    ['a tensor that is no object', fileOf('{"x":[]}'), 'tensor "x" is no object'],
    ['an unknown field', x({ strides: [1] }), 'tensor "x" has the unknown field "strides"'],
    ['a missing dtype', fileOf('{"x":{"shape":[0],"data_offsets":[0,0]}}'), 'no dtype undefined'],
    ['an unknown dtype', x({ dtype: 'F8' }), 'no dtype "F8" here; convert it to one of F64'],
    ['an inherited dtype', x({ dtype: 'constructor' }), 'no dtype "constructor"'],
    ['a dtype that is no string', x({ dtype: 4 }), 'no dtype 4'],
    ['a missing shape', x({ shape: undefined }), 'shape undefined is none'],
    ['a negative size', x({ shape: [-2] }), 'shape [-2] is none'],
    ['a broken size', x({ shape: [1.5] }), 'shape [1.5] is none'],
    ['a size in quotes', x({ shape: ['2'] }), 'shape ["2"] is none'],
    ['a size past 2^53', x({ shape: [2 ** 53] }), 'is none'],
    ['an overflowing shape', x({ shape: [2 ** 32, 2 ** 32] }), 'needs more bytes than can be counted'],
    ['a shape that wraps to its bytes', x({ shape: [2 ** 51, 2 ** 13, 2] }), 'more bytes than can be counted'],
    ['reversed offsets', x({ data_offsets: [8, 0] }), 'data_offsets [8,0] are none'],
    ['three offsets', x({ data_offsets: [0, 8, 8] }), 'data_offsets [0,8,8] are none'],
    ['one offset', x({ data_offsets: [8] }), 'data_offsets [8] are none'],
    ['a negative offset', x({ data_offsets: [-8, 0] }), 'data_offsets [-8,0] are none'],
    ['an object of offsets', x({ data_offsets: { 0: 0, 1: 8 } }), 'are none; write [begin, end]'],
    ['too few bytes for the shape', x({ shape: [3] }), 'F32 [3] needs 12 bytes, data_offsets give it 8'],
    ['too many bytes for the shape', x({ shape: [] }), 'F32 [] needs 4 bytes, data_offsets give it 8'],
    ['data cut short', x({}, {}, 7), 'passes the 7 bytes of data; the file was cut short'],
    ['data left over', x({}, {}, 9), '1 bytes follow the last tensor'],
    ['data and no tensor', fileOf('{}', 1), '1 bytes follow the last tensor'],
    ['a hole at the start', x({ data_offsets: [1, 9] }, {}, 9), 'tensor "x" at [1,9] leaves a hole behind byte 0'],
    ['a hole between', x({}, { y: u8(9, 10) }, 10), 'tensor "y" at [9,10] leaves a hole behind byte 8'],
    ['an overlap', x({}, { y: u8(7, 10) }, 10), 'tensor "y" at [7,10] overlaps the one before it, which ends at 8'],
    ['the same bytes twice', x({}, { y: u8(0, 8) }), 'overlaps'],
    ['an empty tensor inside another', x({}, { y: u8(4, 4) }), 'tensor "y" at [4,4] overlaps'],
    ['metadata that are no object', x({}, { __metadata__: 'x' }), '__metadata__ is no object'],
    ['metadata that are no strings', x({}, { __metadata__: { step: 1 } }), '__metadata__ "step" is no string'],
  ];
  for (const [what, bytes, message] of cases) {
    const error = refused(bytes);
    assert.ok(error.message.startsWith('weights: '), what);
    assert.ok(error.message.includes(message), `${what}: ${error.message}`);
    assert.ok(error.message.length < 400, `${what}: a message of ${error.message.length} characters`);
  }
});

test('every cut of a valid file is refused', () => {
  const bytes = writeSafetensors({ x: f32([2], 1, 2), y: f32([], 3) }, { a: 'b' });
  for (let end = 0; end < bytes.length; end++) refused(bytes.subarray(0, end));
});

test('five hundred damaged files give a FileError or a sound file, never anything else', () => {
  const valid = writeSafetensors(
    {
      'rim.query': { dtype: 'F64', shape: [2, 3], data: new Float64Array(6) },
      'rim.key': f32([3], 1, 2, 3),
      tokens: { dtype: 'I64', shape: [2], data: new BigInt64Array(2) },
      mask: { dtype: 'BOOL', shape: [5], data: new Uint8Array(5) },
      half: { dtype: 'BF16', shape: [1, 1, 1], data: new Uint16Array(1) },
      empty: f32([0, 4]),
    },
    { step: '12', seed: '7' },
  );
  const headerEnd = 8 + Number(new DataView(valid.buffer).getBigUint64(0, true));
  // Characters that matter to the header, so that many mutants stay near to valid JSON.
  const alphabet = new TextEncoder().encode('{}[]",:0123456789-.eE\\ nulUF\0\xff');
  let refusals = 0;
  for (let run = 0; run < 500; run++) {
    const [kind = 0, edits = 0] = integers(2, { seed: 1, stream: run, high: 4 });
    let bytes = valid.slice();
    for (let edit = 0; edit <= edits; edit++) {
      const [where = 0, letter = 0, length = 0] = integers(3, { seed: 2 + edit, stream: run, high: headerEnd });
      const place = where % bytes.length;
      if (kind === 0) bytes[place] = at(alphabet, letter % alphabet.length);
      else if (kind === 1) bytes[place] = at(bytes, place) ^ (1 << (letter % 8));
      else if (kind === 2) bytes.copyWithin(place, letter % bytes.length, (letter % bytes.length) + (length % 32));
      else bytes = new Uint8Array([...bytes.subarray(0, place), ...bytes.subarray(place + (length % 16))]);
    }
    try {
      const { tensors } = readSafetensors(bytes);
      for (const { shape, data } of tensors.values()) {
        assert.is(
          shape.reduce((product, size) => product * size, 1),
          data.length,
        );
      }
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      refusals++;
    }
  }
  assert.ok(refusals > 300 && refusals < 500, `${refusals} of 500 were refused`);
});

test('what the format cannot hold is not written', () => {
  const refuses = (kind: typeof OptionError | typeof ShapeError, message: RegExp, call: () => unknown): void => {
    assert.throws(call, (e: unknown) => e instanceof kind && message.test(e.message));
  };
  const metadata = (value: unknown): Record<string, string> => JSON.parse(JSON.stringify({ k: value }));
  const tensor = (dtype: string, shape: unknown, data: ArrayLike<number>): SafetensorsTensor =>
    Object.assign(Object.create(null), { dtype, shape, data });
  refuses(ShapeError, /"x": shape \[3\] and 2 elements differ/, () => writeSafetensors({ x: f32([3], 1, 2) }));
  refuses(ShapeError, /shape \[-1,-2\] and 2 elements differ/, () => writeSafetensors({ x: f32([-1, -2], 1, 2) }));
  refuses(OptionError, /"__metadata__" has a name/, () => writeSafetensors({ __metadata__: f32([], 1) }));
  refuses(OptionError, /has a name/, () => writeSafetensors({ '\ud800': f32([], 1) }));
  refuses(OptionError, /no dtype "F31"; use one of F64/, () =>
    writeSafetensors({ x: tensor('F31', [1], new Float32Array(1)) }),
  );
  refuses(OptionError, /F64 data must be a Float64Array/, () =>
    writeSafetensors({ x: tensor('F64', [1], new Float32Array(2)) }),
  );
  refuses(OptionError, /F32 data must be a Float32Array/, () => writeSafetensors({ x: tensor('F32', [1], [1]) }));
  refuses(OptionError, /metadata "k" is no well-formed string/, () => writeSafetensors({}, metadata(1)));
  refuses(OptionError, /metadata "k" is no well-formed string/, () => writeSafetensors({}, { k: '\udfff' }));
  refuses(OptionError, /is no well-formed string/, () => writeSafetensors({}, { 'k\ud800': '\udc00' }));
});

test.run();
