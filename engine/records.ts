// Named tensors: what goes into a scan and comes out of it, and the few things that are done with such records.

import { formatShape, OptionError, ShapeError } from './errors.ts';
import { sameShape, Tensor } from './tensor.ts';

/** Named tensors: the inputs, the state or the outputs of a step. */
export type TensorRecord = Readonly<Record<string, Tensor>>;

/** Plain tensors by the names of a record: a Variable may go into a scan, a tensor comes out. */
export type Tensors<R extends TensorRecord> = { readonly [K in keyof R]: Tensor };

/** The same names with other tensors. */
export function mapRecord<R extends TensorRecord>(record: R, f: (tensor: Tensor) => Tensor): Tensors<R> {
  return Object.fromEntries(Object.entries(record).map(([name, tensor]) => [name, f(tensor)])) as unknown as Tensors<R>;
}

/** The tensor of a name. @throws OptionError where there is none */
export function named(record: TensorRecord, name: string): Tensor {
  const tensor = record[name];
  if (tensor === undefined) throw new OptionError(`scan: there is no tensor '${name}'`);
  return tensor;
}

/** A cell returned a state and an output, whatever its author's compiler let pass. @throws OptionError */
export function checkStep(step: unknown): void {
  const parts: Readonly<Record<string, unknown>> = typeof step === 'object' && step !== null ? { ...step } : {};
  for (const name of ['state', 'output']) {
    const record = parts[name];
    if (typeof record !== 'object' || record === null || record instanceof Tensor) {
      throw new OptionError(
        `scan: the cell returned no ${name} record; return { state: { ... }, output: { ... } }, with {} where there is none`,
      );
    }
    for (const [key, each] of Object.entries(record)) {
      if (each instanceof Tensor || (each === undefined && name === 'state')) continue;
      throw new OptionError(
        `scan: the ${name} '${key}' that the cell returned is no tensor; give one, or leave it out`,
      );
    }
  }
}

/** A state comes out of a cell as it went in. @throws OptionError, ShapeError */
export function checkState(name: string, before: Tensor, after: Tensor | undefined): void {
  if (after === undefined) throw new OptionError(`scan: the cell returned no next state '${name}'; return every state`);
  if (!sameShape(before.shape, after.shape) || before.dtype !== after.dtype) {
    throw new ShapeError(
      `scan: the state '${name}' goes in as ${before.dtype} ${formatShape(before.shape)} and comes out as ${after.dtype} ${formatShape(after.shape)}; they must be equal`,
    );
  }
}
