// What a piece of work allocates: bytes of array buffers and typed arrays, by standing in for their constructors while it
// runs, and growth of the heap, by asking V8 before and after.
//
// Always: the constructors are given back, whatever happens. A collection in between only makes the second figure smaller.

import { getHeapStatistics } from 'node:v8';

/** What was allocated meanwhile. */
export interface Allocated {
  /** By the constructors of array buffers and typed arrays; views count nothing. */
  readonly bytes: number;
  /** Growth of the JavaScript heap, and of memory that its objects hold outside of it. */
  readonly heap: number;
  readonly external: number;
}

const CONSTRUCTORS = [
  ...['ArrayBuffer', 'SharedArrayBuffer', 'Uint8Array', 'Int8Array', 'Uint8ClampedArray', 'Uint16Array', 'Int16Array'],
  ...['Uint32Array', 'Int32Array', 'Float32Array', 'Float64Array', 'BigInt64Array', 'BigUint64Array'],
];

/** Carries out `work` and measures. Its error, if any, is part of what it returns. */
export async function metered<T>(
  work: () => T | Promise<T>,
): Promise<{ readonly result: T; readonly allocated: Allocated }> {
  let bytes = 0;
  const originals = new Map<string, unknown>();
  for (const name of CONSTRUCTORS) {
    const original: unknown = Reflect.get(globalThis, name);
    if (typeof original !== 'function') continue;
    originals.set(name, original);
    const counted = new Proxy(original, {
      construct: (target, args: unknown[], asked) => {
        const made: unknown = Reflect.construct(target, args, asked);
        const view = Object.prototype.toString.call(args[0]).includes('ArrayBuffer');
        if (!view && typeof made === 'object' && made !== null && 'byteLength' in made)
          bytes += Number(made.byteLength);
        return made as object;
      },
    });
    Object.defineProperty(globalThis, name, { value: counted, configurable: true, writable: true });
  }
  const before = getHeapStatistics();
  try {
    const result = await work();
    const after = getHeapStatistics();
    const heap = after.used_heap_size - before.used_heap_size;
    return { result, allocated: { bytes, heap, external: after.external_memory - before.external_memory } };
  } finally {
    for (const [name, value] of originals) {
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    }
  }
}
