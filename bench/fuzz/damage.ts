// Damage to files: to the tree of a JSON text, and to plain bytes. A change is plain data that fast-check draws and shrinks
// (what, where, which), and a function that carries it out on whatever it is given.
//
// Always: what comes out depends on nothing but what goes in; a change that has nothing to change leaves things as they are.
// Not here: what is damaged (tensor-files.ts, json-files.ts) and what must hold afterwards (rules.ts).

import fc from 'fast-check';
import { at } from '../../engine/errors.ts';

/** A JSON text as a tree whose leaves and keys are text, so that it can hold what JSON.parse would not give back. */
export type Tree =
  | { readonly kind: 'object'; readonly fields: readonly (readonly [key: string, value: Tree])[] }
  | { readonly kind: 'list'; readonly items: readonly Tree[] }
  | { readonly kind: 'text'; readonly text: string };

/** One change: `what` names it, `where` and `which` choose, modulo what there is. */
export interface Change<What extends string = string> {
  readonly what: What;
  readonly where: number;
  readonly which: number;
}

const text = (raw: string): Tree => ({ kind: 'text', text: raw });

/** The tree of a value that JSON can hold. */
export function treeOf(value: unknown): Tree {
  if (Array.isArray(value)) return { kind: 'list', items: value.map(treeOf) };
  if (typeof value !== 'object' || value === null) return text(JSON.stringify(value));
  return {
    kind: 'object',
    fields: Object.entries(value).map(([key, field]) => [JSON.stringify(key), treeOf(field)] as const),
  };
}

/** The JSON text of a tree. */
export function render(tree: Tree): string {
  if (tree.kind === 'text') return tree.text;
  if (tree.kind === 'list') return `[${tree.items.map(render).join(',')}]`;
  return `{${tree.fields.map(([key, value]) => `${key}:${render(value)}`).join(',')}}`;
}

/** Keys that mean something to JavaScript, to a format, or to nobody. */
const KEYS = [
  '"__proto__"',
  '"constructor"',
  '"prototype"',
  '"toString"',
  '"valueOf"',
  '"hasOwnProperty"',
  '"__metadata__"',
  '"\\u005f_proto__"',
  '"\\ud800"',
  '"\\u0000\\u001b[2J\\n"',
  '""',
  '"length"',
  '"0"',
  `"${'k'.repeat(3000)}"`,
];

/** Values at the edge of what a field may be, and beyond; some are no JSON. */
const VALUES = [
  ...['null', 'true', 'false', '""', '[]', '{}', '"x"', '"constructor"', '"__proto__"', '"\\udfff"', '"\\u0000\\n"'],
  ...['0', '-0', '1', '-1', '2', '1.0', '1e0', '1.5', '1e-7', '1e15', '1e308', '1e400', '-1e400', '0.1e1'],
  ...['2147483648', '4294967296', '9007199254740991', '9007199254740992', '9007199254740993', '18446744073709551616'],
  ...['NaN', 'Infinity', 'undefined', '01', '+1', '.5', '0x10', "'x'", '//', '\ufeff1', '[1,]', '{"a":1,}', ''],
  ...['"F8_E4M3"', '"f32"', '"F64"', '"BOOL"', '"U8"', '"I64"', '[1,2]', '[[1]]', '[0,0]', '["1"]', '[null]'],
  ...['{"toString":1,"valueOf":1}', '{"__proto__":{"polluted":1}}', '{"constructor":{"prototype":{"polluted":1}}}'],
  ...['[9007199254740991,9007199254740991]', '[4294967296,4294967296]', '[2251799813685248,8192,2]', '[0,1e308]'],
  ...['"0"', '"-1"', '"3"', '"1.5"', '"700"', '"100000"', '"1e9"', '"9007199254740991"', '"true"', '"1 2 3"'],
  `"${'v'.repeat(3000)}"`,
  `[${'1,'.repeat(20_000)}1]`,
  `[${'0,'.repeat(3000)}0]`,
];

const DEPTHS = [1, 2, 3, 8, 1000, 100_000];

type TreeWhat = 'value' | 'key' | 'twice' | 'twice-escaped' | 'drop' | 'add' | 'copy' | 'nest' | 'repeat' | 'reverse';

/** A change to a tree. */
export const treeChanges: fc.Arbitrary<Change<TreeWhat>> = fc.record({
  what: fc.constantFrom<TreeWhat[]>(
    ...(['value', 'key', 'twice', 'twice-escaped', 'drop', 'add', 'copy', 'nest', 'repeat', 'reverse'] as const),
  ),
  where: fc.nat({ max: 10_000 }),
  which: fc.nat({ max: 10_000 }),
});

/** All nodes of a tree, the root first. */
function nodesOf(tree: Tree): Tree[] {
  if (tree.kind === 'text') return [tree];
  const children = tree.kind === 'list' ? tree.items : tree.fields.map(([, value]) => value);
  return [tree, ...children.flatMap(nodesOf)];
}

function pick<T>(items: readonly T[], index: number): T {
  return at(items, index % items.length);
}

/** A copy with one node replaced. */
function replace(tree: Tree, from: Tree, to: Tree): Tree {
  if (tree === from) return to;
  if (tree.kind === 'list') return { ...tree, items: tree.items.map((item) => replace(item, from, to)) };
  if (tree.kind === 'text') return tree;
  return { ...tree, fields: tree.fields.map(([key, value]) => [key, replace(value, from, to)] as const) };
}

/** The tree with one change. */
export function changeTree(tree: Tree, { what, where, which }: Change<TreeWhat>): Tree {
  const nodes = nodesOf(tree);
  if (what === 'value' || what === 'copy' || what === 'nest') {
    const node = pick(nodes, where);
    if (what === 'value') return replace(tree, node, text(pick(VALUES, which)));
    if (what === 'copy') return replace(tree, node, pick(nodes, which));
    const depth = pick(DEPTHS, which);
    const [open, close] = which % 2 === 0 ? ['[', ']'] : ['{"a":', '}'];
    return replace(tree, node, text(open.repeat(depth) + render(node) + close.repeat(depth)));
  }
  if (what === 'repeat' || what === 'reverse') {
    const lists = nodes.filter((node) => node.kind === 'list');
    if (lists.length === 0) return tree;
    const list = pick(lists, where);
    const items =
      what === 'reverse' ? list.items.toReversed() : Array.from({ length: 1 + (which % 40) }, () => list.items).flat();
    return replace(tree, list, { kind: 'list', items });
  }
  const objects = nodes.filter((node) => node.kind === 'object');
  if (objects.length === 0) return tree;
  const object = pick(objects, where);
  const { fields } = object;
  const withFields = (changed: readonly (readonly [string, Tree])[]): Tree =>
    replace(tree, object, { kind: 'object', fields: changed });
  if (what === 'add') return withFields([...fields, [pick(KEYS, which), text(pick(VALUES, where + which))]]);
  if (fields.length === 0) return tree;
  const chosen = which % fields.length;
  const [key, value] = at(fields, chosen);
  if (what === 'drop') return withFields(fields.filter((_, i) => i !== chosen));
  if (what === 'key') {
    return withFields(fields.map((field, i) => (i === chosen ? [pick(KEYS, where + which), value] : field)));
  }
  return withFields([...fields, [what === 'twice' ? key : escaped(key), value]]);
}

/** The same JSON string written in another way. */
function escaped(key: string): string {
  const first = key.codePointAt(1);
  if (first === undefined || first > 0x7e || key.length < 3 || key[1] === '\\') return key;
  return `"\\u00${first.toString(16).padStart(2, '0')}${key.slice(2)}`;
}

type BytesWhat = 'flip' | 'set' | 'insert' | 'delete' | 'splice' | 'repeat' | 'cut' | 'append';

/** A change to bytes; `where` is a place as a share of 2^20. */
export const bytesChanges: fc.Arbitrary<Change<BytesWhat>> = fc.record({
  what: fc.constantFrom<BytesWhat[]>('flip', 'set', 'insert', 'delete', 'splice', 'repeat', 'cut', 'append'),
  where: fc.nat({ max: 2 ** 20 }),
  which: fc.nat({ max: 2 ** 20 }),
});

const encode = (words: string): number[] => [...new TextEncoder().encode(words)];

/** What is put between bytes: marks, halves of characters, JSON's own characters. */
const INSERTS: readonly (readonly number[])[] = [
  [0],
  [0xff],
  [0xc0, 0x80],
  [0xed, 0xa0, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xe2, 0x82],
  [0xef, 0xbb, 0xbf],
  ...[
    '{',
    '}',
    '[',
    ']',
    '"',
    ':',
    ',',
    '\\',
    ' ',
    '\n',
    '\r\n',
    '0',
    '9',
    '-',
    'e',
    '.',
    '\u2028',
    '"__proto__":',
  ].map(encode),
];

/** The bytes with one change. @param borders places where parts begin, which cuts prefer */
export function changeBytes(bytes: Uint8Array, change: Change<BytesWhat>, borders: readonly number[]): Uint8Array {
  const { what, where, which } = change;
  const place = Math.floor((where / 2 ** 20) * bytes.length);
  if (what === 'cut') return bytes.slice(0, which % 3 === 0 ? place : Math.max(0, pick(borders, where) - (which % 2)));
  if (what === 'append') return joined(bytes, repeated(pick(INSERTS, where), 1 + (which % 16)));
  if (what === 'insert') {
    return joined(bytes.subarray(0, place), Uint8Array.from(pick(INSERTS, which)), bytes.subarray(place));
  }
  if (bytes.length === 0) return bytes;
  const from = which % bytes.length;
  const span = bytes.subarray(from, from + 1 + ((where + which) % 24));
  switch (what) {
    case 'flip':
    case 'set': {
      const copy = bytes.slice();
      const spot = Math.min(place, bytes.length - 1);
      copy[spot] = what === 'flip' ? at(bytes, spot) ^ (1 << (which % 8)) : at(pick(INSERTS, which), 0);
      return copy;
    }
    case 'delete':
      return joined(bytes.subarray(0, place), bytes.subarray(place + 1 + (which % 24)));
    case 'splice':
      return joined(bytes.subarray(0, place), span, bytes.subarray(place + span.length));
    case 'repeat':
      return joined(bytes.subarray(0, place), repeated([...span], 1 + (which % 200)), bytes.subarray(place));
  }
}

function repeated(bytes: readonly number[], times: number): Uint8Array {
  return Uint8Array.from({ length: bytes.length * times }, (_, i) => at(bytes, i % bytes.length));
}

/** Bytes one after the other. */
export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let position = 0;
  for (const part of parts) {
    bytes.set(part, position);
    position += part.length;
  }
  return bytes;
}
