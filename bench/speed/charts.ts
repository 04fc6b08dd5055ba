// The three drawings of the benchmark's page as SVG: bars of contestants, curves on logarithmic axes, kernels in percent.
//
// Always: drawn as the charts of a report are (../charts.ts), with the page's colours. Not here: their words (page.ts).

import type { TopLevelSpec } from 'vega-lite';
import { decades, draw } from '../charts.ts';

/** One bar. */
export interface Bar {
  readonly name: string;
  readonly value: number;
  /** What the bar's spread is, drawn as a thin line. */
  readonly range?: readonly [number, number];
  /** What stands behind the bar. */
  readonly label: string;
  /** A CSS colour. */
  readonly colour: string;
}

/** A drawing of bars. */
export interface BarChart {
  readonly text: string;
  readonly x: string;
  readonly bars: readonly Bar[];
  /** A number format of the axis. */
  readonly format: string;
  readonly width?: number;
  /** A dashed vertical line. */
  readonly level?: number;
}

const WIDTH = 420;
const ROW = 26;

/** Horizontal bars from zero, in the order given. */
export function barChart({ text, x, bars, format, width = WIDTH, level }: BarChart): Promise<string> {
  const order = bars.map(({ name }) => name);
  const values = bars.map(({ name, value, range, label, colour }) => ({
    name,
    value,
    low: range?.[0] ?? value,
    high: range?.[1] ?? value,
    end: Math.max(value, range?.[1] ?? value),
    label,
    colour,
  }));
  const y = {
    field: 'name',
    type: 'nominal' as const,
    sort: order,
    title: null,
    axis: { ticks: false, domain: false, labelLimit: 340, labelFontSize: 12 },
  };
  // Room for the words behind the longest bar.
  const most = 1.32 * Math.max(level ?? 0, ...values.map(({ end }) => end));
  const horizontal = {
    field: 'value',
    type: 'quantitative' as const,
    title: x,
    scale: { domain: [0, most], nice: false },
    axis: { format, tickCount: 5 },
  };
  const colour = { field: 'colour', type: 'nominal' as const, scale: null };
  const rule = { type: 'rule' as const, color: 'var(--muted)', strokeDash: [4, 4] };
  return draw(
    {
      width,
      height: { step: ROW },
      data: { values },
      layer: [
        { mark: { type: 'bar', height: 15 }, encoding: { x: horizontal, y, color: colour } },
        {
          mark: { type: 'rule', color: 'var(--ink)', strokeWidth: 1 },
          encoding: { x: { field: 'low', type: 'quantitative' }, x2: { field: 'high' }, y },
        },
        {
          mark: { type: 'text', align: 'left', dx: 6, color: 'var(--ink)', fontSize: 11 },
          encoding: { x: { field: 'end', type: 'quantitative' }, y, text: { field: 'label', type: 'nominal' } },
        },
        ...(level === undefined ? [] : [{ mark: rule, encoding: { x: { datum: level } } }]),
      ],
    } as TopLevelSpec,
    text,
  );
}

/** A line through points on two logarithmic axes, with a dashed line of slope 1 through its last point. */
export function growthChart(
  text: string,
  x: string,
  points: readonly (readonly [x: number, y: number])[],
): Promise<string> {
  const values = points.map(([x, y]) => ({ x, y }));
  const [last] = points.slice(-1);
  const straight = last === undefined ? [] : points.map(([x]) => ({ x, y: (last[1] * x) / last[0] }));
  const bottom = Math.min(...values.map(({ y }) => y));
  const shown = straight.filter(({ y }) => y >= bottom / 2);
  const xs = {
    field: 'x',
    type: 'quantitative' as const,
    title: x,
    scale: { type: 'log' as const, nice: false, padding: 12 },
    axis: { grid: false, values: values.map(({ x }) => x), format: 'd', labelOverlap: true },
  };
  const ys = {
    field: 'y',
    type: 'quantitative' as const,
    title: 'ms a step',
    scale: { type: 'log' as const, nice: false, padding: 10 },
    axis: { values: decades(values.map(({ y }) => y)), format: '~g' },
  };
  return draw(
    {
      width: 330,
      height: 210,
      layer: [
        {
          data: { values: shown },
          mark: { type: 'line', color: 'var(--muted)', strokeDash: [4, 4], strokeWidth: 1 },
          encoding: { x: xs, y: ys },
        },
        {
          data: { values },
          mark: {
            type: 'line',
            color: 'var(--rim)',
            strokeWidth: 2,
            point: { filled: true, size: 46, color: 'var(--rim)' },
          },
          encoding: { x: xs, y: ys },
        },
      ],
    } as TopLevelSpec,
    text,
  );
}
