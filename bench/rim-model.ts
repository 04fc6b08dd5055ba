// A RIM as a model over sequences, so that it stands in one row with the systems that it is compared with: one layer, in one direction.
//
// Always: the trace has what the RIM's own has, by name. With an imposed mask it is the same RIM, of the same weights.
// Not here: the RIM (rims/), and which options make one (models.ts).

import type { Tensor } from '../engine/core.ts';
import { need, ShapeError } from '../engine/errors.ts';
import { type CellOptions, type CellState, makeRIM, type RIMRandom } from '../rims/index.ts';
import type { ModelState, SequenceModel, SequenceResult } from './baselines/sequence-model.ts';

/** A RIM as a model over sequences. Its trace: `mask` [T,B,N], and where the options have them `inputAttention` and `communicationAttention`. */
export interface RIMModel extends SequenceModel {
  /** The same RIM with modules switched on and off from outside. @param mask [T,B,N]: 1 active, 0 inactive, negative as the modules decide */
  imposing(mask: Tensor): SequenceModel;
}

/** Makes a RIM. @throws OptionError for options that do not go together */
export function rimModel(options: CellOptions, random: RIMRandom): RIMModel {
  const rim = makeRIM(options, random);
  const facts = { system: 'RIM', outputSize: options.modules * options.hiddenSize, variables: rim.variables };
  const names = options.cell === 'lstm' ? ['h', 'c'] : ['h'];
  const run = (x: Tensor, given: ModelState | undefined, mask?: Tensor): SequenceResult => {
    const before = given === undefined ? {} : { state: [cellState(given, names)] };
    const { hidden, state, trace } = rim(x, { ...before, ...(mask && { mask: [mask] }) });
    const { mask: active, inputAttention, communicationAttention } = need(trace[0], 'the trace of the only cell');
    return {
      hidden,
      state: { ...need(state[0], 'the state of the only cell') },
      trace: {
        mask: active,
        ...(inputAttention && { inputAttention }),
        ...(communicationAttention && { communicationAttention }),
      },
    };
  };
  return Object.assign((x: Tensor, state?: ModelState) => run(x, state), facts, {
    imposing: (mask: Tensor): SequenceModel => {
      const imposed = (x: Tensor, state?: ModelState): SequenceResult => run(x, state, mask);
      return Object.assign(imposed, facts);
    },
  });
}

function cellState(given: ModelState, names: readonly string[]): CellState {
  const found = Object.keys(given);
  if (found.length !== names.length || !names.every((name) => found.includes(name))) {
    throw new ShapeError(`RIM: a state has ${names.join(' and ')}, not ${found.join(', ')}; give that of a result`);
  }
  const { h, c } = given;
  return { h: need(h, 'h'), ...(c && { c }) };
}
