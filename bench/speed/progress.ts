// How far a benchmark is: a line that is redrawn on a terminal and gone at the end, nothing at all anywhere else, so that what
// is piped stays clean. Not here: the training's progress (../progress.ts), which counts steps and losses.

import cliProgress from 'cli-progress';
import type { ProgressStream } from '../progress.ts';

/** Shows one stage after another. */
export interface StageProgress {
  /** Begins a stage, after the one before it; `detail` calls follow. */
  stage(name: string): void;
  /** What is done at the moment. */
  detail(text: string): void;
  end(): void;
}

const DETAIL = 60;

/** A bar over the stages on a terminal, else nothing. @param stages how many there will be */
export function stageProgress(stream: ProgressStream, stages: number): StageProgress {
  if (stream.isTTY !== true) return { stage: () => {}, detail: () => {}, end: () => {} };
  const bar = new cliProgress.SingleBar({
    stream,
    format: '{bar} {value}/{total}  {name}  {detail}',
    barsize: 16,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    clearOnComplete: true,
    linewrap: false,
    gracefulExit: false,
  });
  let done = -1;
  bar.start(stages, 0, { name: 'preparing', detail: '' });
  return {
    stage: (name) => {
      done++;
      bar.update(Math.min(stages, done), { name, detail: '' });
    },
    detail: (text) => bar.update({ detail: text.slice(0, DETAIL) }),
    end: () => {
      bar.update(stages, { name: '', detail: '' });
      bar.stop();
    },
  };
}
