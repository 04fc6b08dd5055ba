// What every optimiser is given and checks: gradients by parameter, a learning rate, weight decay, clipping, groups of
// parameters with options of their own, and names for the state. `prepare` turns that into a list of parameters, each with
// what its update reads; parameters, and moments of a kind, share storage where they can.
// Always true of the list: f32 Variables of different names, gradients of their shapes that no update of the list changes
// before they are read, a learning rate of one element. Not here: the rules of the optimisers (optimisers.ts).

import { normToClip } from './clip.ts';
import { at, checkOptions, checkSwitch, formatShape, OptionError, ShapeError } from './errors.ts';
import { Gradients } from './grad.ts';
import { type Guarded, guardsOf } from './guard.ts';
import { identity } from './ops/elementwise.ts';
import { constant } from './ops/leaf.ts';
import { concat, reshape } from './ops/shape.ts';
import { type Shape, sameShape, sizeOf, Tensor } from './tensor.ts';
import { joinVariables, Variable } from './variable.ts';

/** Some of the parameters, with options of their own. */
export interface ParameterGroup {
  /** The parameters of the group. */
  readonly variables: readonly Variable[];
  /** Default: that of the optimiser. */
  readonly learningRate?: number | Tensor;
  /** Default: that of the optimiser. */
  readonly weightDecay?: number;
}

/** What every optimiser takes. */
export interface OptimiserOptions {
  /** A number, or a scalar tensor: `input('learningRate', [])` makes it a feed of each run. */
  readonly learningRate: number | Tensor;
  /** Multiple of the parameter that joins its gradient (adamw: its step). Default 0, for adamw 0.01. */
  readonly weightDecay?: number;
  /** The largest 2-norm over all gradients together; longer ones are scaled down to it. Default: no clipping. */
  readonly clipNorm?: number;
  /** The scalar to clip by, where it is not the norm of these very gradients. */
  readonly norm?: Tensor;
  /** Parameters with options of their own, each in one group at most. */
  readonly groups?: readonly ParameterGroup[];
  /**
   * Whether a step whose gradients or learning rates are not finite is kept from the weights: from the first such step on no
   * program with these weights changes any Variable, until its `clearGuard`; the next `read` of an output rejects with a
   * NonFiniteError. Optimisers of the same weights share one guard. Default true.
   */
  readonly guard?: boolean;
  /** What the names of the state Variables begin with. Default: the name of the optimiser. */
  readonly name?: string;
}

/**
 * Gradients by parameter: what `grad` returns, or pairs. Parameters that no program was planned with yet share storage from
 * then on, so make optimisers before compiling; parameters of one optimiser live on one device.
 */
export type ParameterGradients = Iterable<readonly [Tensor, Tensor]>;

/** The names of `OptimiserOptions`. */
export const COMMON: readonly string[] = ['learningRate', 'weightDecay', 'clipNorm', 'norm', 'groups', 'guard', 'name'];

/** A parameter with what its update reads. */
export interface Parameter {
  readonly variable: Variable;
  readonly gradient: Tensor;
  /** Which of the learning rates is its. */
  readonly rate: number;
  readonly decay: number;
}

/** A list of parameters and what their updates share. */
export interface Prepared {
  readonly parameters: readonly Parameter[];
  /** The different learning rates, [any]. */
  readonly rates: Tensor;
  /** The norm to clip by, [], and the largest that it may be; undefined without clipping. */
  readonly clip: { readonly norm: Tensor; readonly most: number } | undefined;
  readonly guard: Guarded | undefined;
  readonly prefix: string;
  /** New state Variables of a kind, one a parameter and of its shape, zeros. */
  states(kind: string): readonly Variable[];
}

/** Checks gradients and options. @param defaultDecay the weight decay where none is given */
export function prepare(
  where: string,
  gradients: ParameterGradients,
  options: OptimiserOptions,
  defaultDecay: number,
): Prepared {
  const {
    learningRate,
    weightDecay = defaultDecay,
    clipNorm,
    norm: imposed,
    groups = [],
    guard: guarded = true,
    name: prefix = where,
  } = options;
  const pairs = parametersOf(where, gradients);
  const groupOf = groupsOf(where, groups, pairs);
  checkDecay(where, weightDecay);
  checkRate(where, learningRate);
  for (const group of groups) if (group.learningRate !== undefined) checkRate(where, group.learningRate);
  if (clipNorm === undefined && imposed !== undefined) {
    throw new OptionError(
      `${where}: a norm was given without clipNorm, the largest that it may be; give both or neither`,
    );
  }
  const clip =
    clipNorm === undefined
      ? undefined
      : { norm: normToClip(where, [...pairs.values()], clipNorm, imposed), most: clipNorm };
  checkSwitch(where, 'guard', guarded);
  const rates: (number | Tensor)[] = [];
  const parameters = [...pairs].map(([variable, gradient]): Parameter => {
    const group = groupOf.get(variable);
    const own = group?.learningRate ?? learningRate;
    if (!rates.includes(own)) rates.push(own);
    const decay = group?.weightDecay ?? weightDecay;
    if (typeof own === 'number' && own * decay > 2) {
      throw new OptionError(
        `${where}: a weight decay of ${decay} at a learning rate of ${own} makes weights grow without end; their product must be 2 at most`,
      );
    }
    return { variable, gradient: settled(gradient, pairs), rate: rates.indexOf(own), decay };
  });
  joinVariables([...pairs.keys()]);
  const allRates = ratesTensor(rates);
  const guard = guarded && {
    guards: guardsOf(pairs.keys()),
    gradients: parameters.map(({ gradient }) => gradient),
    rates: allRates,
    norm: clip?.norm,
    own: imposed === undefined,
    most: clip?.most,
    loss: gradients instanceof Gradients ? gradients.loss : undefined,
  };
  return {
    parameters,
    rates: allRates,
    clip,
    guard: guard || undefined,
    prefix,
    states: (kind) => {
      const states = parameters.map(({ variable: { name, shape } }) => zeros(`${prefix}.${kind}.${name}`, shape));
      joinVariables(states);
      return states;
    },
  };
}

/** The pairs as a map, every one a Variable with a gradient of its shape, no Variable or name twice. */
function parametersOf(where: string, gradients: ParameterGradients): Map<Variable, Tensor> {
  const pairs = new Map<Variable, Tensor>();
  const names = new Set<string>();
  for (const [variable, gradient] of gradients) {
    if (!(variable instanceof Variable)) {
      throw new OptionError(
        `${where}: a gradient belongs to a '${variable.node.op.name}' ${formatShape(variable.shape)}, which is no Variable and cannot be updated; take grad with respect to Variables`,
      );
    }
    if (names.has(variable.name)) {
      const what = pairs.has(variable) ? 'is given twice' : 'is the name of two parameters';
      throw new OptionError(
        `${where}: '${variable.name}' ${what}; the state of an optimiser goes by name, so name each once`,
      );
    }
    if (variable.dtype !== 'f32' || gradient.dtype !== 'f32' || !sameShape(variable.shape, gradient.shape)) {
      throw new ShapeError(
        `${where}: the gradient of '${variable.name}' is ${gradient.dtype} ${formatShape(gradient.shape)}, the parameter ${variable.dtype} ${formatShape(variable.shape)}; both must be f32 of one shape`,
      );
    }
    names.add(variable.name);
    pairs.set(variable, gradient);
  }
  if (pairs.size === 0) throw new OptionError(`${where}: there are no gradients, so there is nothing to update`);
  return pairs;
}

/** The group of each parameter that is in one. */
function groupsOf(
  where: string,
  groups: readonly ParameterGroup[],
  pairs: ReadonlyMap<Variable, Tensor>,
): Map<Variable, ParameterGroup> {
  const groupOf = new Map<Variable, ParameterGroup>();
  groups.forEach((group, i) => {
    checkOptions(`${where}: groups[${i}]`, group, ['variables', 'learningRate', 'weightDecay']);
    if (group.variables.length === 0) throw new OptionError(`${where}: groups[${i}] has no variables; leave it out`);
    if (group.weightDecay !== undefined) checkDecay(where, group.weightDecay);
    for (const variable of group.variables) {
      if (!pairs.has(variable)) {
        throw new OptionError(`${where}: groups[${i}] names '${variable.name}', which has no gradient here`);
      }
      if (groupOf.has(variable))
        throw new OptionError(`${where}: '${variable.name}' is named twice in groups; name it once`);
      groupOf.set(variable, group);
    }
  });
  return groupOf;
}

/** A gradient that is a parameter's own memory is copied, for updates change that memory before all have read it. */
function settled(gradient: Tensor, pairs: ReadonlyMap<Variable, Tensor>): Tensor {
  let root = gradient;
  while (root.node.op.alias === true) root = at(root.node.inputs, root.index);
  return root instanceof Variable && pairs.has(root) ? identity(gradient) : gradient;
}

/** Learning rates one after the other. */
function ratesTensor(rates: readonly (number | Tensor)[]): Tensor {
  const numbers = rates.filter((rate) => typeof rate === 'number');
  if (numbers.length === rates.length) return constant(numbers, [numbers.length]);
  return concat(
    rates.map((rate) => (typeof rate === 'number' ? constant([rate], [1]) : reshape(rate, [1]))),
    0,
  );
}

function checkRate(where: string, rate: number | Tensor): void {
  if (rate instanceof Tensor) {
    if (rate.size === 1 && rate.dtype === 'f32') return;
    throw new ShapeError(
      `${where}: the learning rate must be one f32 number, not ${rate.dtype} ${formatShape(rate.shape)}`,
    );
  }
  if (!Number.isFinite(rate) || rate < 0) {
    throw new OptionError(
      `${where}: learningRate must be a number of at least 0 or a scalar tensor, not ${String(rate)}`,
    );
  }
}

function checkDecay(where: string, decay: number): void {
  if (!Number.isFinite(decay) || decay < 0) {
    throw new OptionError(`${where}: weightDecay must be a number of at least 0, not ${String(decay)}`);
  }
}

/** Refuses what is not from 0 to below 1. */
export function checkShare(where: string, option: string, share: number): void {
  if (!(share >= 0 && Math.fround(share) < 1)) {
    throw new OptionError(`${where}: ${option} must be from 0 to below 1 in float32, not ${String(share)}`);
  }
}

/** Refuses an epsilon that float32 would take for 0. */
export function checkEpsilon(where: string, epsilon: number): void {
  if (!(epsilon >= 1.2e-38 && Number.isFinite(epsilon))) {
    throw new OptionError(
      `${where}: epsilon must be a number above 0 that float32 holds (such as 1e-8), not ${String(epsilon)}`,
    );
  }
}

/** A new Variable of zeros. */
export function zeros(name: string, shape: Shape): Variable {
  return new Variable(name, shape, new Float32Array(sizeOf(shape)));
}
