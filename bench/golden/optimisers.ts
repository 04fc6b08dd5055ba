// The kinds `subop_adam`, `subop_adamw` and `subop_clip_grad_norm`: a parameter over several updates whose gradients the
// file gives, and the clipping of a list of tensors by their common norm.

import {
  adam,
  adamw,
  clipByGlobalNorm,
  compile,
  type Device,
  input,
  reshape,
  type Variable,
  variable,
} from '../../engine/core.ts';
import { FileError, need } from '../../engine/errors.ts';
import { sizeOf } from '../../engine/tensor.ts';
import { graphKind, type Kind } from './case.ts';
import { Tally } from './compare.ts';
import type { GoldenFile } from './file.ts';

async function adamCase(file: GoldenFile, device: Device, decoupled: boolean): Promise<Tally> {
  const tally = new Tally(file);
  const [steps = 0, ...shape] = file.shape('input.grads');
  const gradients = file.floats('input.grads');
  file.oneOf('amsgrad', 'false');
  const p = variable('p', file.floats('input.p0'), file.shape('input.p0'));
  const [beta1 = 0, beta2 = 0] = file.numbers('betas', 2);
  const updates = (decoupled ? adamw : adam)([[p, input('gradient', shape)]], {
    learningRate: file.number('lr'),
    betas: [beta1, beta2],
    epsilon: file.number('eps'),
    weightDecay: file.number('weight_decay'),
  });
  const moment = (name: string): Variable =>
    need(
      updates.variables.find((each) => each.name.endsWith(`.${name}.p`)),
      `the moment ${name}`,
    );
  const watched = { p, m: moment('m'), v: moment('v') };
  const count = sizeOf(shape);
  const found = Object.entries(watched).map(([name, each]) => ({
    name,
    each,
    values: new Float32Array(steps * count),
  }));
  const program = await compile(device, {}, updates);
  try {
    for (let step = 0; step < steps; step++) {
      await program.run({ gradient: gradients.slice(step * count, (step + 1) * count) });
      for (const { each, values } of found) values.set(await each.read(), step * count);
    }
  } finally {
    program.dispose();
    for (const each of [p, ...updates.variables]) each.dispose();
  }
  for (const { name, values } of found) tally.add(`out.${name}`, values);
  return tally.finish();
}

/** The kinds of this file. */
export const optimiserKinds: readonly Kind[] = [
  { name: 'Adam', case: /^Adam,/, check: (file, device) => adamCase(file, device, false) },
  { name: 'AdamW', case: /^AdamW, decoupled weight decay/, check: (file, device) => adamCase(file, device, true) },
  graphKind('clipping by global norm', /^clip_grad_norm_ \(2-norm over all tensors\)/, (graph) => {
    const { file } = graph;
    const names = file.names().filter((name) => /^input\.g\d+$/.test(name));
    if (names.length === 0) throw new FileError(`${file.name}: there are no tensors 'input.g<i>' to clip`);
    const tensors = names.map((name) => graph.input(name));
    for (const bound of ['tight', 'loose']) {
      const { clipped, norm } = clipByGlobalNorm(tensors, file.number(`max_norm_${bound}`));
      graph.value(`norm_${bound}`, reshape(norm, [1]));
      clipped.forEach((tensor, i) => {
        graph.value(`${names[i]?.slice('input.'.length)}_${bound}`, tensor);
      });
    }
  }),
];
