// From a graph to an ordered list of kernel calls over planned memory, without touching a device.
//
// The planner asks each node that is wanted for its kernel calls, in order of creation, and notes when each value is first
// and last used; values whose lives do not overlap share a slot (one buffer). A scan becomes a loop (scan-plan.ts). Always
// true: what is fed, constant, wanted or a Variable has memory of its own. Not here: the record itself (recorder.ts).

import { boundOf } from './bounds.ts';
import { at, OptionError } from './errors.ts';
import { fuse } from './fusion.ts';
import { type LiveScan, liveNodes } from './live.ts';
import { constantOf, inputOf } from './ops/leaf.ts';
import { advance, counterOf } from './ops/random.ts';
import { remarkOf } from './ops/remark.ts';
import type { Place, Plan, PlanOptions } from './plan.ts';
import { Recorder } from './recorder.ts';
import { planScan } from './scan-plan.ts';
import { assignSlots } from './slots.ts';
import type { Node, Tensor } from './tensor.ts';
import { Together } from './together.ts';
import { emitGuard, type Update } from './update.ts';
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
  #together: Together;
  readonly #inputs: { tensor: Tensor; place: Place; below: number | undefined }[] = [];

  constructor(options: PlanOptions) {
    this.#training = options.training;
    this.#record = new Recorder(options);
    this.#together = new Together(this.#record, []);
  }

  plan(outputs: Readonly<Record<string, Tensor>>, updates: readonly Update[]): Plan {
    const wanted = [
      ...Object.values(outputs),
      ...updates.flatMap(({ inputs, guard }) => (guard === undefined ? inputs : [...inputs, guard.norm])),
    ];
    const live = liveNodes(wanted);
    this.#together = new Together(this.#record, updates);
    for (const node of fuse(live.order, new Set(wanted))) this.#node(node, live.scans);
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
    const changed = new Set(all.flatMap((update) => update.variables.map(({ home }) => home.variable)));
    for (const tensor of new Set(all.flatMap((update) => update.inputs))) {
      const place = this.#record.placeOf(tensor);
      const { variable } = place.value;
      if (!(tensor instanceof Variable) && variable !== undefined && changed.has(variable)) {
        this.#record.put(tensor, this.#record.copyOf(tensor, place));
      }
    }
    this.#together.gather();
    const flag = this.#guard(updates);
    for (const update of all) this.#update(update, flag);
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
      variables: [...this.#record.variables],
      changes: [...new Set(all.flatMap(({ variables, guard }) => [...variables, ...(guard ? [guard.flag] : [])]))],
      inputs: this.#inputs,
      constants: this.#record.constants,
      outputs: results,
      remarks: [...new Set(live.order.flatMap((node) => remarkOf(node) ?? []))],
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
    else this.#record.compute(node, this.#together.placeFor(node));
  }

  #input(tensor: Tensor): void {
    const place = this.#record.memoryOf(`input ${inputOf(tensor)?.name}`, tensor);
    this.#record.put(tensor, place);
    this.#inputs.push({ tensor, place, below: undefined });
  }

  /** In training, the random state that the program drew from goes on by one. */
  #advances(nodes: readonly Node[]): Update[] {
    if (!this.#training) return [];
    return [...new Set(nodes.map(counterOf))].flatMap((counter) => (counter === undefined ? [] : [advance(counter)]));
  }

  /** Raises the flag of the program's guard, where it has one, and gives its place. */
  #guard(updates: readonly Update[]): Place | undefined {
    const guards = updates.flatMap(({ guard }) => guard ?? []);
    const [flag, ...more] = new Set(guards.map((each) => each.flag));
    if (flag === undefined) return undefined;
    if (more.length > 0) {
      throw new OptionError(
        `compile: the updates have different guards, '${flag.name}' and '${more[0]?.name}'; one guards a whole program: give all optimisers the same`,
      );
    }
    const place = this.#record.variable(flag);
    const emit = this.#record.emitter('guard', [], []);
    for (const { norm } of guards) emitGuard(emit, this.#record.placeOf(norm), place);
    return place;
  }

  #update(update: Update, flag: Place | undefined): void {
    if (new Set(update.variables).size !== update.variables.length) {
      throw new OptionError(`${update.op.name}: an update names the variable '${update.variables[0]?.name}' twice`);
    }
    const outputs = update.variables.map((each) => this.#record.variable(each));
    const shared = new Set(outputs.map(({ value }) => value));
    const inputs = update.inputs.map((input) => {
      const place = this.#together.placeOf(update, input);
      // A Variable that shares storage with one that is changed is read from a copy: no call may bind a buffer for both.
      return shared.has(place.value) && !outputs.includes(place) ? this.#record.copyOf(input, place) : place;
    });
    update.op.plan(this.#record.emitter(update.op.name, inputs, outputs, flag), update);
  }
}
