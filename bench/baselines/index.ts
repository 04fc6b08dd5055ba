// The systems that RIMs are compared with.

export { type LSTM, type LSTMOptions, type LSTMResult, type LSTMState, lstm } from './lstm.ts';
