// The two charts over training steps, drawn by uPlot: loss on a logarithmic axis, and a share from nothing to all; lines of the
// models, and the level of a model that has learned nothing.
//
// Always: a chart is one image to a screen reader, with a sentence that tells its last figures; it follows the width of its
// place and the colours of the page; it draws at most once a frame. Not here: what was measured (page.ts).

import uPlot from 'uplot';
import type { TrainStep } from '../bench/metrics.ts';
import { dashOf, lookOf } from '../bench/model-looks.ts';
import { colour, onTheme, percent } from './dom.ts';

/** What a chart shows. */
export interface Curves {
  /** What it is of each step: `Loss`. */
  readonly title: string;
  /** Of these models, a line each. */
  readonly models: readonly string[];
  readonly steps: readonly TrainStep[];
  value(step: TrainStep): number | undefined;
  /** What a model has that has learned nothing, and what it is called. */
  readonly level: number;
  readonly levelName: string;
}

const HEIGHT = 220;
const LEAST_LOSS = 1e-5;

export class Chart {
  readonly #place: HTMLElement;
  readonly #isLog: boolean;
  #plot: uPlot | undefined;
  #curves: Curves;
  #waiting = false;

  /** @param curves what it shows first @param axis a logarithmic one, or one of shares */
  constructor(place: HTMLElement, axis: 'logarithmic' | 'share', curves: Curves) {
    this.#place = place;
    this.#isLog = axis === 'logarithmic';
    this.#curves = curves;
    onTheme(() => this.#remake());
    new ResizeObserver(() => {
      const width = this.#place.clientWidth;
      if (this.#plot !== undefined && width > 0 && width !== this.#plot.width)
        this.#plot.setSize({ width, height: HEIGHT });
    }).observe(place);
    this.#remake();
  }

  /** Shows curves in place of those before. */
  show(curves: Curves): void {
    const isOther = curves.models.join() !== this.#curves.models.join();
    this.#curves = curves;
    if (isOther) this.#remake();
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
    const { title, models, steps, level, levelName } = this.#curves;
    const last = models.flatMap((model) => {
      const found = steps.findLast((step) => step.model === model);
      const value = found && this.#curves.value(found);
      return value === undefined ? [] : [`${model} ${this.#format(value)} at step ${found?.step}`];
    });
    return last.length === 0
      ? `${title} of each step: nothing trained yet`
      : `${title}: ${last.join(', ')}; ${levelName} ${this.#format(level)}`;
  }

  #format(value: number): string {
    return this.#isLog ? value.toPrecision(3) : percent(value);
  }

  #data(): uPlot.AlignedData {
    const { models, steps, level } = this.#curves;
    const xs = [...new Set(steps.map(({ step }) => step))].sort((a, b) => a - b);
    const place = new Map(xs.map((x, i) => [x, i]));
    const lines = models.map(() => new Array<number | null>(xs.length).fill(null));
    for (const step of steps) {
      const line = lines[models.indexOf(step.model)];
      const i = place.get(step.step);
      const value = this.#curves.value(step);
      if (line !== undefined && i !== undefined && value !== undefined)
        line[i] = Math.max(this.#isLog ? LEAST_LOSS : 0, value);
    }
    if (xs.length === 0) return [[0, 10], ...models.map(() => [null, null]), [level, level]];
    return [xs, ...lines, xs.map(() => level)];
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
    const { models, level, levelName } = this.#curves;
    const log = this.#isLog;
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
              // Room around the level, before there is anything else.
              range: (_, from, to) => [
                0.8 * Math.min(from ?? level, level / 2),
                1.2 * Math.max(to ?? level, 2 * level),
              ],
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
        ...models.map(
          (model): uPlot.Series => ({
            label: model,
            stroke: colour(lookOf(model)),
            dash: [...dashOf(model)],
            width: 2,
            spanGaps: true,
            // A lone point makes no line.
            points: { show: (plot) => plot.data[0].length < 3, size: 6 },
          }),
        ),
        { label: levelName, stroke: ink, width: 1, dash: [5, 5], points: { show: false } },
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
