// IDX files as a fuzzer needs them: drawn images and labels, whole or with their magic number, sizes and data damaged; and what keeps
// bytes from being such a file, decided from the format's description alone.
//
// Always: the bytes are put together here, and the judge shares no code with bench/tasks/idx.ts. Not here: the rules (rules.ts).

import fc from 'fast-check';
import { bytesChanges, changeBytes, joined } from './damage.ts';
import type { Drawn } from './tensor-files.ts';

/** An IDX file of unsigned bytes. */
export function writeIdx(sizes: readonly number[], data: Uint8Array): Uint8Array {
  const header = new DataView(new ArrayBuffer(4 + 4 * sizes.length));
  header.setUint32(0, 0x0800 + sizes.length);
  sizes.forEach((size, i) => {
    header.setUint32(4 + 4 * i, size);
  });
  return joined(new Uint8Array(header.buffer), data);
}

/** Small whole files of images. */
export const imageFiles: fc.Arbitrary<Uint8Array> = fc
  .tuple(fc.nat({ max: 3 }), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }))
  .chain(([count, rows, columns]) => {
    const length = count * rows * columns;
    const data = fc.uint8Array({ minLength: length, maxLength: length });
    return data.map((each) => writeIdx([count, rows, columns], each));
  });

/** Small whole files of labels. */
export const labelFiles: fc.Arbitrary<Uint8Array> = fc
  .uint8Array({ max: 9, maxLength: 6 })
  .map((labels) => writeIdx([labels.length], labels));

/** Files of this kind, most of them damaged, and some of the other kind. */
export function idxFiles(files: fc.Arbitrary<Uint8Array>, others: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Drawn> {
  const damaged = fc.tuple(files, fc.array(bytesChanges, { maxLength: 2 })).map(([whole, changes]) => ({
    bytes: changes.reduce<Uint8Array>((file, change) => changeBytes(file, change, [0, 4, 8, file.length]), whole),
    damage: changes.map(({ what }) => what),
  }));
  const other = others.map((bytes) => ({ bytes, damage: ['another kind'] }));
  return fc.oneof({ arbitrary: damaged, weight: 6 }, { arbitrary: other, weight: 1 });
}

/** What keeps bytes from being an IDX file of unsigned bytes with so many dimensions; undefined where they are one. */
export function idxDefect(bytes: Uint8Array, dimensions: 1 | 3): string | undefined {
  const magic = Buffer.from(bytes.subarray(0, 4)).toString('hex');
  if (magic !== `0000080${dimensions}`) return `the magic number is ${magic}`;
  const header = Buffer.from(bytes.subarray(4, 4 + 4 * dimensions)).toString('hex');
  const sizes = (header.match(/.{8}/g) ?? []).map((digits) => BigInt(`0x${digits}`));
  if (sizes.length < dimensions) return 'the header is cut off';
  const data = bytes.slice(4 + 4 * dimensions);
  if (BigInt(data.length) !== sizes.reduce((product, size) => product * size, 1n)) return 'sizes and data differ';
  const [count = 0n, ...sides] = sizes;
  if (count > 0n && sides.includes(0n)) return 'images without pixels';
  return dimensions === 1 && Math.max(0, ...data) > 9 ? 'a label above 9' : undefined;
}
