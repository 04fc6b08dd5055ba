// Variables: the tensors that last. A Variable is a leaf of the graph whose storage lives on one device and is shared by
// every program that names it: weights, optimiser moments, step counters, random state, a carried hidden state.
// Before a program is compiled with it, it holds its initial value on the host; from then on the device's storage is the
// truth, `read` copies it and `write` replaces it. Programs change it through updates (update.ts) only. A value that a program
// changed goes with its storage: then there is none until `write` gives one, and whoever asks for it gets an error.
// Variables that are updated together may be parts of one larger Variable, their home (`joinVariables`): a kernel then binds
// one buffer for all of them. Nobody sees a difference: each is read, written and disposed of by itself.

// For users whose own `lib` has no Symbol.dispose: the reference stays in the .d.ts, which everything of the engine leads to.
/// <reference lib="esnext.disposable" preserve="true" />

import { at, DeviceError, formatShape, need, OptionError, ShapeError } from './errors.ts';
import type { Op } from './op.ts';
import { type Dtype, Node, type Shape, type Spec, sizeOf, Tensor } from './tensor.ts';

/** The elements of a tensor on the host, row-major. */
export type Data = Float32Array | Uint32Array;

/** Where a Variable lives once a program was compiled with it: made by the device. */
export interface Residence {
  readonly owner: object;
  /** The values of Variables that live on this owner, all as they are at one moment. */
  read(variables: readonly Variable[]): Promise<readonly ArrayBuffer[]>;
  write(offset: number, data: Data): void;
  dispose(): void;
}

/** Elements between the beginnings of parts are a multiple of this: bindings begin at multiples of 256 bytes. */
const PART_ELEMENTS = 64;

/** Most elements of a home: what every device binds, 128 MiB. */
const HOME_ELEMENTS = 2 ** 25;

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
  /** Where it lies: in itself, or from an element of a larger one on. */
  #home: { readonly variable: Variable; readonly offset: number };
  /** Those that lie in it, in order. */
  #parts: readonly Variable[] = [];
  /** True once a program was planned with it: then it stays where it is. */
  #planned = false;
  /** True while the storage of its home holds its value: the storage is there as long as any part needs it. */
  #settled = false;

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
    this.#home = { variable: this, offset: 0 };
  }

  /** The Variable whose storage holds this one, and from which element on; itself, unless it was joined with others. */
  get home(): {
    /** The Variable with the storage. */
    readonly variable: Variable;
    /** In elements. */
    readonly offset: number;
  } {
    return this.#home;
  }

  /** The Variables that lie in this one, in order; none, unless it is the home of joined ones. */
  get parts(): readonly Variable[] {
    return this.#parts;
  }

  /** True where no program was planned with it yet, and it was not joined: its value is on the host only. @internal */
  get joinable(): boolean {
    return this.dtype === 'f32' && !this.#planned && this.#home.variable === this && this.#parts.length === 0;
  }

  /** Its present value, from the device where it lives on one. @throws DeviceError where it went with its device */
  async read(): Promise<Data> {
    return at(await Variable.readAll([this]), 0);
  }

  /** Replaces its value. @throws ShapeError, OptionError where length or dtype differ */
  write(data: Data): void {
    if (data.length !== this.size) {
      throw new ShapeError(`variable '${this.name}': ${data.length} values do not fill ${formatShape(this.shape)}`);
    }
    if (data instanceof Uint32Array !== (this.dtype === 'u32')) {
      throw new OptionError(`variable '${this.name}': holds ${this.dtype}; give it the matching typed array`);
    }
    this.#host.set(data);
    this.#changed = false;
    if (this.#settled) this.#home.variable.#residence?.write(this.#home.offset, data);
  }

  /** Used by programs: from now on it lies where it lies. @internal */
  plan(): void {
    this.#planned = true;
  }

  /** Used by the device: whether its value is there. @internal */
  livesOn(owner: object): boolean {
    return this.#settled && this.#home.variable.#residence?.owner === owner;
  }

  /**
   * Used by the device: puts its value there, into the storage of its home, which is made for the first of those in it.
   * @throws DeviceError where it has no value; OptionError where it lives on another device
   * @internal
   */
  settle(owner: object, make: (home: Variable) => Residence): void {
    const { variable: home, offset } = this.#home;
    if (home.#residence !== undefined && home.#residence.owner !== owner) {
      throw new OptionError(
        `variable '${this.name}' lives on another device; read it there and write it into a new Variable, or into this one after that device was disposed of`,
      );
    }
    if (this.#settled) return;
    const value = this.#own();
    home.#residence ??= make(home);
    home.#residence.write(offset, value);
    this.#settled = true;
  }

  /** Used by programs: its value on the device is no longer the one on the host. @internal */
  changed(): void {
    this.#changed = true;
  }

  /** Used by the device when it goes, and the storage of a home with it. @internal */
  unsettle(): void {
    this.#residence = undefined;
    for (const each of [this, ...this.#parts]) each.#settled = false;
  }

  /**
   * Frees its device storage, and with it a value that programs have changed; storage that it shares with others goes when
   * the last of those that programs use is disposed of. Programs that name it must not be run again.
   */
  dispose(): void {
    this.#settled = false;
    const { variable: home } = this.#home;
    if (home.#parts.some((each) => each.#settled)) return;
    home.#residence?.dispose();
    home.#residence = undefined;
  }

  /** `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Gives joinable Variables a common home. @internal */
  static join(variables: readonly Variable[]): void {
    const offsets: number[] = [];
    let end = 0;
    for (const { size } of variables) {
      offsets.push(end);
      end += roundToParts(size);
    }
    const name = `${variables[0]?.name} and ${variables.length - 1} more`;
    const home = new Variable(name, [end], new Float32Array(end));
    home.#parts = variables;
    variables.forEach((each, i) => {
      const offset = at(offsets, i);
      const host = home.#host.subarray(offset, offset + each.size);
      host.set(each.#host);
      each.#host = host;
      each.#home = { variable: home, offset };
    });
  }

  /** The present values of Variables, all of one moment. */
  static async readAll(variables: readonly Variable[]): Promise<readonly Data[]> {
    const values = new Map<Variable, Data>();
    const groups = new Map<object, { readonly residence: Residence; readonly variables: Variable[] }>();
    for (const each of variables) {
      const residence = each.#settled ? each.#home.variable.#residence : undefined;
      if (residence === undefined) {
        values.set(each, each.#own().slice());
        continue;
      }
      const group = groups.get(residence.owner);
      if (group === undefined) groups.set(residence.owner, { residence, variables: [each] });
      else group.variables.push(each);
    }
    await Promise.all(
      [...groups.values()].map(async ({ residence, variables: group }) => {
        const read = await residence.read(group);
        group.forEach((each, i) => {
          const bytes = at(read, i);
          values.set(each, each.dtype === 'u32' ? new Uint32Array(bytes) : new Float32Array(bytes));
        });
      }),
    );
    return variables.map((each) => need(values.get(each), each.name));
  }

  /** The value on the host, where it is the present one. */
  #own(): Data {
    if (!this.#changed) return this.#host;
    throw new DeviceError(
      `variable '${this.name}': its value went with its device storage, which was disposed of; write it one, or read or save it before`,
    );
  }
}

/** Elements of a part, rounded up to where the next may begin. */
function roundToParts(size: number): number {
  return Math.ceil(size / PART_ELEMENTS) * PART_ELEMENTS;
}

/**
 * Lets Variables share storage, so that one kernel call can update many: those that no program was planned with yet and
 * that share with none, in their order, into as few homes as the largest binding allows. The others stay as they are.
 */
export function joinVariables(variables: readonly Variable[]): void {
  let group: Variable[] = [];
  let elements = 0;
  const close = (): void => {
    if (group.length > 1) Variable.join(group);
    group = [];
    elements = 0;
  };
  for (const each of new Set(variables)) {
    if (!each.joinable) continue;
    const size = roundToParts(each.size);
    if (elements + size > HOME_ELEMENTS) close();
    group.push(each);
    elements += size;
  }
  close();
}

/** The present values of Variables, all of one moment: what is submitted later is in none. @throws as `read` does */
export function readVariables(variables: readonly Variable[]): Promise<readonly Data[]> {
  return Variable.readAll(variables);
}

/** A Variable from numbers; f32 unless given a Uint32Array. */
export function variable(name: string, values: readonly number[] | Data, shape: Shape): Variable {
  return new Variable(name, shape, values instanceof Uint32Array ? values : Float32Array.from(values));
}
