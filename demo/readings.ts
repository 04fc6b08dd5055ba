// What a sequence of each task is to a person: in words, drawn under the strip of the modules, and for pixels as an image.
//
// Always: symbols are written, numbers are shades, pixels are pixels; what is wanted and answered stands beside them, and all that is
// drawn is in words too. A drawing begins where the first step does. Not here: the modules (drawings.ts), the looking (trainer.ts).

import { copyingPhases } from '../bench/tasks/index.ts';
import { at } from '../engine/errors.ts';
import { draw } from './dom.ts';
import type { Look } from './messages.ts';
import type { Settings, TaskName } from './settings.ts';

/** Steps with a name, from one up to but not including another. */
export interface Phase {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** One sequence of a task. */
export interface Reading {
  readonly phases: readonly Phase[];
  /** The step that is worth looking at first. */
  readonly start: number;
  /** How it came out: `2 of 3 digits answered right`. */
  readonly outcome: string;
  /** What a step reads: `the digit 3`. */
  reads(t: number): string;
  /** Height of what is drawn under the modules. */
  readonly height: number;
  /** Draws it, for steps of that width. */
  drawn(cell: number): SVGGElement;
  /** The image that is read, up to a step; left out where there is none. */
  image?(t: number): SVGSVGElement;
}

/** What the sequence of a look is. */
export function readingOf(look: Look, settings: Settings): Reading {
  return readings[settings.task](look, settings);
}

const readings: Readonly<Record<TaskName, (look: Look, settings: Settings) => Reading>> = {
  copying: copyingReading,
  adding: addingReading,
  smnist: digitReading,
};

/** Side of an image. */
const IMAGE = 168;
/** What lies side by side has no seams. */
const CRISP = { 'shape-rendering': 'crispEdges' };

function copyingReading(look: Look, { digits }: Settings): Reading {
  const { wanted, answers, setting } = look;
  const symbols = look.inputs.map(Number);
  const steps = symbols.length;
  const { input, blank, recall } = copyingPhases({ digits, blank: setting });
  const phase = (name: string, [from, to]: readonly [number, number]): Phase => ({ name, from, to });
  const recalled = Array.from({ length: digits }, (_, i) => recall[0] + i);
  const isRight = (step: number): boolean => at(answers, step) === at(wanted, step);
  const shown = (symbol: number): string => (symbol === 0 ? '·' : symbol === 9 ? '?' : `${symbol}`);
  return {
    phases: [phase('digits', input), phase('blank', blank), phase('recall', recall)],
    start: recall[0],
    outcome: `${recalled.filter(isRight).length} of ${digits} digits answered right`,
    reads: (t) => {
      const symbol = at(symbols, t);
      return symbol === 0 ? 'a blank' : symbol === 9 ? 'the marker' : `the digit ${symbol}`;
    },
    height: 48,
    drawn: (cell) => {
      const group = draw('g', { 'text-anchor': 'middle', 'font-size': cell < 9 ? 8 : 11 });
      const write = (step: number, y: number, kind: string, symbol: number): void => {
        group.append(draw('text', { class: kind, x: (step + 0.5) * cell - 1, y }, shown(symbol)));
      };
      symbols.forEach((symbol, step) => {
        write(step, 14, 'ink', symbol);
      });
      for (const step of recalled) {
        write(step, 29, 'muted', at(wanted, step));
        write(step, 44, isRight(step) ? 'good' : 'bad', at(answers, step));
      }
      if ((steps - digits) * cell > 150) {
        const place = { class: 'muted', x: recall[0] * cell - 8, 'text-anchor': 'end', 'font-size': 11 };
        group.append(draw('text', { ...place, y: 29 }, 'wanted'), draw('text', { ...place, y: 44 }, 'answered'));
      }
      return group;
    },
  };
}

function addingReading({ inputs, wanted, answers }: Look): Reading {
  const rows = inputs.map((row) => (typeof row === 'number' ? [row] : row));
  const value = (t: number): number => at(at(rows, t), 0);
  const isMarked = (t: number): boolean => at(rows, t).some((channel, i) => i > 0 && channel === 1);
  const marked = rows.flatMap((_, t) => (isMarked(t) ? [t] : []));
  const [sum, answer] = [at(wanted, 0), at(answers, 0)];
  const terms = marked.map((t) => value(t).toFixed(2)).join(' + ');
  return {
    phases: [],
    start: marked[0] ?? 0,
    outcome: `${terms} = ${sum.toFixed(2)}, answered ${answer.toFixed(2)}`,
    reads: (t) => `${value(t).toFixed(2)}${isMarked(t) ? ', marked' : ''}`,
    height: 34,
    drawn: (cell) => {
      const group = draw('g', { 'text-anchor': 'middle' });
      group.append(shades(rows.length, cell, value));
      for (const t of marked) group.append(draw('text', { class: 'ink', x: (t + 0.5) * cell, y: 30 }, '▲'));
      return group;
    },
  };
}

function digitReading({ inputs, wanted, answers, setting: side }: Look): Reading {
  const pixels = inputs.map(Number);
  const [digit, answer] = [at(wanted, 0), at(answers, 0)];
  return {
    phases: [],
    start: pixels.length - 1,
    outcome: `it is ${digit}, answered ${answer}`,
    reads: (t) => `row ${Math.floor(t / side) + 1}, column ${(t % side) + 1}: ${at(pixels, t) === 1 ? 'ink' : 'paper'}`,
    height: 20,
    drawn: (cell) => shades(pixels.length, cell, (t) => at(pixels, t)),
    image: (t) => {
      const cell = IMAGE / side;
      const words = `The digit ${digit} in ${side} by ${side} pixels, read up to row ${Math.floor(t / side) + 1}`;
      const svg = draw('svg', {
        width: IMAGE,
        height: IMAGE,
        viewBox: `0 0 ${IMAGE} ${IMAGE}`,
        role: 'img',
        'aria-label': words,
        ...CRISP,
      });
      svg.append(draw('rect', { class: 'off', width: IMAGE, height: IMAGE }));
      const place = (i: number): { x: number; y: number } => ({ x: (i % side) * cell, y: Math.floor(i / side) * cell });
      pixels.forEach((pixel, i) => {
        // What is still to come is faint.
        if (pixel === 1)
          svg.append(
            draw('rect', { ...place(i), width: cell, height: cell, class: 'on', 'fill-opacity': i <= t ? 1 : 0.25 }),
          );
      });
      svg.append(draw('rect', { ...place(t), width: cell, height: cell, class: 'cursor' }));
      return svg;
    },
  };
}

/** A row of shades, a step each: from nothing for 0 to full for 1. */
function shades(steps: number, cell: number, value: (t: number) => number): SVGGElement {
  const group = draw('g', CRISP, draw('rect', { class: 'off', y: 4, width: steps * cell, height: 14 }));
  for (let t = 0; t < steps; t++) {
    const full = value(t);
    if (full > 0.004) {
      const place = { x: t * cell, y: 4, width: cell, height: 14 };
      group.append(draw('rect', { ...place, class: 'on', 'fill-opacity': Math.min(1, full).toFixed(3) }));
    }
  }
  return group;
}
