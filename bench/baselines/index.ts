// The systems that RIMs are compared with.

export { type DNC, type DNCOptions, type DNCResult, type DNCState, dnc } from './dnc.ts';
export { type LSTM, type LSTMOptions, type LSTMResult, type LSTMState, lstm } from './lstm.ts';
export { type NTM, type NTMOptions, type NTMResult, type NTMState, ntm } from './ntm.ts';
export type { ModelState, SequenceModel, SequenceResult } from './sequence-model.ts';
