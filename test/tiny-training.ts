// What tests of whole trainings share: the options of a tiny one, and the main job in this process with all that it printed. It
// tests nothing itself.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import * as assert from 'uvu/assert';
import { runMainJob } from '../bench/main-job.ts';
import { type MainOptions, parseMainOptions } from '../bench/options.ts';
import { type TrainJob, trainJob } from '../bench/train.ts';

/** The sizes of a tiny training of a RIM. */
const ofRIM: readonly string[] = [
  ...['--digits', '1', '--blank', '2', '--test-blanks', '5', '--batch', '4', '--modules', '3', '--active', '2'],
  ...['--hidden', '4', '--embedding', '4', '--key-size', '4', '--value-size', '4', '--comm-heads', '1'],
  ...['--comm-key-size', '4', '--comm-value-size', '4', '--test-batches', '3'],
];

/** The options of a tiny training, of a RIM and an LSTM. */
export const tiny: readonly string[] = [...ofRIM, '--width', '6'];

/** The options of a tiny training of a RIM alone. */
export const tinyRIM: readonly string[] = [...ofRIM, '--models', 'rim'];

/** With dropout wherever there is some: random numbers count. */
export const random: readonly string[] = ['--dropout', '0.2', '--attention-dropout', '0.2'];

/** The options of a command line that begins a run. */
export function optionsOf(...args: readonly string[]): MainOptions {
  const request = parseMainOptions(args);
  if (request.kind !== 'run') throw new Error(`it asks for ${request.kind}`);
  return request.options;
}

class Screen extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** What a main job left on its screen. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the main job in this process. */
export async function mainJob(
  args: readonly string[],
  train: TrainJob = trainJob,
  controller: AbortController = new AbortController(),
): Promise<Outcome> {
  const [stdout, stderr] = [new Screen(), new Screen()];
  const code = await runMainJob(args, { stdout, stderr, train, signal: controller.signal });
  return { code, stdout: stdout.text, stderr: stderr.text };
}

/** The bytes of a file of a run, as text of one character a byte. */
export function bytesOf(folder: string, file: string): string {
  return readFileSync(join(folder, file), 'latin1');
}

/** The metrics of a run without their times. */
export function figuresOf(folder: string): string {
  return bytesOf(folder, 'metrics.jsonl').replaceAll(/"seconds":[^,}]*/g, '"seconds":0');
}

/** Two runs ended with the same weights, to the byte, and told the same figures. */
export function sameRuns(folder: string, other: string, what = 'the run'): void {
  assert.ok(bytesOf(folder, 'model.safetensors') === bytesOf(other, 'model.safetensors'), `${what}: other weights`);
  assert.is(figuresOf(folder), figuresOf(other), `${what}: other figures`);
}
