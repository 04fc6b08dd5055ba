// Lists of elementwise ops: what one call of kernels/elementwise.wgsl computes, for an op by itself and for several that only
// feed one another (../fusion.ts). A list has up to 4 operands, which broadcast to the shape of the result, up to 4 numbers
// (constants of one repeated value, read by value) and up to 8 steps.
// Always: the list of several ops gives the bits that they give one by one. Not here: which ops make a list.

import { elementwise as kernel } from '../../kernels/catalogue.ts';
import { at, need, OptionError, ShapeError } from '../errors.ts';
import { type Emitter, gridOf, type Op } from '../op.ts';
import { type Node, type Shape, sizeOf, type Tensor } from '../tensor.ts';
import { constantOf } from './leaf.ts';
import { broadcastStrides } from './shape.ts';

/** Registers of the kernel: 4 operands, then 4 numbers, then what up to 8 steps gave. */
const OPERANDS = 4;
const NUMBERS = 4;
const STEPS = 8;
const FIRST_RESULT: number = OPERANDS + NUMBERS;

/** Dimensions that the walk of the kernel takes. */
const RANK = 6;

/** One op of a list: its function, and the registers that it reads. */
interface Step {
  readonly code: number;
  readonly parameters: readonly [number, number];
  readonly registers: readonly number[];
}

/** What one call computes: the result of its last step. */
export interface ElementList {
  readonly operands: readonly Tensor[];
  readonly numbers: readonly number[];
  readonly steps: readonly Step[];
  /** The walk over the result, in as few dimensions as there can be, outermost first. */
  readonly walk: readonly Dimension[];
}

/** One dimension of a walk: its size, and the stride of each operand, 0 where it repeats. */
interface Dimension {
  readonly size: number;
  readonly strides: readonly number[];
}

/** The list of some elementwise nodes, inputs before those that read them; undefined where one call cannot hold it. */
export function listOf(nodes: readonly Node[]): ElementList | undefined {
  const { shape } = at(at(nodes, nodes.length - 1).outputs, 0);
  return build(nodes, shape, true) ?? build(nodes, shape, false);
}

/** @param byValue whether constants are read by value; at least one operand must be left */
function build(nodes: readonly Node[], shape: Shape, byValue: boolean): ElementList | undefined {
  const operands: Tensor[] = [];
  const numbers: number[] = [];
  const made = new Map<Tensor, number>();
  let again = false;
  /** @param taken registers that the same step reads already: it may not read one twice (kernels/elementwise.wgsl) */
  const registerOf = (tensor: Tensor, taken: readonly number[]): number => {
    const known = made.get(tensor);
    if (known !== undefined) {
      again ||= taken.includes(known);
      return known;
    }
    const value = byValue ? constantOf(tensor)?.values : undefined;
    if (typeof value === 'number' && Number.isFinite(Math.fround(value))) {
      const same = numbers.findIndex((each, i) => Object.is(each, value) && !taken.includes(OPERANDS + i));
      return OPERANDS + (same < 0 ? numbers.push(value) - 1 : same);
    }
    const same = operands.findIndex((operand, i) => operand === tensor && !taken.includes(i));
    return same < 0 ? operands.push(tensor) - 1 : same;
  };
  const steps = nodes.map((node, i): Step => {
    const { code, parameters } = need(node.op.elementwise?.(node), `the function of ${node.op.name}`);
    const registers: number[] = [];
    for (const input of node.inputs) registers.push(registerOf(input, registers));
    made.set(at(node.outputs, 0), FIRST_RESULT + i);
    return { code, parameters, registers };
  });
  const fits = operands.length >= 1 && operands.length <= OPERANDS && numbers.length <= NUMBERS;
  if (!fits || again || steps.length > STEPS) return undefined;
  const walk = walkOf(operands, shape);
  return nodes.length > 1 && walk.length > RANK ? undefined : { operands, numbers, steps, walk };
}

/** Records the call of a list. @param views where its operands lie */
export function emitList(emit: Emitter, list: ElementList, views: readonly (typeof emit.inputs)[number][]): void {
  const { numbers, steps, walk } = list;
  if (walk.length > RANK) {
    throw new ShapeError(`elementwise: more than ${RANK} dimensions that cannot be merged; reshape first`);
  }
  const count = walk.reduce((product, { size }) => product * size, 1);
  const [a, b = a, c = a, d = a] = views;
  const [y] = emit.outputs;
  if (a === undefined || b === undefined || c === undefined || d === undefined || y === undefined) {
    throw new OptionError('elementwise: an operand is missing');
  }
  const sizes = walk.map(({ size }) => size);
  emit.call(kernel, {
    buffers: { a, b, c, d, y },
    uniforms: {
      vectors: Math.ceil(count / 4),
      count,
      rank: walk.length,
      sizes: [...sizes, 0, 0, 0].slice(0, 4 * Math.ceil(sizes.length / 4)),
      // An operand that is not there lies as the first.
      strides: walk.flatMap(({ strides: [first = 0, ...rest] }) =>
        [first, ...rest, first, first, first].slice(0, OPERANDS),
      ),
      numbers: [...numbers, 0, 0, 0, 0].slice(0, NUMBERS),
      parameters: steps.flatMap(({ parameters }) => [...parameters, 0, 0]),
    },
    constants: { LAYOUT: layoutOf(walk), STEPS: steps.length, ...Object.fromEntries(steps.map(coded)) },
    workgroups: gridOf(count, kernel.constants.WORKGROUP.value * kernel.constants.VECTORS.value * 4),
    operations: steps.length * count,
  });
}

/** The row of several ops that are computed as one: of the planner, not of a graph. Its attributes are their list. */
export function listOp(name: string): Op<ElementList> {
  return { name, infer: () => [], plan: (emit, { attrs }) => emitList(emit, attrs, emit.inputs) };
}

/** `plan` of a row that is elementwise, by itself. */
export function planElementwise<A>(emit: Emitter, node: Node<A>): void {
  const list = need(listOf([node as Node]), `the list of ${node.op.name}`);
  const views = list.operands.map((operand) => at(emit.inputs, node.inputs.indexOf(operand)));
  emitList(emit, list, views);
}

/** A step as the kernel takes it: the name of its constant, and its value. */
function coded({ code, registers: [x = 0, y = x, z = x] }: Step, i: number): readonly [string, number] {
  return [`STEP${i}`, code | (x << 8) | (y << 12) | (z << 16)];
}

/** Dimensions of a walk over a result of `shape`, merged where all operands step alike. */
function walkOf(operands: readonly Tensor[], shape: Shape): Dimension[] {
  const strides = operands.map((operand) => broadcastStrides(operand.shape, shape));
  const walk: Dimension[] = [];
  shape.forEach((size, i) => {
    if (size === 1) return;
    const own = strides.map((s) => at(s, i));
    const last = walk.at(-1);
    if (last?.strides.every((s, k) => s === at(own, k) * size)) {
      walk[walk.length - 1] = { size: last.size * size, strides: own };
    } else walk.push({ size, strides: own });
  });
  return walk.length === 0 ? [{ size: sizeOf(shape), strides: operands.map(() => 1) }] : walk;
}

/** How operands lie, as the kernel numbers it: 0 as the result, 1 in vectors along the last dimension, 2 anyhow. */
function layoutOf(walk: readonly Dimension[]): 0 | 1 | 2 {
  const [first] = walk;
  if (walk.length === 1 && first?.strides.every((s) => s === 1)) return 0;
  const last = at(walk, walk.length - 1);
  const along = last.size % 4 === 0 && last.strides.every((s) => s === 0 || s === 1);
  const whole = walk.slice(0, -1).every((dim) => dim.strides.every((s, i) => last.strides[i] === 0 || s % 4 === 0));
  return along && whole ? 1 : 2;
}
