// Measuring a model of the copying task on test sequences of one blank length, in as many parts of a batch as the device
// needs. It runs in any runtime: it is given the device. Not here: the graph of an evaluation (programs.ts).

import { compile, type Device } from '../engine/core.ts';
import { at } from '../engine/errors.ts';
import type { CopyingModel, ModelOptions } from './models.ts';
import { evaluationProgram, inParts } from './programs.ts';
import { copying } from './tasks/index.ts';

/** A model's measurement at one blank length, to be run as often as wanted. */
export interface EvaluationRun {
  /** Both figures are over the recalled digits. After an abort, one batch must do. */
  run(signal: AbortSignal): Promise<{ blank: number; crossEntropy: number; accuracy: number }>;
  dispose(): void;
}

/**
 * Measures a model on test sequences of one blank length: the same ones every time.
 * @throws LimitError where even a part of a batch is too large for the device; what `compile` throws
 */
export async function makeEvaluation(
  device: Device,
  model: CopyingModel,
  options: ModelOptions & { readonly testBatches: number },
  blank: number,
): Promise<EvaluationRun> {
  const { digits, batch, seed, testBatches } = options;
  const { made: program, parts } = await inParts(batch, (count) =>
    compile(device, evaluationProgram(model, options, blank, count).outputs),
  );
  return {
    run: async (signal) => {
      let crossEntropy = 0;
      let accuracy = 0;
      let runs = 0;
      for (const { x, y } of copying({ digits, blank, batch, seed, split: 'test', steps: testBatches })) {
        for (let part = 0; part < parts; part++) {
          await program.run({ x: columnsOf(x, batch, parts, part), y: columnsOf(y, batch, parts, part) });
          crossEntropy += at(await program.read('crossEntropy'), 0);
          accuracy += at(await program.read('accuracy'), 0);
          runs++;
        }
        if (signal.aborted) break;
      }
      return { blank, crossEntropy: crossEntropy / runs, accuracy: accuracy / runs };
    },
    dispose: () => program.dispose(),
  };
}

/** Symbols [T,B/parts]: one of equal parts of the sequences of [T,B]. */
function columnsOf(symbols: Uint32Array, batch: number, parts: number, part: number): Uint32Array {
  return symbols.filter((_, i) => Math.floor(((i % batch) * parts) / batch) === part);
}
