// The errors of the whole library, and the small checks that raise most of them.
//
// A message has one form: `where: what is wrong, with its shapes or values; the mend`. It names the op or the file, the
// shapes, the limit that was passed, and what to do about it. Every class carries its own name, so that a caller can tell
// them apart after bundling and minifying, by `instanceof` or by `error.name`.
// Always: nothing here logs, and nothing else in the library throws another Error at a user on purpose, but for the
// KernelError of kernels/, which imports nothing.
// Not here: deciding what is wrong. That stands where the rule stands.

/** The base of every error that this library raises: `catch (e) { if (e instanceof RimgradError) … }`. */
export class RimgradError extends Error {
  /** The name of the class, which minifying leaves as it is. */
  override readonly name: string = 'RimgradError';
}

/** Shapes or dtypes that do not fit together, or an index outside of a shape. */
export class ShapeError extends RimgradError {
  override readonly name: string = 'ShapeError';
}

/** An option that does not exist, or a value that an option cannot take. */
export class OptionError extends RimgradError {
  override readonly name: string = 'OptionError';
}

/** Data given to a program that it cannot take: missing, misnamed, of the wrong type or length, out of range. */
export class FeedError extends RimgradError {
  override readonly name: string = 'FeedError';
}

/** A request that passes a limit of the device: bytes a binding or buffer, workgroups, memory. What asks for less works on it. */
export class LimitError extends RimgradError {
  override readonly name: string = 'LimitError';
}

/** No adapter, a lost device (DeviceLostError), a validation error reported by WebGPU, exhausted memory reported outside of a call. */
export class DeviceError extends RimgradError {
  override readonly name: string = 'DeviceError';
}

/** A tensor that is not finite: what `NonFiniteError` found first. */
export interface NonFiniteTensor {
  /** The op that computed it (where a replay op by op took too much memory, those of one call, such as 'add+exp'); 'input', 'variable' or 'constant' for what no op computes. */
  readonly op: string;
  /** Its sizes. */
  readonly shape: readonly number[];
  /** Of an input or a Variable. */
  readonly name?: string;
  /** How many of its elements are not finite. */
  readonly count: number;
  /** The first of them, row-major. */
  readonly index: number;
  /** The value of that one. */
  readonly value: number;
  /** Whether it belongs to the backward pass, where that is known. */
  readonly pass?: 'forward' | 'backward';
  /** In a loop: the step of time, from 0 on. */
  readonly time?: number;
  /** In a loop: how many steps of time it has. */
  readonly steps?: number;
}

/** A training step that would have made weights NaN or infinite; it was not carried out, nor was any after it. */
export class NonFiniteError extends RimgradError {
  override readonly name: string = 'NonFiniteError';
  /** Which run of the programs that train these weights it was, from 1 on. */
  readonly step: number;
  /** What was not finite first; undefined where that could not be found. */
  readonly found: NonFiniteTensor | undefined;
  /** What was wrong, in words, without the step. */
  readonly what: string;

  /** @param options `of`: what was trained, such as 'the RIM', for the message */
  constructor(
    step: number,
    what: string,
    mend: string,
    found?: NonFiniteTensor,
    options: ErrorOptions & { readonly of?: string } = {},
  ) {
    const { of, ...rest } = options;
    const number = String(step).replaceAll(/\B(?=(\d{3})+$)/g, ',');
    super(
      `step ${number}${of === undefined ? '' : ` of ${of}`}: ${what}. Weights, moments and counters stand as they were before that step; ${mend}`,
      rest,
    );
    this.step = step;
    this.found = found;
    this.what = what;
  }
}

/** The device is gone: a new one has to be opened, and what was only on it is lost. `withRecovery` starts from here. */
export class DeviceLostError extends DeviceError {
  override readonly name: string = 'DeviceLostError';
}

/** A file that is truncated, damaged, of another format, or that does not fit what it is read for. */
export class FileError extends RimgradError {
  override readonly name: string = 'FileError';
}

/**
 * Element `index` of an array, or an error: never a silent `undefined`.
 *
 * @throws RimgradError when the index is not an integer in [0, length), or the element is undefined.
 */
export function at<T>(array: ArrayLike<T>, index: number): T {
  const value = array[index];
  if (value === undefined) throw indexError(array.length, index);
  return value;
}

function indexError(length: number, index: number): RimgradError {
  if (length === 0) return new RimgradError(`at: index ${index} is out of range: the array is empty`);
  return Number.isInteger(index) && index >= 0 && index < length
    ? new RimgradError(`at: element ${index} of ${length} is undefined; fill the array before reading it`)
    : new RimgradError(
        `at: index ${index} is out of range for length ${length}; use an integer from 0 to ${length - 1}`,
      );
}

/** A shape as messages show it: `[64,100]`, and `[]` for a scalar. A file may give one of any length: it is cut where it is long. */
export function formatShape(shape: ArrayLike<number>): string {
  const shown = Array.from({ length: Math.min(shape.length, MOST_SIZES) }, (_, i) => shape[i]);
  return `[${shown.join(',')}${shape.length > MOST_SIZES ? ',...' : ''}]`;
}

const MOST_SIZES = 16;

/** A value from a user or a file as messages show it: in one line, cut where it is long. @internal */
export function quote(value: unknown): string {
  let text: (value: unknown) => string = String;
  if (typeof value === 'string') text = JSON.stringify;
  if (typeof value === 'object' && value !== null) {
    // Lists and objects may lie in each other without end, and have a toString of their own: only what is flat is written out.
    const items: readonly unknown[] = Object.values(value);
    const flat = items.length <= MOST_SIZES && items.every((item) => !/object|bigint/.test(typeof item));
    text = flat ? JSON.stringify : () => `${Array.isArray(value) ? 'a list' : 'an object'} of ${items.length}`;
  }
  // Control characters that JSON leaves as they are, and line ends of Unicode, would break the line of a message.
  const line = text(typeof value === 'string' ? value.slice(0, LONGEST) : value).replaceAll(
    /[\u007f-\u009f\u2028\u2029]/g,
    '?',
  );
  return line.length > LONGEST ? `${line.slice(0, LONGEST - 3)}...` : line;
}

/** Characters of a value that messages show. */
const LONGEST = 80;

/**
 * Refuses every key of `options` that is not in `known`, so that a misspelt option is never silently ignored.
 *
 * @param where what the message starts with: the function or class that takes the options.
 * @throws OptionError naming the unknown option, the nearest known one, and all known ones.
 * @internal
 */
export function checkOptions(where: string, options: object, known: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    const near = nearest(key, known);
    const mend = near === undefined ? '' : ` Did you mean '${near}'?`;
    const list = known.length === 0 ? 'it takes no options' : `known options: ${known.join(', ')}`;
    throw new OptionError(`${where}: there is no option '${quote(key).slice(1, -1)}'.${mend} (${list})`);
  }
}

/** Refuses an option that is on or off and is given something else. @throws OptionError naming it @internal */
export function checkSwitch(where: string, name: string, value: unknown): void {
  if (typeof value !== 'boolean') throw new OptionError(`${where}: ${name} must be true or false, not ${quote(value)}`);
}

/** The name closest to `word` by edit distance; undefined when none is near enough to be a likely misspelling. @internal */
export function nearest(word: string, names: readonly string[]): string | undefined {
  // A name of a file may be of any length: none is near to one this long, and looking would take long too.
  if (word.length > LONGEST) return undefined;
  let best: string | undefined;
  let least = Math.max(2, Math.floor(word.length / 2)) + 1;
  for (const name of names) {
    const distance = editDistance(word.toLowerCase(), name.toLowerCase());
    if (distance < least) {
      least = distance;
      best = name;
    }
  }
  return best;
}

// Levenshtein distance: the fewest insertions, deletions and substitutions of one character that turn `a` into `b`.
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = at(previous, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(substitution, at(previous, j) + 1, at(row, j - 1) + 1));
    }
    previous = row;
  }
  return at(previous, b.length);
}

/** `value`, or an error where there is none: for look-ups that can only fail through a fault of this library. */
export function need<T>(value: T | undefined, what: string): T {
  if (value === undefined)
    throw new RimgradError(`${what} is missing; this is a fault of the library, please report it`);
  return value;
}
