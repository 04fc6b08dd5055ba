// The systems that RIMs are compared with, each a `SequenceModel`.

export { type GRU, type GRUOptions, type GRUResult, type GRUState, gru } from './gru.ts';
export { type LSTM, type LSTMOptions, type LSTMResult, type LSTMState, lstm } from './lstm.ts';
export type { ModelState, SequenceModel, SequenceResult } from './sequence-model.ts';
