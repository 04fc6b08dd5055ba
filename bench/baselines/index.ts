// The systems that RIMs are compared with, each a `SequenceModel`.

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
export type { ModelState, SequenceModel, SequenceResult } from './sequence-model.ts';
