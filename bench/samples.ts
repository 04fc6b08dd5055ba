// Which modules of a RIM are active on test sequences: every step of one sequence, for a picture, and counts over many.
//
// Always: at the training setting and at the largest that is tested; with the weights as they are. Nothing of systems that are no RIM.
// Not here: when it is looked (train.ts), and what is counted (usage.ts).

import { compile, type Data, type Device } from '../engine/core.ts';
import { at } from '../engine/errors.ts';
import type { Activation } from './metrics.ts';
import type { TaskModel } from './models.ts';
import { traceProgram } from './programs.ts';
import type { JobTask } from './task-facts.ts';
import type { Task } from './tasks/index.ts';
import { type Masks, type StepInput, usageOf } from './usage.ts';

/** Sequences that usage is counted over, so many at once: few enough for any device. */
const BATCHES = 4;
const SEQUENCES = 16;

/** Looks at a RIM; nothing of other systems. */
export async function sampleModules(
  device: Device,
  model: TaskModel,
  { task, trained, tested }: JobTask,
  seed: number,
): Promise<Activation[]> {
  const activations: Activation[] = [];
  for (const setting of new Set([trained, at(tested, tested.length - 1)])) {
    const [sequence] = await masksOf(device, model, task, { setting, seed, batch: 1, batches: 1 });
    if (sequence === undefined) return [];
    const [steps, , modules] = sequence.shape;
    const counted = await masksOf(device, model, task, { setting, seed, batch: SEQUENCES, batches: BATCHES });
    activations.push({
      model: model.name,
      setting,
      inputs: inputsOf(sequence, steps),
      mask: Array.from({ length: steps }, (_, t) =>
        Array.from({ length: modules }, (_, n) => at(sequence.mask, t * modules + n)),
      ),
      usage: usageOf(task.name, setting, counted),
    });
  }
  return activations;
}

interface Sequences {
  readonly setting: number;
  readonly seed: number;
  readonly batch: number;
  readonly batches: number;
}

/** The masks over test sequences; none of a model without modules. */
async function masksOf(
  device: Device,
  model: TaskModel,
  task: Task,
  { setting, seed, batch, batches }: Sequences,
): Promise<Masks[]> {
  const { mask, scores } = traceProgram(model, task, setting, batch).outputs;
  if (mask === undefined || scores === undefined) return [];
  const [steps, , modules] = [at(mask.shape, 0), at(mask.shape, 1), at(mask.shape, 2)];
  // The scores too: a RIM whose modules are all active tells that without its input.
  using program = await compile(device, { mask, scores });
  const found: Masks[] = [];
  for (let index = 0; index < batches; index++) {
    const { x } = task.batch({ split: 'test', setting, batch, seed, index });
    await program.run({ x });
    found.push({ input: reader(task, x, batch), mask: await program.read('mask'), shape: [steps, batch, modules] });
  }
  return found;
}

/** What went in at a step of x: symbols [T,B], or channels [T,B,size]. */
function reader({ input }: Task, x: Data, batch: number): Masks['input'] {
  if (input.kind === 'symbols') return (t, b) => at(x, t * batch + b);
  const { size } = input;
  return (t, b) => [...x.slice((t * batch + b) * size, (t * batch + b + 1) * size)];
}

function inputsOf({ input }: Masks, steps: number): Activation['inputs'] {
  const inputs = Array.from({ length: steps }, (_, t): StepInput => input(t, 0));
  const symbols = inputs.flatMap((each) => (typeof each === 'number' ? [each] : []));
  return symbols.length === steps ? symbols : inputs.flatMap((each) => (typeof each === 'number' ? [] : [each]));
}
