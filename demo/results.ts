// The figures of the last step, the legends, and the table at growing blanks. Always: what is shown is what was measured
// last, beside a model that remembers nothing; bars are ornaments of numbers that stand there as text.

import type { Evaluation } from '../bench/metrics.ts';
import { selected } from '../bench/selection.ts';
import { copyingTask, memoryless } from '../bench/tasks/index.ts';
import { MODELS } from './charts.ts';
import { byId, make, percent } from './dom.ts';
import type { ModelFigures } from './messages.ts';
import { type Settings, testBlanks } from './settings.ts';

/** What the row of figures shows; missing before anything is known. */
export interface Shown {
  readonly step: number;
  readonly stepsPerSecond?: number;
  readonly memory?: number;
  readonly models: readonly ModelFigures[];
}

/** Shows the figures of the last step. */
export function showFigures({ step, stepsPerSecond, memory, models }: Shown): void {
  const each = (text: (figures: ModelFigures) => string): (Node | string)[] =>
    models.length === 0
      ? ['–']
      : models.map((figures) =>
          make('span', { class: figures.model.toLowerCase() }, make('small', {}, figures.model), ` ${text(figures)}`),
        );
  const entries: readonly (readonly [string, readonly (Node | string)[]])[] = [
    ['Step', [step.toLocaleString('en')]],
    ['Loss', each(({ loss }) => loss.toPrecision(3))],
    ['Last digits right', each(({ figures }) => percent(figures.accuracy ?? 0))],
    ['Steps a second', [stepsPerSecond === undefined || stepsPerSecond === 0 ? '–' : stepsPerSecond.toPrecision(3)]],
    ['GPU memory', [memory === undefined ? '–' : `${(memory / 2 ** 20).toFixed(1)} MiB`]],
  ];
  byId('figures', HTMLDListElement).replaceChildren(
    ...entries.map(([name, value]) =>
      make('div', { 'data-figure': name }, make('dt', {}, name), make('dd', {}, ...value)),
    ),
  );
}

/** Shows which line is whose, above every chart. */
export function showLegends(lstm: boolean): void {
  for (const place of document.querySelectorAll('[data-legend]')) {
    place.replaceChildren(
      ...MODELS.filter((model) => model === 'RIM' || lstm).map((model) =>
        make('li', { class: model.toLowerCase() }, model),
      ),
      make('li', { class: 'level' }, 'without memory'),
    );
  }
}

/** Shows the last evaluations: a row for each blank, a column for each model. */
export function showComparison(settings: Settings, evaluations: readonly Evaluation[]): void {
  const { figures } = copyingTask({ digits: settings.digits });
  const last = selected(evaluations, 'last', { figures, trained: settings.blank });
  const models = MODELS.filter(
    (model) => model === 'RIM' || settings.lstm || last.some((each) => each.model === model),
  );
  const blanks = [...new Set([...testBlanks(settings), ...last.map(({ setting }) => setting)])].sort((a, b) => a - b);
  const cell = (value: number | undefined, kind: string): HTMLElement => {
    if (value === undefined) return make('td', {}, make('span', { class: 'value' }, '–'));
    const bar = make('span', { class: `bar ${kind}`, 'aria-hidden': 'true' });
    bar.style.setProperty('--share', `${Math.max(0.005, value)}`);
    return make('td', {}, make('span', { class: 'value' }, percent(value)), bar);
  };
  const rows = blanks.map((blank) => {
    const name = blank === settings.blank ? [`${blank} `, make('small', {}, 'as trained')] : [`${blank}`];
    const values = models.map((model) => {
      const found = last.find((each) => each.model === model && each.setting === blank);
      return cell(found?.figures.accuracy, model.toLowerCase());
    });
    return make('tr', {}, make('th', { scope: 'row' }, ...name), ...values);
  });
  const { accuracy } = memoryless(settings);
  const level = make(
    'tr',
    { class: 'level' },
    make('th', { scope: 'row' }, 'without memory'),
    ...models.map(() => cell(accuracy, 'none')),
  );
  const head = make(
    'tr',
    {},
    make('th', { scope: 'col' }, 'Blank'),
    ...models.map((model) => make('th', { scope: 'col' }, model)),
  );
  byId('compare', HTMLTableElement).replaceChildren(make('thead', {}, head), make('tbody', {}, ...rows, level));
  const [first] = last;
  const when =
    first === undefined
      ? `First tested after ${settings.evaluateEvery} steps.`
      : `Tested at step ${Math.max(...last.map((each) => each.step)).toLocaleString('en')}.`;
  byId('compare-text', HTMLParagraphElement).textContent =
    `Last digits right on test sequences; only the first blank occurs in training. ${when}`;
}
