// The record that a plan grows from: kernel calls in order, where every tensor lies, and when each value is first and
// last used. What makes a program (planner.ts) and what makes a loop of a scan (scan-plan.ts) write into it.
// Always: no call binds a buffer for writing that it binds a second time, but read_write at places apart; every place
// is a multiple of a vec4, so that kernels may read and write whole vectors. It decides nothing: not what is computed,
// nor which values share memory (slots.ts).

import { copy, stridedCopy } from '../kernels/catalogue.ts';
import { type Kernel, KernelError, packUniforms, specialise } from '../kernels/kernel.ts';
import { at, formatShape, need, OptionError, RimgradError } from './errors.ts';
import { fuse } from './fusion.ts';
import { checkElements, tooManyWorkgroups } from './limits.ts';
import { type Emitter, gridOf, type Joined, type KernelCall, MAX_WORKGROUPS, type View } from './op.ts';
import { type Dispatch, type Item, isLoop, type Place, type PlanOptions, type Value } from './plan.ts';
import type { ScanAttrs } from './scan.ts';
import type { Node, Tensor } from './tensor.ts';
import type { Data, Variable } from './variable.ts';

/** Bytes of a vec4: every place is a multiple of it. */
export const VECTOR = 16;

/** Bytes that the offset of a binding is a multiple of, on every WebGPU device. */
export const ALIGNMENT = 256;

/** Bytes that every device binds. */
export const BINDING_BYTES: number = 2 ** 27;

/** The least multiple of `unit` that is not below `bytes`. */
export function roundUp(bytes: number, unit: number): number {
  return Math.ceil(bytes / unit) * unit;
}

/** Calls, values and places of one program while it is planned. */
export class Recorder {
  readonly values: Value[] = [];
  readonly items: Item[] = [];
  readonly constants: { place: Place; values: Data | number }[] = [];
  /** The Variables that are used. */
  readonly variables: Set<Variable> = new Set();
  /** The storage of their homes. */
  readonly #homes = new Map<Variable, Value>();
  readonly #options: PlanOptions;
  readonly #places = new Map<Tensor, Place>();
  readonly #constantOfKey = new Map<string, Place>();
  /** Where calls are appended: the list, or the body of the loop being recorded. */
  #calls: Item[] = this.items;
  #clock = 0;

  constructor(options: PlanOptions) {
    this.#options = options;
  }

  // ---- calls

  /** The nodes to compute instead of some in order; `kept` are wanted beside what these read. */
  fused(order: readonly Node[], kept: ReadonlySet<Tensor>): readonly Node[] {
    return this.#options.fuse === false ? order : fuse(order, kept);
  }

  /** A node with kernel calls, or an alias. */
  compute(node: Node, placeFor?: (output: Tensor) => Place | undefined): void {
    if (node.op.alias === true) {
      node.outputs.forEach((output, i) => {
        const place = this.#places.get(at(node.inputs, i));
        if (place !== undefined) this.#places.set(output, place);
      });
      return;
    }
    if (placeFor === undefined && this.#view(node)) return;
    if (node.op.plan === undefined) {
      throw new OptionError(
        `${node.op.name}: stands in a graph outside of its scan; return it from the cell as an output`,
      );
    }
    const outputs = node.outputs.map((output) => {
      const place = placeFor?.(output) ?? this.memoryOf(node.op.name, output);
      this.#places.set(output, place);
      return place;
    });
    const inputs = node.inputs.map((input) => this.placeOf(input));
    const began = this.#clock;
    node.op.plan(this.emitter(node.op.name, inputs, outputs), node);
    this.#completed(node, began);
  }

  /** Notes that outputs of a node are computed once the last call is done: those in a place that a call since then has used. */
  #completed(node: Node, since: number): void {
    const call = this.#calls.at(-1);
    if (call === undefined || isLoop(call)) return;
    for (const tensor of node.outputs) {
      const place = this.#places.get(tensor);
      if (place !== undefined && place.value.last >= since) call.completes.push({ node, tensor, place });
    }
  }

  /** Outside of loops, puts a node's output inside of its input where it lies there as it must: not in a Variable. */
  #view(node: Node): boolean {
    const start = node.op.viewAt?.(node);
    if (start === undefined) return false;
    const { value, offset, step } = this.placeOf(at(node.inputs, 0));
    const begin = offset + 4 * start;
    if (value.variable !== undefined || step !== 0 || begin % ALIGNMENT !== 0) return false;
    const output = at(node.outputs, 0);
    this.#places.set(output, { value, offset: begin, step, bytes: roundUp(4 * output.size, VECTOR) });
    return true;
  }

  /** What a row is given to record its kernel calls with. */
  emitter(label: string, inputs: readonly Place[], outputs: readonly Place[], verdict?: Place): Emitter {
    return {
      verdict,
      inputs,
      outputs,
      training: this.#options.training,
      subgroupSize: this.#options.subgroupSize,
      tuning: this.#options.tuning,
      scratch: (elements) => this.allocate(`scratch of ${outputs[0]?.value.label ?? label}`, 4 * elements),
      zero: () => this.#constantPlace('0', 'constant [1]', 4, 0),
      joined: (views) => joinPlaces(views as readonly Place[]),
      call: (kernel, call) => this.#call(label, kernel, call),
    };
  }

  /** Records what `body` does as the loop of a scan. Values that existed before it, and those of `kept`, live through all of it. */
  loop(scan: Node, { steps, reverse }: ScanAttrs, kept: ReadonlySet<Value>, body: () => void): void {
    const outside = this.#calls;
    const calls: Dispatch[] = [];
    const began = this.#clock;
    this.#calls = calls;
    body();
    this.#calls = outside;
    const ended = this.#clock++;
    for (const { place } of calls.flatMap((call) => call.buffers)) {
      const { value } = place;
      if (kept.has(value)) value.first = Math.min(value.first, began);
      if (kept.has(value) || value.first < began) value.last = Math.max(value.last, ended);
    }
    this.#calls.push({ scan, steps, reverse, body: calls });
  }

  /** Copies elements as they lie. */
  copy(label: string, from: Place, to: Place, elements: number): void {
    const vectors = Math.ceil(elements / 4);
    const { WORKGROUP, VECTORS } = copy.constants;
    const workgroups = gridOf(vectors, WORKGROUP.value * VECTORS.value);
    this.#call(label, copy, { buffers: { input: from, output: to }, uniforms: { vectors }, workgroups });
  }

  /** Copies rows from one distance between them to another, both in elements. */
  copyRows(
    label: string,
    from: Place,
    to: Place,
    rows: number,
    elements: number,
    distances: readonly [number, number],
  ): void {
    const count = rows * elements;
    this.#call(label, stridedCopy, {
      buffers: { input: from, output: to },
      uniforms: { count, rank: 2, inOffset: 0, outOffset: 0, dims: [rows, ...distances, 0, elements, 1, 1, 0] },
      workgroups: gridOf(count, stridedCopy.constants.WORKGROUP.value),
    });
  }

  #call<K extends Kernel>(label: string, kernel: K, call: KernelCall<K>): void {
    const time = this.#clock++;
    const given: Readonly<Record<string, View>> = call.buffers;
    const buffers = Object.entries(kernel.bindings).map(([name, { binding, access }]) => {
      const place = need(given[name] as Place | undefined, `${label}: the buffer ${name} of ${kernel.name}`);
      place.value.first = Math.min(place.value.first, time);
      place.value.last = Math.max(place.value.last, time);
      return { binding, write: access === 'read_write', place };
    });
    const clash = buffers.find((one) => one.write && buffers.some((other) => other !== one && clashes(one, other)));
    if (clash !== undefined) {
      throw new RimgradError(
        `${label}: ${kernel.name} writes a buffer that it also binds elsewhere (${clash.place.value.label})`,
      );
    }
    if (call.workgroups.some((count) => count > MAX_WORKGROUPS || count < 1)) {
      throw tooManyWorkgroups({ label, kernel, workgroups: call.workgroups, buffers });
    }
    const written = buffers.reduce((sum, { write, place }) => sum + (write ? place.bytes / 4 : 0), 0);
    this.#calls.push({
      label,
      kernel,
      ...specialised(label, kernel, call),
      constants: (call.constants ?? {}) as Readonly<Record<string, number | boolean>>,
      buffers,
      workgroups: call.workgroups,
      operations: call.operations ?? written,
      completes: [],
    });
  }

  // ---- memory

  /** New memory of a tensor, under the name of what makes it. @throws LimitError for more elements than kernels count */
  memoryOf(name: string, { shape, size }: Tensor): Place {
    checkElements(name, shape, size);
    return this.allocate(`${name} ${formatShape(shape)}`, 4 * size);
  }

  /** New memory. */
  allocate(label: string, bytes: number): Place {
    const whole = roundUp(bytes, VECTOR);
    const value: Value = {
      label,
      bytes: whole,
      first: Number.POSITIVE_INFINITY,
      last: -1,
      slot: -1,
      variable: undefined,
    };
    this.values.push(value);
    return { value, offset: 0, step: 0, bytes: whole };
  }

  /** Where a tensor lies. @throws OptionError for one that was not computed here */
  placeOf(tensor: Tensor): Place {
    const place = this.#places.get(tensor);
    if (place === undefined) {
      throw new OptionError(
        `compile: '${tensor.node.op.name}' ${formatShape(tensor.shape)} has no value here; a tensor of a scan's body leaves it only as an output of the cell`,
      );
    }
    return place;
  }

  /** Puts a tensor at a place. */
  put(tensor: Tensor, place: Place): void {
    this.#places.set(tensor, place);
  }

  /** The storage of a Variable: a place in that of its home. */
  variable(variable: Variable): Place {
    const known = this.#places.get(variable);
    if (known !== undefined) return known;
    this.variables.add(variable);
    const bytes = roundUp(4 * variable.size, VECTOR);
    const place: Place = { value: this.#home(variable), offset: 4 * variable.home.offset, step: 0, bytes };
    this.#places.set(variable, place);
    return place;
  }

  #home({ home: { variable } }: Variable): Value {
    const known = this.#homes.get(variable);
    if (known !== undefined) return known;
    const bytes = roundUp(4 * variable.size, VECTOR);
    const label = `variable ${variable.name} ${formatShape(variable.shape)}`;
    const value: Value = { label, bytes, first: -1, last: -1, slot: -1, variable };
    this.#homes.set(variable, value);
    return value;
  }

  /** Memory of a constant, which equal ones share. */
  constant(tensor: Tensor, values: Data | number): void {
    checkElements('constant', tensor.shape, tensor.size);
    const key = typeof values === 'number' ? String(Object.is(values, -0) ? '-0' : values) : `node ${tensor.node.id}`;
    const label = `constant ${formatShape(tensor.shape)}`;
    this.#places.set(tensor, this.#constantPlace(key, label, 4 * tensor.size, values));
  }

  #constantPlace(key: string, label: string, bytes: number, values: Data | number): Place {
    const full = `${key} x ${bytes}`;
    const known = this.#constantOfKey.get(full);
    if (known !== undefined) return known;
    const place = this.allocate(label, bytes);
    this.#constantOfKey.set(full, place);
    this.constants.push({ place, values });
    return place;
  }

  /** A copy of a tensor's value. */
  copyOf(tensor: Tensor, from: Place): Place {
    const to = this.memoryOf(`copy of ${tensor.node.op.name}`, tensor);
    this.copy('copy', from, to, tensor.size);
    return to;
  }
}

/** The fewest places that hold all of these, as `Emitter.joined` gives them. */
function joinPlaces(places: readonly Place[]): Joined {
  const groups: { readonly place: Place; low: number; high: number }[] = [];
  const groupOf = places.map((place) => {
    const { value, offset, bytes, step } = place;
    const end = offset + bytes;
    let i = groups.findIndex(
      ({ place: other, low, high }) =>
        other === place ||
        (other.value === value &&
          other.step + step === 0 &&
          Math.max(high, end) - Math.min(low, offset) <= BINDING_BYTES),
    );
    if (i < 0) i = groups.push({ place, low: offset, high: end }) - 1;
    const group = at(groups, i);
    group.low = Math.min(group.low, offset);
    group.high = Math.max(group.high, end);
    return i;
  });
  return {
    views: groups.map(({ place, low, high }): Place => ({ ...place, offset: low, bytes: high - low })),
    places: places.map(({ offset }, k) => {
      const view = at(groupOf, k);
      return { view, offset: (offset - at(groups, view).low) / 4 };
    }),
  };
}

/** True where WebGPU refuses to bind both: parts of one buffer, unless both are bound read_write and lie apart. */
function clashes(one: { write: boolean; place: Place }, other: { write: boolean; place: Place }): boolean {
  const [a, b] = [one.place, other.place];
  if (a.value !== b.value) return false;
  const apart = a.step === b.step && (a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset);
  return !(apart && one.write && other.write);
}

/** The source and the uniforms of a call. @throws OptionError for a number that its kernel cannot take */
function specialised<K extends Kernel>(
  label: string,
  kernel: K,
  { constants, uniforms }: KernelCall<K>,
): Pick<Dispatch, 'source' | 'uniforms'> {
  try {
    return {
      source: specialise<Kernel>(kernel, constants ?? {}),
      uniforms: packUniforms<Kernel>(kernel, uniforms),
    };
  } catch (cause) {
    if (!(cause instanceof KernelError)) throw cause;
    const mend = 'give the op numbers that fit 32 bits (f32 ends at 3.4e38), or a smaller tensor';
    throw new OptionError(`${label}: its kernel cannot take a number that it was given (${cause.message}); ${mend}`, {
      cause,
    });
  }
}
