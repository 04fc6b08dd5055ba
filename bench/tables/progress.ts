// How far a table is: on a terminal a live bar of the cell that is being trained, with the time left of it and of the table; else a
// line for each cell that ends.
//
// Always: nothing but whole lines of plain text reaches a file or a pipe. Not here: the estimates (estimate.ts).

import cliProgress from 'cli-progress';
import { formatDuration, type ProgressStream } from '../progress.ts';
import type { Cell } from './definition.ts';

const DAY_SECONDS = 86_400;

/** The time that a table takes: `0:07`, `1:02:03`, and days where it is two of them or more. */
export function formatTime(seconds: number): string {
  return seconds < 2 * DAY_SECONDS ? formatDuration(seconds) : `${Math.round(seconds / DAY_SECONDS)} days`;
}

/** Shows one cell after another. */
export interface TableProgress {
  /** A cell is trained. @param expected its seconds, as estimated @param after the seconds of all cells behind it */
  begin(cell: Cell, steps: number, expected: number, after: number): void;
  update(step: number): void;
  /** The cell that was begun has ended, or never began: says so. */
  end(line: string): void;
}

/** A progress over so many cells. */
export function tableProgress(stream: ProgressStream, cells: number): TableProgress {
  return stream.isTTY === true ? new Bar(stream, cells) : new Lines(stream, cells);
}

class Lines implements TableProgress {
  readonly #stream: ProgressStream;
  readonly #cells: number;
  #done = 0;

  constructor(stream: ProgressStream, cells: number) {
    this.#stream = stream;
    this.#cells = cells;
  }

  begin(): void {}

  update(): void {}

  end(line: string): void {
    this.#stream.write(`${numbered(++this.#done, this.#cells)} ${line}\n`);
  }
}

class Bar implements TableProgress {
  readonly #stream: ProgressStream;
  readonly #cells: number;
  #done = 0;
  #bar: cliProgress.SingleBar | undefined;
  #steps = 0;
  #expected = 0;
  #after = 0;
  #began = 0;
  #first: { readonly step: number; readonly time: number } | undefined;

  constructor(stream: ProgressStream, cells: number) {
    this.#stream = stream;
    this.#cells = cells;
  }

  begin(cell: Cell, steps: number, expected: number, after: number): void {
    this.#bar?.stop();
    [this.#steps, this.#expected, this.#after] = [steps, expected, after];
    this.#began = performance.now();
    this.#first = undefined;
    const label = `${numbered(this.#done + 1, this.#cells)} ${cell.row.id} seed ${cell.seed}`;
    this.#bar = new cliProgress.SingleBar({
      stream: this.#stream,
      format: `${label} {bar} {value}/{total}  {times}`,
      barsize: Math.min(28, Math.max(4, (this.#stream.columns ?? 80) - label.length - 2 * String(steps).length - 38)),
      barCompleteChar: '█',
      barIncompleteChar: '░',
      hideCursor: true,
      clearOnComplete: true,
      fps: 4,
      gracefulExit: false,
    });
    this.#bar.start(steps, 0, { times: this.#times(0) });
  }

  update(step: number): void {
    this.#first ??= { step, time: performance.now() };
    this.#bar?.update(step, { times: this.#times(step) });
  }

  end(line: string): void {
    this.#bar?.stop();
    if (this.#bar !== undefined) this.#stream.write('\r\x1b[2K\x1b[?25h');
    this.#bar = undefined;
    this.#stream.write(`${numbered(++this.#done, this.#cells)} ${line}\n`);
  }

  // By the speed of this cell once there is one, by its estimate before.
  #times(step: number): string {
    const spent = (performance.now() - this.#began) / 1000;
    const first = this.#first;
    const since = first === undefined ? 0 : (performance.now() - first.time) / 1000;
    const left =
      first === undefined || step <= first.step || since < 2
        ? Math.max(0, this.#expected - spent)
        : (since * (this.#steps - step)) / (step - first.step);
    return `${formatTime(left)} left, table ${formatTime(left + this.#after)}`;
  }
}

function numbered(done: number, cells: number): string {
  return `${String(done).padStart(String(cells).length)}/${cells}`;
}
