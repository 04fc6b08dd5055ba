// What must hold whenever a loader is given a file, whole or damaged. A case loads the same bytes twice, in the middle of two
// larger buffers of other contents and at other alignments, and what was accepted once more as it is written again.
//
// The rules: a whole file is accepted; a refusal is one of the loader's typed errors, in one line of bounded length that says
// what it must; nothing is read outside of the bytes and nothing written at all; what is allocated is bounded by the bytes;
// prototypes stay as they are; what is accepted is written and read back the same, and is right by an independent judge
// where there is one. Not here: time (command.ts), and which loaders there are (loaders.ts).

import type { Loaded, Loader } from './loaders.ts';
import { metered } from './meter.ts';
import type { Drawn } from './tensor-files.ts';

/** A rule that did not hold. */
export class Broken extends Error {
  override readonly name: string = 'Broken';
}

/** How a case ended: accepted, or refused by an error of this name. */
export type Outcome = 'accepted' | `refused: ${string}`;

const FILE = 'folder/file';
const LONGEST_MESSAGE = 1000;

/** Bytes of typed arrays that may be made for a file of so many bytes: data converted to wider ones, and a few small things. */
const arrayLimit = (length: number): number => 65_536 + 8 * length;
/** Growth of the heap: a tree of JavaScript objects is many times larger than its text. */
const heapLimit = (length: number): number => 4_000_000 + 200 * length;

/** Holds a loader against all rules on one file. @throws Broken where one does not hold */
export async function judgeCase(loader: Loader, { bytes, damage }: Drawn): Promise<Outcome> {
  const first = await attempt(loader, bytes, 3, 0xa5);
  const second = await attempt(loader, bytes, 8, 0x22);
  if (first.said !== second.said) {
    throw new Broken(`the result depends on what lies around the bytes: ${first.said} or ${second.said}`);
  }
  if (!first.loaded) {
    if (damage.length === 0) throw new Broken(`a whole file was refused: ${first.said}`);
    if (loader.defect && loader.defect(bytes) === undefined) {
      throw new Broken(`refused, though it is a right file: ${first.said}`);
    }
    return `refused: ${first.error}`;
  }
  const defect = loader.defect?.(bytes);
  if (defect !== undefined) throw new Broken(`accepted, though it is no right file: ${defect}`);
  if (first.loaded.again) {
    const again = await attempt(loader, await first.loaded.again(), 0, 0);
    if (again.said !== first.said)
      throw new Broken(`written and read again it is ${again.said}, and was ${first.said}`);
  }
  return 'accepted';
}

interface Attempt {
  /** What came out, as a text: contents or error. */
  readonly said: string;
  readonly error: string;
  readonly loaded?: Loaded;
}

/** Loads bytes that lie behind `before` others in a larger buffer, all others of one value. */
async function attempt(loader: Loader, bytes: Uint8Array, before: number, canary: number): Promise<Attempt> {
  const around = new Uint8Array(before + bytes.length + 64).fill(canary);
  around.set(bytes, before);
  const inside = around.subarray(before, before + bytes.length);
  const prototypes = prototypeKeys();
  const { result, allocated } = await metered(async () => {
    try {
      return { loaded: await loader.load(inside, FILE) };
    } catch (error) {
      return { error };
    }
  });
  if (prototypeKeys() !== prototypes) {
    for (const key of ['polluted', 'a', 'b']) Reflect.deleteProperty(Object.prototype, key);
    throw new Broken('a prototype was changed');
  }
  const size = bytes.length;
  if (Math.max(allocated.bytes, allocated.external) > arrayLimit(size) || allocated.heap > heapLimit(size)) {
    const { bytes: arrays, external, heap } = allocated;
    throw new Broken(
      `a file of ${size} bytes made it allocate ${arrays} in arrays, ${external} outside, ${heap} of heap`,
    );
  }
  const untouched = around.every((byte, i) => byte === (bytes[i - before] ?? canary));
  if (!untouched) throw new Broken('the bytes, or those around them, were written to');
  if ('error' in result) return refusal(loader, result.error);
  const { loaded } = result;
  for (const view of loaded.views ?? []) checkView(view, inside);
  return { said: `accepted ${await loaded.content()}`, error: '', loaded };
}

/** A view must lie in the bytes, or fill a buffer of its own. */
function checkView(view: ArrayBufferView, inside: Uint8Array): void {
  const { buffer, byteOffset, byteLength } = view;
  const shared = buffer === inside.buffer;
  const [from, to] = shared ? [inside.byteOffset, inside.byteOffset + inside.byteLength] : [0, buffer.byteLength];
  const fits = shared ? byteOffset >= from && byteOffset + byteLength <= to : byteOffset === 0 && byteLength === to;
  if (!fits)
    throw new Broken(`a result reaches over ${byteOffset} to ${byteOffset + byteLength}, the bytes ${from} to ${to}`);
}

function refusal(loader: Loader, error: unknown): Attempt {
  if (error instanceof Broken) throw error;
  if (!(error instanceof Error)) throw new Broken(`something was thrown that is no error: ${typeof error}`);
  const { name, message } = error;
  const expected = loader.refusals.find(([type]) => error instanceof type);
  if (expected === undefined)
    throw new Broken(`${name} instead of a typed error: ${message.slice(0, 300)}`, { cause: error });
  const shown = `${name}: ${message.slice(0, 300)}`;
  if (message.length > LONGEST_MESSAGE) throw new Broken(`a message of ${message.length} characters: ${shown}`);
  if (/\p{Cc}|\p{Surrogate}|\p{Zl}|\p{Zp}/u.test(message)) throw new Broken(`a message of odd characters: ${shown}`);
  if (!expected[1].test(message.replaceAll(FILE, 'FILE'))) throw new Broken(`a message without file or mend: ${shown}`);
  return { said: `refused ${name}: ${message}`, error: name };
}

function prototypeKeys(): string {
  return [Object, Array, Function, String, Number, Map, Set, Uint8Array]
    .map(({ prototype }) => Reflect.ownKeys(prototype).length)
    .join();
}
