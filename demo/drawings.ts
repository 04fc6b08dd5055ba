// The drawings of the modules as SVG: the strip of active modules, the attention to the input, and the map of communication.
//
// Always: colours come from the style sheet by class, so that they follow light and dark; a drawing is one image with a
// sentence; a grid carries `data-grid`, by whose place a pointer is turned into a step, and a cursor that `moveCursor` moves, so that
// another step draws nothing anew. `picture` makes a PNG of drawings. Not here: what a sequence looks like (readings.ts).

import { at } from '../engine/errors.ts';
import { colour, draw } from './dom.ts';
import type { Look } from './messages.ts';
import type { Reading } from './readings.ts';

const LEFT = 26;
const ROW = 20;
const GAP = 2;

/** How modules over steps are laid out. */
export interface Grid {
  /** Width of a step. */
  readonly cell: number;
  /** Where the first step begins. */
  readonly left: number;
  readonly width: number;
  readonly height: number;
}

/** A grid of modules over steps that fits a width, or is as narrow as can still be read. */
export function gridOf(look: Look, width: number): Grid {
  const steps = look.inputs.length;
  const cell = Math.max(steps > 100 ? 2 : 5, Math.min(44, (width - LEFT - 2) / steps));
  return { cell, left: LEFT, width: LEFT + cell * steps + 2, height: at(look.mask, 0).length * ROW };
}

function image(width: number, height: number, text: string): SVGSVGElement {
  return draw('svg', { width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': text });
}

/**
 * Rectangles of modules over steps. Where a step is narrow, what does not differ from one to the next is one rectangle.
 * @param part how full a cell is, 0 to 1
 */
function cells(
  { mask }: Look,
  { cell, height }: Grid,
  top: number,
  kind: string,
  part: (t: number, n: number) => number,
): SVGGElement {
  const group = draw('g', { transform: `translate(${LEFT} ${top})` });
  const isNarrow = cell < 9;
  const block = (n: number, from: number, to: number, more: Readonly<Record<string, string>>): void => {
    const place = { x: from * cell, y: n * ROW, width: (to - from) * cell - (isNarrow ? 0 : GAP), height: ROW - GAP };
    group.append(draw('rect', { ...place, rx: isNarrow ? 0 : 2, ...more }));
  };
  at(mask, 0).forEach((_, n) => {
    if (isNarrow) block(n, 0, mask.length, { class: 'off' });
    for (let t = 0; t < mask.length; ) {
      const full = part(t, n);
      let end = t + 1;
      while (isNarrow && end < mask.length && part(end, n) === full) end++;
      if (!isNarrow) block(n, t, end, { class: 'off' });
      if (full > 0.004) block(n, t, end, { class: kind, 'fill-opacity': Math.min(1, full).toFixed(3) });
      t = end;
    }
  });
  group.append(draw('rect', { class: 'none', 'data-grid': true, width: cell * mask.length, height }));
  return group;
}

function names(look: Look, top: number): SVGGElement {
  const group = draw('g', { class: 'muted', 'text-anchor': 'end' });
  at(look.mask, 0).forEach((_, n) => {
    group.append(draw('text', { x: LEFT - 8, y: top + n * ROW + 13 }, `${n + 1}`));
  });
  return group;
}

function cursor({ cell }: Grid, top: number, height: number): SVGRectElement {
  return draw('rect', { class: 'cursor', y: top - 1, width: cell, height: height + 1, rx: Math.min(2, cell / 2) });
}

/** Moves the cursor of a strip to a step. */
export function moveCursor(strip: Element, { cell, left }: Grid, t: number): void {
  strip.querySelector('.cursor')?.setAttribute('x', `${left + t * cell - 1}`);
}

/** Who is active; above it the phases, under it what is read, wanted and answered. */
export function drawStrip(look: Look, reading: Reading, width: number): SVGSVGElement {
  const grid = gridOf(look, width);
  const { cell } = grid;
  const steps = look.inputs.length;
  const { phases } = reading;
  const top = phases.length > 0 ? 20 : 2;
  const active = look.mask.flat().reduce((sum, on) => sum + on, 0);
  const modules = at(look.mask, 0).length;
  const text = `Active modules at each of ${steps} steps: ${(active / steps).toFixed(1)} of ${modules} on average; ${reading.outcome}`;
  const svg = image(grid.width, top + grid.height + reading.height, text);
  for (const { name, from, to } of phases) {
    const place = { class: 'phase', x: LEFT + ((from + to) / 2) * cell, y: 12, 'text-anchor': 'middle' };
    svg.append(draw('text', place, (to - from) * cell < 34 ? name.slice(0, 1) : name));
  }
  svg.append(
    names(look, top),
    cells(look, grid, top, 'on', (step, n) => at(at(look.mask, step), n)),
  );
  for (const { from } of phases.slice(1)) {
    const x = LEFT + from * cell - 1;
    svg.append(draw('line', { class: 'border', x1: x, x2: x, y1: 4, y2: top + grid.height + 44 }));
  }
  const under = draw('g', { transform: `translate(${LEFT} ${top + grid.height})` }, reading.drawn(cell));
  svg.append(under, cursor(grid, top, grid.height));
  return svg;
}

/** How much each module attends to the input, of active and inactive ones. */
export function drawInput(look: Look, input: readonly (readonly number[])[], width: number): SVGSVGElement {
  const grid = gridOf(look, width);
  const mean = input.flat().reduce((sum, x) => sum + x, 0) / Math.max(1, input.flat().length);
  const svg = image(
    grid.width,
    grid.height + 4,
    `Attention of each module to the input at each step: ${Math.round(100 * mean)} percent on average`,
  );
  svg.append(
    names(look, 2),
    cells(look, grid, 2, 'heat', (step, n) => at(at(input, step), n)),
    cursor(grid, 2, grid.height),
  );
  return svg;
}

/** Who listens to whom at one step. */
export function drawTalk(map: readonly (readonly number[])[], mask: readonly number[], t: number): SVGSVGElement {
  const size = mask.length;
  const cell = Math.max(10, Math.min(40, Math.floor(232 / size)));
  const side = size * cell;
  const svg = image(side + 46, side + 46, `Communication at step ${t + 1}: ${sentence(map, mask)}`);
  const label = (x: number, y: number, text: string, more: Readonly<Record<string, string>> = {}): void => {
    svg.append(draw('text', { class: 'muted', x, y, 'text-anchor': 'middle', ...more }, text));
  };
  label(46 + side / 2, 11, 'listened to');
  label(0, 0, 'listens', { transform: `translate(11 ${46 + side / 2}) rotate(-90)` });
  mask.forEach((on, n) => {
    if (cell >= 12) {
      label(46 + (n + 0.5) * cell, 36, `${n + 1}`);
      label(32, 46 + (n + 0.5) * cell + 4, `${n + 1}`);
    }
    mask.forEach((_, source) => {
      const place = { x: 46 + source * cell, y: 46 + n * cell, width: cell - GAP, height: cell - GAP, rx: 3 };
      svg.append(draw('rect', { ...place, class: on === 1 ? 'off' : 'void' }));
      const share = on === 1 ? at(at(map, n), source) : 0;
      if (share > 0.004) svg.append(draw('rect', { ...place, class: 'heat', 'fill-opacity': share.toFixed(3) }));
    });
  });
  return svg;
}

/** The strongest source of each module that listens. */
function sentence(map: readonly (readonly number[])[], mask: readonly number[]): string {
  const parts = map.flatMap((row, n) => {
    if (mask[n] !== 1) return [];
    const most = Math.max(...row);
    return [`${n + 1} to ${row.indexOf(most) + 1} (${Math.round(100 * most)} percent)`];
  });
  return parts.length === 0 ? 'nobody listens' : `each module listens most: ${parts.join(', ')}`;
}

const DRAWN = [
  'fill',
  'fill-opacity',
  'stroke',
  'stroke-width',
  'font-size',
  'font-weight',
  'font-family',
  'text-anchor',
];

/** Drawings under each other as one picture, in the colours of now, at twice their size. */
export async function picture(drawings: readonly SVGSVGElement[]): Promise<Blob | null> {
  const width = Math.max(0, ...drawings.map((each) => each.width.baseVal.value)) + 24;
  const height = drawings.reduce((sum, each) => sum + each.height.baseVal.value + 12, 12);
  const canvas = document.createElement('canvas');
  canvas.width = 2 * width;
  canvas.height = 2 * height;
  const context = canvas.getContext('2d');
  if (context === null) return null;
  context.scale(2, 2);
  context.fillStyle = colour('card');
  context.fillRect(0, 0, width, height);
  let top = 12;
  for (const drawing of drawings) {
    context.drawImage(await loaded(alone(drawing)), 12, top);
    top += drawing.height.baseVal.value + 12;
  }
  return new Promise((resolve) => canvas.toBlob(resolve, 'image/png'));
}

/** A copy that needs no style sheet. */
function alone(drawing: SVGSVGElement): string {
  const copy = drawing.cloneNode(true);
  if (!(copy instanceof SVGSVGElement)) return '';
  const [from, to] = [drawing.querySelectorAll('*'), copy.querySelectorAll('*')];
  from.forEach((element, i) => {
    const style = getComputedStyle(element);
    for (const name of DRAWN) to[i]?.setAttribute(name, style.getPropertyValue(name));
  });
  return new XMLSerializer().serializeToString(copy);
}

function loaded(svg: string): Promise<HTMLImageElement> {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error('the drawing could not be made a picture'));
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  });
}
