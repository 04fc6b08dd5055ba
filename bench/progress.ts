// How far a training is, on the terminal: a live bar where there is one, plain lines where the output goes to a file.
//
// Always: nothing but whole lines of plain text reaches a file or a pipe; on a terminal the bar is redrawn in place, and
// the cursor is given back at the end.
// Not here: what is printed before and after a training (main-job.ts).

import cliProgress from 'cli-progress';
import { at } from '../engine/errors.ts';

/** What the progress shows of one step. */
export interface ProgressStep {
  /** Steps done, this one included. */
  readonly step: number;
  readonly loss: number;
  /** A figure of merit beside the loss. */
  readonly figure?: { readonly label: string; readonly value: number };
  /** Seconds of this training so far. */
  readonly seconds: number;
}

/** Shows one training after another. */
export interface Progress {
  /** Begins a training of `total` steps; ends one that was begun before. */
  begin(label: string, total: number): void;
  update(step: ProgressStep): void;
  /** Lets something else be printed, in lines of its own. */
  pause(print: () => void): void;
  /** Ends the training that was begun, with its last figures left on the screen; safe to call twice. */
  end(): void;
}

/** Where the progress is written: `process.stdout` is one. */
export interface ProgressStream extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

// The speed is that of the last steps within so many seconds, so that a slow start is soon forgotten.
const WINDOW_SECONDS = 8;

/** A live bar on a terminal, else about ten lines a training. */
export function createProgress(stream: ProgressStream): Progress {
  return stream.isTTY === true ? new ProgressBar(stream) : new ProgressLines(stream);
}

/** Steps a second over the last few seconds, from the steps and times it is told. */
export class Speed {
  #marks: { step: number; seconds: number }[] = [{ step: 0, seconds: 0 }];

  /** @returns steps a second; 0 while it cannot be told. */
  update(step: number, seconds: number): number {
    this.#marks.push({ step, seconds });
    while (this.#marks.length > 2 && at(this.#marks, 1).seconds <= seconds - WINDOW_SECONDS) this.#marks.shift();
    const first = at(this.#marks, 0);
    return seconds > first.seconds ? (step - first.step) / (seconds - first.seconds) : 0;
  }
}

/** `0:07`, `12:34`, `1:02:03`; `-:--` for what is not known. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '-:--';
  const whole = Math.max(0, Math.round(seconds));
  const two = (n: number): string => String(n).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

// The figures after the bar, as wide as each other from step to step.
function figures({ loss, figure }: ProgressStep, rate: number, left: number): string {
  const speed = rate >= 100 ? rate.toFixed(0) : rate.toFixed(1);
  const merit = figure === undefined ? '' : `  ${figure.label} ${figure.value.toFixed(3)}`;
  return `loss ${loss.toFixed(4)}${merit}  ${speed} steps/s  ${formatDuration(left)} left`;
}

class ProgressBar implements Progress {
  readonly #stream: ProgressStream;
  #bar: cliProgress.SingleBar | undefined;
  #speed = new Speed();
  #total = 0;
  #step = 0;
  #figures = 'preparing';

  constructor(stream: ProgressStream) {
    this.#stream = stream;
  }

  begin(label: string, total: number): void {
    this.end();
    this.#speed = new Speed();
    this.#total = total;
    const others = label.length + 2 * String(total).length + 68;
    this.#bar = new cliProgress.SingleBar({
      stream: this.#stream,
      format: `${label} {bar} {value}/{total}  {figures}`,
      barsize: Math.min(32, Math.max(6, (this.#stream.columns ?? 80) - others)),
      barCompleteChar: '█',
      barIncompleteChar: '░',
      hideCursor: true,
      fps: 8,
      gracefulExit: false,
    });
    this.#step = 0;
    this.#figures = 'preparing';
    this.#bar.start(total, this.#step, { figures: this.#figures });
  }

  update(step: ProgressStep): void {
    const rate = this.#speed.update(step.step, step.seconds);
    this.#step = step.step;
    this.#figures = figures(step, rate, (this.#total - step.step) / rate);
    this.#bar?.update(this.#step, { figures: this.#figures });
  }

  pause(print: () => void): void {
    this.#bar?.stop();
    print();
    this.#bar?.start(this.#total, this.#step, { figures: this.#figures });
  }

  end(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}

class ProgressLines implements Progress {
  readonly #stream: ProgressStream;
  #speed = new Speed();
  #label = '';
  #total = 0;
  #next = 0;

  constructor(stream: ProgressStream) {
    this.#stream = stream;
  }

  begin(label: string, total: number): void {
    this.#speed = new Speed();
    this.#label = label;
    this.#total = total;
    this.#next = 1;
  }

  update(step: ProgressStep): void {
    const rate = this.#speed.update(step.step, step.seconds);
    const { step: done } = step;
    if (done < this.#next && done < this.#total) return;
    this.#next = (Math.floor((done * 10) / this.#total) + 1) * (this.#total / 10);
    const count = String(done).padStart(String(this.#total).length);
    const left = (this.#total - done) / rate;
    this.#stream.write(`${this.#label} ${count}/${this.#total}  ${figures(step, rate, left)}\n`);
  }

  pause(print: () => void): void {
    print();
  }

  end(): void {}
}
