// The report of a run: one self-contained HTML page that tells what was run, how it came out, and which modules were
// active when, as Figure 2 of the paper does.
//
// Always: the page asks for nothing from anywhere (its own policy forbids it), works from a file, in light and dark, on
// paper and on a phone; every figure has a caption and a text alternative; every text from outside is escaped; parts that
// a stopped run has no figures for are left out.
// Not here: the drawing of the charts (charts.ts) and the page's looks (report-style.ts).

import { at, FileError } from '../engine/errors.ts';
import { activationStrip, type Line, lineChart } from './charts.ts';
import { escapeText, htmlPage } from './html-page.ts';
import { type Activation, type Evaluation, lastEvaluations, sortMetrics, type TrainStep } from './metrics.ts';
import type { Run } from './runs.ts';
import { copyingPhases, memoryless } from './tasks/copying.ts';

/** What a report is made from: a run in memory, or one that `readRun` gave back. */
export type Report = Pick<Run, 'name' | 'config' | 'metrics'>;

// A curve is drawn with at most so many points, each the mean over equally many steps.
const CURVE_POINTS = 200;
// Options that tell where a run was put, not what was run: a page that is passed on does not show them.
const PLACES: readonly string[] = ['out', 'name', 'force'];

/**
 * The report page of a copying run.
 *
 * @returns a whole HTML document.
 * @throws FileError when the config lacks `digits` or `blank`.
 */
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
  readonly #steps: readonly TrainStep[];
  readonly #evaluations: readonly Evaluation[];
  readonly #activations: readonly Activation[];
  readonly #models: readonly string[];
  readonly #last: readonly Evaluation[];
  readonly #blanks: readonly number[];
  readonly #digits: number;
  readonly #blank: number;

  constructor(report: Report) {
    const { steps, evaluations, activations } = sortMetrics(report.metrics);
    this.#report = report;
    this.#steps = steps;
    this.#evaluations = evaluations;
    this.#activations = activations;
    this.#models = [...new Set([...steps, ...evaluations].map((metric) => metric.model))];
    this.#last = lastEvaluations(evaluations);
    this.#blanks = [...new Set(this.#last.map((evaluation) => evaluation.blank))].sort((a, b) => a - b);
    this.#digits = option(report, 'digits');
    this.#blank = option(report, 'blank');
  }

  header(): string {
    const { name, config } = this.#report;
    const note = config.note ?? (config.status === 'running' ? 'still running, or killed' : '');
    return `<header>
<p class="kicker">rimgrad · the copying task</p>
<h1>Remembering ${count(this.#digits, 'digit')} over a blank of ${count(this.#blank, 'step')}, and longer</h1>
<p class="lead">${this.#summary()}</p>
<p class="meta">Run <strong>${escapeText(name)}</strong> · ${escapeText(config.started.slice(0, 16).replace('T', ' '))} UTC · ${escapeText(config.adapter)}</p>
${note === '' ? '' : `<p class="note">This run is not complete: ${escapeText(note)}.</p>`}
</header>`;
  }

  results(): string {
    if (this.#last.length === 0) return '';
    const level = memoryless({ digits: this.#digits, blank: this.#blank });
    const groups = this.#models.map((model) => `<th scope="colgroup" colspan="2">${escapeText(model)}</th>`).join('');
    const columns = this.#models.map(() => '<th scope="col">accuracy</th><th scope="col">cross-entropy</th>').join('');
    const rows = this.#blanks.map((blank) => {
      const found = this.#models.map((model) => this.#at(model, blank));
      const best = Math.max(...found.map((evaluation) => evaluation?.accuracy ?? 0));
      const cells = found.map((evaluation) => {
        if (evaluation === undefined) return '<td>–</td><td>–</td>';
        const mark = found.length > 1 && evaluation.accuracy === best ? ' class="best"' : '';
        return `<td${mark}>${percent(evaluation.accuracy)}</td><td>${nats(evaluation.crossEntropy)}</td>`;
      });
      return `<tr><th scope="row">${blank} <small>${this.#factor(blank)}</small></th>${cells.join('')}</tr>`;
    });
    const none = this.#models.map(() => `<td>${percent(level.accuracy)}</td><td>${nats(level.recall)}</td>`).join('');
    return `<section aria-labelledby="results">
<h2 id="results">Results</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of results">
<table class="results">
<caption>Over the last ${count(this.#digits, 'digit')} of test sequences: the share recalled right, and the cross-entropy in nats. Trained at a blank of ${this.#blank} only.</caption>
<thead><tr><th scope="col" rowspan="2">blank</th>${groups}</tr><tr>${columns}</tr></thead>
<tbody>
${rows.join('\n')}
<tr class="level"><th scope="row">no memory <small>(ln 8)</small></th>${none}</tr>
</tbody>
</table>
</div>
</section>`;
  }

  async curves(): Promise<string> {
    const figures: string[] = [];
    const level = memoryless({ digits: this.#digits, blank: this.#blank });
    if (this.#blanks.length > 1) {
      const lines = this.#lines((model) =>
        this.#blanks.flatMap((blank) => {
          const found = this.#at(model, blank);
          return found === undefined ? [] : [[blank, found.accuracy] as const];
        }),
      );
      const caption = `Accuracy over the last digits against the blank of the test sequences. Training: ${this.#blank}.`;
      figures.push(
        figure(
          'Generalisation',
          caption,
          await lineChart({ ...accuracyAxes('blank', level.accuracy), text: caption, lines, marked: true }),
        ),
      );
    }
    if (this.#steps.length > 1) {
      const mean = this.#binned();
      const every = `Each point is the mean over about ${count(mean, 'reported step')}.`;
      const loss = `Training loss: the mean cross-entropy over all positions. ${every}`;
      const losses = this.#lines((model) => curve(this.#of(model), mean, (step) => step.loss));
      const all = { name: 'no memory', value: level.all };
      const chart = await lineChart({ text: loss, x: 'step', y: 'nats', lines: losses, level: all, scale: 'log' });
      const accuracy = `Accuracy over the last digits of the training batches. ${every}`;
      const shares = this.#lines((model) => curve(this.#of(model), mean, (step) => step.accuracy));
      figures.push(
        figure('Loss', loss, chart),
        figure(
          'Accuracy in training',
          accuracy,
          await lineChart({ ...accuracyAxes('step', level.accuracy), text: accuracy, lines: shares }),
        ),
      );
    }
    for (const blank of this.#blanks) {
      const lines = this.#lines((model) =>
        this.#evaluations
          .filter((evaluation) => evaluation.model === model && evaluation.blank === blank)
          .map((evaluation) => [evaluation.step, evaluation.accuracy] as const),
      );
      if (blank === this.#blank || lines.every((line) => line.points.length < 2)) continue;
      const caption = `Accuracy on test sequences with a blank of ${blank}, ${this.#times(blank)}, as training goes on.`;
      figures.push(
        figure(
          `Blank ${blank}`,
          caption,
          await lineChart({ ...accuracyAxes('step', level.accuracy), text: caption, lines }),
        ),
      );
    }
    if (figures.length === 0) return '';
    const legend = this.#models.map((model) => `<li><i class="${hue(model)}"></i>${escapeText(model)}</li>`).join('');
    return `<section aria-labelledby="curves">
<h2 id="curves">Curves</h2>
<ul class="legend">${legend}<li><i class="dash"></i>a model that remembers nothing</li></ul>
<div class="charts">
${figures.join('\n')}
</div>
</section>`;
  }

  async modules(): Promise<string> {
    if (this.#activations.length === 0) return '';
    const strips: string[] = [];
    for (const activation of this.#activations) {
      const text = `Active modules of the ${activation.model} over ${activation.symbols.length} steps, blank ${activation.blank}. The table below it holds the numbers.`;
      const svg = await activationStrip(activation, escapeText(text));
      strips.push(`<figure class="strip">
<h3>Blank of ${activation.blank}, ${this.#times(activation.blank)}</h3>
<div class="scroll" tabindex="0" role="region" aria-label="Active modules, blank ${activation.blank}">
${svg}
</div>
<figcaption>One test sequence of ${activation.symbols.length} steps. Under the modules the input: digits, blanks (·) and the marker 9; then the digits that are wanted.</figcaption>
${shares(activation)}
</figure>`);
    }
    return `<section aria-labelledby="modules">
<h2 id="modules">Which modules were active</h2>
<p>At each step the modules compete for the input; the winners update their state, the others keep theirs as it is. The paper's Figure 2 shows such a pattern: one for the digits, a steady one in the blank, one for the recall.</p>
<ul class="legend"><li><i class="on"></i>active</li><li><i class="off"></i>inactive</li></ul>
${strips.join('\n')}
</section>`;
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
<p>The copying task shows digits, then a blank, then a marker, and asks for the digits. Training minimises the mean cross-entropy over all positions; the figures of merit are over the recalled digits alone, where a model that remembers nothing scores ln 8 = 2.079 nats and one digit in eight. Model and task: Goyal et al., Recurrent Independent Mechanisms, arXiv 1909.10893.</p>
</footer>`;
  }

  // What came out, in one or two sentences, whatever it is.
  #summary(): string {
    const longest = this.#blanks[this.#blanks.length - 1] ?? this.#blank;
    const steps = new Set(this.#last.map((evaluation) => evaluation.step));
    const parts: string[] = [];
    for (const model of this.#models) {
      const trained = this.#at(model, this.#blank);
      if (trained === undefined) continue;
      const long = longest === this.#blank ? undefined : this.#at(model, longest);
      const first = parts.length === 0;
      const where = first ? ` of the digits at the training blank of ${this.#blank}` : '';
      const beyond =
        long === undefined ? '' : ` and ${percent(long.accuracy)}${first ? ` at a blank of ${longest}` : ''}`;
      const after = steps.size === 1 ? '' : ` after ${count(trained.step, 'training step')}`;
      parts.push(`the ${escapeText(model)} recalls ${percent(trained.accuracy)}${where}${beyond}${after}`);
    }
    if (parts.length === 0) return 'There is no evaluation of this run.';
    const after = steps.size === 1 ? `After ${count(Math.max(...steps), 'training step')}, ` : '';
    return `${sentence(after + parts.join('; '))}. A model that remembers nothing gets 12.5 %.`;
  }

  #at(model: string, blank: number): Evaluation | undefined {
    return this.#last.find((evaluation) => evaluation.model === model && evaluation.blank === blank);
  }

  #of(model: string): readonly TrainStep[] {
    return this.#steps.filter((step) => step.model === model);
  }

  #lines(points: (model: string) => Line['points']): readonly Line[] {
    return this.#models.map((model) => ({ name: model, colour: `var(--${hue(model)})`, points: points(model) }));
  }

  // How many reported steps one point of a curve stands for.
  #binned(): number {
    return Math.ceil(Math.max(...this.#models.map((model) => this.#of(model).length)) / CURVE_POINTS);
  }

  #factor(blank: number): string {
    const times = blank / this.#blank;
    return blank === this.#blank ? 'trained' : `× ${Number.isInteger(times) ? times : times.toFixed(1)}`;
  }

  #times(blank: number): string {
    return blank === this.#blank ? 'as in training' : `the training blank ${this.#factor(blank)}`;
  }
}

function accuracyAxes(
  x: string,
  value: number,
): { x: string; y: string; level: { name: string; value: number }; scale: 'share' } {
  return { x, y: 'accuracy', level: { name: 'no memory', value }, scale: 'share' };
}

// Means over `size` neighbouring steps, each at its last step.
function curve(steps: readonly TrainStep[], size: number, value: (step: TrainStep) => number): Line['points'] {
  const points: [number, number][] = [];
  for (let from = 0; from < steps.length; from += size) {
    const bin = steps.slice(from, from + size);
    points.push([at(bin, bin.length - 1).step, bin.reduce((sum, step) => sum + value(step), 0) / bin.length]);
  }
  return points;
}

function figure(title: string, caption: string, svg: string): string {
  return `<figure>\n<h3>${title}</h3>\n${svg}\n<figcaption>${caption}</figcaption>\n</figure>`;
}

// The strip in numbers: the share of the steps of each phase in which each module was active.
function shares({ mask, digits, blank }: Activation): string {
  const { input, blank: middle, recall } = copyingPhases({ digits, blank });
  const rows = at(mask, 0).map((_, n) => {
    const cells = [input, middle, recall].map(([from, to]) => {
      const active = mask.slice(from, to).reduce((sum, row) => sum + at(row, n), 0);
      return `<td>${Math.round((100 * active) / (to - from))} %</td>`;
    });
    return `<tr><th scope="row">module ${n + 1}</th>${cells.join('')}</tr>`;
  });
  return `<details>
<summary>The same in numbers</summary>
<table>
<caption>Share of the steps of each phase in which a module was active</caption>
<thead><tr><td></td><th scope="col">digits</th><th scope="col">blank</th><th scope="col">recall</th></tr></thead>
<tbody>${rows.join('')}</tbody>
</table>
</details>`;
}

function list(pairs: readonly (readonly [string, string])[], attributes: string): string {
  const items = pairs.map(([name, value]) => `<div><dt>${escapeText(name)}</dt><dd>${escapeText(value)}</dd></div>`);
  return `<dl${attributes}>${items.join('')}</dl>`;
}

// The colour of a model, by its name.
function hue(model: string): 'rim' | 'lstm' | 'other' {
  return model === 'RIM' ? 'rim' : model === 'LSTM' ? 'lstm' : 'other';
}

function option({ config }: Report, name: string): number {
  const value = config.options[name];
  if (typeof value === 'number') return value;
  throw new FileError(`report: the run's config has no number '${name}' among its options; it is no copying run`);
}

function minutes(steps: readonly TrainStep[]): string {
  const last = steps[steps.length - 1];
  if (last === undefined) return '–';
  return last.seconds < 90 ? `${last.seconds.toFixed(0)} s` : `${(last.seconds / 60).toFixed(1)} min`;
}

function words(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function shown(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'string' || typeof value === 'number') return `${value}`;
  return Array.isArray(value) ? value.join(', ') : JSON.stringify(value);
}

function count(n: number, what: string): string {
  return `${n.toLocaleString('en-US')} ${what}${n === 1 ? '' : 's'}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function nats(value: number): string {
  return value >= 1000 ? value.toExponential(1) : value.toFixed(3);
}

function sentence(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
