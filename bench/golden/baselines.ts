// The kinds `base_*`: PyTorch's LSTM, GRU, transformer encoder layer, convolution and transposed convolution, built from
// the engine's ops. Weights stay in PyTorch's layout and gate order, which is the engine's too.

import {
  add,
  affine,
  constant,
  conv2d,
  convTranspose2d,
  einsum,
  gelu,
  gruGates,
  layerNorm,
  lstmGates,
  relu,
  reshape,
  scan,
  slice,
  softmax,
  type Tensor,
} from '../../engine/core.ts';
import { FileError } from '../../engine/errors.ts';
import { type Case, graphKind, type Kind } from './case.ts';
import { torchLinear, weighted } from './subops.ts';

/** The state `input.h0` or `input.c0` of one layer and one direction, [1,B,H], as [B,H]. */
function initialState(graph: Case, name: string): Tensor {
  const [layers = 0, batch = 0, hidden = 0] = graph.file.shape(name, 3);
  if (layers !== 1)
    throw new FileError(`${graph.file.name}: ${layers} layers; this checker knows one layer and direction`);
  return reshape(graph.differentiable(name), [batch, hidden]);
}

function recurrentCase(graph: Case, cell: 'gru' | 'lstm'): void {
  const [inputWeight, inputBias] = [graph.parameter('param.weight_ih_l0'), graph.parameter('param.bias_ih_l0')];
  const [stateWeight, stateBias] = [graph.parameter('param.weight_hh_l0'), graph.parameter('param.bias_hh_l0')];
  const x = graph.differentiable('input.x');
  const h0 = initialState(graph, 'input.h0');
  const gatesOf = (row: Tensor, h: Tensor) =>
    [torchLinear(row, inputWeight, inputBias), torchLinear(h, stateWeight, stateBias)] as const;
  const terms: Tensor[] = [];
  const last = (name: 'h' | 'c', tensor: Tensor): void => {
    graph.value(`${name}_n`, tensor);
    terms.push(weighted(tensor, graph.input(`input.W_${name}`)));
  };
  let outputs: Tensor;
  if (cell === 'gru') {
    const run = scan(
      ({ row }, { h }) => {
        const next = gruGates(...gatesOf(row, h), h);
        return { state: { h: next }, output: { h: next } };
      },
      { row: x },
      { h: h0 },
    );
    outputs = run.outputs.h;
    last('h', run.state.h);
  } else {
    const run = scan(
      ({ row }, { h, c }) => {
        const next = lstmGates(add(...gatesOf(row, h)), c);
        return { state: next, output: { h: next.h } };
      },
      { row: x },
      { h: h0, c: initialState(graph, 'input.c0') },
    );
    outputs = run.outputs.h;
    last('h', run.state.h);
    last('c', run.state.c);
  }
  graph.value('outputs', outputs);
  graph.loss(terms.reduce(add, weighted(outputs, graph.input('input.W_out'))));
}

function attention(graph: Case, x: Tensor): Tensor {
  const { file } = graph;
  const [batch = 0, steps = 0, size = 0] = x.shape;
  const heads = file.whole('heads');
  if (size % heads !== 0) throw new FileError(`${file.name}: ${heads} heads do not divide the size ${size}`);
  const projected = torchLinear(
    x,
    graph.parameter('param.self_attn.in_proj_weight'),
    graph.parameter('param.self_attn.in_proj_bias'),
  );
  const [query, key, value] = [0, 1, 2].map((i) =>
    reshape(slice(projected, 2, i * size, size), [batch, steps, heads, size / heads]),
  );
  if (query === undefined || key === undefined || value === undefined)
    throw new FileError(`${file.name}: no attention`);
  const scores = affine(einsum('bqhd,bkhd->bhqk', query, key), Math.sqrt(heads / size), 0);
  const earlier = Float32Array.from({ length: steps * steps }, (_, i) => (i % steps <= Math.floor(i / steps) ? 1 : 0));
  const mask = file.flag('causal_mask') ? { mask: constant(earlier, [steps, steps]) } : {};
  const probs = softmax(scores, mask);
  const context = reshape(einsum('bhqk,bkhd->bqhd', probs, value), [batch, steps, size]);
  return torchLinear(
    context,
    graph.parameter('param.self_attn.out_proj.weight'),
    graph.parameter('param.self_attn.out_proj.bias'),
  );
}

function transformerCase(graph: Case): void {
  const { file } = graph;
  const epsilon = file.number('layer_norm_eps');
  const activation = file.oneOf('activation', 'relu', 'gelu (exact, erf)') === 'relu' ? relu : gelu;
  const norm = (name: string, x: Tensor): Tensor =>
    layerNorm(x, {
      weight: graph.parameter(`param.${name}.weight`),
      bias: graph.parameter(`param.${name}.bias`),
      epsilon,
    });
  const linear = (name: string, x: Tensor): Tensor =>
    torchLinear(x, graph.parameter(`param.${name}.weight`), graph.parameter(`param.${name}.bias`));
  file.shape('input.x', 3);
  const x = graph.differentiable('input.x');
  const attended = norm('norm1', add(x, attention(graph, x)));
  const y = norm('norm2', add(attended, linear('linear2', activation(linear('linear1', attended)))));
  graph.value('y', y);
  graph.loss(weighted(y, graph.input('input.W')));
}

function convolutionCase(graph: Case, transposed: boolean): void {
  const { file } = graph;
  for (const key of ['dilation', 'groups']) file.oneOf(key, '1');
  const x = graph.differentiable('input.x');
  const weight = graph.parameter('param.weight');
  const options = {
    bias: graph.parameter('param.bias'),
    stride: file.whole('stride'),
    padding: file.number('padding'),
  };
  const outputPadding = file.number('output_padding');
  const y = transposed ? convTranspose2d(x, weight, { ...options, outputPadding }) : conv2d(x, weight, options);
  graph.value('y', y);
  graph.loss(weighted(y, graph.input('input.W')));
}

/** The kinds of this file. */
export const baselineKinds: readonly Kind[] = [
  graphKind('LSTM', /^torch\.nn\.LSTM\b/, (graph) => recurrentCase(graph, 'lstm')),
  graphKind('GRU', /^torch\.nn\.GRU\b/, (graph) => recurrentCase(graph, 'gru')),
  graphKind('transformer layer', /^torch\.nn\.TransformerEncoderLayer, post-norm, batch first/, transformerCase),
  graphKind('convolution', /^torch\.nn\.Conv2d\b/, (graph) => convolutionCase(graph, false)),
  graphKind('transposed convolution', /^torch\.nn\.ConvTranspose2d\b/, (graph) => convolutionCase(graph, true)),
];
