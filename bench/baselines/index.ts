// The systems that RIMs are compared with, each a `SequenceModel`.

export { type DNC, type DNCOptions, type DNCResult, type DNCState, dnc } from './dnc.ts';
export { type EntNet, type EntNetOptions, type EntNetResult, type EntNetState, entnet } from './entnet.ts';
export { type GRU, type GRUOptions, type GRUResult, type GRUState, gru } from './gru.ts';
export {
  type IndRNN,
  type IndRNNLayer,
  type IndRNNOptions,
  type IndRNNResult,
  type IndRNNState,
  indrnn,
} from './indrnn.ts';
export { type LSTM, type LSTMOptions, type LSTMResult, type LSTMState, lstm } from './lstm.ts';
export { type NTM, type NTMOptions, type NTMResult, type NTMState, ntm } from './ntm.ts';
export {
  type RMC,
  type RMCBlockWeights,
  type RMCGateWeights,
  type RMCOptions,
  type RMCResult,
  type RMCState,
  type RMCWeights,
  rmc,
} from './rmc.ts';
export type { ModelState, SequenceModel, SequenceResult } from './sequence-model.ts';
export {
  type Positions,
  type Transformer,
  type TransformerOptions,
  type TransformerResult,
  type TransformerWeights,
  transformer,
} from './transformer.ts';
export type { LayerWeights } from './transformer-layer.ts';
