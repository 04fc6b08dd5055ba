// The two charts over training steps, drawn by uPlot: loss on a logarithmic axis, share of last digits right; lines of the
// models, and the level of a model that remembers nothing.
//
// Always: a chart is one image to a screen reader, with a sentence that tells its last figures; it follows the width of its
// place and the colours of the page; it draws at most once a frame. Not here: what was measured (page.ts).

import uPlot from 'uplot';
import type { TrainStep } from '../bench/metrics.ts';
import { colour, onTheme, percent } from './dom.ts';

/** What a chart shows of a step. */
export type Quantity = 'loss' | 'accuracy';

/** The colours' names in the style sheet, by model. */
export const MODELS: readonly string[] = ['RIM', 'LSTM'];

const HEIGHT = 220;
const LEAST_LOSS = 1e-5;

export class Chart {
  readonly #place: HTMLElement;
  readonly #quantity: Quantity;
  #plot: uPlot | undefined;
  #steps: readonly TrainStep[] = [];
  #level = 0;
  #waiting = false;

  constructor(place: HTMLElement, quantity: Quantity) {
    this.#place = place;
    this.#quantity = quantity;
    onTheme(() => this.#remake());
    new ResizeObserver(() => {
      const width = this.#place.clientWidth;
      if (this.#plot !== undefined && width > 0 && width !== this.#plot.width)
        this.#plot.setSize({ width, height: HEIGHT });
    }).observe(place);
    this.#remake();
  }

  /** Shows steps, beside the level of a model without memory. */
  show(steps: readonly TrainStep[], level: number): void {
    this.#steps = steps;
    this.#level = level;
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      this.#plot?.setData(this.#data());
      this.#place.setAttribute('aria-label', this.#text());
    });
  }

  /** The chart as a picture. */
  picture(): Promise<Blob | null> {
    const { canvas } = this.#plot?.ctx ?? {};
    if (canvas === undefined) return Promise.resolve(null);
    const copy = document.createElement('canvas');
    copy.width = canvas.width;
    copy.height = canvas.height;
    const context = copy.getContext('2d');
    if (context === null) return Promise.resolve(null);
    context.fillStyle = colour('card');
    context.fillRect(0, 0, copy.width, copy.height);
    context.drawImage(canvas, 0, 0);
    return new Promise((resolve) => copy.toBlob(resolve, 'image/png'));
  }

  #text(): string {
    const what = this.#quantity === 'loss' ? 'Loss' : 'Share of last digits right';
    const last = MODELS.flatMap((model) => {
      const found = this.#steps.findLast((step) => step.model === model);
      return found === undefined ? [] : [`${model} ${this.#format(this.#valueOf(found))} at step ${found.step}`];
    });
    return last.length === 0
      ? `${what} of each step: nothing trained yet`
      : `${what}: ${last.join(', ')}; without memory ${this.#format(this.#level)}`;
  }

  #valueOf({ loss, figures }: TrainStep): number {
    return this.#quantity === 'loss' ? loss : (figures.accuracy ?? 0);
  }

  #format(value: number): string {
    return this.#quantity === 'loss' ? value.toPrecision(3) : percent(value);
  }

  #data(): uPlot.AlignedData {
    const xs = [...new Set(this.#steps.map(({ step }) => step))].sort((a, b) => a - b);
    const place = new Map(xs.map((x, i) => [x, i]));
    const lines = MODELS.map(() => new Array<number | null>(xs.length).fill(null));
    for (const step of this.#steps) {
      const line = lines[MODELS.indexOf(step.model)];
      const i = place.get(step.step);
      if (line !== undefined && i !== undefined)
        line[i] = Math.max(this.#quantity === 'loss' ? LEAST_LOSS : 0, this.#valueOf(step));
    }
    if (xs.length === 0) return [[0, 10], ...MODELS.map(() => [null, null]), [this.#level, this.#level]];
    return [xs, ...lines, xs.map(() => this.#level)];
  }

  #remake(): void {
    this.#plot?.destroy();
    const [ink, line] = [colour('muted'), colour('line')];
    const font = '11px system-ui, sans-serif';
    const axis = {
      stroke: ink,
      font,
      grid: { stroke: line, width: 1 },
      ticks: { show: false },
      border: { show: false },
    };
    const log = this.#quantity === 'loss';
    const options: uPlot.Options = {
      width: Math.max(200, this.#place.clientWidth),
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
      padding: [8, 6, 0, 0],
      scales: {
        x: { time: false, range: (_, from, to) => [Math.min(from ?? 0, 1), Math.max(to ?? 10, 10)] },
        y: log
          ? {
              distr: 3,
              range: (_, from, to) => [Math.min(0.2, 0.8 * (from ?? 1)), Math.max(2.5, 1.2 * (to ?? 1))],
            }
          : { range: () => [0, 1] },
      },
      axes: [
        {
          ...axis,
          size: 28,
          grid: { show: false },
          values: (_, values) => values.map((value) => (Number.isInteger(value) ? value.toLocaleString('en') : '')),
        },
        log
          ? {
              ...axis,
              size: 44,
              splits: (_, __, from, to) => decades(from, to),
              filter: (_, splits) => splits,
              values: (_, values) => values.map((value) => `${Number(value.toPrecision(1))}`),
            }
          : { ...axis, size: 44, values: (_, values) => values.map(percent), splits: () => [0, 0.25, 0.5, 0.75, 1] },
      ],
      series: [
        {},
        ...MODELS.map(
          (model): uPlot.Series => ({
            label: model,
            stroke: colour(model.toLowerCase()),
            width: 2,
            spanGaps: true,
            // A lone point makes no line.
            points: { show: (plot) => plot.data[0].length < 3, size: 6 },
          }),
        ),
        { label: 'without memory', stroke: ink, width: 1, dash: [5, 5], points: { show: false } },
      ],
    };
    this.#plot = new uPlot(options, this.#data(), this.#place);
  }
}

/** Ticks of a logarithmic axis: powers of ten, and 2 and 5 times them where they are few. */
function decades(from: number, to: number): number[] {
  const [first, last] = [Math.floor(Math.log10(from)), Math.ceil(Math.log10(to))];
  const factors = last - first > 2 ? [1] : [1, 2, 5];
  const all = Array.from({ length: last - first + 1 }, (_, i) =>
    factors.map((factor) => factor * 10 ** (first + i)),
  ).flat();
  return all.filter((value) => value >= from * 0.999 && value <= to * 1.001);
}
