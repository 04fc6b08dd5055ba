// What a meaning is: the float64 definition of one op, in plain loops, written from the mathematics and not from the
// kernel. The files beside this one are organised as engine/ops/ is; index.ts puts them together.
// A meaning is a pure function of its inputs and attributes; it never looks at the graph.

import { at } from '../../engine/errors.ts';
import type { Spec } from '../../engine/tensor.ts';
import type { Value } from '../value.ts';

/** What a meaning is told beside its inputs. */
export interface Circumstances {
  /** False in evaluation programs: dropout is off. */
  readonly training: boolean;
}

/** The outputs of an op, from its inputs, its attributes and the shapes and dtypes that its outputs must have. */
export type Meaning = (
  inputs: readonly Value[],
  attrs: unknown,
  specs: readonly Spec[],
  circumstances: Circumstances,
) => readonly Value[];

/** Meanings by the name of the op. */
export type Meanings = Readonly<Record<string, Meaning>>;

/**
 * A meaning of one output. `A` says what the attributes of the row hold; the interpreter passes those of the node.
 */
export function means<A = unknown>(
  f: (inputs: readonly Value[], attrs: A, spec: Spec, circumstances: Circumstances) => Value,
): Meaning {
  return (inputs, attrs, specs, circumstances) => [f(inputs, attrs as A, at(specs, 0), circumstances)];
}

/** A meaning of several outputs. */
export function meansAll<A = unknown>(
  f: (inputs: readonly Value[], attrs: A, specs: readonly Spec[], circumstances: Circumstances) => readonly Value[],
): Meaning {
  return (inputs, attrs, specs, circumstances) => f(inputs, attrs as A, specs, circumstances);
}
