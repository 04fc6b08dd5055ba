// The report of a run: one self-contained HTML page that tells what was run, how it came out, and which modules were
// active when, as Figure 2 of the paper does. It is made from the run folder alone, whatever the task and the models.
//
// Always: the page asks for nothing from anywhere (its own policy forbids it), works from a file, in light and dark, on
// paper and on a phone; every figure has a caption and a text alternative; every text from outside is escaped; parts that
// a stopped run has no figures for are left out.
// Not here: the drawing of the charts (charts.ts), the strips (report-strips.ts), the page's looks (report-style.ts).

import { at } from '../engine/errors.ts';
import { type Line, type LineChart, lineChart } from './charts.ts';
import { escapeText, htmlPage } from './html-page.ts';
import { type Activation, type Evaluation, sortMetrics, type TrainStep } from './metrics.ts';
import { dashOf, lookOf } from './model-looks.ts';
import { stripsSection } from './report-strips.ts';
import { count, figureName, figureText, minutes, sentence, shown, words } from './report-words.ts';
import { BOLD, bestText, ruleInWords, TRIVIAL, worseThanTrivial } from './results-table.ts';
import type { Run } from './runs.ts';
import { type SelectionRule, selected, selectionRules } from './selection.ts';
import { shownFigure, type TaskFacts, trivialAt } from './task-facts.ts';
import type { Figure } from './tasks/index.ts';

/** What a report is made from: a run in memory, or one that `readRun` gave back. */
export type Report = Pick<Run, 'name' | 'config' | 'metrics'>;

// A curve is drawn with at most so many points, each the mean over equally many steps.
const CURVE_POINTS = 200;
// Tasks whose names are no words.
const TITLES: Readonly<Record<string, string>> = { smnist: 'sequential digits' };
// More models than these fill the width of the page by themselves.
const MANY = 3;
// Options that tell where a run or its data were put, not what was run: a page that is passed on does not show them.
const PLACES: readonly string[] = ['out', 'name', 'force', 'json', 'mnist'];

/** The report page of a run: a whole HTML document. */
export async function renderReport(report: Report): Promise<string> {
  const page = new Page(report);
  const sections = [
    page.header(),
    page.results(),
    await page.curves(),
    await page.modules(),
    page.setup(),
    page.footer(),
  ];
  return htmlPage(`${report.name} - rimgrad`, sections);
}

// The sections of one page, and what they share.
class Page {
  readonly #report: Report;
  readonly #task: TaskFacts;
  readonly #rule: SelectionRule;
  /** The figure that stands for all where there is room for one. */
  readonly #shown: Figure;
  readonly #steps: readonly TrainStep[];
  readonly #evaluations: readonly Evaluation[];
  readonly #activations: readonly Activation[];
  readonly #models: readonly string[];
  readonly #results: readonly Evaluation[];
  readonly #settings: readonly number[];

  constructor(report: Report) {
    const { steps, evaluations, activations } = sortMetrics(report.metrics);
    const { task, options } = report.config;
    this.#report = report;
    this.#task = task;
    this.#rule = selectionRules.find((rule) => rule === options.select) ?? 'last';
    this.#shown = shownFigure(task);
    this.#steps = steps;
    this.#evaluations = evaluations;
    this.#activations = activations;
    this.#models = [...new Set([...steps, ...evaluations].map((metric) => metric.model))];
    this.#results = selected(evaluations, this.#rule, task);
    this.#settings = [...new Set(this.#results.map(({ setting }) => setting))].sort((a, b) => a - b);
  }

  header(): string {
    const { name, config } = this.#report;
    const note = config.note ?? (config.status === 'running' ? 'still running, or killed' : '');
    const beyond = this.#task.tested.some((setting) => setting !== this.#task.trained) ? ', and beyond' : '';
    return `<header>
<p class="kicker">rimgrad · ${escapeText(TITLES[this.#task.name] ?? `the ${this.#task.name} task`)}</p>
<h1>${escapeText(this.#task.headline)}${beyond}</h1>
<p class="lead">${escapeText(this.#summary())}</p>
<p class="meta">Run <strong>${escapeText(name)}</strong> · ${escapeText(config.started.slice(0, 16).replace('T', ' '))} UTC · ${escapeText(config.adapter)}</p>
${config.task.source === undefined ? '' : `<p class="meta">Data: ${escapeText(config.task.source)}</p>`}
${note === '' ? '' : `<p class="note">This run is not complete: ${escapeText(note)}.</p>`}
</header>`;
  }

  results(): string {
    if (this.#results.length === 0) return '';
    const tables = this.#task.figures.map((figure) => this.#table(figure));
    const { setting, trained } = this.#task;
    const { batch, testBatches } = this.#report.config.options;
    const known = typeof batch === 'number' && typeof testBatches === 'number';
    const measured = known ? `On ${count(batch * testBatches, 'test sequence')}` : 'On test sequences';
    const lines = [
      `${measured}, ${ruleInWords(this.#rule, this.#task)}. Trained at a ${setting} of ${trained} only; trivial is ${TRIVIAL}.`,
      this.#rule === 'last' ? '' : `Weights are of: ${this.#checkpoints()}.`,
      this.#models.length > 1 ? BOLD : '',
    ];
    return `<section aria-labelledby="results">
<h2 id="results">Results</h2>
<p>${escapeText(lines.join(' ').trim())}</p>
<div class="tables${this.#models.length > MANY ? ' long' : ''}">
${tables.join('\n')}
</div>
</section>`;
  }

  async curves(): Promise<string> {
    const figures: string[] = [];
    const { setting, trained } = this.#task;
    const { label } = this.#shown;
    if (this.#settings.length > 1) {
      const caption = `${sentence(label)} against the ${setting} of the test sequences. Training: ${trained}.`;
      const value = (model: string, each: number): Line['points'] => {
        const found = this.#at(model, each)?.figures[this.#shown.name];
        return found === undefined ? [] : [[each, found]];
      };
      const lines = this.#lines((model) => this.#settings.flatMap((each) => value(model, each)));
      figures.push(await this.#chart('Generalisation', caption, { x: setting, lines, marked: true }, this.#shown));
    }
    if (this.#steps.length > 1) figures.push(...(await this.#training()));
    for (const each of this.#settings) {
      const lines = this.#over(each, 'test');
      if (each === trained || lines.every((line) => line.points.length < 2)) continue;
      const caption = `${sentence(label)} on test sequences with a ${setting} of ${each}, ${this.#factor(each)} that of training, as training goes on.`;
      figures.push(await this.#chart(`${sentence(setting)} ${each}`, caption, { x: 'step', lines }, this.#shown, each));
    }
    if (figures.length === 0) return '';
    return `<section aria-labelledby="curves">
<h2 id="curves">Curves</h2>
<ul class="legend">${this.#legend()}</ul>
<div class="charts">
${figures.join('\n')}
</div>
</section>`;
  }

  modules(): Promise<string> {
    return stripsSection(this.#report.config, this.#activations);
  }

  setup(): string {
    const { config } = this.#report;
    const parameters = Object.entries(config.parameters).map(
      ([model, size]) => `${model} ${size.toLocaleString('en-US')}`,
    );
    const device = [
      ['adapter', config.adapter],
      ['runtime', config.runtime],
      ['parameters', parameters.join(', ')],
      ['time', this.#models.map((model) => `${model} ${minutes(this.#of(model))}`).join(', ')],
    ] as const;
    const options = Object.entries(config.options)
      .filter(([name]) => !PLACES.includes(name))
      .map(([name, value]) => [words(name), shown(value)] as const);
    return `<section aria-labelledby="setup">
<h2 id="setup">What was run</h2>
${list(device, ' class="wide"')}
${list(options, '')}
</section>`;
  }

  footer(): string {
    return `<footer>
<p>${escapeText(this.#task.explanation)} Models and tasks: Goyal et al., Recurrent Independent Mechanisms, arXiv 1909.10893.</p>
</footer>`;
  }

  // What came out, in one or two sentences, whatever it is.
  #summary(): string {
    const { setting, trained } = this.#task;
    const longest = this.#settings[this.#settings.length - 1] ?? trained;
    const steps = new Set(this.#results.map(({ step }) => step));
    const text = (found: Evaluation): string => figureText(this.#shown, found.figures[this.#shown.name]);
    const parts: string[] = [];
    for (const model of this.#models) {
      const near = this.#at(model, trained);
      if (near === undefined) continue;
      const far = longest === trained ? undefined : this.#at(model, longest);
      const first = parts.length === 0;
      const where = first ? ` at the training ${setting} of ${trained}` : '';
      const beyond = far === undefined ? '' : ` and ${text(far)}${first ? ` at a ${setting} of ${longest}` : ''}`;
      const after = steps.size === 1 ? '' : ` after ${count(near.step, 'training step')}`;
      const is = first ? ` ${this.#shown.label} is` : '';
      parts.push(`the ${model}'s${is} ${text(near)}${where}${beyond}${after}`);
    }
    if (parts.length === 0) return 'There is no evaluation of this run.';
    const after = steps.size === 1 ? `After ${count(Math.max(...steps), 'training step')}, ` : '';
    const level = figureText(this.#shown, trivialAt(this.#task, trained)[this.#shown.name]);
    const told = [`${sentence(after + parts.join('; '))}. ${sentence(TRIVIAL)} has ${level}.`];
    return [...told, ...worseThanTrivial(this.#task, this.#results)].join(' ');
  }

  // The checkpoint of each model that the results are of.
  #checkpoints(): string {
    const each = this.#models.map((model) => {
      const steps = [...new Set(this.#results.filter((found) => found.model === model).map(({ step }) => step))];
      return `${model} step ${steps.sort((a, b) => a - b).join(', ')}`;
    });
    return each.join('; ');
  }

  #table(figure: Figure): string {
    const heads = this.#models.map((model) => `<th scope="col">${escapeText(model)}</th>`).join('');
    const rows = this.#settings.map((setting) => {
      const values = this.#models.map((model) => this.#at(model, setting)?.figures[figure.name]);
      const level = trivialAt(this.#task, setting)[figure.name];
      const best = bestText(figure, values, level, (value) => figureText(figure, value));
      const cells = values.map((value) => {
        const text = figureText(figure, value);
        return `<td${value !== undefined && text === best ? ' class="best"' : ''}>${text}</td>`;
      });
      const trivial = figureText(figure, level);
      return `<tr><th scope="row">${setting} <small>${this.#factor(setting)}</small></th>${cells.join('')}<td class="level">${trivial}</td></tr>`;
    });
    const name = escapeText(sentence(figureName(figure)));
    return `<div class="scroll" tabindex="0" role="region" aria-label="Table: ${name}">
<table class="results">
<caption>${name}</caption>
<thead><tr><th scope="col">${escapeText(this.#task.setting)}</th>${heads}<th scope="col" class="level">trivial</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table>
</div>`;
  }

  // The curves of the steps themselves, and of the validations that chose among them.
  async #training(): Promise<string[]> {
    const { trained, loss, setting } = this.#task;
    const mean = Math.ceil(Math.max(...this.#models.map((model) => this.#of(model).length)) / CURVE_POINTS);
    const every =
      mean === 1 ? 'A point for each reported step.' : `Each point is the mean over about ${mean} reported steps.`;
    const curves = (value: (step: TrainStep) => number | undefined): readonly Line[] =>
      this.#lines((model) => curve(this.#of(model), mean, value));
    const minimised = this.#task.figures.find(({ name }) => name === loss) ?? LOSS;
    const charts = [
      await this.#chart(
        'Loss',
        `What training minimises${minimised === LOSS ? '' : `: ${minimised.label}`}. ${every}`,
        { x: 'step', lines: curves((step) => step.loss) },
        minimised,
      ),
    ];
    if (this.#shown !== minimised) {
      charts.push(
        await this.#chart(
          `${sentence(this.#shown.label)} in training`,
          `${sentence(this.#shown.label)} on the training batches. ${every}`,
          { x: 'step', lines: curves((step) => step.figures[this.#shown.name]) },
          this.#shown,
        ),
      );
    }
    const validations = this.#over(trained, 'validation', at(this.#task.figures, 0));
    if (this.#rule === 'last' || validations.every((line) => line.points.length < 2)) return charts;
    const deciding = at(this.#task.figures, 0);
    const caption = `${sentence(deciding.label)} on validation sequences at the training ${setting}, by which the step was chosen.`;
    return [...charts, await this.#chart('Validation', caption, { x: 'step', lines: validations }, deciding)];
  }

  async #chart(
    title: string,
    caption: string,
    chart: Pick<LineChart, 'x' | 'lines' | 'marked'>,
    figure: Figure,
    setting: number = this.#task.trained,
  ): Promise<string> {
    const value = trivialAt(this.#task, setting)[figure.name];
    const svg = await lineChart({
      ...chart,
      text: escapeText(caption),
      y: figure.unit === 'nats' ? 'nats' : figure.label,
      scale: figure.unit === 'share' ? 'share' : 'log',
      ...(value !== undefined && { level: value }),
    });
    return `<figure>\n<h3>${escapeText(title)}</h3>\n${svg}\n<figcaption>${escapeText(caption)}</figcaption>\n</figure>`;
  }

  // A line for each model of what was measured at one setting as training went on.
  #over(setting: number, split: Evaluation['split'], figure: Figure = this.#shown): readonly Line[] {
    return this.#lines((model) =>
      this.#evaluations.flatMap((each): Line['points'] => {
        const value = each.figures[figure.name];
        const is = each.model === model && each.setting === setting && each.split === split;
        return is && value !== undefined ? [[each.step, value]] : [];
      }),
    );
  }

  #legend(): string {
    const items = this.#models.map((model) => {
      const dash = dashOf(model).length > 0 ? ` stroke-dasharray="${dashOf(model).join(' ')}"` : '';
      return `<li><svg aria-hidden="true" viewBox="0 0 32 11"><line x1="0" y1="6" x2="32" y2="6" stroke="var(--${lookOf(model)})" stroke-width="3"${dash}/></svg>${escapeText(model)}</li>`;
    });
    return `${items.join('')}<li><i class="dash"></i>${TRIVIAL}</li>`;
  }

  #at(model: string, setting: number): Evaluation | undefined {
    return this.#results.find((evaluation) => evaluation.model === model && evaluation.setting === setting);
  }

  #of(model: string): readonly TrainStep[] {
    return this.#steps.filter((step) => step.model === model);
  }

  #lines(points: (model: string) => Line['points']): readonly Line[] {
    return this.#models.map((model) => {
      return { name: model, colour: `var(--${lookOf(model)})`, dash: dashOf(model), points: points(model) };
    });
  }

  #factor(setting: number): string {
    const times = setting / this.#task.trained;
    return setting === this.#task.trained ? 'trained' : `× ${Number.isInteger(times) ? times : times.toFixed(1)}`;
  }
}

// A loss that is none of the figures.
const LOSS: Figure = { name: 'loss', label: 'loss', unit: '', better: 'lower' };

// Means over `size` neighbouring steps, each at its last step.
function curve(
  steps: readonly TrainStep[],
  size: number,
  value: (step: TrainStep) => number | undefined,
): Line['points'] {
  const points: [number, number][] = [];
  for (let from = 0; from < steps.length; from += size) {
    const bin = steps.slice(from, from + size);
    const values = bin.flatMap((step) => value(step) ?? []);
    if (values.length === 0) continue;
    points.push([at(bin, bin.length - 1).step, values.reduce((sum, each) => sum + each, 0) / values.length]);
  }
  return points;
}

function list(pairs: readonly (readonly [string, string])[], attributes: string): string {
  const items = pairs.map(([name, value]) => `<div><dt>${escapeText(name)}</dt><dd>${escapeText(value)}</dd></div>`);
  return `<dl${attributes}>${items.join('')}</dl>`;
}
