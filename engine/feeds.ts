// Feeds: the data that a run is given for the inputs of its program, by their names. Whatever does not fit is refused
// before any of it is written, indices that are out of range among it: WebGPU would clamp them silently.

import { at, FeedError, formatShape, nearest, OptionError } from './errors.ts';
import type { Plan } from './plan.ts';
import { sameShape, type Tensor } from './tensor.ts';
import type { Data } from './variable.ts';

/** What a run is given, by the names of the inputs; a number for an input of one element. */
export type Feeds = Readonly<Record<string, Data | number>>;

/** Refuses two inputs of one name that no feed fits both. */
export function checkInputs(plan: Plan): void {
  const known = new Map<string, Tensor>();
  for (const { tensor } of plan.inputs) {
    const name = inputName(tensor);
    const other = known.get(name);
    known.set(name, tensor);
    if (other === undefined || (other.dtype === tensor.dtype && sameShape(other.shape, tensor.shape))) continue;
    const [a, b] = [other, tensor].map(({ dtype, shape }) => `${dtype} ${formatShape(shape)}`);
    throw new OptionError(`compile: two inputs are called '${name}', ${a} and ${b}; give them different names`);
  }
}

/**
 * The data of each input of a plan, in its order.
 * @throws FeedError for a missing, unknown or unfit feed
 */
export function checkFeeds(plan: Plan, feeds: Feeds): Data[] {
  const names = plan.inputs.map(({ tensor }) => inputName(tensor));
  const known = [...new Set(names)];
  for (const name of Object.keys(feeds)) {
    if (names.includes(name)) continue;
    const near = nearest(name, known);
    throw new FeedError(
      `run: no input is called '${name}'${near === undefined ? '.' : `; did you mean '${near}'?`} The program reads ${known.join(', ') || 'no inputs'}`,
    );
  }
  return plan.inputs.map(({ tensor, below }, i) => {
    const name = at(names, i);
    const given = feeds[name];
    if (given === undefined)
      throw new FeedError(
        `run: the input '${name}' ${formatShape(tensor.shape)} was not fed; give it to run({ ${name}: ... })`,
      );
    return checkFeed(name, tensor, below, given);
  });
}

function inputName(tensor: Tensor): string {
  return (tensor.node.attrs as { readonly name: string }).name;
}

function checkFeed(name: string, tensor: Tensor, below: number | undefined, given: Data | number): Data {
  const whole = tensor.dtype === 'u32';
  if (typeof given === 'number' && whole && given >>> 0 !== given) {
    throw new FeedError(`run: '${name}' takes whole numbers from 0 to ${2 ** 32 - 1}; it was given ${given}`);
  }
  const data = typeof given !== 'number' ? given : whole ? Uint32Array.of(given) : Float32Array.of(given);
  if (!(whole ? data instanceof Uint32Array : data instanceof Float32Array)) {
    throw new FeedError(`run: '${name}' takes a ${whole ? 'Uint32Array' : 'Float32Array'}, not ${kindOf(given)}`);
  }
  if (data.length !== tensor.size) {
    throw new FeedError(
      `run: '${name}' takes ${tensor.size} values, shape ${formatShape(tensor.shape)}; it was given ${data.length}`,
    );
  }
  if (below !== undefined) {
    const bad = data.findIndex((value) => value >= below);
    if (bad >= 0) {
      throw new FeedError(`run: '${name}' holds ${data[bad]} at position ${bad}; its values must be below ${below}`);
    }
  }
  return data;
}

function kindOf(given: unknown): string {
  if (typeof given !== 'object' || given === null) return String(given);
  return `a ${(given as { readonly constructor?: { readonly name: string } }).constructor?.name ?? 'object'}`;
}
