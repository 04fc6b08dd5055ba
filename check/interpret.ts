// The float64 interpreter: evaluates a graph by the meanings of its ops, node after node in creation order, scans as the
// loops they are. It is what kernels and gradients are held against, so it is naive: no fusing, no reuse of storage.
//
// It can also evaluate the graph again with one leaf changed, for central differences. Then what a gradient treats as a
// constant is held at its value of the first evaluation: blocked values, selections, and tensors named in `held`.
// Always: ascending node ids are a topological order (engine/tensor.ts).

import { at, FeedError, need, OptionError } from '../engine/errors.ts';
import { constantOf, inputOf } from '../engine/ops/leaf.ts';
import { isRecomputed } from '../engine/recompute.ts';
import { type ScanAttrs, scanOf } from '../engine/scan.ts';
import { type Node, sizeOf, type Tensor } from '../engine/tensor.ts';
import { Variable } from '../engine/variable.ts';
import { meanings } from './meanings/index.ts';
import type { Meanings } from './meanings/meaning.ts';
import { filled, stack, stepOf, type Value } from './value.ts';

/** What a graph is evaluated with. */
export interface InterpretOptions {
  /** Elements of the inputs, by name. */
  readonly feeds?: Readonly<Record<string, ArrayLike<number>>>;
  /** Elements of Variables; one that is left out has its present value. */
  readonly variables?: ReadonlyMap<Variable, ArrayLike<number>>;
  /** What ops that are not the library's mean, by name. The library's own ops keep their meanings. */
  readonly meanings?: Meanings;
  /** False by default: dropout is off, as in evaluation programs. */
  readonly training?: boolean;
  /** Tensors that keep their value when a leaf changes, beside blocked values and selections, which always do. */
  readonly held?: readonly Tensor[];
  /**
   * Called with each value that an op computed, and what it computed it from: what it returns takes the value's place. By
   * small changes one learns how far rounding moves what is made of it.
   */
  readonly disturb?: (output: Tensor, value: Value, inputs: readonly Value[]) => Value;
}

/**
 * Evaluates tensors in float64.
 * @returns their values, in the order asked
 * @throws FeedError for an input without elements; OptionError for an op without a meaning
 */
export async function interpret(outputs: readonly Tensor[], options: InterpretOptions = {}): Promise<Value[]> {
  const interpretation = await Interpretation.of(outputs, options);
  return outputs.map((tensor) => interpretation.value(tensor));
}

/** The nodes that tensors depend on, ascending; bodies of scans are not among them. */
export function nodesOf(tensors: readonly Tensor[]): Node[] {
  const reached = new Set<Node>();
  const queue = tensors.map((tensor) => tensor.node);
  for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
    if (reached.has(node)) continue;
    reached.add(node);
    queue.push(...node.inputs.map((input) => input.node));
  }
  return [...reached].sort((a, b) => a.id - b.id);
}

/** Ops through which no gradient passes by definition: they are steps, choices, or blocked. */
const constantForGradients: ReadonlySet<string> = new Set([
  ...['blockGradient', 'topKMask', 'sign', 'greater', 'greaterEqual', 'less', 'lessEqual', 'equal'],
]);

/** The values of held tensors, each in the order of its evaluations: one, or one a step in the body of a scan. */
class Held {
  readonly #values = new Map<Tensor, Value[]>();

  keep(tensor: Tensor, value: Value): void {
    const known = this.#values.get(tensor);
    if (known === undefined) this.#values.set(tensor, [value]);
    else known.push(value);
  }

  /** Hands the values out again, from the first. */
  replay(): (tensor: Tensor) => Value {
    const next = new Map<Tensor, number>();
    return (tensor) => {
      const i = next.get(tensor) ?? 0;
      next.set(tensor, i + 1);
      return at(need(this.#values.get(tensor), 'a held value'), i);
    };
  }
}

type Read = (tensor: Tensor) => Value;

/** A graph with all its values. */
export class Interpretation {
  readonly #nodes: readonly Node[];
  readonly #values = new Map<Tensor, Value>();
  readonly #held: ReadonlySet<Tensor>;
  readonly #record = new Held();
  readonly #training: boolean;
  readonly #meanings: Meanings;
  readonly #disturb: NonNullable<InterpretOptions['disturb']>;

  /** Evaluates the graph of some tensors. */
  static async of(outputs: readonly Tensor[], options: InterpretOptions = {}): Promise<Interpretation> {
    const leaves = new Map<Tensor, ArrayLike<number>>();
    for (const tensor of nodesOf(outputs).flatMap((node) => node.outputs)) {
      if (tensor instanceof Variable) leaves.set(tensor, options.variables?.get(tensor) ?? (await tensor.read()));
    }
    return new Interpretation(outputs, options, leaves);
  }

  private constructor(
    outputs: readonly Tensor[],
    options: InterpretOptions,
    variables: ReadonlyMap<Tensor, ArrayLike<number>>,
  ) {
    this.#nodes = nodesOf(outputs);
    this.#held = new Set(options.held ?? []);
    this.#training = options.training ?? false;
    const taken = Object.keys(options.meanings ?? {}).find((name) => Object.hasOwn(meanings, name));
    if (taken !== undefined)
      throw new OptionError(`check: the library has an op '${taken}' of its own; give yours another name`);
    this.#meanings = { ...options.meanings, ...meanings };
    this.#disturb = options.disturb ?? ((_, value) => value);
    for (const node of this.#nodes) {
      const leaf = leafOf(node, options.feeds ?? {}, variables);
      const values = leaf === undefined ? this.#evaluate(node, (t) => this.value(t), undefined) : [leaf];
      this.#store(node, values, this.#values);
    }
  }

  /** The value of a tensor of the graph. */
  value(tensor: Tensor): Value {
    return need(this.#values.get(tensor), 'the value of a tensor outside of the interpreted graph');
  }

  /** The value that `output` would have if the leaf had other elements, held tensors as they were. */
  changed(output: Tensor, leaf: Tensor, elements: Float64Array): Value {
    const values = new Map<Tensor, Value>([[leaf, { shape: leaf.shape, data: elements }]]);
    const readValue: Read = (tensor) => values.get(tensor) ?? this.value(tensor);
    const replay = this.#record.replay();
    for (const node of this.#nodes) {
      if (node.id > output.node.id) break;
      if (node.inputs.some((input) => values.has(input)))
        this.#store(node, this.#evaluate(node, readValue, replay), values);
    }
    return readValue(output);
  }

  #store(node: Node, values: readonly Value[], into: Map<Tensor, Value>): void {
    node.outputs.forEach((output, i) => {
      into.set(output, at(values, i));
    });
  }

  /** The outputs of a node. With `replay`, what is held takes its recorded value; without, it is recorded. */
  #evaluate(node: Node, readValue: Read, replay: Read | undefined): readonly Value[] {
    const scan = scanOf(node);
    if (scan !== undefined) return this.#loop(scan, node.inputs.map(readValue), replay);
    if (isRecomputed(node)) return node.outputs.map((_, i) => readValue(at(node.inputs, i)));
    const meaning = Object.hasOwn(this.#meanings, node.op.name) ? this.#meanings[node.op.name] : undefined;
    if (meaning === undefined) {
      throw new OptionError(`check: the op '${node.op.name}' has no float64 meaning; give one in meanings`);
    }
    const inputs = node.inputs.map(readValue);
    const values = meaning(inputs, node.attrs, node.outputs, { training: this.#training });
    return node.outputs.map((output, i) =>
      this.#hold(output, this.#disturb(output, at(values, i), inputs), inputs, replay),
    );
  }

  #hold(output: Tensor, value: Value, inputs: readonly Value[], replay: Read | undefined): Value {
    const masked = output.node.op.name === 'maskGradient';
    if (!masked && !constantForGradients.has(output.node.op.name) && !this.#held.has(output)) return value;
    if (replay === undefined) {
      this.#record.keep(output, value);
      return value;
    }
    const base = replay(output);
    if (!masked) return base;
    // The gradient is multiplied by the mask: so is every step away from the base.
    const mask = at(inputs, 1);
    const step = { shape: value.shape, data: value.data.map((x, i) => x - at(base.data, i)) };
    const [scaled] = need(meanings.mul, 'mul')([step, mask], {}, [output], { training: this.#training });
    return { shape: value.shape, data: base.data.map((x, i) => x + at(need(scaled, 'a product').data, i)) };
  }

  /** Carries out a scan: its final states, then the histories of its taps. */
  #loop(scan: ScanAttrs, inputs: readonly Value[], replay: Read | undefined): readonly Value[] {
    const { stateIn, stateOut, slices, captured } = scan;
    let state = inputs.slice(0, stateIn.length);
    const taps = [...scan.taps];
    const histories = taps.map(() => new Array<Value>(scan.steps));
    for (let k = 0; k < scan.steps; k++) {
      const t = scan.reverse ? scan.steps - 1 - k : k;
      const values = new Map<Tensor, Value>();
      stateIn.forEach((tensor, i) => {
        values.set(tensor, at(state, i));
      });
      slices.forEach((tensor, i) => {
        values.set(tensor, stepOf(at(inputs, stateIn.length + i), t));
      });
      captured.forEach((tensor, i) => {
        values.set(tensor, at(inputs, stateIn.length + slices.length + i));
      });
      const readValue: Read = (tensor) =>
        need(values.get(tensor), `the value of ${tensor.node.op.name} in the body of a scan`);
      for (const node of scan.body) this.#store(node, this.#evaluate(node, readValue, replay), values);
      taps.forEach((tensor, i) => {
        at(histories, i)[t] = readValue(tensor);
      });
      state = stateOut.map(readValue);
    }
    return [...state, ...histories.map(stack)];
  }
}

/** The value of a leaf; undefined for any other node. */
function leafOf(
  node: Node,
  feeds: Readonly<Record<string, ArrayLike<number>>>,
  variables: ReadonlyMap<Tensor, ArrayLike<number>>,
): Value | undefined {
  const [tensor] = node.outputs;
  if (tensor === undefined) return undefined;
  const { shape, dtype } = tensor;
  const stored = variables.get(tensor);
  if (stored !== undefined) return filled(shape, stored, dtype);
  const fed = inputOf(tensor);
  if (fed !== undefined) {
    const elements = feeds[fed.name];
    if (elements === undefined)
      throw new FeedError(`check: the input '${fed.name}' was not fed; give its elements in feeds`);
    return filled(shape, elements, dtype);
  }
  const constant = constantOf(tensor);
  if (constant === undefined) return undefined;
  const { values } = constant;
  return filled(shape, typeof values === 'number' ? new Float64Array(sizeOf(shape)).fill(values) : values, dtype);
}
