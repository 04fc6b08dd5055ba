// What the page says of the task and the models; the figures of the last step, the legends, and the table at growing settings. Always: what is shown is what was measured
// last, beside a model that has learned nothing; bars are ornaments of numbers that stand there as text.

import type { Evaluation } from '../bench/metrics.ts';
import { dashOf } from '../bench/model-looks.ts';
import { systemOf } from '../bench/models.ts';
import { selected } from '../bench/selection.ts';
import { trivialAt } from '../bench/task-facts.ts';
import { byId, make, percent } from './dom.ts';
import { wear } from './looks.ts';
import type { ModelFigures } from './messages.ts';
import { modelNames, type Settings } from './settings.ts';
import { type PageTask, sentence } from './tasks.ts';

/** What the row of figures shows; missing before anything is known. */
export interface Shown {
  readonly step: number;
  readonly stepsPerSecond?: number;
  readonly memory?: number;
  readonly models: readonly ModelFigures[];
}

/** Shows the figures of the last step. */
export function showFigures({ words, shown }: PageTask, { step, stepsPerSecond, memory, models }: Shown): void {
  const each = (text: (figures: ModelFigures) => string): (Node | string)[] =>
    models.length === 0
      ? ['–']
      : models.map((figures) => make('span', {}, make('small', {}, figures.model), ` ${text(figures)}`));
  const share = (value: number | undefined): string => (value === undefined ? '–' : percent(value));
  const entries: readonly (readonly [string, readonly (Node | string)[]])[] = [
    ['Step', [step.toLocaleString('en')]],
    ['Loss', each(({ loss }) => loss.toPrecision(3))],
    [sentence(words.shown), each(({ figures }) => share(figures[shown.name]))],
    ['Steps a second', [stepsPerSecond === undefined || stepsPerSecond === 0 ? '–' : stepsPerSecond.toPrecision(3)]],
    ['GPU memory', [memory === undefined ? '–' : `${(memory / 2 ** 20).toFixed(1)} MiB`]],
  ];
  byId('figures', HTMLDListElement).replaceChildren(
    ...entries.map(([name, value]) =>
      make('div', { 'data-figure': name }, make('dt', {}, name), make('dd', {}, ...value)),
    ),
  );
}

/** Shows what is learned, by whom, and what the charts are of. */
export function showWords({ words }: PageTask, settings: Settings): void {
  const [, other] = modelNames(settings);
  const then =
    other === undefined
      ? 'Then it is tested'
      : `The ${systemOf(other).system} learns beside it, on the same sequences. Then both are tested`;
  byId('lead', HTMLParagraphElement).textContent =
    `A network of modules that compete for the input and talk sparsely learns to ${words.does}, here, on your own GPU. ` +
    `${then} on ${words.settings} that training does not have.`;
  byId('loss-caption', HTMLElement).textContent = words.lossCaption;
  byId('share-title', HTMLHeadingElement).textContent = sentence(words.shown);
  byId('share-caption', HTMLElement).textContent = words.shownCaption;
}

/** Shows which line is whose, above every chart. */
export function showLegends({ words }: PageTask, models: readonly string[]): void {
  for (const place of document.querySelectorAll('[data-legend]')) {
    place.replaceChildren(
      ...models.map((model) => {
        const [dash] = dashOf(model);
        return wear(
          make('li', { 'data-line': dash === undefined ? 'solid' : dash > 2 ? 'dashed' : 'dotted' }, model),
          model,
        );
      }),
      make('li', { class: 'level' }, words.level),
    );
  }
}

/** Shows the last evaluations: a row for each setting, a column for each model. */
export function showComparison(
  { facts, shown, words }: PageTask,
  { evaluateEvery }: Settings,
  models: readonly string[],
  evaluations: readonly Evaluation[],
): void {
  const last = selected(evaluations, 'last', facts);
  const { setting: name, trained, source } = facts;
  const settings = [...new Set([...facts.tested, ...last.map(({ setting }) => setting)])].sort((a, b) => a - b);
  const cell = (value: number | undefined, model?: string): HTMLElement => {
    if (value === undefined) return make('td', {}, make('span', { class: 'value' }, '–'));
    const bar = make('span', { class: 'bar', 'aria-hidden': 'true' });
    bar.style.setProperty('--share', `${Math.max(0.005, value)}`);
    if (model !== undefined) wear(bar, model);
    return make('td', {}, make('span', { class: 'value' }, percent(value)), bar);
  };
  const rows = settings.map((setting) => {
    const title = setting === trained ? [`${setting} `, make('small', {}, 'as trained')] : [`${setting}`];
    const values = models.map((model) => {
      const found = last.find((each) => each.model === model && each.setting === setting);
      return cell(found?.figures[shown.name], model);
    });
    return make('tr', {}, make('th', { scope: 'row' }, ...title), ...values);
  });
  const trivial = trivialAt(facts, trained)[shown.name];
  const level = make(
    'tr',
    { class: 'level' },
    make('th', { scope: 'row' }, words.level),
    ...models.map(() => cell(trivial)),
  );
  const heads = [sentence(name), ...models].map((head) => make('th', { scope: 'col' }, head));
  byId('compare', HTMLTableElement).replaceChildren(
    make('thead', {}, make('tr', {}, ...heads)),
    make('tbody', {}, ...rows, level),
  );
  byId('compare-title', HTMLHeadingElement).textContent = `At growing ${words.settings}`;
  const when =
    last.length === 0
      ? `First tested after ${evaluateEvery} steps.`
      : `Tested at step ${Math.max(...last.map((each) => each.step)).toLocaleString('en')}.`;
  byId('compare-text', HTMLParagraphElement).textContent =
    `${sentence(words.shown)} on test sequences. Training has only the ${name} of ${trained}. ${when}`;
  const told = byId('source', HTMLParagraphElement);
  told.hidden = source === undefined;
  told.textContent = source === undefined ? '' : `Data: ${source}.`;
}
