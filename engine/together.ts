// Tensors side by side: the gradients that an update reads are computed straight into shared memory, an arena, so that one
// kernel call reads many of them. What cannot be computed there (a feed, a constant, what a loop leaves, what is made from
// another tensor of the same arena, for no call may read a buffer that it writes) is copied there before the updates.
// Always: a tensor begins at a multiple of the alignment of bindings; no arena is larger than every device binds. Not here:
// what is computed from what (planner.ts), and which tensors an update wants together (its row).

import { at, formatShape, need } from './errors.ts';
import type { Place, Value } from './plan.ts';
import { ALIGNMENT, BINDING_BYTES, type Recorder, roundUp, VECTOR } from './recorder.ts';
import type { Node, Tensor } from './tensor.ts';
import type { Update } from './update.ts';

/** A tensor that others are parts of, and the element of it where one of them begins. */
interface Spot {
  readonly root: Tensor;
  readonly start: number;
}

/** The arenas of a program. */
export class Together {
  readonly #record: Recorder;
  /** Where roots are to be computed. */
  readonly #roots = new Map<Tensor, Place>();
  /** Where each update finds what it wants together. */
  readonly #wanted: { readonly update: Update; readonly places: ReadonlyMap<Tensor, Place> }[] = [];

  constructor(record: Recorder, updates: readonly Update[]) {
    this.#record = record;
    for (const update of updates) {
      const tensors = [...new Set(update.op.together?.(update) ?? [])];
      if (tensors.length > 1) this.#wanted.push({ update, places: this.#layOut(update, tensors) });
    }
  }

  /** Where an output of a node is to be computed, for nodes that have such a one. */
  placeFor(node: Node): ((output: Tensor) => Place | undefined) | undefined {
    const root = node.outputs.find((output) => this.#roots.has(output));
    if (root === undefined || node.op.alias === true) return undefined;
    const place = need(this.#roots.get(root), 'a place');
    if (node.inputs.some((input) => this.#record.placeOf(input).value === place.value)) return undefined;
    return (output) => (output === root ? place : undefined);
  }

  /** Once all is computed: copies what an update wants together and is not there. */
  gather(): void {
    for (const { update, places } of this.#wanted) {
      for (const [tensor, to] of places) {
        const from = this.#record.placeOf(tensor);
        if (from.value !== to.value) this.#record.copy(`${update.op.name} gather`, from, to, tensor.size);
      }
    }
  }

  /** Where an update finds one of its inputs. */
  placeOf(update: Update, tensor: Tensor): Place {
    const own = this.#wanted.find((each) => each.update === update)?.places.get(tensor);
    return own ?? this.#record.placeOf(tensor);
  }

  /** Gives every root room in an arena. */
  #layOut(update: Update, tensors: readonly Tensor[]): ReadonlyMap<Tensor, Place> {
    const spots = spotsOf(tensors);
    const arenas: { readonly roots: Tensor[]; bytes: number }[] = [];
    for (const root of new Set(spots.map((spot) => spot.root))) {
      const bytes = roundUp(4 * root.size, ALIGNMENT);
      const last = arenas.at(-1);
      if (last === undefined || last.bytes + bytes > BINDING_BYTES) arenas.push({ roots: [root], bytes });
      else {
        last.roots.push(root);
        last.bytes += bytes;
      }
    }
    const places = new Map<Tensor, Place>();
    for (const { roots, bytes } of arenas) {
      const shapes = roots.slice(0, 3).map(({ shape }) => formatShape(shape));
      const more = roots.length > shapes.length ? ` and ${roots.length - shapes.length} more` : '';
      const label = `${update.op.name} gradients ${shapes.join(', ')}${more}`;
      const { value } = this.#record.allocate(label, bytes);
      let offset = 0;
      for (const root of roots) {
        places.set(root, placeIn(value, offset, root));
        offset += roundUp(4 * root.size, ALIGNMENT);
      }
    }
    for (const [root, place] of places) if (!this.#roots.has(root)) this.#roots.set(root, place);
    return new Map(
      tensors.map((tensor, i) => {
        const { root, start } = at(spots, i);
        const { value, offset } = need(places.get(root), 'a place');
        return [tensor, placeIn(value, offset + 4 * start, tensor)];
      }),
    );
  }
}

function placeIn(value: Value, offset: number, { size }: Tensor): Place {
  return { value, offset, step: 0, bytes: roundUp(4 * size, VECTOR) };
}

/** The roots of tensors: a tensor of which most is wanted is computed where its parts are wanted. */
function spotsOf(tensors: readonly Tensor[]): Spot[] {
  const deep = tensors.map(deepest);
  const wanted = new Map<Tensor, number>();
  tensors.forEach(({ size }, i) => {
    const { root } = at(deep, i);
    wanted.set(root, (wanted.get(root) ?? 0) + size);
  });
  return tensors.map((tensor, i) => {
    const spot = at(deep, i);
    return spot.root.size <= 2 * need(wanted.get(spot.root), 'a size') ? spot : { root: unaliased(tensor), start: 0 };
  });
}

/** The computed tensor that another is a part of, through changes of shape and slices that need not be copied. */
function deepest(tensor: Tensor): Spot {
  let spot: Spot = { root: tensor, start: 0 };
  let root = unaliased(tensor);
  let start = 0;
  while (root.node.op.plan !== undefined) {
    spot = { root, start };
    const begin = root.node.op.viewAt?.(root.node);
    if (begin === undefined || (4 * begin) % ALIGNMENT !== 0) break;
    start += begin;
    root = unaliased(at(root.node.inputs, 0));
  }
  return spot;
}

/** A tensor under the shape that it was computed in. */
function unaliased(tensor: Tensor): Tensor {
  let root = tensor;
  while (root.node.op.alias === true) root = at(root.node.inputs, root.index);
  return root;
}
