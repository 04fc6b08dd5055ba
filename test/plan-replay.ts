// Judges a plan without trusting its notes on the lives of values: carries its calls out one by one, loops written out, and keeps
// for every word of memory which value was written there last. Wrong is a read that finds another value than it means or
// none, a write past the end, a binding that is not aligned, a buffer bound for writing and once more, and Variables over one
// another. Inputs and constants must last into the next run, outputs to the end. What is computed is judged elsewhere.
import { at, need } from '../engine/errors.ts';
import { type Dispatch, isLoop, type Place, type Plan, type Value } from '../engine/plan.ts';
import type { Variable } from '../engine/variable.ts';

/** Kernel calls in the order of a run, loops written out, each with the iteration that it belongs to. */
function* replay({ items }: Plan): Generator<{ dispatch: Dispatch; t: number }> {
  for (const item of items) {
    if (!isLoop(item)) {
      yield { dispatch: item, t: 0 };
      continue;
    }
    for (let i = 0; i < item.steps; i++) {
      for (const dispatch of item.body) yield { dispatch, t: item.reverse ? item.steps - 1 - i : i };
    }
  }
}

/** All elements of a place; of one that is read, not those that may be there only to fill a vector of four. */
function elementsOf({ bytes }: Place, reads: boolean): number[] {
  const length = bytes / 4;
  return Array.from({ length: reads ? Math.max(1, length - 3) : length }, (_, i) => i);
}

/** The elements of a buffer that the rows of a call name, where it is one that rows name. */
function ofRows({ kernel, uniforms }: Dispatch, name: string): number[] | undefined {
  const norm = kernel.name === 'normParts';
  const { rows } = kernel.uniforms.fields;
  if (rows === undefined || !(norm ? /^x\d$/ : /^gradient$/).test(name)) return undefined;
  const words = new Uint32Array(uniforms);
  const count = at(words, need(kernel.uniforms.fields[norm ? 'tensors' : 'parameters'], 'a count').offset / 4);
  return Array.from({ length: count }, (_, i) => {
    const row = rows.offset / 4 + (norm ? 4 : 8) * i;
    if (norm && name !== `x${at(words, row + 3)}`) return [];
    return Array.from({ length: at(words, row + 1) }, (_, k) => at(words, row + 2) + k);
  }).flat();
}

/** The elements of a binding that a call touches: those of a strided copy or of rows exactly, of any other kernel all. */
function touched(dispatch: Dispatch, place: Place): number[] {
  const { kernel, uniforms, buffers } = dispatch;
  const bound = buffers.find((each) => each.place === place);
  const reads = bound?.write === false;
  const [name = ''] = Object.entries(kernel.bindings).find(([, { binding }]) => binding === bound?.binding) ?? [];
  const named = ofRows(dispatch, name);
  if (named !== undefined) return named;
  if (kernel.name !== 'stridedCopy') return elementsOf(place, reads);
  const field = (name: string): number => need(kernel.uniforms.fields[name], name).offset;
  const words = new Int32Array(uniforms);
  const word = (offset: number): number => at(words, offset / 4);
  let elements = [word(field(reads ? 'inOffset' : 'outOffset'))];
  for (let d = 0; d < word(field('rank')); d++) {
    const dim = field('dims') + 16 * d;
    const stride = word(dim + (reads ? 4 : 8));
    elements = elements.flatMap((start) => Array.from({ length: word(dim) }, (_, i) => start + i * stride));
  }
  return elements;
}

/** True for Variables that share elements of a home. */
function overlap(one: Variable, other: Variable): boolean {
  const [a, b] = [one.home, other.home];
  return a.variable === b.variable && a.offset < b.offset + other.size && b.offset < a.offset + one.size;
}

/** What is wrong with a plan: reads of memory that something else wrote, or nothing did; overlapping bindings. */
export function faults(plan: Plan): string[] {
  const found: string[] = [];
  const slots = plan.slots.map((bytes) => new Array<Value | undefined>(Math.ceil(bytes / 4)).fill(undefined));
  const write = (place: Place, t: number, elements: readonly number[]): void => {
    const slot = at(slots, place.value.slot);
    for (const element of elements) {
      const word = (place.offset + t * place.step) / 4 + element;
      if (word >= slot.length) found.push(`${place.value.label} is written past the end of its slot`);
      else slot[word] = place.value;
    }
  };
  const read = (place: Place, what: string, t: number, elements: readonly number[]): void => {
    const slot = at(slots, place.value.slot);
    const words = elements.map((element) => (place.offset + t * place.step) / 4 + element);
    const other = words.find((word) => slot[word] !== place.value);
    if (other === undefined) return;
    found.push(`${what} means to read ${place.value.label} at step ${t}, and finds ${slot[other]?.label ?? 'nothing'}`);
  };
  plan.variables.forEach((one, i) => {
    const over = plan.variables.slice(0, i).find((other) => overlap(one, other));
    if (over !== undefined) found.push(`the variables ${over.name} and ${one.name} lie over one another`);
  });
  for (const { place } of [...plan.inputs, ...plan.constants]) write(place, 0, elementsOf(place, false));
  for (const { dispatch, t } of replay(plan)) {
    const { buffers, label } = dispatch;
    for (const each of buffers) {
      const { value, offset, step } = each.place;
      if ((offset + t * step) % 256 !== 0) found.push(`${label} binds ${value.label} at ${offset + t * step}`);
      const shares = (other: Place): boolean =>
        other.value.slot === value.slot && other.value.variable === value.variable;
      if (each.write && buffers.filter(({ place }) => shares(place)).length > 1)
        found.push(`${label} writes what it reads`);
    }
    const own = buffers.filter(({ place }) => place.value.variable === undefined);
    for (const { place, write: writes } of own) if (!writes) read(place, label, t, touched(dispatch, place));
    for (const { place, write: writes } of own) if (writes) write(place, t, touched(dispatch, place));
  }
  for (const [name, { place }] of plan.outputs) read(place, `the output ${name}`, 0, elementsOf(place, true));
  for (const { place } of [...plan.inputs, ...plan.constants]) read(place, 'the next run', 0, elementsOf(place, true));
  return found;
}
