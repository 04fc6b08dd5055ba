// The main job around a training that is made up: two steps with a small checkpoint behind the first and a large one behind the
// second. The entry of a child process of disk.test.ts, which limits how large files may grow there: `node limited.js FOLDER`. A real
// training will not do, for drivers keep their memory in files.
import { runMainJob } from '../bench/main-job.ts';
import type { TrainJob } from '../bench/train.ts';
import { saveCheckpoint, variable } from '../engine/node.ts';
import { factsFor } from './made-task.ts';

const train: TrainJob = async (_, { onStart, onStep, onCheckpoint }) => {
  onStart({ adapter: 'a made-up adapter', runtime: 'Node', parameters: { RIM: 10 }, task: await factsFor() });
  for (const [step, size] of [
    [1, 10],
    [2, 100_000],
  ] as const) {
    onStep({ model: 'RIM', step, loss: 1, figures: { accuracy: 0 }, seconds: step });
    onCheckpoint?.(await saveCheckpoint([variable('w', new Float32Array(size), [size])], { told: step }));
  }
  return { stopped: false, activations: [], weights: new Map(), weightSteps: {} };
};

process.exitCode = await runMainJob(['--out', process.argv[2] ?? '', '--name', 'a', '--steps', '2'], {
  stdout: process.stdout,
  stderr: process.stderr,
  train,
  signal: new AbortController().signal,
});
