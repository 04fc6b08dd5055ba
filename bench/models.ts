// The two models of the copying task: embedding, RIM or LSTM, readout from all hidden units to the symbols.

import {
  dropout,
  embedding,
  initialisers,
  linear,
  type RandomState,
  type Tensor,
  type Variable,
} from '../engine/core.ts';
import { type CellOptions, makeRIM, type PresetOptions, presetOptions, type RIMTrace } from '../rims/index.ts';
import { lstm } from './baselines/index.ts';
import type { MainOptions } from './options.ts';
import { copyingClasses, copyingTokens } from './tasks/index.ts';

/** Those options of a job that make a model and its programs. */
export type ModelOptions = Pick<
  MainOptions,
  | 'digits'
  | 'blank'
  | 'batch'
  | 'modules'
  | 'active'
  | 'hidden'
  | 'embedding'
  | 'keySize'
  | 'valueSize'
  | 'commHeads'
  | 'commKeySize'
  | 'commValueSize'
  | 'cell'
  | 'preset'
  | 'commOutput'
  | 'sources'
  | 'dropout'
  | 'attentionDropout'
  | 'lstmHidden'
  | 'learningRate'
  | 'clip'
  | 'seed'
>;

/** A model that reads symbols and gives scores of symbols. */
export interface CopyingModel {
  /** As reports show it. */
  readonly name: 'RIM' | 'LSTM';
  readonly variables: readonly Variable[];
  /**
   * @param symbols u32 [T,B]
   * @param imposed a RIM's mask [T,B,N] as its calls take it: 1 active, 0 inactive, negative as the modules decide
   * @returns scores [T,B,classes], and a RIM's trace
   */
  forward(symbols: Tensor, imposed?: Tensor): { readonly scores: Tensor; readonly trace?: RIMTrace };
}

/** The options of the RIM's cell that the main job's options mean. @throws OptionError for impossible ones */
export function cellOptions(options: ModelOptions): CellOptions {
  const sizes: PresetOptions = {
    inputSize: options.embedding,
    hiddenSize: options.hidden,
    modules: options.modules,
    active: options.active,
    cell: options.cell,
    keySize: options.keySize,
    valueSize: options.valueSize,
    commHeads: options.commHeads,
    commKeySize: options.commKeySize,
    commValueSize: options.commValueSize,
    inputDropout: options.attentionDropout,
    commDropout: options.attentionDropout,
    ...(options.commOutput && { commOutput: options.commOutput }),
    ...(options.sources && { sources: options.sources }),
  };
  // The mixture that learned and generalised best at small sizes (RESULTS.md): the official code's gated communication, the
  // paper's kept sources, weights scaled to their sizes.
  if (options.preset === 'default-mixture') {
    return presetOptions('official', { rowWeights: false, sources: 'kept', initialisation: 'fan-in', ...sizes });
  }
  return presetOptions(options.preset, sizes);
}

/** Builds a model. @param random what dropout draws from */
export function copyingModel(name: CopyingModel['name'], options: ModelOptions, random: RandomState): CopyingModel {
  const { seed } = options;
  const prefix = name.toLowerCase();
  // Symbols as far apart as the modules' states are large: learning starts several times sooner than with the official
  // code's U(±0.1), which the presets keep.
  const weight = options.preset === 'default-mixture' ? { weight: initialisers.normal(1) } : {};
  const embed = embedding(
    { tokens: copyingTokens, size: options.embedding },
    { seed, name: `${prefix}.embedding`, ...weight },
  );
  const drop = (x: Tensor): Tensor => (options.dropout === 0 ? x : dropout(x, { rate: options.dropout, random }));
  const core = name === 'RIM' ? rimCore(options, random) : lstmCore(options);
  const readout = linear({ from: core.size, to: copyingClasses }, { seed, name: `${prefix}.readout` });
  return {
    name,
    variables: [...embed.variables, ...core.variables, ...readout.variables],
    forward: (symbols, imposed) => {
      const { hidden, trace } = core.run(drop(embed(symbols)), imposed);
      return { scores: readout(drop(hidden)), ...(trace && { trace }) };
    },
  };
}

interface Core {
  readonly size: number;
  readonly variables: readonly Variable[];
  run(x: Tensor, imposed?: Tensor): { readonly hidden: Tensor; readonly trace?: RIMTrace };
}

function rimCore(options: ModelOptions, random: RandomState): Core {
  const rim = makeRIM(cellOptions(options), { seed: options.seed, dropout: random });
  return {
    size: options.modules * options.hidden,
    variables: rim.variables,
    run: (x, imposed) => {
      const { hidden, trace } = rim(x, imposed === undefined ? {} : { mask: [imposed] });
      const [first] = trace;
      return { hidden, ...(first && { trace: first }) };
    },
  };
}

function lstmCore(options: ModelOptions): Core {
  const net = lstm({ inputSize: options.embedding, hiddenSize: options.lstmHidden }, { seed: options.seed });
  return { size: options.lstmHidden, variables: net.variables, run: (x) => ({ hidden: net(x).hidden }) };
}
