// The backward of a RIM's step (step-op.ts): six kernel calls, and the gradients of the weights, which a scan takes out of
// its loop (active-outer.ts).
//
// With a cache the memory's gradient waits over the steps in which a module is inactive, and is passed to its h once, where
// it was last active. In order: what waits goes to h' of active modules; the gradient of h' and of the projection; that of
// the context; talk; the candidate; the gates; and without a cache the product back to h.

import { at, need, OptionError } from '../engine/errors.ts';
import { apply, type Emitter, gridOf, type Op, type View } from '../engine/op.ts';
import { einsum } from '../engine/ops/einsum.ts';
import { fill } from '../engine/ops/leaf.ts';
import { concat, reshape, slice } from '../engine/ops/shape.ts';
import type { Node, Shape, Spec, Tensor } from '../engine/tensor.ts';
import { rimGruBackward, rimLstmBackward, rimTalkBackward, rimUpdateBackward } from '../kernels/catalogue.ts';
import { activeOuter } from './active-outer.ts';
import { inputLayoutOf, layoutOf, type StepLayout } from './step-layout.ts';
import {
  chunkOf,
  emitModules,
  inputNamed,
  lanesFor,
  outputWeights,
  type StepAttrs,
  type StepInputs,
} from './step-op.ts';

/** The names of what the backward op reads: of the step's inputs and outputs, and gradients. */
type BackwardName =
  | 'saved'
  | 'uk'
  | 'side'
  | 'mask'
  | 'qkv'
  | 'probabilities'
  | 'pre'
  | 'outputFactors'
  | 'wState'
  | 'wTalk'
  | 'wOutput'
  | 'dh'
  | 'arriving'
  | 'dmemory';

interface BackwardAttrs {
  readonly step: StepAttrs;
  readonly names: readonly BackwardName[];
}

/** The gradients of a step's inputs. */
export function stepBackward(
  { inputs, outputs, attrs }: Node<StepAttrs>,
  d: readonly (Tensor | undefined)[],
): readonly (Tensor | undefined)[] {
  // The mask is a choice: what arrives at it goes nowhere, as in the plain path.
  const [dh, dmemory, dsaved, , ...others] = d;
  if ([dsaved, ...others].some((each) => each !== undefined)) {
    throw new OptionError(
      "RIM: a gradient arrives at its attention or its choice, which the fused path does not pass on; make the RIM with path: 'plain'",
    );
  }
  const layout = layoutOf(attrs);
  const { rows: B, modules: N, hidden: H } = attrs;
  const input = (name: keyof StepInputs): Tensor => need(inputNamed(inputs, attrs, name), name);
  const [next, , saved, mask, qkv, context, probabilities, pre] = outputs as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  const has = (name: keyof StepInputs): boolean => attrs.names.includes(name);
  const operands: Readonly<Partial<Record<BackwardName, Tensor | undefined>>> = {
    saved,
    uk: input('uk'),
    side: input('side'),
    mask,
    qkv,
    probabilities,
    ...(attrs.gated && { pre }),
    ...(has('outputFactors') && { outputFactors: input('outputFactors') }),
    wState: input('wState'),
    wTalk: input('wTalk'),
    wOutput: input('wOutput'),
    ...arrivals(dh ?? fill(0, [B, N, H])),
    ...(has('memory') && { dmemory: dmemory ?? fill(0, [B, N, layout.memory]) }),
  };
  const names = Object.keys(operands) as BackwardName[];
  const results = apply(
    stepBackwardOp,
    names.map((name) => need(operands[name], name)),
    { step: attrs, names },
  );
  const [dbefore, dstate, duk, dqkv, dpre] = results as [Tensor, Tensor, Tensor, Tensor, Tensor];

  const active = layout.sparse ? mask : undefined;
  const { scored, gates } = layout;
  const width = at(input('uk').shape, 2);
  const { dropped, own } = inputLayoutOf(attrs, layout, width, attrs.names);
  const shared = input('wOutput').shape.length === 2;
  const total = (tensor: Tensor, from: number, size: number): Tensor =>
    reshape(activeOuter({ tensor: fill(1, [B, 1]) }, { tensor, columns: { from, size } }, active), [N, size]);
  // The products of the state and their gradient: with a cache those of h', else of h.
  const ofState = layout.cached ? dmemory : dstate;
  const x = { tensor: layout.cached ? next : input('h') };
  const first = (size: number): { from: number; size: number } => ({ from: 0, size });
  const ofUk = (): Tensor => (at(duk.shape, 2) === scored ? duk : slice(duk, 2, 0, scored));
  const gradients: Readonly<Partial<Record<keyof StepInputs, () => Tensor | undefined>>> = {
    h: () => dbefore,
    memory: () => dstate,
    wState: () => ofState && activeOuter(x, { tensor: ofState, columns: first(layout.products) }, active),
    constant: () => ofState && total(ofState, 0, layout.products),
    wTalk: () => activeOuter({ tensor: saved, columns: first(H) }, { tensor: dqkv }, layout.cached ? mask : undefined),
    wOutput: () => reshape(activeOuter({ tensor: context }, { tensor: dpre }, active, shared), input('wOutput').shape),
    bias: () =>
      reshape(activeOuter({ tensor: fill(1, [B, N, 1]) }, { tensor: dpre }, active, shared), input('bias').shape),
    x: () => einsum('bnc,ndc->bd', ofUk(), input('wInput')),
    wInput: () => activeOuter({ tensor: input('x') }, { tensor: duk, columns: first(scored) }, active),
    input: () => (own ? slice(duk, 2, 0, width) : ofUk()),
    nullGates: () => {
      if (dropped) return total(duk, scored, gates * H);
      if (attrs.cell === 'lstm') return total(dstate, 0, gates * H);
      return concat([total(dstate, 0, 2 * H), total(duk, scored, H)], 1);
    },
    nBias: () => total(duk, at(duk.shape, 2) - H, H),
  };
  return attrs.names.map((name) => gradients[name]?.());
}

/** The gradient of h', or where it is a sum made for it the two parts, which the op adds itself. */
function arrivals(dh: Tensor): { dh: Tensor; arriving?: Tensor } {
  const { op, inputs } = dh.node;
  const [left, right] = inputs;
  const whole = op.name === 'add' && inputs.every(({ size }) => size === dh.size);
  return whole && left !== undefined && right !== undefined ? { dh: left, arriving: right } : { dh };
}

/** Outputs dh, dmemory (without a state beside h: of the products), duk, dqkv, dpre; of inactive modules partly undefined. */
const stepBackwardOp: Op<BackwardAttrs> = {
  name: 'rimStepBackward',
  beside: true,
  infer: (inputs, { step, names }) => {
    const layout = layoutOf(step);
    const { rows: B, modules: N, hidden } = step;
    const width = at(need(inputs[names.indexOf('uk')], 'uk').shape, 2);
    const f32 = (...shape: Shape): Spec => ({ shape, dtype: 'f32' });
    return [
      f32(B, N, hidden),
      f32(B, N, layout.memory),
      f32(B, N, inputLayoutOf(step, layout, width, step.names).gradient),
      f32(B, N, layout.talk),
      f32(B, N, layout.projected),
    ];
  },
  plan: (emit, { inputs, attrs: { step, names } }) => {
    const layout = layoutOf(step);
    const find = (name: BackwardName): View | undefined => emit.inputs[names.indexOf(name)];
    const view = (name: BackwardName): View => need(find(name), name);
    const shape = (name: BackwardName): Shape => need(inputs[names.indexOf(name)], name).shape;
    const { rows: B, modules: N, hidden: H } = step;
    const [dh, dmemory, , dqkv, dpre] = emit.outputs as [View, View, View, View, View];
    const mask = view('mask');
    const active = layout.sparse ? { mask } : {};
    const projects = step.gated || find('outputFactors') !== undefined;
    const total = projects ? emit.scratch(B * N * H) : dpre;
    const dcandidate = emit.scratch(B * N * H);
    const dcontext = emit.scratch(B * N * layout.context);
    const partial = emit.scratch(B * N * H);
    const state = { view: view('wState'), module: H * layout.products, row: 1, column: layout.products };
    if (layout.cached) {
      emitModules(emit, step, {
        a: { view: view('dmemory'), width: layout.memory, size: layout.products },
        w: state,
        y: { view: total, width: H, size: H },
        mask,
      });
    }
    emitBegin(emit, step, layout, {
      dh: view('dh'),
      arriving: find('arriving'),
      mask,
      pre: find('pre'),
      factors: find('outputFactors'),
      total,
      dcandidate,
      dpre: projects ? dpre : emit.scratch(4),
    });
    const w = outputWeights(view('wOutput'), shape('wOutput').length === 2, layout);
    emitModules(emit, step, {
      a: { view: dpre, width: layout.projected, size: layout.projected },
      w: { ...w, row: w.column, column: w.row },
      y: { view: dcontext, width: layout.context, size: layout.context },
      ...active,
    });
    emitTalk(emit, step, layout, {
      qkv: view('qkv'),
      mask,
      p: view('probabilities'),
      dcontext,
      dafter: layout.cached ? view('dmemory') : emit.scratch(4),
      dbefore: layout.cached ? dmemory : emit.scratch(4),
      dqkv,
    });
    emitModules(emit, step, {
      a: { view: dqkv, width: layout.talk, size: layout.talk },
      w: { view: view('wTalk'), module: H * layout.talk, row: 1, column: layout.talk },
      y: { view: dcandidate, width: H, size: H },
      plus: { view: total, module: H, row: N * H },
      ...active,
    });
    const dafter = find('dmemory') ?? partial;
    const gates = { saved: view('saved'), uk: view('uk'), side: view('side'), dcandidate, dafter };
    emitGates(emit, step, layout, at(shape('uk'), 2), gates);
    if (!layout.cached) {
      emitModules(emit, step, {
        a: { view: dmemory, width: layout.memory, size: layout.scored },
        w: state,
        y: { view: dh, width: H, size: H },
        ...(step.cell === 'gru' && { plus: { view: partial, module: H, row: N * H } }),
        ...active,
      });
    }
  },
  backward: () => {
    throw new OptionError("RIM: the gradient of its gradient is not written; make the RIM with path: 'plain' for it");
  },
};

/** The rows of this file, for tables of all ops. */
export const stepBackwardOps: readonly Op[] = [stepBackwardOp] as readonly Op[];

interface Begin {
  readonly dh: View;
  readonly arriving: View | undefined;
  readonly mask: View;
  readonly pre: View | undefined;
  readonly factors: View | undefined;
  readonly total: View;
  readonly dcandidate: View;
  readonly dpre: View;
}

function emitBegin(emit: Emitter, step: StepAttrs, layout: StepLayout, views: Begin): void {
  const { dh, arriving, mask, pre, factors, total, dcandidate, dpre } = views;
  const { rows, modules, hidden, gated } = step;
  const count = (rows * modules * hidden) / 4;
  emit.call(rimUpdateBackward, {
    buffers: { dh, arriving: arriving ?? dh, mask, pre: pre ?? dh, factors: factors ?? dh, total, dcandidate, dpre },
    uniforms: { count, rows, modules, quads: hidden / 4 },
    constants: {
      ARRIVES: arriving !== undefined,
      FLUSHED: layout.cached,
      PROJECTED: gated || factors !== undefined,
      GATED: gated,
      DROPPED: factors !== undefined,
    },
    workgroups: gridOf(count, rimUpdateBackward.constants.WORKGROUP.value),
  });
}

type TalkViews = Readonly<Record<'qkv' | 'mask' | 'p' | 'dcontext' | 'dafter' | 'dbefore' | 'dqkv', View>>;

function emitTalk(emit: Emitter, step: StepAttrs, layout: StepLayout, buffers: TalkViews): void {
  const { rows, modules, heads, talkKey, talkValue, talkScale } = step;
  const perGroup = Math.max(1, Math.floor(rimTalkBackward.constants.LANES.value / modules));
  emit.call(rimTalkBackward, {
    buffers,
    uniforms: {
      rows,
      heads,
      modules,
      keyQuads: talkKey / 4,
      valueQuads: talkValue / 4,
      memory: layout.memory / 4,
      cache: layout.scored / 4,
      perGroup,
      scale: talkScale,
    },
    constants: {
      CHUNK: chunkOf(step),
      SCORES: perGroup * modules * modules,
      CACHED: layout.cached,
      DROPPED: step.names.includes('talkFactors'),
    },
    workgroups: gridOf(rows * heads, perGroup),
    operations: 4 * rows * heads * step.active * modules * (talkKey + talkValue),
  });
}

type GateViews = Readonly<Record<'saved' | 'uk' | 'side' | 'dcandidate' | 'dafter', View>>;

/** @param input columns of a row of uk */
function emitGates(emit: Emitter, step: StepAttrs, layout: StepLayout, input: number, views: GateViews): void {
  const { rows, modules, hidden, keySize, cell } = step;
  const [dh, dbefore, duk] = emit.outputs as [View, View, View];
  const kernel = cell === 'gru' ? rimGruBackward : rimLstmBackward;
  const { dropped, nulls, nBias, gradient } = inputLayoutOf(step, layout, input, step.names);
  const constants = {
    LANES: lanesFor(emit, kernel.constants.LANES.value),
    CACHED: layout.cached,
    NULLS: nulls,
    DROPPED: dropped,
  };
  const call = {
    buffers: { ...views, dh, dbefore, duk },
    uniforms: {
      count: rows * modules,
      modules,
      quads: hidden / 4,
      keyQuads: keySize / 4,
      input: input / 4,
      memory: layout.memory / 4,
      saved: layout.saved / 4,
      width: gradient / 4,
    },
    workgroups: gridOf(rows * modules, 1),
    operations: rows * step.active * (keySize + 20 * layout.gates * hidden),
  } as const;
  if (cell === 'gru') emit.call(rimGruBackward, { ...call, constants: { ...constants, BIASED: nBias } });
  else emit.call(rimLstmBackward, { ...call, constants });
}
