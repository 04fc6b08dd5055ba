// Models for a task: what embeds its symbols, one of the systems that are compared, and the readout to its scores.
//
// Always: a system is a row of `systems`, made from options by one function; a model's weights are named after it in lower case, so
// that the weights of all lie in one file. A model is the same graph in training and evaluation, but for dropout.
// Not here: what is computed of the scores (programs.ts), the command line (options.ts). It runs in any runtime.

import type { Tensor, Variable } from '../engine/core.ts';
import { dropout, embedding, initialisers, linear, type RandomState, reshape, slice } from '../engine/core.ts';
import { at, OptionError } from '../engine/errors.ts';
import { type CellOptions, type PresetOptions, presetOptions } from '../rims/index.ts';
import { dnc, entnet, gru, indrnn, lstm, ntm, rmc, transformer } from './baselines/index.ts';
import type { ModelState, SequenceModel } from './baselines/sequence-model.ts';
import type { MainOptions } from './options.ts';
import { type RIMModel, rimModel } from './rim-model.ts';
import type { Task } from './tasks/index.ts';

/** The options that decide how a model is made; not all models take all of them. */
export type ModelOptions = Pick<MainOptions, (typeof SHARED)[number] | (typeof RIM_OPTIONS)[number] | BaselineOption>;

type BaselineOption = (typeof BASELINE_OPTIONS)[number];

/** Those that concern every model. */
const SHARED = ['embedding', 'preset', 'dropout', 'seed'] as const;
const RIM_OPTIONS = [
  'modules',
  'active',
  'hidden',
  'keySize',
  'valueSize',
  'commHeads',
  'commKeySize',
  'commValueSize',
  'cell',
  'commOutput',
  'sources',
  'attentionDropout',
  'communication',
  'inputAttention',
  'commTopK',
] as const;

const BASELINE_OPTIONS = [
  'width',
  'layers',
  'heads',
  'slots',
  'slotSize',
  'positions',
  'norm',
  'betweenLayers',
  'memory',
] as const;

/** A system that can be trained. */
export interface System {
  /** Its name as metrics and tables have it, such as `LSTM`: that of the model which it makes. */
  readonly system: string;
  /** What it is, in a few words. */
  readonly about: string;
  /** The options that it takes, besides those of every model. */
  readonly options: readonly (keyof ModelOptions)[];
  /** Its embedding begins small, whatever the preset says. */
  readonly smallEmbedding?: true;
  /** @param random what dropout inside of it draws from */
  make(options: ModelOptions, inputSize: number, random: RandomState): SequenceModel;
}

/** The systems by their names on the command line, in the order in which they are told. A new one is a new row. */
export const systems: Readonly<Record<string, System>> = {
  rim: {
    system: 'RIM',
    about: 'Recurrent Independent Mechanisms',
    options: RIM_OPTIONS,
    make: (options, inputSize, random) =>
      rimModel(cellOptions(options, inputSize), { seed: options.seed, dropout: random }),
  },
  lstm: {
    system: 'LSTM',
    about: 'long short-term memory',
    options: ['width'],
    make: ({ width, seed }, inputSize) => lstm({ inputSize, hiddenSize: width }, { seed }),
  },
  gru: {
    system: 'GRU',
    about: 'gated recurrent units',
    options: ['width'],
    make: ({ width, seed }, inputSize) => gru({ inputSize, hiddenSize: width }, { seed }),
  },
  indrnn: {
    system: 'IndRNN',
    about: 'an independently recurrent network',
    options: ['width', 'layers', 'betweenLayers', 'memory'],
    make: ({ width, layers = 2, betweenLayers = 'none', memory = 100, seed }, inputSize) =>
      indrnn({ inputSize, hiddenSize: width, layers, normalise: betweenLayers === 'layer-norm', memory }, { seed }),
  },
  entnet: {
    system: 'EntNet',
    about: 'a recurrent entity network',
    options: ['width', 'slots', 'slotSize'],
    make: ({ width, slots = 8, slotSize = shared(width, slots), seed }, inputSize) =>
      entnet({ inputSize, slots, slotSize }, { seed }),
  },
  rmc: {
    system: 'RMC',
    about: 'a relational memory core',
    options: ['width', 'slots', 'slotSize', 'heads'],
    make: ({ width, slots = 4, heads = 4, slotSize = heads * shared(width, slots * heads), seed }, inputSize) => {
      checkHeads('--slot-size', slotSize, heads);
      return rmc({ inputSize, slots, heads, headSize: slotSize / heads }, { seed });
    },
  },
  ntm: {
    system: 'NTM',
    about: 'a neural Turing machine',
    options: ['width', 'slots', 'slotSize', 'heads'],
    make: ({ width, slots = 128, slotSize = 20, heads = 1, seed }, inputSize) =>
      ntm({ inputSize, hiddenSize: width, slots, slotSize, readHeads: heads, writeHeads: heads }, { seed }),
  },
  dnc: {
    system: 'DNC',
    about: 'a differentiable neural computer',
    options: ['width', 'slots', 'slotSize', 'heads'],
    make: ({ width, slots = 16, slotSize = 16, heads = 4, seed }, inputSize) =>
      dnc({ inputSize, hiddenSize: width, slots, slotSize, readHeads: heads }, { seed }),
  },
  transformer: {
    system: 'Transformer',
    about: 'a causal Transformer',
    options: ['width', 'layers', 'heads', 'positions', 'norm'],
    // Its first product multiplies by the root of the width: embeddings of size 1 would drown the positions.
    smallEmbedding: true,
    make: ({ width, layers = 2, heads = 4, positions = 'sinusoidal', norm = 'post', seed }, inputSize) => {
      checkHeads('--width', width, heads);
      return transformer({ inputSize, width, layers, heads, positions, norm }, { seed });
    },
  },
};

const MODEL_OPTIONS: readonly string[] = [...RIM_OPTIONS, ...BASELINE_OPTIONS];

/** Whether an option concerns some systems only. */
export function isOfModels(option: string): boolean {
  return MODEL_OPTIONS.includes(option);
}

/** A system by its name on the command line. @throws OptionError where there is none */
export function systemOf(name: string): System {
  const found = Object.hasOwn(systems, name) ? systems[name] : undefined;
  if (found !== undefined) return found;
  throw new OptionError(`there is no model '${name}'; use ${Object.keys(systems).join(', ')}`);
}

/** A model of a task. */
export interface TaskModel {
  /** The system's name as metrics have it. */
  readonly name: string;
  readonly variables: readonly Variable[];
  /**
   * @param x as the task's input says: symbols u32 [T,B], or channels f32 [T,B,size]
   * @param call where to go on from, and for a RIM a mask [T,B,N] to impose (1 active, 0 inactive, negative as the modules decide)
   * @throws OptionError for a mask on a system without modules
   */
  forward(x: Tensor, call?: { readonly state?: ModelState; readonly mask?: Tensor }): Forward;
}

/** What a call of a model gives. */
export interface Forward {
  /** [T,B,O], or [B,O] where the task wants them at the last step alone. */
  readonly scores: Tensor;
  readonly state: ModelState;
  /** What is worth looking at, of the system. */
  readonly trace: Readonly<Record<string, Tensor>>;
}

/**
 * Builds a model for a task.
 * @param name of the system on the command line
 * @param random what dropout draws from
 * @throws OptionError for options that do not go together
 */
export function taskModel(name: string, task: Task, options: ModelOptions, random: RandomState): TaskModel {
  const { make, system, smallEmbedding } = systemOf(name);
  const { seed } = options;
  // Symbols as far apart as the modules' states are large: learning starts about twice as soon as with the official
  // code's U(±0.1), which the presets keep.
  const weight = options.preset === 'default-mixture' && !smallEmbedding ? { weight: initialisers.normal(1) } : {};
  const embed =
    task.input.kind === 'symbols'
      ? embedding(
          { tokens: task.input.tokens, size: options.embedding },
          { seed, name: `${name}.embedding`, ...weight },
        )
      : undefined;
  const core = make(options, task.input.kind === 'symbols' ? options.embedding : task.input.size, random);
  const readout = linear({ from: core.outputSize, to: task.scores }, { seed, name: `${name}.readout` });
  const drop = (x: Tensor): Tensor => (options.dropout === 0 ? x : dropout(x, { rate: options.dropout, random }));
  return {
    name: system,
    variables: [...(embed?.variables ?? []), ...core.variables, ...readout.variables],
    forward: (x, { state, mask } = {}) => {
      const run = mask === undefined ? core : imposing(core, mask);
      const { hidden, ...rest } = run(embed === undefined ? x : drop(embed(x)), state);
      return { scores: readout(drop(task.scored === 'every step' ? hidden : lastOf(hidden))), ...rest };
    },
  };
}

/** [B,size] of the last step of [T,B,size]. */
function lastOf(hidden: Tensor): Tensor {
  const [T, B, size] = [at(hidden.shape, 0), at(hidden.shape, 1), at(hidden.shape, 2)];
  return reshape(slice(hidden, 0, T - 1, 1), [B, size]);
}

function imposing(core: SequenceModel, mask: Tensor): SequenceModel {
  if ('imposing' in core) return (core as RIMModel).imposing(mask);
  throw new OptionError(`${core.system}: it has no modules that a mask could switch; give the mask to a RIM`);
}

/** The size of one of several parts that make a width together, as near as whole parts come. */
function shared(width: number, parts: number): number {
  return Math.max(1, Math.round(width / parts));
}

/** @throws OptionError where heads cannot share a size evenly */
function checkHeads(flag: string, size: number, heads: number): void {
  if (size % heads === 0) return;
  const near = heads * shared(size, heads);
  throw new OptionError(`${flag} ${size}: ${heads} heads cannot share it; give ${flag} ${near}, or other --heads`);
}

/** The options of the RIM's cell that the main job's options mean. @throws OptionError for impossible ones */
export function cellOptions(options: ModelOptions, inputSize: number): CellOptions {
  const sizes: PresetOptions = {
    inputSize,
    hiddenSize: options.hidden,
    modules: options.modules,
    active: options.active,
    cell: options.cell,
    keySize: options.keySize,
    valueSize: options.valueSize,
    inputAttention: options.inputAttention,
    communication: options.communication,
    commHeads: options.commHeads,
    commKeySize: options.commKeySize,
    commValueSize: options.commValueSize,
    inputDropout: options.attentionDropout,
    commDropout: options.attentionDropout,
    ...(options.commTopK !== undefined && { commTopK: options.commTopK }),
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
