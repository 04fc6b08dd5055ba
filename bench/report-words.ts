// How a report writes numbers, names and options. Always: what it returns is text, not HTML. Not here: the page (report.ts).

import type { TrainStep } from './metrics.ts';
import type { Figure } from './tasks/index.ts';

/** A figure of merit with its unit; a dash where there is none. */
export function figureText({ unit }: Pick<Figure, 'unit'>, value: number | undefined): string {
  if (value === undefined) return '–';
  if (unit === 'share') return `${(100 * value).toFixed(1)} %`;
  const size = Math.abs(value);
  return size >= 1000 || (size > 0 && size < 1e-3) ? value.toExponential(1) : value.toFixed(size < 0.1 ? 4 : 3);
}

/** A figure's name with its unit: `cross-entropy (nats)`. */
export function figureName({ label, unit }: Figure): string {
  return unit === 'nats' ? `${label} (nats)` : label;
}

/** The time of a training. */
export function minutes(steps: readonly TrainStep[]): string {
  const last = steps[steps.length - 1];
  if (last === undefined) return '–';
  return last.seconds < 90 ? `${last.seconds.toFixed(0)} s` : `${(last.seconds / 60).toFixed(1)} min`;
}

/** The name of an option as words: `key size`. */
export function words(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** The value of an option. */
export function shown(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'string' || typeof value === 'number') return `${value}`;
  return Array.isArray(value) ? value.join(', ') : JSON.stringify(value);
}

/** `1 step`, `2,000 steps`. */
export function count(n: number, what: string): string {
  return `${n.toLocaleString('en-US')} ${what}${n === 1 ? '' : 's'}`;
}

/** With a capital letter. */
export function sentence(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
