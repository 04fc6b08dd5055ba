// From a graph to an ordered list of kernel calls over planned memory, without touching a device.
//
// The planner asks each node that is wanted for its kernel calls, in order of creation, and notes when each value is first
// and last used; values whose lives do not overlap share a slot (one buffer). A scan becomes a loop (scan-plan.ts). Always
// true: what is fed, constant, wanted or a Variable has memory of its own. Not here: the record itself (recorder.ts).

import { boundOf } from './bounds.ts';
import { at, OptionError } from './errors.ts';
import { emitGuards } from './guard.ts';
import { type LiveScan, liveNodes } from './live.ts';
import { emitSquares } from './ops/global-norm.ts';
import { constantOf, inputOf } from './ops/leaf.ts';
import { advance, counterOf } from './ops/random.ts';
import { remarkOf } from './ops/remark.ts';
import type { Place, Plan, PlanGuard, PlanOptions } from './plan.ts';
import { Recorder } from './recorder.ts';
import { planScan } from './scan-plan.ts';
import { assignSlots } from './slots.ts';
import type { Node, Tensor } from './tensor.ts';
import { Together } from './together.ts';
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
  #together: Together;
  readonly #inputs: { tensor: Tensor; place: Place; below: number | undefined }[] = [];

  constructor(options: PlanOptions) {
    this.#training = options.training;
    this.#record = new Recorder(options);
    this.#together = new Together(this.#record, []);
  }

  plan(outputs: Readonly<Record<string, Tensor>>, updates: readonly Update[]): Plan {
    const wanted = [...Object.values(outputs), ...updates.flatMap(({ inputs }) => inputs)];
    const live = liveNodes(wanted);
    this.#together = new Together(this.#record, updates);
    for (const node of this.#record.fused(live.order, new Set(wanted))) this.#node(node, live.scans);
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
    const begins = this.#record.items.length;
    const { guard, verdict } = this.#guard(updates, begins);
    for (const update of all) this.#update(update, verdict);
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
      changes: [...new Set(all.flatMap(({ variables }) => variables))],
      guard,
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

  /** The program's guards, and the place of what they find, where there are any. */
  #guard(updates: readonly Update[], begins: number): { guard: PlanGuard | undefined; verdict: Place | undefined } {
    const looked = updates.flatMap((update) => (update.guard === undefined ? [] : [{ update, guarded: update.guard }]));
    if (looked.length === 0) return { guard: undefined, verdict: undefined };
    const guards = [...new Set(looked.flatMap(({ guarded }) => guarded.guards))];
    const emit = this.#record.emitter('guard', [], []);
    const looks = looked.flatMap(({ update, guarded: { norm, own, gradients, rates, most } }) => {
      const common = { rates: this.#record.placeOf(rates), rateCount: rates.size, most };
      const given =
        norm === undefined ? [] : [{ ...common, norm: this.#record.placeOf(norm), count: 1, squares: false }];
      if (norm !== undefined && own) return given;
      const places = gradients.map((each) => this.#together.placeOf(update, each));
      const { parts, count } = emitSquares(emit, gradients, places);
      return [...given, { ...common, norm: parts, count, squares: true }];
    });
    const states = guards.map(({ state }) => this.#record.variable(state));
    const verdict = emitGuards(emit, looks, states) as Place;
    return { guard: { guards, guarded: looked.map(({ guarded }) => guarded), begins }, verdict };
  }

  #update(update: Update, verdict: Place | undefined): void {
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
    update.op.plan(this.#record.emitter(update.op.name, inputs, outputs, verdict), update);
  }
}
