// Variables: the tensors that last. A Variable is a leaf of the graph whose storage lives on one device and is shared by
// every program that names it: weights, optimiser moments, step counters, random state, a carried hidden state.
// Before a program is compiled with it, it holds its initial value on the host; from then on the device's storage is the
// truth, `read` copies it and `write` replaces it. Programs change it through updates (update.ts) only. A value that a program
// changed goes with its storage: then there is none until `write` gives one, and whoever asks for it gets an error.

import { DeviceError, formatShape, OptionError, ShapeError } from './errors.ts';
import type { Op } from './op.ts';
import { type Dtype, Node, type Shape, type Spec, sizeOf, Tensor } from './tensor.ts';

/** The elements of a tensor on the host, row-major. */
export type Data = Float32Array | Uint32Array;

/** Where a Variable lives once a program was compiled with it: made by the device. */
export interface Residence {
  readonly owner: object;
  read(): Promise<ArrayBuffer>;
  write(data: Data): void;
  dispose(): void;
}

interface VariableAttrs extends Spec {
  readonly name: string;
}

const variableOp: Op<VariableAttrs> = { name: 'variable', infer: (_, { shape, dtype }) => [{ shape, dtype }] };

/** A tensor whose value lasts from run to run. */
export class Variable extends Tensor {
  /** Its key in files; unique within a model. */
  readonly name: string;
  /** The value last written, and whether programs have changed it on the device since. */
  #host: Data;
  #changed = false;
  #residence: Residence | undefined;

  constructor(name: string, shape: Shape, initial: Data) {
    const dtype: Dtype = initial instanceof Uint32Array ? 'u32' : 'f32';
    if (initial.length !== sizeOf(shape)) {
      throw new ShapeError(`variable '${name}': ${initial.length} values do not fill its shape ${formatShape(shape)}`);
    }
    const node = new Node<VariableAttrs>(variableOp, [], { name, shape, dtype });
    super(node as Node, 0, { shape, dtype });
    node.outputs.push(this);
    this.name = name;
    this.#host = initial.slice();
  }

  /** Its present value, from the device where it lives on one. @throws DeviceError where it went with its device */
  async read(): Promise<Data> {
    if (this.#residence === undefined) return this.#own().slice();
    const bytes = await this.#residence.read();
    return this.dtype === 'u32' ? new Uint32Array(bytes) : new Float32Array(bytes);
  }

  /** Replaces its value. @throws ShapeError, OptionError where length or dtype differ */
  write(data: Data): void {
    if (data.length !== this.size) {
      throw new ShapeError(`variable '${this.name}': ${data.length} values do not fill ${formatShape(this.shape)}`);
    }
    if (data instanceof Uint32Array !== (this.dtype === 'u32')) {
      throw new OptionError(`variable '${this.name}': holds ${this.dtype}; give it the matching typed array`);
    }
    this.#host = data.slice();
    this.#changed = false;
    this.#residence?.write(data);
  }

  /** Used by the device: gives the Variable its storage, filled with its present value. @throws DeviceError where it has none */
  settle(owner: object, make: (initial: Data) => Residence): void {
    if (this.#residence?.owner === owner) return;
    if (this.#residence !== undefined) {
      throw new OptionError(
        `variable '${this.name}' lives on another device; read it there and write it into a new Variable, or into this one after that device was disposed of`,
      );
    }
    this.#residence = make(this.#own());
  }

  /** Used by programs: its value on the device is no longer the one on the host. */
  changed(): void {
    this.#changed = true;
  }

  /** Used by the device when it goes, and the storage with it. */
  unsettle(): void {
    this.#residence = undefined;
  }

  /** Frees its device storage, and with it a value that programs have changed. Programs that name it must not be run again. */
  dispose(): void {
    this.#residence?.dispose();
    this.#residence = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The value on the host, where it is the present one. */
  #own(): Data {
    if (!this.#changed) return this.#host;
    throw new DeviceError(
      `variable '${this.name}': its value went with its device storage, which was disposed of; write it one, or read or save it before`,
    );
  }
}

/** A Variable from numbers; f32 unless given a Uint32Array. */
export function variable(name: string, values: readonly number[] | Data, shape: Shape): Variable {
  return new Variable(name, shape, values instanceof Uint32Array ? values : Float32Array.from(values));
}
