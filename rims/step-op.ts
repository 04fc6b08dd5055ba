// A step of a RIM as one op, forward: five kernel calls, whatever the options. Input attention and choice, the gates of the
// modules, the communication of the active ones, and their update; what depends on the input only was multiplied before.
//
// Two orders. With kept sources the memory of a module holds the products of its h with all weights that later steps read it
// through, made at the end of the step in which it was active: gates, the product for the communication, talk, update, and
// that product, each but the first over active modules only. Otherwise products of h begin the step, of all modules.
// The backward is in step-backward.ts, the kernels' columns in step-layout.ts, what is made before the loop in fused.ts.

import { at, need, ShapeError } from '../engine/errors.ts';
import { apply, type Emitter, gridOf, type Op, powerOfTwo, spreadLanes, type View } from '../engine/op.ts';
import { NAN_BITS } from '../engine/ops/rows.ts';
import { emitProduct } from '../engine/product.ts';
import { type Shape, type Spec, sameShape, type Tensor } from '../engine/tensor.ts';
import { rimGru, rimLstm, rimTalk, rimUpdate } from '../kernels/catalogue.ts';
import { stepBackward } from './step-backward.ts';
import { inputLayoutOf, layoutOf, type StepLayout, type StepOptions } from './step-layout.ts';

/** What a step reads; [..] as in step-layout.ts. */
export interface StepInputs {
  /** [B,N,H] */
  readonly h: Tensor;
  /** [B,N,memory], where the layout has a state beside h: with a cache, or of an LSTM. */
  readonly memory?: Tensor;
  /**
   * [B,N,G*H+E]: gates of the input less those of the null row, and key. Behind them 4 more where dropout multiplies the input
   * attention, factors of input and null row; or G*H more where every row has null gates of its own. No gradient.
   */
  readonly uk: Tensor;
  /** [gates of the null row N*G*H | of a GRU the bias of n N*H | key of the ranking E]. No gradient. */
  readonly side: Tensor;
  /** [N,H,products] and [N,products]: weights of gates, query and with a cache keys and values, and what is added. */
  readonly wState: Tensor;
  readonly constant?: Tensor;
  /** [N,H,talk] */
  readonly wTalk: Tensor;
  /** [N,C*W,O], or [C*W,O] for all modules, and its bias [N,O] or [O]. */
  readonly wOutput: Tensor;
  readonly bias?: Tensor;
  /** Factors of dropout: of the communication's probabilities [B,C,N,N], of its projection [B,N,H]. */
  readonly talkFactors?: Tensor;
  readonly outputFactors?: Tensor;
  /** What uk was made of, for its gradient: x [B,D] and weights [N,D,G*H+E], or a tensor [B,N,G*H+E], or uk with null gates. */
  readonly x?: Tensor;
  readonly wInput?: Tensor;
  readonly input?: Tensor;
  /** What side was made of, for its gradient: [N,G*H] and [N,H]. */
  readonly nullGates?: Tensor;
  readonly nBias?: Tensor;
}

/** The attributes of the op: its options and the names of its inputs, in order. */
export interface StepAttrs extends StepOptions {
  readonly names: readonly (keyof StepInputs)[];
}

/** What a step gives. */
interface StepOutputs {
  /** h' [B,N,H] */
  readonly h: Tensor;
  /** [B,N,memory] */
  readonly memory: Tensor;
  /** [B,N,saved] */
  readonly saved: Tensor;
  /** 1 for an active module [N,B]. */
  readonly mask: Tensor;
  /** [B,C,N,N]: what active readers attend to; of inactive ones 0. With dropout [2,B,C,N,N], the factors behind. */
  readonly probabilities: Tensor;
}

/** An input of a step by name. */
export function inputNamed<T>(values: readonly T[], { names }: StepAttrs, name: keyof StepInputs): T | undefined {
  return values[names.indexOf(name)];
}

/** Outputs h, memory, saved, mask, qkv, context, probabilities, pre. */
const stepOp: Op<StepAttrs> = {
  name: 'rimStep',
  beside: true,
  infer: (inputs, attrs) => {
    const layout = layoutOf(attrs);
    check(inputs, attrs, layout);
    const { rows: B, modules: N, hidden, heads } = attrs;
    const pairs = inputNamed(inputs, attrs, 'talkFactors') === undefined ? [] : [2];
    const f32 = (...shape: Shape): Spec => ({ shape, dtype: 'f32' });
    return [
      f32(B, N, hidden),
      f32(B, N, layout.memory),
      f32(B, N, layout.saved),
      f32(N, B),
      f32(B, N, layout.talk),
      f32(B, N, layout.context),
      f32(...pairs, B, heads, N, N),
      f32(B, N, layout.projected),
    ];
  },
  plan: (emit, { inputs, attrs }) => {
    const layout = layoutOf(attrs);
    const shape = (name: keyof StepInputs): Shape => need(inputNamed(inputs, attrs, name), name).shape;
    const view = (name: keyof StepInputs): View => need(inputNamed(emit.inputs, attrs, name), name);
    const w = outputWeights(view('wOutput'), shape('wOutput').length === 2, layout);
    const [h, memory, saved, mask, qkv, context] = emit.outputs as [View, View, View, View, View, View];
    const { hidden } = attrs;
    const constant = inputNamed(emit.inputs, attrs, 'constant');
    const ofState = (a: View, active: boolean): void =>
      emitModules(emit, attrs, {
        a: { view: a, width: hidden, size: hidden },
        w: { view: view('wState'), module: hidden * layout.products, row: layout.products, column: 1 },
        y: { view: memory, width: layout.memory, size: layout.products },
        ...(constant && { plus: { view: constant, module: layout.products, row: 0 } }),
        ...(active && { mask }),
      });
    if (!layout.cached) ofState(view('h'), false);
    emitGates(emit, attrs, layout, at(shape('uk'), 2));
    emitModules(emit, attrs, {
      a: { view: saved, width: layout.saved, size: hidden },
      w: { view: view('wTalk'), module: hidden * layout.talk, row: layout.talk, column: 1 },
      y: { view: qkv, width: layout.talk, size: layout.talk },
      ...(layout.cached && { mask }),
    });
    emitTalk(emit, attrs, layout);
    if (updates(attrs)) emitUpdate(emit, attrs, layout, w);
    else {
      emitModules(emit, attrs, {
        a: { view: context, width: layout.context, size: layout.context },
        w,
        y: { view: h, width: hidden, size: hidden },
        plus: { view: saved, module: layout.saved, row: attrs.modules * layout.saved },
        ...(layout.sparse && { mask }),
      });
    }
    if (layout.cached) ofState(h, true);
  },
  backward: (node, d) => stepBackward(node, d),
};

/** One step. @throws ShapeError, OptionError for operands that the layout does not fit */
export function rimStep(inputs: StepInputs, options: StepOptions): StepOutputs {
  const given = Object.entries(inputs).filter(([, tensor]) => tensor !== undefined) as [keyof StepInputs, Tensor][];
  const outputs = apply(
    stepOp,
    given.map(([, tensor]) => tensor),
    { ...options, names: given.map(([name]) => name) },
  );
  const [h, memory, saved, mask] = outputs as [Tensor, Tensor, Tensor, Tensor];
  return { h, memory, saved, mask, probabilities: at(outputs, 6) };
}

/** The rows of this file, for tables of all ops. */
export const stepOps: readonly Op[] = [stepOp] as readonly Op[];

/** Whether more is done to the projection of the communication than adding it. */
function updates(attrs: StepAttrs): boolean {
  return attrs.gated || attrs.names.includes('bias') || attrs.names.includes('outputFactors');
}

/** The weights of the projection as a product takes them; `shared`: one matrix for all modules. */
export function outputWeights(view: View, shared: boolean, { context, projected }: StepLayout): Weights {
  return { view, module: shared ? 0 : context * projected, row: projected, column: 1 };
}

/** Columns of rows [B,N,width] of a tensor. */
interface Rows {
  readonly view: View;
  readonly width: number;
  readonly size: number;
}

/** A matrix a module: its stride from module to module, and from row to row and column to column. */
interface Weights {
  readonly view: View;
  readonly module: number;
  readonly row: number;
  readonly column: number;
}

/** A product of every module's rows with its own weights, of active modules only where there is a mask. */
interface ModuleProduct {
  /** The first columns of its rows. */
  readonly a: Rows;
  readonly w: Weights;
  readonly y: Rows;
  /** Added: its strides from module to module and from batch row to batch row. */
  readonly plus?: { readonly view: View; readonly module: number; readonly row: number };
  readonly mask?: View;
}

/** Emits a product of modules. */
export function emitModules(
  emit: Emitter,
  { rows, modules }: StepOptions,
  { a, w, y, plus, mask }: ModuleProduct,
): void {
  emitProduct(emit, {
    a: a.view,
    b: w.view,
    y: y.view,
    ...(plus && { plus: plus.view }),
    m: { size: rows, a: modules * a.width, y: modules * y.width, plus: plus?.row ?? 0 },
    n: { size: y.size, b: w.column, y: 1, plus: plus === undefined ? 0 : 1 },
    k: { size: a.size, a: 1, b: w.row },
    batch: [{ size: modules, a: a.width, b: w.module, y: y.width, plus: plus?.module ?? 0 }],
    ...(mask && { rows: { mask, strides: [rows] } }),
  });
}

/** Lanes of a workgroup that must wait for each other: where subgroups are small, one of them, so that nobody waits. */
export function lanesFor(emit: Emitter, usual: number): number {
  return emit.subgroupSize > 0 && emit.subgroupSize < 16 ? emit.subgroupSize : usual;
}

/** @param input columns of a row of uk */
function emitGates(emit: Emitter, attrs: StepAttrs, layout: StepLayout, input: number): void {
  const { rows, modules, hidden, keySize, active, sources, zeroInput, rawScore, cell } = attrs;
  const view = (name: keyof StepInputs): View | undefined => inputNamed(emit.inputs, attrs, name);
  const [uk, side, h] = [need(view('uk'), 'uk'), need(view('side'), 'side'), need(view('h'), 'h')];
  const before = view('memory') ?? emit.scratch(4);
  const [next, after, saved, mask] = emit.outputs as [View, View, View, View];
  const kernel = cell === 'gru' ? rimGru : rimLstm;
  const { dropped, own } = inputLayoutOf(attrs, layout, input, attrs.names);
  const call = {
    buffers: { h, before, uk, side, next, after, saved, mask },
    uniforms: {
      rows,
      modules,
      quads: hidden / 4,
      keyQuads: keySize / 4,
      input: input / 4,
      memory: layout.memory / 4,
      saved: layout.saved / 4,
      topK: active,
    },
    constants: {
      LANES: lanesFor(emit, kernel.constants.LANES.value),
      CACHED: layout.cached,
      CANDIDATES: layout.sparse && sources === 'candidate',
      ZERO: zeroInput,
      RAW: rawScore,
      DROPPED: dropped,
      OWN: own,
    },
    workgroups: gridOf(rows, 1),
    operations: rows * modules * (2 * keySize + 10 * layout.gates * hidden),
  } as const;
  if (cell === 'gru') emit.call(rimGru, call);
  else emit.call(rimLstm, call);
}

/** Vec4s that an invocation of the talk reads of a key or value at a time. */
export function chunkOf({ talkKey, talkValue }: StepOptions): number {
  return Math.min(2, powerOfTwo(Math.max(talkKey, talkValue) / 4));
}

function emitTalk(emit: Emitter, attrs: StepAttrs, layout: StepLayout): void {
  const { rows, modules, heads, talkKey, talkValue, talkScale, topK } = attrs;
  const [, , saved, mask, qkv, context, probabilities] = emit.outputs as [View, View, View, View, View, View, View];
  const factors = inputNamed(emit.inputs, attrs, 'talkFactors');
  const memory = inputNamed(emit.inputs, attrs, 'memory');
  const count = rows * heads * modules;
  emit.call(rimTalk, {
    buffers: {
      qkv,
      memory: layout.cached ? need(memory, 'memory') : saved,
      mask,
      factors: factors ?? mask,
      context,
      probabilities,
    },
    uniforms: {
      rows,
      heads,
      modules,
      keyQuads: talkKey / 4,
      valueQuads: talkValue / 4,
      memory: layout.memory / 4,
      cache: layout.scored / 4,
      topK,
      nan: NAN_BITS,
      scale: talkScale,
    },
    constants: { CHUNK: chunkOf(attrs), CACHED: layout.cached, TOP_K: topK < modules, DROPPED: factors !== undefined },
    workgroups: gridOf(count, rimTalk.constants.WORKGROUP.value),
    operations: 2 * rows * heads * attrs.active * modules * (talkKey + talkValue),
  });
}

function emitUpdate(emit: Emitter, attrs: StepAttrs, layout: StepLayout, w: Weights): void {
  const { rows, modules, hidden, gated } = attrs;
  const [h, , saved, mask, , context, , pre] = emit.outputs as [View, View, View, View, View, View, View, View];
  const bias = inputNamed(emit.inputs, attrs, 'bias');
  const factors = inputNamed(emit.inputs, attrs, 'outputFactors');
  const { TILE_M, BLOCK } = rimUpdate.constants;
  const tile = rows >= 16 ? TILE_M.value : rows >= 4 ? 4 : 1;
  const down = Math.ceil(rows / BLOCK.value) * (BLOCK.value / tile);
  const filled = Math.ceil(Math.min(rows, BLOCK.value) / tile);
  const { lanes, workgroups } = spreadLanes(hidden / 4, down, modules, filled);
  emit.call(rimUpdate, {
    buffers: { context, w: w.view, bias: bias ?? w.view, saved, mask, factors: factors ?? saved, next: h, pre },
    uniforms: {
      rows,
      modules,
      innerQuads: layout.context / 4,
      quads: hidden / 4,
      saved: layout.saved / 4,
      wModule: w.module / 4,
      biasModule: w.module === 0 ? 0 : layout.projected / 4,
      lanes,
    },
    constants: { TILE_M: tile, GATED: gated, BIASED: bias !== undefined, DROPPED: factors !== undefined },
    workgroups,
    operations: 2 * rows * attrs.active * layout.context * layout.projected,
  });
}

/** @throws ShapeError */
function check(inputs: readonly Tensor[], attrs: StepAttrs, layout: StepLayout): void {
  const { rows: B, modules: N, hidden: H, heads } = attrs;
  const gates = layout.gates * H;
  const shared = inputNamed(inputs, attrs, 'wOutput')?.shape.length === 2;
  const own = shared ? [] : [N];
  const widths = [layout.scored, layout.scored + 4, layout.scored + gates];
  const given = inputNamed(inputs, attrs, 'uk')?.shape.at(-1) ?? 0;
  const input = widths.includes(given) ? given : layout.scored;
  const D = inputNamed(inputs, attrs, 'x')?.shape.at(-1) ?? 0;
  const wanted: Readonly<Partial<Record<keyof StepInputs, Shape>>> = {
    h: [B, N, H],
    memory: [B, N, layout.memory],
    uk: [B, N, input],
    side: [N * gates + (attrs.cell === 'gru' ? N * H : 0) + attrs.keySize],
    wState: [N, H, layout.products],
    constant: [N, layout.products],
    wTalk: [N, H, layout.talk],
    wOutput: [...own, layout.context, layout.projected],
    bias: [...own, layout.projected],
    talkFactors: [B, heads, N, N],
    outputFactors: [B, N, H],
    x: [B, D],
    wInput: [N, D, layout.scored],
    input: [B, N, input === layout.scored + gates ? input : layout.scored],
    nullGates: [N, gates],
    nBias: [N, H],
  };
  attrs.names.forEach((name, i) => {
    const tensor = at(inputs, i);
    const shape = need(wanted[name], name);
    if (tensor.dtype !== 'f32' || !sameShape(tensor.shape, shape)) {
      throw new ShapeError(`rimStep: ${name} must be f32 [${shape.join(',')}], not [${tensor.shape.join(',')}]`);
    }
  });
}
