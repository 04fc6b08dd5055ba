// A case whose values all come out of one program: its graph is built from the tensors of a golden file, compiled, run
// once, read, and compared.
//
// A family's build function names what the graph computes: `differentiable` and `parameter` are leaves with a stored
// gradient, `value` is a stored output (and its gradient, where the file has one), `loss` is what is differentiated.
// Always one compile a file; program and Variables are freed whatever happens.

import { add, compile, type Device, grad, input, Tensor, type Variable, variable } from '../../engine/core.ts';
import { FileError } from '../../engine/errors.ts';
import { type CompareOptions, EXACT, Tally } from './compare.ts';
import type { GoldenFile } from './file.ts';

/** A stored value and the tensor that should have it. */
interface Claim extends CompareOptions {
  readonly name: string;
  readonly tensor: Tensor;
}

/** A stored gradient and the tensors whose gradients it is made of. */
interface GradientClaim extends CompareOptions {
  readonly name: string;
  readonly of: readonly Tensor[];
  readonly view: (...gradients: readonly Tensor[]) => Tensor;
}

/** How a gradient comes into the form of the file: in another order, or from those that it follows from. */
interface GradientView {
  /** From the gradients of the tensors named, in their order; their sum where it is left out. */
  readonly view?: (...gradients: readonly Tensor[]) => Tensor;
}

/** How the gradient of a value is found where it is not simply that of the tensor given. */
export interface ValueOptions extends GradientView {
  /** The tensors whose gradients make `grad.out.X`, where it is not that of the tensor shown. */
  readonly of?: Tensor | readonly Tensor[];
}

/** The graph of one golden file. */
export class Case {
  readonly file: GoldenFile;
  readonly tally: Tally;
  readonly #feeds: Record<string, Float32Array | Uint32Array> = {};
  readonly #inputs = new Map<string, Tensor>();
  readonly #variables: Variable[] = [];
  readonly #claims: Claim[] = [];
  readonly #gradients: GradientClaim[] = [];
  #loss: Tensor | undefined;

  constructor(file: GoldenFile) {
    this.file = file;
    this.tally = new Tally(file);
  }

  /** A tensor of the file that goes in, `input.X`: f32, or u32 where it holds indices. Fed to the program. */
  input(name: string): Tensor {
    const known = this.#inputs.get(name);
    if (known !== undefined) return known;
    const shape = this.file.shape(name);
    const indices = this.file.isIndices(name);
    this.#feeds[name] = indices ? this.file.indices(name) : this.file.floats(name);
    const tensor = input(name, shape, indices ? 'u32' : 'f32');
    this.#inputs.set(name, tensor);
    return tensor;
  }

  /** An input whose gradient the file must store. */
  differentiable(name: string): Tensor {
    const tensor = this.input(name);
    this.gradient(name, tensor);
    return tensor;
  }

  /** A parameter, `param.X`, as a Variable of the shape it has in the file; its gradient must be stored. */
  parameter(name: string): Variable {
    const weight = this.own(variable(name, this.file.floats(name), this.file.shape(name)));
    this.gradient(name, weight);
    return weight;
  }

  /** A Variable that is freed with the case. */
  own(weight: Variable): Variable {
    this.#variables.push(weight);
    return weight;
  }

  /** `out.name` is this tensor; where the file stores its gradient too, that is compared as well. */
  value(name: string, tensor: Tensor, options: ValueOptions = {}): void {
    this.#claims.push({ name: `out.${name}`, tensor });
    if (!this.file.stores(`grad.out.${name}`)) return;
    const { of = tensor, ...rest } = options;
    this.gradient(`out.${name}`, of, rest);
  }

  /** `out.name` is this mask, to the bit. */
  mask(name: string, tensor: Tensor): void {
    this.#claims.push({ name: `out.${name}`, tensor, allowance: EXACT });
  }

  /** `grad.name` is the gradient of the loss with respect to this tensor, or is made of those of several. */
  gradient(name: string, of: Tensor | readonly Tensor[], options: CompareOptions & GradientView = {}): void {
    const tensors = of instanceof Tensor ? [of] : of;
    this.#gradients.push({
      name: `grad.${name}`,
      of: tensors,
      view: (...gradients) => gradients.reduce(add),
      ...options,
    });
  }

  /** What is differentiated; `out.loss`. */
  loss(tensor: Tensor): void {
    this.#loss = tensor;
    this.value('loss', tensor);
  }

  /** Compiles, runs, reads and compares. @throws FileError, or what the engine refuses */
  async check(device: Device): Promise<Tally> {
    const claims = [...this.#claims, ...this.#differentiate()];
    const outputs = Object.fromEntries(claims.map(({ name, tensor }, i) => [`${i} ${name}`, tensor]));
    try {
      const program = await compile(device, outputs);
      try {
        await program.run(this.#feeds);
        for (const [i, { name, tensor: _, ...options }] of claims.entries()) {
          this.tally.add(name, await program.read(`${i} ${name}`), options);
        }
      } finally {
        program.dispose();
      }
    } finally {
      for (const weight of this.#variables) weight.dispose();
    }
    return this.tally.finish();
  }

  #differentiate(): Claim[] {
    if (this.#gradients.length === 0) return [];
    if (this.#loss === undefined)
      throw new FileError(`${this.file.name}: stores gradients, but this kind of case has no loss`);
    const gradients = grad(this.#loss, [...new Set(this.#gradients.flatMap(({ of }) => of))]);
    return this.#gradients.map(({ of, view, ...claim }) => {
      return { ...claim, tensor: view(...of.map((tensor) => gradients.of(tensor))) };
    });
  }
}

/** A kind of case: how its files are known, and how one is checked. */
export interface Kind {
  /** What the report calls it. */
  readonly name: string;
  /** What the `case` of its files looks like. */
  readonly case: RegExp;
  /** Set for data that is there for the record, with nothing to compare: the reason. */
  readonly record?: string;
  check(file: GoldenFile, device: Device): Promise<Tally>;
}

/** A kind whose values come out of one program. */
export function graphKind(name: string, pattern: RegExp, build: (graph: Case) => void): Kind {
  return {
    name,
    case: pattern,
    check: async (file, device) => {
      const graph = new Case(file);
      build(graph);
      return graph.check(device);
    },
  };
}
