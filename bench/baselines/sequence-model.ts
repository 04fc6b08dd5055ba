// What every system that RIMs are compared with looks like from outside: a model over sequences, with a state, parameters, and a
// trace worth looking at. A task knows models by this alone.
//
// Always: a call adds nodes to the graph and nothing else, at any T and B; the same call with the state that an earlier one returned
// goes on where that one ended, so that a sequence may be cut anywhere. Not here: embeddings and readouts, which are the task's.

import type { Tensor, Variable } from '../../engine/core.ts';

/** What a model carries from one step to the next, by name: tensors [B, ...]. */
export type ModelState = Readonly<Record<string, Tensor>>;

/** What a call of a model returns. */
export interface SequenceResult<S extends ModelState = ModelState> {
  /** What the model puts out at every step, [T,B,outputSize]. */
  readonly hidden: Tensor;
  /** The state after the last step. */
  readonly state: S;
  /** What is worth looking at in every step, by name (gates, attention, memory addressing): tensors [T,B, ...]. Costs nothing unless it is read. */
  readonly trace: Readonly<Record<string, Tensor>>;
}

/** A model over sequences; call it with x [T,B,D]. */
export interface SequenceModel<S extends ModelState = ModelState> {
  /**
   * @param x [T,B,D]
   * @param state before the first step, by the names of the result's; the model's own beginning where left out
   * @throws ShapeError for an x or a state of other sizes, or a state with other names
   */
  (x: Tensor, state?: ModelState): SequenceResult<S>;
  /** The system's name as tables show it, such as `LSTM`. */
  readonly system: string;
  /** Width of `hidden`. */
  readonly outputSize: number;
  /** Its parameters, for `grad` and for files; names begin with the system's in lower case, as in `lstm.inputGates`. */
  readonly variables: readonly Variable[];
}
