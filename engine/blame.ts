// Which tensor of a step is to blame for gradients that are not finite, and what to say of it.
//
// The first tensor, in the order in which they were computed, that is not finite and from which that flows on, through tensors
// that are not finite either, to a gradient or a learning rate: its own inputs are finite then. Infinities that end
// somewhere else (a mask, a loss that is only looked at) are nobody's fault. What could not be looked at (the inner tensors
// of calls that compute several, parts of other tensors) is walked through. Nothing here touches a device.

import { at, formatShape, NonFiniteError, type NonFiniteTensor, need } from './errors.ts';
import { type Guarded, LARGEST_UPDATE, MEND } from './guard.ts';
import { constantOf, inputOf } from './ops/leaf.ts';
import { scanOf } from './scan.ts';
import { type Node, stridesOf, type Tensor } from './tensor.ts';
import { type Data, Variable } from './variable.ts';

/** What was seen of a tensor. */
export interface Finding {
  /** What computed it: a node that may stand for several of the graph. */
  readonly node: Node | undefined;
  /** The largest magnitude of its finite elements, at each step of time; outside of loops at `undefined`. */
  readonly largest: Map<number | undefined, number>;
  /** Where it was not finite for the first time. */
  bad: Bad | undefined;
}

/** Elements that are not finite: where this stands in the order of all, how many, the first and its value. */
interface Bad {
  readonly order: number;
  readonly count: number;
  readonly index: number;
  readonly value: number;
  readonly time: number | undefined;
}

/** What was seen of tensors, by the scan whose loop they were computed in. */
export type Findings = ReadonlyMap<Node | undefined, ReadonlyMap<Tensor, Finding>>;

/** What is to blame, and the node that was computed. */
interface Culprit extends Spot {
  readonly node: Node;
  readonly bad: Bad;
}

/** A tensor outside of loops, or in that of a scan, of whose body it is. */
interface Spot {
  readonly scan: Node | undefined;
  readonly tensor: Tensor;
}

const LARGEST_F32 = 3.4028234663852886e38;

/**
 * What made a step not finite.
 * @param feeds what it was fed, by name
 */
export function blame(
  step: number,
  guarded: readonly Guarded[],
  findings: Findings,
  feeds: ReadonlyMap<string, Data>,
): NonFiniteError {
  const court = new Court(findings, feeds);
  const targets = guarded.flatMap(({ gradients, rates, norm, own }) => [
    ...gradients,
    rates,
    ...(norm === undefined || own ? [] : [norm]),
  ]);
  const culprit = court.first(targets);
  if (culprit === undefined) return notTensors(step, guarded, court);
  const loss = guarded.find((each) => each.loss !== undefined)?.loss;
  const { scan, node, tensor, bad } = culprit;
  const { count, index, value } = bad;
  const leaf = leafOf(tensor);
  const pass =
    leaf !== undefined || loss === undefined ? undefined : tensor.node.id > loss.node.id ? 'backward' : 'forward';
  const part = scan && need(scanOf(scan), 'a scan').part;
  const time = part && bad.time !== undefined ? part.start + bad.time : undefined;
  const steps = part?.total;
  const found: NonFiniteTensor = {
    op: leaf?.op ?? node.op.name,
    shape: tensor.shape,
    ...(leaf?.name !== undefined && { name: leaf.name }),
    count,
    index,
    value,
    ...(pass && { pass }),
    ...(time !== undefined && { time }),
    ...(steps !== undefined && { steps }),
  };
  const where = [
    pass === undefined ? '' : ` of the ${pass} pass`,
    time === undefined ? '' : `, at time step ${time + 1} of ${steps},`,
  ].join('');
  const elements = `${count} of ${tensor.size}; the first, at ${formatShape(coordinates(tensor, index))}, is ${value}`;
  if (leaf !== undefined)
    return new NonFiniteError(step, `${nameOf(tensor)} is not finite (${elements})`, leaf.mend, found);
  const name = `'${node.op.name}' ${formatShape(tensor.shape)}`;
  const what = `${name}${where} is the first tensor that is not finite (${elements})`;
  return new NonFiniteError(step, `${what}; ${court.inputsOf(culprit)}`, MEND, found);
}

/** All tensors are finite, so it was the norm, or the size of the update, or nothing that could be found. */
function notTensors(step: number, guarded: readonly Guarded[], court: Court): NonFiniteError {
  for (const { gradients, rates, most = LARGEST_F32 } of guarded) {
    const elements = gradients.reduce((sum, { size }) => sum + size, 0);
    const largest = gradients.reduce((most, each) => Math.max(most, court.largestOf(each) ?? 0), 0);
    const rate = court.largestOf(rates) ?? 0;
    if (largest ** 2 * elements > LARGEST_F32) {
      const what = `all tensors are finite, but the norm of the gradients is more than f32 holds: their squares add up to over 3.4e38, the largest gradient being ${short(largest)}`;
      return new NonFiniteError(step, what, MEND);
    }
    if (rate * Math.max(1, Math.min(most, largest * Math.sqrt(elements))) > LARGEST_UPDATE) {
      const what = `all tensors are finite, but the learning rate, ${short(rate)}, times gradients of up to ${short(largest)} would make weights larger than f32 holds`;
      return new NonFiniteError(step, what, MEND);
    }
  }
  const what =
    'its gradients were not finite, but all tensors of its replay are: something that it reads was changed since, by another program or by a write to a Variable';
  return new NonFiniteError(step, what, MEND);
}

/** What is known of all tensors, and the ways between them. */
class Court {
  readonly #findings: Findings;
  readonly #feeds: ReadonlyMap<string, Data>;
  readonly #leaves = new Map<Tensor, Finding>();

  constructor(findings: Findings, feeds: ReadonlyMap<string, Data>) {
    this.#findings = findings;
    this.#feeds = feeds;
  }

  /** The first tensor from which what is not finite flows to the targets. */
  first(targets: readonly Tensor[]): Culprit | undefined {
    const visited = new Map<Node | undefined, Set<Tensor>>();
    const queue: Spot[] = targets.map((tensor) => ({ scan: undefined, tensor }));
    let best: Culprit | undefined;
    for (let spot = queue.pop(); spot !== undefined; spot = queue.pop()) {
      const { scan, tensor } = spot;
      const seen = visited.get(scan) ?? new Set<Tensor>();
      visited.set(scan, seen);
      if (seen.has(tensor)) continue;
      seen.add(tensor);
      const finding = this.#of(spot);
      if (finding !== undefined && finding.bad === undefined) continue;
      if (finding?.bad !== undefined && (best === undefined || finding.bad.order < best.bad.order)) {
        best = { ...spot, node: finding.node ?? tensor.node, bad: finding.bad };
      }
      queue.push(...sourcesOf(spot));
    }
    return best;
  }

  /** The largest magnitude in a tensor outside of loops. */
  largestOf(tensor: Tensor): number | undefined {
    let root = tensor;
    while (root.node.op.alias === true) root = at(root.node.inputs, root.index);
    const finding = this.#of({ scan: undefined, tensor: root });
    if (finding !== undefined) return finding.largest.get(undefined);
    return root.node.inputs.length === 0
      ? undefined
      : root.node.inputs.reduce((most, each) => Math.max(most, this.largestOf(each) ?? 0), 0);
  }

  /** What is known of the inputs of a tensor, in words. */
  inputsOf({ scan, node, bad }: Culprit): string {
    const inputs = node.inputs.filter(({ dtype }) => dtype === 'f32');
    if (inputs.length === 0) return 'it reads no numbers';
    const known = inputs.map((input) => {
      const { time, ...direct } = resolved({ scan, tensor: input }, bad.time);
      const largest = this.#of(direct)?.largest.get(time);
      return { largest, text: `${nameOf(direct.tensor)}${largest === undefined ? '' : ` up to ${short(largest)}`}` };
    });
    const list = known.slice(0, 6).map(({ text }) => text);
    if (known.length > list.length) list.push(`${known.length - list.length} more`);
    return `its inputs are finite: ${list.join(', ')}`;
  }

  #of({ scan, tensor }: Spot): Finding | undefined {
    const found = this.#findings.get(scan)?.get(tensor);
    if (found !== undefined || scan !== undefined) return found;
    const known = this.#leaves.get(tensor);
    if (known !== undefined) return known;
    const name = inputOf(tensor)?.name;
    const values = name === undefined ? constantOf(tensor)?.values : this.#feeds.get(name);
    if (tensor.dtype !== 'f32') return NOTHING;
    if (values === undefined) return undefined;
    const finding = looked(values, tensor.size);
    this.#leaves.set(tensor, finding);
    return finding;
  }
}

/** Of integers there is nothing to find. */
const NOTHING: Finding = { node: undefined, largest: new Map(), bad: undefined };

/** What is found in numbers of the host: before everything that is computed. */
function looked(values: Data | number, size: number): Finding {
  const data = typeof values === 'number' ? [values] : values;
  const finding: Finding = { node: undefined, largest: new Map(), bad: undefined };
  let [largest, count, index] = [0, 0, -1];
  for (let i = 0; i < data.length; i++) {
    const value = at(data, i);
    if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
    else if (count++ === 0) index = i;
  }
  finding.largest.set(undefined, largest);
  if (count > 0) {
    const all = typeof values === 'number' ? size : count;
    finding.bad = { order: -1, count: all, index, value: at(data, index), time: undefined };
  }
  return finding;
}

/** The tensors that one is made from, across the borders of loops. */
function sourcesOf({ scan, tensor }: Spot): Spot[] {
  const outside = (each: Tensor): Spot => ({ scan: undefined, tensor: each });
  if (scan === undefined) {
    const { node } = tensor;
    const attrs = scanOf(node);
    if (attrs === undefined) {
      return node.op.alias === true ? [outside(at(node.inputs, tensor.index))] : node.inputs.map(outside);
    }
    const states = attrs.stateIn.length;
    const inner = tensor.index < states ? at(attrs.stateOut, tensor.index) : at(attrs.taps, tensor.index - states);
    return [{ scan: node, tensor: inner }];
  }
  const attrs = need(scanOf(scan), 'a scan');
  const slice = attrs.slices.indexOf(tensor);
  if (slice >= 0) return [outside(at(scan.inputs, attrs.stateIn.length + slice))];
  const state = attrs.stateIn.indexOf(tensor);
  if (state >= 0) return [{ scan, tensor: at(attrs.stateOut, state) }, outside(at(scan.inputs, state))];
  if (!attrs.body.includes(tensor.node)) return [outside(tensor)];
  const { inputs, op } = tensor.node;
  return (op.alias === true ? [at(inputs, tensor.index)] : inputs).map((each) => ({ scan, tensor: each }));
}

/** The tensor behind other shapes, states and the borders of loops that a tensor is at a step of time, and of which step. */
function resolved(spot: Spot, time: number | undefined): Spot & { readonly time: number | undefined } {
  const { scan, tensor } = spot;
  const [source, initial] = sourcesOf(spot);
  if (source === undefined) return { ...spot, time };
  const state = scan !== undefined && need(scanOf(scan), 'a scan').stateIn.includes(tensor);
  if (state && initial !== undefined) {
    const { steps, reverse } = need(scanOf(scan), 'a scan');
    if (time === (reverse ? steps - 1 : 0)) return resolved(initial, undefined);
    return resolved(source, time === undefined ? undefined : time + (reverse ? 1 : -1));
  }
  if (scan !== undefined && source.scan === undefined) return resolved(source, undefined);
  return tensor.node.op.alias === true ? resolved(source, time) : { ...spot, time };
}

/** What a leaf of the graph is called, and what mends it. */
function leafOf(tensor: Tensor): { readonly op: string; readonly name?: string; readonly mend: string } | undefined {
  const on = 'call clearGuard() of the program to go on';
  if (tensor instanceof Variable) {
    const mend = `it was written, loaded or updated so: write or load finite values into it, and ${on}`;
    return { op: 'variable', name: tensor.name, mend };
  }
  const input = inputOf(tensor);
  if (input !== undefined) return { op: 'input', name: input.name, mend: `mend or leave out that batch, and ${on}` };
  return constantOf(tensor) === undefined
    ? undefined
    : { op: 'constant', mend: 'mend the number where the graph is built, and compile again' };
}

function nameOf(tensor: Tensor): string {
  const leaf = leafOf(tensor);
  const kind = leaf?.op === 'input' ? 'the feed' : `the ${leaf?.op}`;
  const name =
    leaf === undefined ? `'${tensor.node.op.name}'` : leaf.name === undefined ? kind : `${kind} '${leaf.name}'`;
  return `${name} ${formatShape(tensor.shape)}`;
}

/** Where an element of a tensor stands. */
function coordinates({ shape }: Tensor, index: number): number[] {
  return stridesOf(shape).map((stride, i) => Math.floor(index / stride) % at(shape, i));
}

function short(value: number): string {
  const rounded = Number(value.toPrecision(3));
  return rounded !== 0 && (rounded >= 1e6 || rounded < 1e-3) ? rounded.toExponential() : String(rounded);
}
