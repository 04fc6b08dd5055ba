// The kinds `*_train`: a RIM with a linear readout over several updates of Adam, from given tokens or inputs. One program
// is compiled for all updates; losses and masks are read after each, the first update's logits and gradients once, the
// trained parameters at the end.
//
// The files differ in where the input comes from (an embedding, or as it is), in the state before each update (given, or
// carried over from the last one), and in clipping. Where the reference counts dead elements in its gradient norm, the
// stored norm is imposed; else it is compared.

import {
  adam,
  assign,
  compile,
  crossEntropy,
  type Device,
  gather,
  grad,
  input,
  type Program,
  type Tensor,
  type Update,
  type Variable,
  variable,
} from '../../engine/core.ts';
import { at, FileError, need } from '../../engine/errors.ts';
import { sizeOf } from '../../engine/tensor.ts';
import { type CellState, makeRIM, type RIM, type WeightName } from '../../rims/index.ts';
import type { Kind } from './case.ts';
import { type CompareOptions, EXACT, Tally } from './compare.ts';
import { didoLayout } from './dido.ts';
import type { GoldenFile } from './file.ts';
import { inputRows, officialLayout } from './official.ts';
import { paperLayout } from './paper.ts';
import { asSequence, carriedCandidates, replay } from './rim-replay.ts';
import { allowanceOf, type Layout, loadWeights, type Source } from './rim-weights.ts';
import { torchLinear } from './subops.ts';

/** A parameter of the model and how it stands in the file. */
interface Parameter {
  readonly weight: Variable;
  readonly stored: string;
  readonly source: Source;
}

/** The state before an update: tensors of the graph, what is fed, and what is carried over. */
interface Start {
  readonly state: CellState;
  /** The official GRU's "cell", which no module reads. */
  readonly shadow?: Tensor;
  readonly carried: readonly Variable[];
}

/** One training file on its way through. */
class Training {
  readonly #file: GoldenFile;
  readonly #tally: Tally;
  readonly #prefix: string;
  readonly #layout: Layout;
  readonly #rim: RIM;
  readonly #parameters: Parameter[] = [];
  readonly #steps: number;
  readonly #time: number;
  readonly #batch: number;
  /** What is fed at each update: all updates' values, one after the other. */
  readonly #feeds = new Map<string, Float32Array | Uint32Array>();

  constructor(file: GoldenFile, prefix: string, layout: Layout) {
    this.#file = file;
    this.#tally = new Tally(file);
    this.#prefix = prefix;
    this.#layout = layout;
    this.#rim = makeRIM(layout.options, { seed: 0 });
    const [steps = 0, time = 0, batch = 0] = file.shape('input.target', 3);
    if (steps !== file.whole('train_steps')) {
      throw new FileError(
        `${file.name}: 'input.target' has ${steps} updates, the metadata ${file.text('train_steps')}`,
      );
    }
    [this.#steps, this.#time, this.#batch] = [steps, time, batch];
  }

  async check(device: Device): Promise<Tally> {
    const file = this.#file;
    const [T, B] = [this.#time, this.#batch];
    const x = this.#input();
    const start = this.#start();
    const [decoder, bias] = [this.#plain('decoder.weight'), this.#plain('decoder.bias')];
    this.#rimParameters();
    const result = this.#rim(x, { state: [start.state] });
    const trace = need(result.trace[0], 'the trace');
    const logits = torchLinear(result.hidden, decoder, bias);
    const loss = crossEntropy(logits, this.#fed('input.target', [T, B], 'u32'));

    const gradients = grad(
      loss,
      this.#parameters.map(({ weight }) => weight),
    );
    const clip = this.#clip();
    const [beta1 = 0, beta2 = 0] = file.numbers('betas', 2);
    const updates = adam(gradients, {
      learningRate: file.number('lr'),
      betas: [beta1, beta2],
      epsilon: file.number('eps'),
      ...clip,
    });
    const last = { h: need(result.state[0], 'the state').h, c: result.state[0]?.c };
    if (start.shadow) {
      const { candidate } = replay(at(this.#rim.cells, 0), x, start.state, trace);
      last.c = carriedCandidates(asSequence(candidate, x), trace.mask, start.shadow).last;
    }
    const carry: Update[] = start.carried.map((to, i) => assign(to, need([last.h, last.c][i], 'a carried state')));
    const outputs: Record<string, Tensor> = { loss, logits, mask: trace.mask, h: last.h };
    if (last.c) outputs.c = last.c;
    if (clip && updates.norm) outputs.norm = updates.norm;
    for (const { weight, stored } of this.#parameters) outputs[`d ${stored}`] = gradients.of(weight);

    const owned = [...this.#parameters.map(({ weight }) => weight), ...updates.variables, ...start.carried];
    try {
      const program = await compile(device, outputs, [...updates, ...carry]);
      try {
        await this.#run(program, outputs);
      } finally {
        program.dispose();
      }
      for (const { weight, stored, source } of this.#parameters) await this.#compareTrained(weight, stored, source);
    } finally {
      for (const each of owned) each.dispose();
    }
    return this.#tally.finish();
  }

  /** Runs all updates and compares what is stored of them. */
  async #run(program: Program, outputs: Readonly<Record<string, Tensor>>): Promise<void> {
    const tally = this.#tally;
    const every: Record<string, number[]> = { loss: [], mask: [], norm: [] };
    for (let step = 0; step < this.#steps; step++) {
      const feeds: Record<string, Float32Array | Uint32Array> = {};
      for (const [name, values] of this.#feeds) {
        const size = values.length / this.#steps;
        feeds[name] = values.slice(step * size, (step + 1) * size);
      }
      await program.run(feeds);
      for (const [name, values] of Object.entries(every)) {
        if (outputs[name]) values.push(...(await program.read(name)));
      }
      if (step > 0) continue;
      tally.add('out.logits_step0', await program.read('logits'));
      for (const { stored, source } of this.#parameters) {
        tally.add(`out.grad_step0.${stored}`, await program.read(`d ${stored}`), this.#gradientOptions(source));
      }
    }
    tally.add('out.loss', need(every.loss, 'losses'));
    tally.add('out.mask', need(every.mask, 'masks'), { allowance: EXACT });
    // Where the norm was imposed, the program has none of its own; it was fed, and is not compared.
    if (outputs.norm && !this.#feeds.has('norm')) tally.add('out.grad_norm', need(every.norm, 'norms'));
    for (const [name, ending] of [
      ['h', 'h_last'],
      ['c', 'c_last'],
    ] as const) {
      const stored = [`out.${ending}`, `out.${name}x_last`].find((each) => this.#file.stores(each));
      if (stored !== undefined) tally.add(stored, await program.read(name));
    }
  }

  async #compareTrained(weight: Variable, stored: string, { places, part, cancelsLike }: Source): Promise<void> {
    const name = `out.final.${stored}`;
    if (cancelsLike !== undefined) {
      const why =
        'its gradient is 0 but for rounding, which Adam turns into whole steps: its final value is not compared';
      this.#tally.leaveOut(name, `${name}: ${why}`);
      return;
    }
    this.#tally.add(name, await weight.read(), { ...(places && { places }), ...(part && { restZero: true }) });
  }

  #gradientOptions(source: Source): CompareOptions {
    const allowance = allowanceOf(this.#file, `out.grad_step0.${this.#prefix}`, source);
    return { ...(source.places && { places: source.places }), ...(allowance && { allowance }) };
  }

  /** What the RIM reads, [T,B,D] or [T,B,R,D]. */
  #input(): Tensor {
    const [T, B] = [this.#time, this.#batch];
    const { options } = this.#layout;
    if (!this.#file.has('input.tokens')) return this.#fed('input.x', [T, B, options.inputSize]);
    const tokens = this.#fed('input.tokens', [T, B], 'u32');
    return inputRows(gather(this.#plain('encoder.weight'), tokens), options);
  }

  /** The state before each update: fed, or carried over from the last one. */
  #start(): Start {
    const { modules: N, hiddenSize: H, cell } = this.#layout.options;
    const shape = [this.#batch, N, H];
    const lstm = cell === 'lstm';
    if (this.#file.has('input.h0')) {
      const h = this.#fed('input.h0', shape);
      return { state: lstm ? { h, c: this.#fed('input.c0', shape) } : { h }, carried: [] };
    }
    const h = variable('h', this.#file.floats('input.hx0'), shape);
    const c = variable('c', this.#file.floats('input.cx0'), shape);
    return { state: lstm ? { h, c } : { h }, ...(!lstm && { shadow: c }), carried: [h, c] };
  }

  /** Clipping, where there is any; by the stored norm, where the reference counts what is no part of the model. */
  #clip(): { clipNorm: number; norm?: Tensor } | undefined {
    const file = this.#file;
    if (file.maybeText('clip') === undefined) return undefined;
    const clipNorm = file.number('clip');
    const dead = file.maybeText('off_block_gradients');
    if (dead === undefined || dead.startsWith('zeroed')) return { clipNorm };
    if (!dead.startsWith('kept')) {
      throw new FileError(
        `${file.name}: metadata 'off_block_gradients' is '${dead}'; this checker knows 'kept' and 'zeroed'`,
      );
    }
    const stored = need(file.stored('out.grad_norm')[0], 'out.grad_norm');
    this.#feeds.set('norm', Float32Array.from(stored.data));
    this.#tally.leaveOut(
      'out.grad_norm',
      'out.grad_norm: imposed, as the reference counts elements off the blocks in it',
    );
    return { clipNorm, norm: input('norm', []) };
  }

  /** An input that is fed one slice of a stored tensor at each update. */
  #fed(name: string, shape: readonly number[], dtype: 'f32' | 'u32' = 'f32'): Tensor {
    const values = dtype === 'u32' ? this.#file.indices(name) : this.#file.floats(name);
    if (values.length !== this.#steps * sizeOf(shape)) {
      throw new FileError(`${this.#file.name}: '${name}' does not hold ${this.#steps} times [${shape.join(',')}]`);
    }
    this.#feeds.set(name, values);
    return input(name, shape, dtype);
  }

  /** A parameter that stands in the file as the engine has it. */
  #plain(stored: string): Variable {
    const name = `param.${stored}`;
    const weight = variable(stored, this.#file.floats(name), this.#file.shape(name));
    this.#parameters.push({ weight, stored, source: { stored } });
    return weight;
  }

  #rimParameters(): void {
    const { weights } = at(this.#rim.cells, 0);
    loadWeights(this.#file, this.#prefix, weights, this.#layout);
    for (const [name, weight] of Object.entries(weights)) {
      const source = need(this.#layout.sources[name as WeightName], name);
      this.#parameters.push({ weight, stored: this.#prefix + source.stored, source });
    }
  }
}

/** The kinds of this file. */
export const trainingKinds: readonly Kind[] = [
  {
    name: 'paper, training',
    case: /^paper cell \+ embedding \+ linear readout, Adam steps with clipping/,
    check: (file, device) => new Training(file, 'rim.', paperLayout(file)).check(device),
  },
  {
    name: 'official, training',
    case: /^official RNNModel \(rnn_models_wiki\) training steps/,
    check: (file, device) => new Training(file, 'bc_lst.0.', officialLayout(file, 'bc_lst.0.')).check(device),
  },
  {
    name: 'dido, training',
    case: /^dido RIM \+ linear decoder, Adam steps/,
    check: (file, device) => new Training(file, 'rim.rimcell.0.', didoLayout(file)).check(device),
  },
];
