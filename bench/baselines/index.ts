// The systems that RIMs are compared with.

export { type LSTM, type LSTMOptions, type LSTMResult, type LSTMState, lstm } from './lstm.ts';
export {
  type Positions,
  type Transformer,
  type TransformerOptions,
  type TransformerResult,
  type TransformerWeights,
  transformer,
} from './transformer.ts';
export type { LayerWeights } from './transformer-layer.ts';
