// Recurrent Independent Mechanisms: the cell, the network over sequences, and their options.

export { type CellRandom, type CellState, type CellStep, type CellTrace, type Imposed, RIMCell } from './cell.ts';
export { type CellOptions, type Preset, type PresetOptions, presetOptions } from './options.ts';
export {
  makeRIM,
  RIM,
  type RIMCall,
  type RIMOptions,
  type RIMRandom,
  type RIMResult,
  type RIMTrace,
  type SequenceOptions,
} from './rim.ts';
export { type WeightName, type Weights, weightCount } from './weights.ts';
