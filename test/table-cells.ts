// What the tests of tables share: run folders of cells written by hand, with figures that a formula gives; and `rimgrad table` in this
// process, with all that it printed. It tests nothing itself.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { jobTask } from '../bench/job-tasks.ts';
import { describe } from '../bench/messages.ts';
import type { Metric } from '../bench/metrics.ts';
import { usedOptions } from '../bench/options.ts';
import { RunFolder } from '../bench/runs.ts';
import { runTable } from '../bench/tables/command.ts';
import type { Cell } from '../bench/tables/definition.ts';
import { optionsOf } from '../bench/tables/records.ts';
import { factsOf } from '../bench/task-facts.ts';
import { type TrainJob, trainJob } from '../bench/train.ts';
import { usageOf } from '../bench/usage.ts';
import { OptionError } from '../engine/errors.ts';
import { openDevice } from '../engine/node.ts';

/** The name of the system in metrics. */
function system({ row }: Cell): string {
  return row.model === 'rim' ? 'RIM' : row.model.toUpperCase();
}

/** How good a cell's model is, from 0 to 1, after a share of its training and at a setting. */
export type Skill = (cell: Cell, done: number, setting: number) => number;

/** A RIM holds, others lose what they learned with the setting; seeds differ a little. */
export const skill: Skill = ({ row, group, seed }, done, setting) => {
  const far = setting / group.trained - 1;
  return Math.max(0, done * (0.98 + 0.005 * seed - (row.model === 'rim' ? 0.01 : 0.3) * far));
};

/** Writes the run folder of a finished cell. */
export async function writeCell(out: string, cell: Cell, skilled: Skill = skill): Promise<string> {
  const options = optionsOf(cell);
  const job = await jobTask(options);
  const facts = factsOf(job);
  const model = system(cell);
  const folder = RunFolder.create(
    { out, name: cell.name },
    {
      task: facts,
      started: '2026-01-31T23:59:59.000Z',
      status: 'finished',
      adapter: 'an adapter',
      runtime: 'Node 20',
      parameters: { [model]: 1234 },
      options: usedOptions(options),
    },
  );
  const { steps } = options;
  const figuresAt = (setting: number, done: number): Record<string, number> => {
    const trivial = facts.trivial[facts.tested.indexOf(setting)] ?? {};
    const good = skilled(cell, done, setting);
    return Object.fromEntries(
      facts.figures.map(({ name, better }) => {
        const level = trivial[name] ?? 0;
        return [
          name,
          better === 'higher' ? level + (1 - level) * Math.min(1, good) : level * Math.max(0.001, 1.2 - 1.2 * good),
        ];
      }),
    );
  };
  const add = (metric: Metric): void => folder.append(metric);
  for (const done of [0.25, 0.5, 0.75, 1]) {
    const step = Math.round(done * steps);
    add({
      kind: 'train',
      model,
      step,
      loss: 1 - done / 2,
      figures: figuresAt(facts.trained, done),
      seconds: 60 * done,
    });
    for (const split of ['test', 'validation'] as const) {
      for (const setting of facts.tested) {
        add({ kind: 'evaluation', model, step, split, setting, figures: figuresAt(setting, done) });
      }
    }
  }
  if (cell.row.model === 'rim') {
    for (const setting of new Set([facts.trained, Math.max(...facts.tested)])) {
      add(activationOf(cell, model, setting, job.task.steps(setting), options.modules, options.active));
    }
  }
  folder.close();
  return folder.path;
}

/** Modules that take turns, in a batch of two copying sequences. */
function activationOf(
  cell: Cell,
  model: string,
  setting: number,
  steps: number,
  modules: number,
  active: number,
): Metric {
  const digits = (steps - setting) / 2;
  const input = (t: number): number => (t < digits ? 1 + (t % 8) : t === digits + setting - 1 ? 9 : 0);
  const row = (t: number): number[] => {
    const turn = t < digits ? 0 : t < digits + setting ? 1 : 2;
    return Array.from({ length: modules }, (_, n) => ((n + turn + cell.seed) % modules < active ? 1 : 0));
  };
  const mask = Array.from({ length: steps }, (_, t) => row(t));
  const shape = [steps, 2, modules] as const;
  const masks = { input, mask: mask.flatMap((each) => [...each, ...each]), shape };
  const inputs = mask.map((_, t) => input(t));
  return { kind: 'activation', model, setting, inputs, mask, usage: usageOf('copying', setting, [masks]) };
}

/** What a command left on its screen. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

class Screen extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** Runs `rimgrad table` in this process. */
export async function tableJob(
  args: readonly string[],
  train: TrainJob = trainJob,
  signal: AbortSignal = new AbortController().signal,
): Promise<Outcome> {
  const [stdout, stderr] = [new Screen(), new Screen()];
  const around = { stdout, stderr, signal, open: () => openDevice(), train };
  const code = await runTable(args, around).catch((error: unknown) => {
    stderr.write(`rimgrad: ${describe(error)}\n`);
    return error instanceof OptionError ? 2 : 1;
  });
  return { code, stdout: stdout.text, stderr: stderr.text };
}

/** The bytes of a table's file. */
export function tableFile(out: string, table: string, file: 'table.json' | 'table.html'): string {
  return readFileSync(join(out, table, file), 'utf8');
}
