// The safetensors format once more, written from its specification alone: whether bytes are a file of it. The fuzzer holds
// the reader against this, in both directions.
//
// The specification: 8 bytes, the little-endian length of the header, at most 100 MB; a JSON object that begins with `{`, padded
// with spaces; no name twice; `__metadata__` maps strings to strings; a tensor has dtype, shape and data_offsets, whole numbers
// written as such; the ranges cover the data without holes or overlaps. Of the dtypes those that rimgrad has.
// Always: it decides slowly and simply, with exact whole numbers. It shares no code with engine/safetensors.ts.

import { ITEM_SIZES } from './tensor-files.ts';

class Invalid extends Error {}

function check(holds: boolean, defect: string): asserts holds {
  if (!holds) throw new Invalid(defect);
}

type Value = string | bigint | null | Value[] | Map<string, Value>;

/** What keeps bytes from being a safetensors file; undefined where they are one. */
export function formatDefect(bytes: Uint8Array): string | undefined {
  try {
    checkFile(bytes);
    return undefined;
  } catch (error) {
    if (error instanceof Invalid) return error.message;
    throw error;
  }
}

function checkFile(bytes: Uint8Array): void {
  check(bytes.length >= 8, 'no room for the length');
  let length = 0n;
  for (const byte of bytes.slice(0, 8).reverse()) length = length * 256n + BigInt(byte);
  check(length <= 100_000_000n && length + 8n <= BigInt(bytes.length), 'the header is too long');
  const text = utf8(bytes.slice(8, 8 + Number(length)));
  check(text.startsWith('{'), 'the header does not begin with a brace');
  const header = new Header(text).read();
  let filled = 0n;
  const ranges: [bigint, bigint][] = [];
  for (const [name, value] of header) {
    check(value instanceof Map, 'an entry is no object');
    if (name === '__metadata__') {
      for (const each of value.values()) check(typeof each === 'string', 'metadata are no string');
    } else {
      ranges.push(rangeOf(value));
    }
  }
  ranges.sort(([a, b], [c, d]) => (a === c ? Number(b - d) : Number(a - c)));
  for (const [begin, end] of ranges) {
    check(begin === filled, 'a hole or an overlap');
    filled = end;
  }
  check(filled === BigInt(bytes.length) - 8n - length, 'the data are not covered');
}

function rangeOf(entry: Map<string, Value>): [bigint, bigint] {
  check([...entry.keys()].sort().join() === 'data_offsets,dtype,shape', 'other fields than the three');
  const dtype = entry.get('dtype');
  const size = typeof dtype === 'string' ? ITEM_SIZES.get(dtype) : undefined;
  check(size !== undefined, 'no dtype');
  const numbers = (value: Value | undefined): bigint[] => {
    check(Array.isArray(value), 'no list');
    return value.map((each) => {
      check(typeof each === 'bigint' && each < 2n ** 53n, 'no whole number');
      return each;
    });
  };
  let needed = BigInt(size);
  for (const each of numbers(entry.get('shape'))) {
    needed *= each;
    check(needed < 2n ** 53n, 'a product that overflows');
  }
  const [begin, end, ...more] = numbers(entry.get('data_offsets'));
  check(
    begin !== undefined && end !== undefined && more.length === 0 && end - begin === needed,
    'bytes and shape differ',
  );
  return [begin, end];
}

function utf8(bytes: Uint8Array): string {
  // Encoded again it must be the same bytes: that holds for valid UTF-8 alone.
  const text = Buffer.from(bytes).toString('utf8');
  check(Buffer.from(text, 'utf8').equals(bytes), 'not UTF-8');
  return text;
}

/** The part of JSON that a header may hold: strings, whole numbers, lists and objects; a null stands for the words. */
class Header {
  readonly #tokens: string[];
  #next = 0;

  constructor(text: string) {
    const token = /[ \t\r\n]+|[{}[\]:,]|"(?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|[-+.0-9a-zA-Z]+/gy;
    this.#tokens = [];
    let end = 0;
    for (const { 0: found, index } of text.matchAll(token)) {
      end = index + found.length;
      check(!found.startsWith('"') || [...found].every((character) => character >= ' '), 'a bare control character');
      if (!/^[ \t\r\n]/.test(found)) this.#tokens.push(found);
    }
    check(end === text.length, 'no JSON');
  }

  read(): Map<string, Value> {
    const value = this.#value(0);
    check(value instanceof Map && this.#next === this.#tokens.length, 'not one object');
    return value;
  }

  #take(): string {
    const token = this.#tokens[this.#next++];
    check(token !== undefined, 'cut off');
    return token;
  }

  #value(depth: number): Value {
    check(depth < 4, 'too deep');
    const token = this.#take();
    if (token === '{') {
      const fields = new Map<string, Value>();
      this.#items('}', () => {
        const name = this.#string(this.#take());
        check(!fields.has(name) && this.#take() === ':', 'a name twice, or without a value');
        fields.set(name, this.#value(depth + 1));
      });
      return fields;
    }
    if (token === '[') {
      const items: Value[] = [];
      this.#items(']', () => items.push(this.#value(depth + 1)));
      return items;
    }
    if (token.startsWith('"')) return this.#string(token);
    if (/^(0|[1-9][0-9]*)$/.test(token)) return BigInt(token);
    return null;
  }

  #items(close: string, item: () => unknown): void {
    if (this.#tokens[this.#next] === close) {
      this.#next++;
      return;
    }
    for (;;) {
      item();
      const token = this.#take();
      if (token === close) return;
      check(token === ',', 'no comma');
    }
  }

  #string(token: string): string {
    check(token.startsWith('"'), 'no string');
    const text = String(JSON.parse(token));
    check(Buffer.from(text, 'utf8').toString('utf8') === text, 'half of a surrogate pair');
    return text;
  }
}
