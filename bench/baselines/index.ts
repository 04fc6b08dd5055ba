// The systems that RIMs are compared with.

export { type LSTM, type LSTMOptions, type LSTMResult, type LSTMState, lstm } from './lstm.ts';
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
export {
  type Positions,
  type Transformer,
  type TransformerOptions,
  type TransformerResult,
  type TransformerWeights,
  transformer,
} from './transformer.ts';
export type { LayerWeights } from './transformer-layer.ts';
