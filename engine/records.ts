// Named tensors: what goes into a scan and comes out of it, and the two things that are done with such records.

import { OptionError } from './errors.ts';
import type { Tensor } from './tensor.ts';

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
