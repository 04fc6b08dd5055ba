// From a graph to an ordered list of kernel calls over planned memory, without touching a device.
//
// The planner asks each node that is wanted for its kernel calls, in order of creation, and notes when each value is first
// and last used; values whose lives do not overlap share a slot (one buffer). A scan becomes a loop (scan-plan.ts). Always
// true: what is fed, constant, wanted or a Variable has memory of its own. Not here: the record itself (recorder.ts).

import { boundOf } from './bounds.ts';
import { at, formatShape, OptionError } from './errors.ts';
import { type LiveScan, liveNodes } from './live.ts';
import { constantOf, inputOf } from './ops/leaf.ts';
import { advance, counterOf } from './ops/random.ts';
import type { Place, Plan, PlanOptions } from './plan.ts';
import { Recorder } from './recorder.ts';
import { planScan } from './scan-plan.ts';
import { assignSlots } from './slots.ts';
import type { Node, Tensor } from './tensor.ts';
import type { Update } from './update.ts';
import { Variable } from './variable.ts';

/** Plans a program that computes `outputs` and then carries out `updates`. */
export function planProgram(
  outputs: Readonly<Record<string, Tensor>>,
  updates: readonly Update[],
  options: PlanOptions,
): Plan {
  return new Planner(options).plan(outputs, updates);
}

class Planner {
  readonly #training: boolean;
  readonly #record: Recorder;
  readonly #inputs: { tensor: Tensor; place: Place; below: number | undefined }[] = [];

  constructor(options: PlanOptions) {
    this.#training = options.training;
    this.#record = new Recorder(options);
  }

  plan(outputs: Readonly<Record<string, Tensor>>, updates: readonly Update[]): Plan {
    const wanted = [...Object.values(outputs), ...updates.flatMap((update) => update.inputs)];
    const live = liveNodes(wanted);
    for (const node of live.order) this.#node(node, live.scans);
    const results = new Map<string, { tensor: Tensor; place: Place }>();
    for (const [name, tensor] of Object.entries(outputs)) {
      const place = this.#record.placeOf(tensor);
      results.set(name, {
        tensor,
        place: place.value.variable === undefined ? place : this.#record.copyOf(tensor, place),
      });
    }
    const all = [...updates, ...this.#advances(live.order)];
    // A tensor that is the memory of a Variable under another shape must not see the updates of its own run.
    const changed = new Set(all.flatMap((update) => update.variables));
    for (const tensor of new Set(all.flatMap((update) => update.inputs))) {
      const place = this.#record.placeOf(tensor);
      const { variable } = place.value;
      if (!(tensor instanceof Variable) && variable !== undefined && changed.has(variable)) {
        this.#record.put(tensor, this.#record.copyOf(tensor, place));
      }
    }
    for (const update of all) this.#update(update);
    for (const { place } of results.values()) place.value.last = Number.POSITIVE_INFINITY;
    for (const { place } of [...this.#inputs, ...this.#record.constants]) {
      place.value.first = -1;
      place.value.last = Number.POSITIVE_INFINITY;
    }
    this.#inputs.forEach((each, i) => {
      this.#inputs[i] = { ...each, below: boundOf(each.tensor, live.order) };
    });
    return {
      items: this.#record.items,
      slots: assignSlots(this.#record.values),
      variables: [...this.#record.variables.keys()],
      inputs: this.#inputs,
      constants: this.#record.constants,
      outputs: results,
    };
  }

  #node(node: Node, scans: ReadonlyMap<Node, LiveScan>): void {
    const scan = scans.get(node);
    const output = at(node.outputs, 0);
    const constant = constantOf(output);
    if (scan !== undefined) planScan(this.#record, node, scan);
    else if (output instanceof Variable) this.#record.variable(output);
    else if (constant !== undefined) this.#record.constant(output, constant.values);
    else if (inputOf(output) !== undefined) this.#input(output);
    else this.#record.compute(node);
  }

  #input(tensor: Tensor): void {
    const label = `input ${inputOf(tensor)?.name} ${formatShape(tensor.shape)}`;
    const place = this.#record.allocate(label, 4 * tensor.size);
    this.#record.put(tensor, place);
    this.#inputs.push({ tensor, place, below: undefined });
  }

  /** In training, the random state that the program drew from goes on by one. */
  #advances(nodes: readonly Node[]): Update[] {
    if (!this.#training) return [];
    return [...new Set(nodes.map(counterOf))].flatMap((counter) => (counter === undefined ? [] : [advance(counter)]));
  }

  #update(update: Update): void {
    if (new Set(update.variables).size !== update.variables.length) {
      throw new OptionError(`${update.op.name}: an update names the variable '${update.variables[0]?.name}' twice`);
    }
    const inputs = update.inputs.map((input) => this.#record.placeOf(input));
    const outputs = update.variables.map((each) => this.#record.variable(each));
    update.op.plan(this.#record.emitter(update.op.name, inputs, outputs), update);
  }
}
