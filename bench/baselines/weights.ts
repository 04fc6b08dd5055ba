// How every baseline makes its weights: one after the other, each with a name behind the system's and random numbers of its own.
//
// Always: the n-th weight of a system is `variables[n]` and draws from stream n of the seed, so that no two begin alike and the same
// calls give the same numbers. Not here: which weights a system has, and what they begin as.

import { type Shape, Variable } from '../../engine/core.ts';
import type { Initialiser } from '../../engine/initialisers.ts';

/** Makes the next weight of a system. */
export interface WeightMaker {
  /** @param name what files have behind the system's name */
  (name: string, shape: Shape, initial: Initialiser): Variable;
  /** All that were made, in their order. */
  readonly variables: readonly Variable[];
}

/** @param system its name, which those of its weights begin with in lower case */
export function weightMaker(system: string, seed: number): WeightMaker {
  const variables: Variable[] = [];
  const make = (name: string, shape: Shape, initial: Initialiser): Variable => {
    const values = initial(shape, { seed, stream: variables.length });
    const made = new Variable(`${system.toLowerCase()}.${name}`, shape, values);
    variables.push(made);
    return made;
  };
  return Object.assign(make, { variables });
}
