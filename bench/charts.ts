// The two drawings of a report as SVG text: lines over a number, and the strip of active modules over time.
//
// Always: drawn by Vega-Lite without a DOM; colours are the page's CSS variables, so a chart follows light and dark;
// an SVG asks for nothing, has no ids that could clash on one page, and is one image to a screen reader, with a text.
// Not here: which figures are drawn and what is written about them (report.ts).

import * as vega from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import { at } from '../engine/errors.ts';
import type { Activation } from './metrics.ts';

/** One line of a chart. */
export interface Line {
  readonly name: string;
  /** A CSS colour, such as `var(--rim)`. */
  readonly colour: string;
  /** Lengths of dashes and gaps; solid where left out. */
  readonly dash?: readonly number[];
  /** The shape of its marks, as Vega names it; a circle where left out. */
  readonly shape?: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** A chart of lines. */
export interface LineChart {
  /** What a screen reader says of it. */
  readonly text: string;
  readonly x: string;
  readonly y: string;
  readonly lines: readonly Line[];
  /** Where a dashed horizontal line is drawn, which the legend names. */
  readonly level?: number;
  /** A share from 0 to 100 %, or a positive number on a logarithmic axis. */
  readonly scale: 'share' | 'log';
  /** Mark each point, and put an axis tick at each x. */
  readonly marked?: boolean;
  /** Width and height of the lines' part, in pixels; 280 by 180 when left out: on a phone its text can still be read. */
  readonly size?: readonly [width: number, height: number];
}

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif';
// Losses below this are drawn here: a logarithmic axis has no zero.
const LEAST_LOSS = 1e-6;
// Height of a row of shades.
const SHADE = 16;

/** Draws lines over a number. */
export function lineChart(chart: LineChart): Promise<string> {
  const log = chart.scale === 'log';
  const [width, height] = chart.size ?? [280, 180];
  const values = chart.lines.flatMap(({ name, points }) =>
    points.map(([x, y]) => ({ name, x, y: log ? Math.max(LEAST_LOSS, y) : y })),
  );
  const level = chart.level;
  const xs = [...new Set(values.map((value) => value.x))];
  const encoding = {
    x: {
      field: 'x',
      type: 'quantitative' as const,
      title: chart.x,
      scale: { zero: chart.marked !== true, nice: false, padding: chart.marked === true ? 14 : 0 },
      axis: { grid: false, tickCount: 5, format: ',d', ...(chart.marked === true ? { values: xs } : {}) },
    },
    y: {
      field: 'y',
      type: 'quantitative' as const,
      title: chart.y,
      scale: log ? { type: 'log' as const } : { domain: [0, 1] },
      axis: log ? { values: decades(values.map((value) => value.y)), format: '~g' } : { tickCount: 5, format: '.0%' },
    },
    color: {
      field: 'name',
      type: 'nominal' as const,
      legend: null,
      scale: { domain: chart.lines.map((line) => line.name), range: chart.lines.map((line) => line.colour) },
    },
    strokeDash: {
      field: 'name',
      type: 'nominal' as const,
      legend: null,
      scale: { domain: chart.lines.map((line) => line.name), range: chart.lines.map(({ dash = [1, 0] }) => [...dash]) },
    },
  };
  const { strokeDash: _, ...others } = encoding;
  const marks = {
    ...others,
    size: { value: 52 },
    shape: {
      field: 'name',
      type: 'nominal' as const,
      legend: null,
      scale: { domain: chart.lines.map((line) => line.name), range: chart.lines.map(({ shape = 'circle' }) => shape) },
    },
  };
  return draw(
    {
      width,
      height,
      data: { values },
      layer: [
        ...(level === undefined
          ? []
          : [
              {
                data: { values: [{ y: level }] },
                mark: { type: 'rule' as const, color: 'var(--muted)', strokeDash: [4, 4] },
                encoding: { y: { field: 'y', type: 'quantitative' as const } },
              },
            ]),
        { mark: { type: 'line', strokeWidth: 2, strokeJoin: 'round' }, encoding },
        ...(chart.marked === true
          ? [{ mark: { type: 'point' as const, filled: true, opacity: 1 }, encoding: marks }]
          : []),
      ],
    },
    chart.text,
  );
}

/** What is written around a strip. */
export interface StripNotes {
  /** Parts of the sequence, in order, each from its first step up to but not including its last. */
  readonly phases: readonly { readonly name: string; readonly from: number; readonly to: number }[];
  /** What is wanted, under the steps at which it is. */
  readonly wanted: readonly { readonly step: number; readonly name: string }[];
}

/**
 * Draws which modules were active at each step, as Figure 2 of the paper: a row a module, a column a step, filled where
 * active. Above it the phases; under it the inputs, symbols as text and channels as shades, and what is wanted.
 */
export function activationStrip(
  { inputs, mask }: Activation,
  { phases, wanted }: StripNotes,
  text: string,
): Promise<string> {
  const steps = inputs.length;
  const modules = at(mask, 0).length;
  const symbols = inputs.flatMap((each) => (typeof each === 'number' ? [each] : []));
  const channels = inputs.flatMap((each) => (typeof each === 'number' ? [] : [each]));
  const cell = Math.min(24, Math.max(channels.length > 0 ? 2 : 7, Math.floor(800 / steps)));
  const width = Math.max(steps * cell, 160);
  const height = modules * Math.min(26, Math.max(14, Math.floor(220 / modules)));
  const names = Array.from({ length: modules }, (_, n) => `${n + 1}`);
  const borders = phases.slice(1).map(({ from }) => ({ x: from }));
  const titles = phases.map(({ name, from, to }) => ({ x: (from + to) / 2, name }));
  const written = symbols.map((symbol, t) => ({ x: t + 0.5, name: symbol === 0 ? '·' : `${symbol}` }));
  const asked = wanted.map(({ step, name }) => ({ x: step + 0.5, name }));
  const below = height + (channels.length > 0 ? SHADE * (channels[0]?.length ?? 0) + 6 : 22);
  const x = { field: 'x', type: 'quantitative' as const };
  const name = { field: 'name', type: 'nominal' as const };
  const fontSize = Math.min(13, cell + 3);
  const band = { x: { field: 'from', type: 'quantitative' as const }, x2: { field: 'to' } };
  const row = { field: 'module', type: 'ordinal' as const };
  const label = (y: number, words: string): object => ({
    data: { values: [{ name: words }] },
    mark: { type: 'text', align: 'right', color: 'var(--muted)', fontSize: 11 },
    encoding: { x: { value: -10 }, y: { value: y }, text: name },
  });
  const layer = [
    {
      data: { values: names.map((module) => ({ module, from: 0, to: steps })) },
      mark: { type: 'rect', color: 'var(--off)' },
      encoding: {
        x: {
          ...band.x,
          title: 'step',
          scale: { domain: [0, steps], nice: false },
          axis: {
            grid: false,
            offset: below - height + (wanted.length > 0 ? 18 : 0),
            tickCount: Math.min(12, Math.max(4, Math.floor(width / 90))),
            format: 'd',
          },
        },
        x2: band.x2,
        y: {
          ...row,
          title: 'module',
          scale: { domain: names, paddingInner: 0.14, paddingOuter: 0 },
          axis: { domain: false, ticks: false, grid: false },
        },
      },
    },
    {
      data: { values: spans(mask, names) },
      mark: { type: 'rect', color: 'var(--on)' },
      encoding: { ...band, y: row },
    },
    {
      data: { values: steps > 60 ? [] : inputs.map((_, t) => ({ x: t })) },
      mark: { type: 'rule', color: 'var(--page)', strokeWidth: 1 },
      encoding: { x },
    },
    {
      data: { values: borders },
      mark: { type: 'rule', color: 'var(--accent)', strokeWidth: 1.5 },
      encoding: { x, y: { value: -22 }, y2: { value: height + 38 } },
    },
    {
      data: { values: titles },
      mark: { type: 'text', fontSize: 12, fontWeight: 600, color: 'var(--ink)' },
      encoding: { x, y: { value: -12 }, text: name },
    },
    {
      data: { values: written },
      mark: { type: 'text', fontSize, color: 'var(--ink)' },
      encoding: { x, y: { value: height + 14 }, text: name },
    },
    {
      data: { values: asked },
      mark: { type: 'text', fontSize, fontWeight: 600, color: 'var(--accent)' },
      encoding: { x, y: { value: height + 30 }, text: name },
    },
    ...shades(channels, height + 4),
    label(height + 14, 'input'),
    ...(wanted.length > 0 ? [label(height + 30, 'wanted')] : []),
  ];
  return draw({ width, height, layer } as TopLevelSpec, text);
}

/** Ticks of a logarithmic axis: powers of ten, and 2 and 5 times them where the values span few of them. */
export function decades(values: readonly number[]): number[] {
  const from = Math.floor(Math.log10(Math.min(...values)));
  const to = Math.ceil(Math.log10(Math.max(...values)));
  const factors = to - from > 2 ? [1] : [1, 2, 5];
  return Array.from({ length: to - from + 1 }, (_, i) => factors.map((factor) => factor * 10 ** (from + i))).flat();
}

// Maximal runs of steps in which a module stays active.
function spans(
  mask: Activation['mask'],
  names: readonly string[],
): readonly { readonly module: string; readonly from: number; readonly to: number }[] {
  return names.flatMap((module, n) => {
    const runs: { module: string; from: number; to: number }[] = [];
    mask.forEach((active, t) => {
      if (at(active, n) !== 1) return;
      const last = runs[runs.length - 1];
      if (last !== undefined && last.to === t) last.to = t + 1;
      else runs.push({ module, from: t, to: t + 1 });
    });
    return runs;
  });
}

// Channels at each step as rows of shades, from the least value to the most of each.
function shades(channels: readonly (readonly number[])[], top: number): object[] {
  return (channels[0] ?? []).map((_, c) => {
    const values = channels.map((row) => at(row, c));
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const shaded = values.map((value, t) => ({
      from: t,
      to: t + 1,
      share: most > least ? (value - least) / (most - least) : 0,
    }));
    return {
      data: { values: shaded.filter(({ share }) => share > 0) },
      mark: { type: 'rect', color: 'var(--accent)' },
      encoding: {
        x: { field: 'from', type: 'quantitative' },
        x2: { field: 'to' },
        y: { value: top + SHADE * c },
        y2: { value: top + SHADE * (c + 1) - 2 },
        opacity: { field: 'share', type: 'quantitative', scale: { domain: [0, 1], range: [0, 1] }, legend: null },
      },
    };
  });
}

/** Draws any chart in the looks of the reports. @param text what a screen reader says of it, escaped */
export async function draw(spec: TopLevelSpec, text: string): Promise<string> {
  const axis = {
    labelColor: 'var(--muted)',
    titleColor: 'var(--muted)',
    domainColor: 'var(--line)',
    tickColor: 'var(--line)',
    gridColor: 'var(--line)',
    labelFontSize: 11,
    titleFontSize: 12,
    titleFontWeight: 500 as const,
    titlePadding: 8,
  };
  const themed = {
    ...spec,
    background: 'transparent',
    padding: 4,
    config: { aria: false, font: FONT, view: { stroke: null }, axis },
  };
  const view = new vega.View(vega.parse(compile(themed).spec), { renderer: 'none', logLevel: vega.Error });
  const svg = await view.toSVG();
  view.finalize();
  const size = /viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(svg);
  const [width, height] = [Number(size?.[1] ?? 0), Number(size?.[2] ?? 0)];
  const open = `<svg role="img" aria-label="${text}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`;
  // One image to a screen reader: its parts have no names of their own.
  const plain = svg.replaceAll(/ (?:role="graphics-[a-z]+"|aria-roledescription="[^"]*")/g, '');
  return plain.replace(/^<svg[^>]*>/, open);
}
