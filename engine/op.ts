// The row of an operation: its shape rule, the kernel calls of its forward, its backward written with other ops, and
// how it runs over a time axis. One row, one screen; the rows are in ops/. What an op *means* is written once more, in
// float64 loops, in check/, and nowhere else.
//
// A fused op is a row like any other: it may have several outputs (the later ones saved for its backward), own several
// dispatches and scratch buffers, and name another fused op as its backward.

import type { BufferNames, ConstantValues, Kernel, UniformValues } from '../kernels/kernel.ts';
import { Node, type Shape, type Spec, sizeOf, Tensor } from './tensor.ts';
import type { Tuning } from './tuning.ts';

/** A place in device memory that a kernel call reads or writes: made by the planner, only passed on by rows. */
export interface View {
  /** Its length. */
  readonly bytes: number;
}

/** One kernel call of a row: every buffer, every uniform, and the consts that differ from the kernel's defaults. */
export interface KernelCall<K extends Kernel> {
  /** Where each storage buffer of the kernel lies. */
  readonly buffers: Readonly<Record<BufferNames<K>, View>>;
  /** A value for each field of its uniform struct. */
  readonly uniforms: UniformValues<K>;
  /** Constants that differ from their defaults. */
  readonly constants?: ConstantValues<K>;
  /** Workgroups in x, y, z; each at most 65,535. See `gridOf`. */
  readonly workgroups: readonly [number, number, number];
  /** Multiplications and additions of the call, for `explain` and to bound a submit; by default the written elements. */
  readonly operations?: number;
}

/** Views joined where they share memory, and where each of those given lies: in which view, from which element on. */
export interface Joined {
  /** Those that do not overlap. */
  readonly views: readonly View[];
  /** For each of those given. */
  readonly places: readonly {
    /** The number of its view. */
    readonly view: number;
    /** In elements. */
    readonly offset: number;
  }[];
}

/** What a row's `plan` is given: where its inputs and outputs lie, and the means to call kernels. */
export interface Emitter {
  /** Where the inputs of the node lie. */
  readonly inputs: readonly View[];
  /** Where its outputs go. */
  readonly outputs: readonly View[];
  /** False in evaluation programs: dropout is off. */
  readonly training: boolean;
  /** The size of the adapter's subgroups where it has them and all have one size, else 0. */
  readonly subgroupSize: number;
  /** What was measured on the device, and its kind; undefined where nothing is known of it. */
  readonly tuning: Tuning | undefined;
  /** A buffer of that many 4-byte elements that lives through this op only. */
  scratch(elements: number): View;
  /** Four elements that are 0, of either dtype. */
  zero(): View;
  /** What the program's guard found, f32 [4], where it has one: where the last is not 0, an update leaves all as it is. */
  readonly verdict: View | undefined;
  /** The fewest views that hold all of these: those that share memory become one. */
  joined(views: readonly View[]): Joined;
  /** Appends a kernel call. A buffer bound for writing may be bound again only as read_write, at a place apart (`beside`). */
  call<K extends Kernel>(kernel: K, call: KernelCall<K>): void;
}

/** What a rule over time is given: the node of one step, and its inputs as they are over all T steps. */
export interface OverTime<A> {
  /** T. */
  readonly steps: number;
  /** The attributes of the node. */
  readonly attrs: A;
  /** The node of a single step. */
  readonly node: Node<A>;
  /** True where input i differs from step to step. */
  varies(i: number): boolean;
  /** Input i over all steps, `[T, ...shape]`; one that does not vary is broadcast. */
  sequence(i: number): Tensor;
  /** Input i itself; only for one that does not vary. */
  constant(i: number): Tensor;
  /** The sum of input i over all steps, of the shape of a single step. */
  summed(i: number): Tensor;
}

/** A row of the op table, with its attributes of type A. */
export interface Op<A = unknown> {
  /** As `explain` and errors show it; the key of its meaning in float64. */
  readonly name: string;
  /** True for an op whose output differs from step to step of a scan though its inputs do not (random numbers). */
  readonly random?: boolean;
  /** True for an op that moves no data: output i is input i, under another shape it may be. */
  readonly alias?: boolean;
  /** For an op that can move no data: the element of input 0 where output 0 begins, where its elements lie there together. */
  viewAt?(node: Node<A>): number | undefined;
  /**
   * True for an op that may read a state of a scan and write the next one into the same buffer, at a place apart: a call of
   * it that binds both binds both read_write.
   */
  readonly beside?: boolean;
  /** Shapes and dtypes of the outputs. @throws ShapeError or OptionError naming the op and the mend */
  infer(inputs: readonly Tensor[], attrs: A): readonly Spec[];
  /** For u32 inputs: the values of that input must be below the bound. Fed inputs are checked on the host at each run. */
  bounds?(node: Node<A>): readonly {
    /** The number of the input. */
    readonly input: number;
    /** The bound. */
    readonly below: number;
  }[];
  /**
   * For an op that makes each element of its output from those elements of its inputs that broadcast to it: the number of its
   * function (kernels/elementwise.wgsl) and the function's parameters; undefined for what the kernel cannot take (u32).
   * Several such ops may become one kernel call (fusion.ts).
   */
  elementwise?(node: Node<A>):
    | {
        /** The number of the function. */
        readonly code: number;
        /** Its parameters. */
        readonly parameters: readonly [number, number];
      }
    | undefined;
  /** The kernel calls of the forward. Leaves (inputs, variables, constants), aliases and scans have none. */
  plan?(emit: Emitter, node: Node<A>): void;
  /**
   * Gradients of the inputs from those of the outputs (undefined: no gradient arrives at that output; at least one
   * does). An undefined result is a zero gradient. Written with other ops.
   */
  backward?(node: Node<A>, d: readonly (Tensor | undefined)[]): readonly (Tensor | undefined)[];
  /** The same op over T steps at once, outputs `[T, ...]`. An op without this rule stays inside a scan's loop. */
  overTime?(over: OverTime<A>): readonly Tensor[];
  /** The sum over T steps of output 0, where that is cheaper than summing the result of `overTime`. */
  sumOverTime?(over: OverTime<A>): Tensor;
  /** The same node from other inputs of the same shapes, where its attributes hold tensors (a scan). */
  again?(node: Node<A>, inputs: readonly Tensor[]): readonly Tensor[];
}

/** Applies an op: infers the shapes and makes the node. */
export function apply<A>(op: Op<A>, inputs: readonly Tensor[], attrs: A): readonly Tensor[] {
  const specs = op.infer(inputs, attrs);
  const node = new Node<A>(op, inputs, attrs);
  specs.forEach((spec, i) => {
    node.outputs.push(new Tensor(node as Node, i, spec));
  });
  return node.outputs;
}

/** `apply` for an op of one output. */
export function applyOne<A>(op: Op<A>, inputs: readonly Tensor[], attrs: A): Tensor {
  const [output] = apply(op, inputs, attrs);
  if (output === undefined) throw new TypeError(`${op.name} has no output`);
  return output;
}

/** Most workgroups in one dimension that every WebGPU device takes. */
export const MAX_WORKGROUPS = 65535;

/**
 * Workgroups for `count` invocations of `perGroup` each, folded to two dimensions where one does not hold them: the
 * kernel's index is `(workgroup_id.y * num_workgroups.x + workgroup_id.x) * perGroup + local_invocation_index`.
 */
export function gridOf(count: number, perGroup: number): [number, number, number] {
  const groups = Math.max(1, Math.ceil(count / perGroup));
  if (groups <= MAX_WORKGROUPS) return [groups, 1, 1];
  const y = Math.ceil(groups / MAX_WORKGROUPS);
  return [Math.ceil(groups / y), y, 1];
}

/** Lanes of a workgroup whose lanes are spread over two dimensions and layers. */
const SPREAD_LANES = 64;

/** The smallest power of 2 that is at least x. */
export function powerOfTwo(x: number): number {
  return 2 ** Math.ceil(Math.log2(x));
}

/**
 * For tiles, one an invocation, that lie `across` by `down` in each of some layers: the lanes of a workgroup of 64 across and
 * down, the rest over layers instead of past the edges; and the workgroups.
 * @param filled of `down`, the tiles that have work at most; all where it is left out
 */
export function spreadLanes(
  across: number,
  down: number,
  layers: number,
  filled: number = down,
): { lanes: [number, number]; workgroups: [number, number, number] } {
  const x = Math.min(8, powerOfTwo(across));
  const y = Math.min(SPREAD_LANES / x, powerOfTwo(filled));
  const deep = Math.ceil(layers / (SPREAD_LANES / (x * y)));
  return { lanes: [x, y], workgroups: [Math.ceil(across / x), Math.ceil(down / y), Math.min(deep, MAX_WORKGROUPS)] };
}

/**
 * The rule over time of an op that treats leading dimensions as rows: the same op, with T in front of every input.
 * @param again applies the op to inputs `[T, ...]`
 */
export function rowsOverTime<A>(
  again: (inputs: readonly Tensor[], over: OverTime<A>) => readonly Tensor[],
): (over: OverTime<A>) => readonly Tensor[] {
  return (over: OverTime<A>): readonly Tensor[] =>
    again(
      over.node.inputs.map((_, i) => over.sequence(i)),
      over,
    );
}

/** Rows and row length of a tensor seen as a matrix: all dimensions but the last, and the last. */
export function rowsOf(shape: Shape): { rows: number; columns: number } {
  const columns = shape[shape.length - 1] ?? 1;
  return { rows: sizeOf(shape) / columns, columns };
}
