// The plan of a scan: a loop over its body's calls, once, over views that move by a fixed step of bytes an iteration.
//
// Always: a step of a sequence, of a kept state or of a history begins at a multiple of the alignment of bindings, with
// padding between steps where they do not end at one; outside of the loop a tensor lies without gaps, so what is padded is
// copied on the way in and packed on the way out. Not here: what belongs into the loop (scan.ts), what of it is wanted (live.ts).

import { at, formatShape, need } from './errors.ts';
import type { LiveScan } from './live.ts';
import type { Place } from './plan.ts';
import { ALIGNMENT, type Recorder, roundUp, VECTOR } from './recorder.ts';
import type { Node, Tensor } from './tensor.ts';

/** Bytes from one step of a tensor to the next. */
const strideOf = ({ size }: Tensor): number => roundUp(4 * size, ALIGNMENT);

/** A state of a scan: the body's tensors before and after a step, and where it lies. */
interface Cell {
  /** Its number among the scan's states. */
  readonly i: number;
  readonly before: Tensor;
  readonly after: Tensor;
  /** Whether all steps are kept. */
  readonly history: boolean;
  /** In the loop: where a step reads it, and where it leaves the next one. */
  readonly earlier: Place;
  readonly later: Place;
  /** After the loop. */
  readonly end: Place;
}

/** Records a scan, as far as it is wanted. */
export function planScan(record: Recorder, node: Node, wanted: LiveScan): void {
  const { attrs, taps } = wanted;
  const body = record.fused(wanted.body, new Set([...taps.map((i) => at(attrs.taps, i)), ...attrs.stateOut]));
  const live: LiveScan = { ...wanted, body };
  placeSlices(record, node, live);
  const roots = taps.map((i) => rootWithin(at(attrs.taps, i), body));
  const cells = placeStates(record, node, live, roots);
  const arenas = new Map<Tensor, Place>();
  for (const root of roots) {
    if (!arenas.has(root) && cellOf(cells, root) === undefined) arenas.set(root, arenaOf(record, root, attrs.steps));
  }
  recordLoop(record, node, live, cells, arenas);
  for (const { i, end } of cells) record.put(at(node.outputs, i), end);
  taps.forEach((i, k) => {
    const root = at(roots, k);
    const cell = cellOf(cells, root);
    const inside =
      cell === undefined ? need(arenas.get(root), 'a history') : root === cell.before ? cell.earlier : cell.later;
    const output = at(node.outputs, attrs.stateIn.length + i);
    record.put(output, packed(record, output, inside, at(attrs.taps, i).size, attrs.steps));
  });
}

/** Sequences, a step of which may have to begin at a multiple of the alignment. */
function placeSlices(record: Recorder, node: Node, { attrs, slices }: LiveScan): void {
  const { steps } = attrs;
  for (const i of slices) {
    const tensor = at(attrs.slices, i);
    const outer = record.placeOf(at(node.inputs, attrs.stateIn.length + i));
    const stride = strideOf(tensor);
    let place = outer;
    if (stride !== 4 * tensor.size) {
      place = record.allocate(`scan padding ${formatShape([steps, ...tensor.shape])}`, steps * stride);
      record.copyRows('scan padding', outer, place, steps, tensor.size, [tensor.size, stride / 4]);
    }
    const { value, offset } = place;
    record.put(tensor, { value, offset, step: stride, bytes: roundUp(4 * tensor.size, VECTOR) });
  }
}

/** States: one cell, or the whole history where it is wanted: T + 1 of them, the initial one before the first. */
function placeStates(
  record: Recorder,
  node: Node,
  { attrs, states }: LiveScan,
  roots: readonly Tensor[],
): readonly Cell[] {
  const { steps, reverse } = attrs;
  return states.map((i) => {
    const [before, after] = [at(attrs.stateIn, i), at(attrs.stateOut, i)];
    const bytes = roundUp(4 * before.size, VECTOR);
    // An op that reads the state and writes the next one beside it needs room for both.
    const history = roots.includes(before) || roots.includes(after) || after.node.op.beside === true;
    const step = history ? strideOf(before) : 0;
    const size = history ? (steps + 1) * step : bytes;
    const { value } = record.allocate(`scan state ${formatShape(before.shape)}`, size);
    const earlier: Place = { value, offset: reverse ? step : 0, step, bytes };
    const later: Place = { value, offset: reverse ? 0 : step, step, bytes };
    const start: Place = { value, offset: reverse ? steps * step : 0, step: 0, bytes };
    const end: Place = { value, offset: reverse ? 0 : steps * step, step: 0, bytes };
    record.copy('scan state', record.placeOf(at(node.inputs, i)), start, before.size);
    record.put(before, earlier);
    return { i, before, after, history, earlier, later, end };
  });
}

/** Memory for the wanted history of a tensor of the body that is no state, written where it will stay. */
function arenaOf(record: Recorder, root: Tensor, steps: number): Place {
  const stride = strideOf(root);
  const { value } = record.allocate(`scan history ${formatShape([steps, ...root.shape])}`, steps * stride);
  return { value, offset: 0, step: stride, bytes: roundUp(4 * root.size, VECTOR) };
}

function recordLoop(
  record: Recorder,
  node: Node,
  { attrs, body }: LiveScan,
  cells: readonly Cell[],
  arenas: ReadonlyMap<Tensor, Place>,
): void {
  const produced = new Set(body.flatMap((each) => each.outputs));
  const writes = cells.filter((cell) => writesDirectly(cell, body, cells));
  const direct = new Map(writes.map((cell) => [cell.after, cell.later]));
  const kept = new Set([...arenas.values()].map((place) => place.value));
  record.loop(node, attrs, kept, () => {
    for (const each of body) record.compute(each, (output) => direct.get(output) ?? arenas.get(output));
    for (const [root, arena] of arenas) {
      if (!produced.has(root)) record.copy('scan history', record.placeOf(root), arena, root.size);
    }
    for (const cell of cells) {
      if (!writes.includes(cell)) record.copy('scan state', record.placeOf(cell.after), cell.later, cell.before.size);
    }
  });
}

/** A history `[T, ...]` without gaps between its steps of `elements` each. */
function packed(record: Recorder, output: Tensor, inside: Place, elements: number, steps: number): Place {
  const { value, offset, step } = inside;
  if (step === 4 * elements) return { value, offset, step: 0, bytes: roundUp(4 * output.size, VECTOR) };
  const place = record.memoryOf('scan packing', output);
  const whole: Place = { value, offset, step: 0, bytes: steps * step };
  record.copyRows('scan packing', whole, place, steps, elements, [step / 4, elements]);
  return place;
}

/** The state that a tensor of the body is, before or after a step. */
function cellOf(cells: readonly Cell[], root: Tensor): Cell | undefined {
  return cells.find(({ before, after }) => before === root || after === root);
}

/**
 * True where the node that makes the next state may write it into the state's memory itself. It must not read the state
 * in the same call, but beside it, and where only one state is kept nothing may read the old one later in the step.
 */
function writesDirectly(cell: Cell, body: readonly Node[], cells: readonly Cell[]): boolean {
  const { before, after, history } = cell;
  const maker = body.findIndex(({ outputs }) => outputs.includes(after));
  if (maker < 0 || after.node.op.alias === true || cells.find((other) => other.after === after) !== cell) return false;
  if (after.node.op.beside === true) return true;
  const readers = history ? [at(body, maker)] : body.slice(maker);
  return !readers.some((node) => node.inputs.some((input) => rootWithin(input, body) === before));
}

/** The tensor whose memory an alias shares, within the body of a scan. */
function rootWithin(tensor: Tensor, body: readonly Node[]): Tensor {
  let root = tensor;
  while (root.node.op.alias === true && body.includes(root.node)) root = at(root.node.inputs, root.index);
  return root;
}
