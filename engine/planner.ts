// From a graph to an ordered list of kernel calls over planned memory, without touching a device.
//
// The planner asks each node that is wanted for its kernel calls, in order of creation, and notes when each value is first
// and last used; values whose lives do not overlap share a slot (one buffer). A scan becomes a loop: its body's calls,
// once, over views that move by a fixed step of bytes an iteration. Always true: no call binds a buffer for writing that it
// binds a second time; what is fed, constant, wanted or a Variable has memory of its own.

import { copy, stridedCopy } from '../kernels/catalogue.ts';
import { type Kernel, packUniforms, specialise } from '../kernels/kernel.ts';
import { boundOf } from './bounds.ts';
import { at, formatShape, LimitError, need, OptionError, RimgradError } from './errors.ts';
import { type LiveScan, liveNodes } from './live.ts';
import { type Emitter, gridOf, type KernelCall, MAX_WORKGROUPS, type View } from './op.ts';
import { constantOf, inputOf } from './ops/leaf.ts';
import { advance, counterOf } from './ops/random.ts';
import type { Dispatch, Item, Place, Plan, Value } from './plan.ts';
import { assignSlots } from './slots.ts';
import type { Node, Tensor } from './tensor.ts';
import type { Update } from './update.ts';
import { type Data, Variable } from './variable.ts';

/** Bytes that the offset of a binding is a multiple of, on every WebGPU device. */
const ALIGNMENT = 256;

/** Bytes of a vec4: every place is a multiple of it, so that kernels may read and write whole vectors. */
const VECTOR = 16;

function roundUp(bytes: number, unit: number): number {
  return Math.ceil(bytes / unit) * unit;
}

/** What the planner must know of the device and of the run. */
export interface PlanOptions {
  readonly training: boolean;
  readonly subgroupSize: number;
}

/** Plans a program that computes `outputs` and then carries out `updates`. */
export function planProgram(
  outputs: Readonly<Record<string, Tensor>>,
  updates: readonly Update[],
  options: PlanOptions,
): Plan {
  return new Planner(options).plan(outputs, updates);
}

class Planner {
  readonly #options: PlanOptions;
  readonly #values: Value[] = [];
  readonly #items: Item[] = [];
  readonly #places = new Map<Tensor, Place>();
  readonly #inputs: { tensor: Tensor; place: Place; below: number | undefined }[] = [];
  readonly #constants: { place: Place; values: Data | number }[] = [];
  readonly #constantOfKey = new Map<string, Place>();
  readonly #variables = new Map<Variable, Place>();
  /** Where calls are appended: the list, or the body of the loop being planned. */
  #calls: Item[] = this.#items;
  #clock = 0;

  constructor(options: PlanOptions) {
    this.#options = options;
  }

  plan(outputs: Readonly<Record<string, Tensor>>, updates: readonly Update[]): Plan {
    const wanted = [...Object.values(outputs), ...updates.flatMap((update) => update.inputs)];
    const live = liveNodes(wanted);
    for (const node of live.order) this.#node(node, live.scans);
    const results = new Map<string, { tensor: Tensor; place: Place }>();
    for (const [name, tensor] of Object.entries(outputs)) {
      const place = this.#placeOf(tensor);
      results.set(name, { tensor, place: place.value.variable === undefined ? place : this.#copyOf(tensor, place) });
    }
    const all = [...updates, ...this.#advances(live.order)];
    // A tensor that is the memory of a Variable under another shape must not see the updates of its own run.
    const changed = new Set(all.flatMap((update) => update.variables));
    for (const tensor of new Set(all.flatMap((update) => update.inputs))) {
      const place = this.#placeOf(tensor);
      const { variable } = place.value;
      if (!(tensor instanceof Variable) && variable !== undefined && changed.has(variable)) {
        this.#places.set(tensor, this.#copyOf(tensor, place));
      }
    }
    for (const update of all) this.#update(update);
    for (const { place } of results.values()) place.value.last = Number.POSITIVE_INFINITY;
    for (const { place } of [...this.#inputs, ...this.#constants]) {
      place.value.first = -1;
      place.value.last = Number.POSITIVE_INFINITY;
    }
    this.#inputs.forEach((each, i) => {
      this.#inputs[i] = { ...each, below: boundOf(each.tensor, live.order) };
    });
    return {
      items: this.#items,
      slots: assignSlots(this.#values),
      variables: [...this.#variables.keys()],
      inputs: this.#inputs,
      constants: this.#constants,
      outputs: results,
    };
  }

  #node(node: Node, scans: ReadonlyMap<Node, LiveScan>): void {
    const scan = scans.get(node);
    const output = at(node.outputs, 0);
    const constant = constantOf(output);
    if (scan !== undefined) this.#scan(node, scan);
    else if (output instanceof Variable) this.#variable(output);
    else if (constant !== undefined) this.#constant(output, constant.values);
    else if (inputOf(output) !== undefined) this.#input(output);
    else this.#compute(node);
  }

  #input(tensor: Tensor): void {
    const place = this.#allocate(`input ${inputOf(tensor)?.name} ${formatShape(tensor.shape)}`, 4 * tensor.size);
    this.#places.set(tensor, place);
    this.#inputs.push({ tensor, place, below: undefined });
  }

  /** A node with kernel calls, or an alias. */
  #compute(node: Node, placeFor?: (output: Tensor) => Place | undefined): void {
    if (node.op.alias === true) {
      const place = this.#placeOf(at(node.inputs, 0));
      for (const output of node.outputs) this.#places.set(output, place);
      return;
    }
    if (node.op.plan === undefined) {
      throw new OptionError(
        `${node.op.name}: stands in a graph outside of its scan; return it from the cell as an output`,
      );
    }
    const outputs = node.outputs.map((output) => {
      const label = `${node.op.name} ${formatShape(output.shape)}`;
      const place = placeFor?.(output) ?? this.#allocate(label, 4 * output.size);
      this.#places.set(output, place);
      return place;
    });
    const inputs = node.inputs.map((input) => this.#placeOf(input));
    node.op.plan(this.#emitter(node.op.name, inputs, outputs), node);
  }

  /** In training, the random state that the program drew from goes on by one. */
  #advances(nodes: readonly Node[]): Update[] {
    if (!this.#options.training) return [];
    return [...new Set(nodes.map(counterOf))].flatMap((counter) => (counter === undefined ? [] : [advance(counter)]));
  }

  #update(update: Update): void {
    if (new Set(update.variables).size !== update.variables.length) {
      throw new OptionError(`${update.op.name}: an update names the variable '${update.variables[0]?.name}' twice`);
    }
    const inputs = update.inputs.map((input) => this.#placeOf(input));
    const outputs = update.variables.map((each) => {
      this.#variable(each);
      return need(this.#variables.get(each), 'a variable');
    });
    update.op.plan(this.#emitter(update.op.name, inputs, outputs), update);
  }

  #emitter(label: string, inputs: readonly Place[], outputs: readonly Place[]): Emitter {
    return {
      inputs,
      outputs,
      training: this.#options.training,
      subgroupSize: this.#options.subgroupSize,
      scratch: (elements) => this.#allocate(`${label} scratch`, 4 * elements),
      zero: () => this.#constantPlace('0', 4, 0),
      call: (kernel, call) => this.#call(label, kernel, call),
    };
  }

  #call<K extends Kernel>(label: string, kernel: K, call: KernelCall<K>): void {
    if (call.workgroups.some((count) => count > MAX_WORKGROUPS || count < 1)) {
      throw new LimitError(
        `${label}: ${kernel.name} needs ${call.workgroups.join(' x ')} workgroups, and a device takes ${MAX_WORKGROUPS} a dimension; make the tensor smaller or split it`,
      );
    }
    const time = this.#clock++;
    const given: Readonly<Record<string, View>> = call.buffers;
    const buffers = Object.entries(kernel.bindings).map(([name, { binding, access }]) => {
      const place = need(given[name] as Place | undefined, `${label}: the buffer ${name} of ${kernel.name}`);
      place.value.first = Math.min(place.value.first, time);
      place.value.last = Math.max(place.value.last, time);
      return { binding, write: access === 'read_write', place };
    });
    for (const { write, place } of buffers) {
      if (write && buffers.filter((other) => other.place.value === place.value).length > 1) {
        throw new RimgradError(
          `${label}: ${kernel.name} writes a buffer that it also binds elsewhere (${place.value.label})`,
        );
      }
    }
    const written = buffers.reduce((sum, { write, place }) => sum + (write ? place.bytes / 4 : 0), 0);
    this.#calls.push({
      label,
      kernel,
      source: specialise<Kernel>(kernel, call.constants ?? {}),
      constants: (call.constants ?? {}) as Readonly<Record<string, number | boolean>>,
      uniforms: packUniforms<Kernel>(kernel, call.uniforms),
      buffers,
      workgroups: call.workgroups,
      operations: call.operations ?? written,
    });
  }

  // ---- memory

  #allocate(label: string, bytes: number): Place {
    const whole = roundUp(bytes, VECTOR);
    const value: Value = {
      label,
      bytes: whole,
      first: Number.POSITIVE_INFINITY,
      last: -1,
      slot: -1,
      variable: undefined,
    };
    this.#values.push(value);
    return { value, offset: 0, step: 0, bytes: whole };
  }

  #placeOf(tensor: Tensor): Place {
    const place = this.#places.get(tensor);
    if (place === undefined) {
      throw new OptionError(
        `compile: '${tensor.node.op.name}' ${formatShape(tensor.shape)} has no value here; a tensor of a scan's body leaves it only as an output of the cell`,
      );
    }
    return place;
  }

  #variable(variable: Variable): void {
    if (this.#variables.has(variable)) return;
    const bytes = roundUp(4 * variable.size, VECTOR);
    const value: Value = { label: `variable ${variable.name}`, bytes, first: -1, last: -1, slot: -1, variable };
    const place: Place = { value, offset: 0, step: 0, bytes };
    this.#variables.set(variable, place);
    this.#places.set(variable, place);
  }

  #constant(tensor: Tensor, values: Data | number): void {
    this.#places.set(
      tensor,
      typeof values === 'number'
        ? this.#constantPlace(String(Object.is(values, -0) ? '-0' : values), 4 * tensor.size, values)
        : this.#constantPlace(`of node ${tensor.node.id}`, 4 * tensor.size, values),
    );
  }

  #constantPlace(key: string, bytes: number, values: Data | number): Place {
    const full = `${key} x ${bytes}`;
    const known = this.#constantOfKey.get(full);
    if (known !== undefined) return known;
    const place = this.#allocate(`constant ${full}`, bytes);
    this.#constantOfKey.set(full, place);
    this.#constants.push({ place, values });
    return place;
  }

  #copyOf(tensor: Tensor, from: Place): Place {
    const to = this.#allocate('copy', 4 * tensor.size);
    this.#copy('copy', from, to, tensor.size);
    return to;
  }

  /** Copies elements as they lie. */
  #copy(label: string, from: Place, to: Place, elements: number): void {
    const vectors = Math.ceil(elements / 4);
    const { WORKGROUP, VECTORS } = copy.constants;
    const workgroups = gridOf(vectors, WORKGROUP.value * VECTORS.value);
    this.#call(label, copy, { buffers: { input: from, output: to }, uniforms: { vectors }, workgroups });
  }

  /** Copies rows from one distance between them to another, both in elements. */
  #copyRows(
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

  // ---- scans

  #scan(node: Node, { attrs, body, taps, states, slices }: LiveScan): void {
    const { steps, reverse } = attrs;
    const padded = (t: Tensor): number => roundUp(4 * t.size, ALIGNMENT);
    // Sequences, a step of which may have to begin at a multiple of the alignment.
    for (const i of slices) {
      const tensor = at(attrs.slices, i);
      const outer = this.#placeOf(at(node.inputs, attrs.stateIn.length + i));
      const stride = padded(tensor);
      let place = outer;
      if (stride !== 4 * tensor.size) {
        place = this.#allocate(`scan padding ${formatShape([steps, ...tensor.shape])}`, steps * stride);
        this.#copyRows('scan padding', outer, place, steps, tensor.size, [tensor.size, stride / 4]);
      }
      this.#places.set(tensor, {
        value: place.value,
        offset: place.offset,
        step: stride,
        bytes: roundUp(4 * tensor.size, VECTOR),
      });
    }

    // States: one cell, or the whole history where it is wanted: T + 1 of them, the initial one before the first.
    const roots = taps.map((i) => rootWithin(at(attrs.taps, i), body));
    const cells = states.map((i) => {
      const [before, after] = [at(attrs.stateIn, i), at(attrs.stateOut, i)];
      const stride = padded(before);
      const bytes = roundUp(4 * before.size, VECTOR);
      const history = roots.includes(before) || roots.includes(after);
      const value = this.#allocate(
        `scan state ${formatShape(before.shape)}`,
        history ? (steps + 1) * stride : bytes,
      ).value;
      const step = history ? stride : 0;
      const earlier: Place = { value, offset: reverse ? step : 0, step, bytes };
      const later: Place = { value, offset: reverse ? 0 : step, step, bytes };
      const start: Place = { value, offset: reverse ? steps * step : 0, step: 0, bytes };
      const end: Place = { value, offset: reverse ? 0 : steps * step, step: 0, bytes };
      this.#copy('scan state', this.#placeOf(at(node.inputs, i)), start, before.size);
      this.#places.set(before, earlier);
      return { i, before, after, later, end, history };
    });

    // Wanted histories of other tensors of the body are written where they will stay.
    const produced = new Set(body.flatMap((each) => each.outputs));
    const arenas = new Map<Tensor, Place>();
    for (const root of roots) {
      if (arenas.has(root) || cells.some((cell) => cell.before === root || cell.after === root)) continue;
      const stride = padded(root);
      const { value } = this.#allocate(`scan history ${formatShape([steps, ...root.shape])}`, steps * stride);
      arenas.set(root, { value, offset: 0, step: stride, bytes: roundUp(4 * root.size, VECTOR) });
    }

    const outside = this.#calls;
    const calls: Dispatch[] = [];
    const began = this.#clock;
    this.#calls = calls;
    const writes = cells.filter((cell) => writesDirectly(cell, body, cells));
    const direct = new Map(writes.map((cell) => [cell.after, cell.later]));
    for (const each of body) this.#compute(each, (output) => direct.get(output) ?? arenas.get(output));
    for (const [root, arena] of arenas) {
      if (!produced.has(root)) this.#copy('scan history', this.#placeOf(root), arena, root.size);
    }
    for (const cell of cells) {
      if (!writes.includes(cell)) this.#copy('scan state', this.#placeOf(cell.after), cell.later, cell.before.size);
    }
    this.#calls = outside;
    // What was there before the loop, or is kept of every step, lives through all of it.
    const ended = this.#clock++;
    const kept = new Set([...arenas.values()].map((place) => place.value));
    for (const { place } of calls.flatMap((call) => call.buffers)) {
      const { value } = place;
      if (kept.has(value)) value.first = Math.min(value.first, began);
      if (kept.has(value) || value.first < began) value.last = Math.max(value.last, ended);
    }
    this.#calls.push({ steps, reverse, body: calls });

    for (const { i, end } of cells) this.#places.set(at(node.outputs, i), end);
    taps.forEach((i, k) => {
      const tensor = at(attrs.taps, i);
      const root = at(roots, k);
      const cell = cells.find(({ before, after }) => before === root || after === root);
      const inside =
        cell === undefined
          ? need(arenas.get(root), 'a history')
          : cell.before === root
            ? need(this.#places.get(root), 'a state')
            : cell.later;
      const whole: Place = { value: inside.value, offset: inside.offset, step: 0, bytes: steps * inside.step };
      const output = at(node.outputs, attrs.stateIn.length + i);
      let place: Place = { ...whole, bytes: roundUp(4 * output.size, VECTOR) };
      if (inside.step !== 4 * tensor.size) {
        place = this.#allocate('scan packing', 4 * output.size);
        this.#copyRows('scan packing', whole, place, steps, tensor.size, [inside.step / 4, tensor.size]);
      }
      this.#places.set(output, place);
    });
  }
}

/** The state of a scan as the planner sees it: the body's tensors before and after a step, and whether all steps are kept. */
interface Cell {
  readonly before: Tensor;
  readonly after: Tensor;
  readonly history: boolean;
}

/**
 * True where the node that makes the next state may write it into the state's memory itself. It must not read the state
 * in the same call, and where only one state is kept nothing may read the old one later in the step.
 */
function writesDirectly(cell: Cell, body: readonly Node[], cells: readonly Cell[]): boolean {
  const { before, after, history } = cell;
  const maker = body.indexOf(after.node);
  if (maker < 0 || after.node.op.alias === true || cells.find((other) => other.after === after) !== cell) return false;
  const readers = history ? [after.node] : body.slice(maker);
  return !readers.some((node) => node.inputs.some((input) => rootWithin(input, body) === before));
}

/** The tensor whose memory an alias shares, within the body of a scan. */
function rootWithin(tensor: Tensor, body: readonly Node[]): Tensor {
  let root = tensor;
  while (root.node.op.alias === true && body.includes(root.node)) root = at(root.node.inputs, 0);
  return root;
}
