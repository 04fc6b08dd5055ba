// The page of a benchmark's run: one self-contained HTML file with the verdict, the contestants, the curves, the kernels.
//
// Always: it asks for nothing from anywhere, works in light and dark and on a phone, and every text is escaped; what was not
// measured is left out, and whoever was not timed is named with the reason.
// Not here: the drawings (charts.ts), the looks (../report-style.ts) and the numbers (result.ts).

import { escapeText as escaped, htmlPage } from '../html-page.ts';
import { barChart, growthChart } from './charts.ts';
import type { AxisResult, BenchResult, ContestantResult, KernelsResult, ProductsResult, SizeResult } from './result.ts';
import { amount, kernelName, label, loopCalls, milliseconds } from './table.ts';
import type { Target } from './targets.ts';

const extraStyle = `
.wide { grid-column: 1 / -1; }
td.left, th.left { text-align: left; white-space: normal; }
.yes { color: var(--rim); font-weight: 600; } .no { color: var(--lstm); font-weight: 600; } .open { color: var(--muted); }
td.yes, td.no, td.open { white-space: nowrap; }
.small { font-size: .86rem; } .small thead th { white-space: normal; } .small caption { max-width: min(46rem, calc(100vw - 2.5rem)); white-space: normal; } .small td, .small th { padding: .3rem .6rem; }
.stack figure + figure { margin-top: 1.25rem; }
.stack svg { display: block; }
`;

/** The page of a run. @returns a whole HTML document */
export async function renderPage(result: BenchResult): Promise<string> {
  const sections = [
    header(result),
    verdict(result.targets),
    await contests(result.sizes),
    programs(result.sizes),
    result.kernels === null ? '' : await kernels(result.kernels),
    result.products === null ? '' : products(result.products),
    await growth(result.scaling),
    footer(result),
  ];
  return htmlPage('Benchmark - rimgrad', sections, extraStyle);
}

function header({ environment: where, sizes, command }: BenchResult): string {
  const commit =
    where.commit === null ? '' : ` · commit ${where.commit.slice(0, 12)}${where.changed ? ' with changes' : ''}`;
  const kind = where.adapter.software ? 'software adapter' : 'GPU';
  const names = sizes.map(({ name }) => name).join(', ');
  return `<header>
<p class="kicker">rimgrad · benchmark</p>
<h1>One training step of a RIM: size ${escaped(names)}</h1>
<p class="lead">${lead(sizes)}</p>
<p class="meta">${escaped(where.adapter.name)} (${kind}) · Node ${escaped(where.node)}, webgpu ${escaped(where.webgpu ?? 'unknown')} · ${where.processors} × ${escaped(where.processor)} · ${escaped(where.date.slice(0, 16).replace('T', ' '))} UTC${escaped(commit)}</p>
<p class="meta">${escaped(command)}</p>
</header>`;
}

/** What came out, in a sentence. */
function lead(sizes: readonly SizeResult[]): string {
  const parts = sizes.flatMap(({ name, contestants }) => {
    const fused = contestants.find((each) => each.name === 'rimgrad fused' && each.task === 'benchmark');
    if (fused?.step == null) return [];
    const others = contestants.filter(({ name: who, ratio }) => !who.startsWith('rimgrad') && ratio !== null);
    const against = others.map(
      ({ name: who, ratio }) => `${(ratio?.median ?? 0).toPrecision(2)} times ${escaped(who)}'s speed`,
    );
    const rest = against.length === 0 ? '' : `, ${against.join(', ')}`;
    return [`at size ${escaped(name)} a step takes ${milliseconds(fused.step.median)} ms${rest}`];
  });
  return parts.length === 0 ? 'Nothing of rimgrad was timed.' : `On its fused path, ${parts.join('; ')}.`;
}

function verdict(targets: readonly Target[]): string {
  const words = { true: ['yes', 'reached'], false: ['no', 'not reached'], null: ['open', 'not decided'] } as const;
  const rows = targets.map(({ name, wanted, figure, reached }) => {
    const [kind, word] = words[`${reached}`];
    return `<tr><th scope="row" class="left">${escaped(name)}</th><td class="left">${escaped(wanted)}</td><td class="left">${escaped(figure)}</td><td class="left ${kind}">${word}</td></tr>`;
  });
  const head = ['target', 'wanted', 'measured', ''].map((word) => `<th scope="col" class="left">${word}</th>`);
  return section('verdict', 'Verdict', table('What this run decides', head.join(''), rows));
}

async function contests(sizes: readonly SizeResult[]): Promise<string> {
  const figures: string[] = [];
  for (const size of sizes) {
    for (const task of ['benchmark', 'paper'] as const) {
      const all = size.contestants.filter((each) => each.task === task);
      const timed = all.filter(({ step }) => step !== null);
      if (timed.length === 0) continue;
      const letters = Object.entries(size.sizes).map(([letter, value]) => `${letter} ${value}`);
      const title = `Size ${size.name}: ${task === 'paper' ? 'the preset paper with Adam' : "the benchmark's function with SGD"}`;
      const text = `Milliseconds of a training step, median; the thin line joins the quartiles. ${letters.join(', ')}.`;
      const chart = await barChart({
        text: escaped(text),
        x: 'ms a step',
        format: ',d',
        width: 560,
        bars: timed.map(bar),
      });
      const others = all
        .filter(({ step }) => step === null)
        .map((each) => `${each.name}: ${each.status}, ${each.reason ?? 'not asked'}`);
      const note = others.length === 0 ? '' : ` Not timed: ${others.join('; ')}.`;
      figures.push(figure(title, `${text}${note}`, chart));
    }
  }
  if (figures.length === 0) return '';
  const words =
    'Everybody begins from the same parameters; whoever has other losses is not timed. Measurements take turns in rounds; a step ends when its loss is on the host.';
  return section('contest', 'Training steps', `<p>${words}</p>\n<div class="stack">\n${figures.join('\n')}\n</div>`);
}

function bar(each: ContestantResult): Parameters<typeof barChart>[0]['bars'][number] {
  const { name, step, ratio } = each;
  const [value, low, high] = [step?.median ?? 0, step?.lower ?? 0, step?.upper ?? 0];
  const times = ratio === null ? '' : ` · ${ratio.median.toPrecision(3)}×`;
  const colour = name === 'rimgrad fused' ? 'rim' : name === 'rimgrad plain' ? 'other' : 'lstm';
  return { name, value, range: [low, high], label: `${milliseconds(value)} ms${times}`, colour: `var(--${colour})` };
}

function programs(sizes: readonly SizeResult[]): string {
  const rows = sizes.flatMap(({ name: size, contestants }) =>
    contestants.flatMap((each) => {
      const { own, step } = each;
      if (own === null || step === null) return [];
      const { encoding, gpuMilliseconds: gpu, cold } = own;
      const cells = [
        `${milliseconds(encoding.median)} (${((100 * encoding.median) / step.median).toFixed(1)} %)`,
        gpu === null ? '–' : milliseconds(gpu),
        `${own.dispatches}`,
        loopCalls(own),
        amount(own.bytes),
        amount(own.operations),
        `${own.pipelines}`,
        cold === null ? '–' : `${(cold.firstStepMilliseconds / 1000).toFixed(2)} s`,
        `${(own.peakMemory / 2 ** 20).toFixed(0)} MiB`,
      ];
      return [`<tr><th scope="row">${escaped(size)} · ${escaped(label(each))}</th>${tds(cells)}</tr>`];
    }),
  );
  if (rows.length === 0) return '';
  const words = [
    '',
    'encoding, ms',
    'GPU, ms',
    'calls',
    'a time step',
    'bytes',
    'operations',
    'pipelines',
    'cold start',
    'memory',
  ];
  const caption =
    'Encoding is the time in JavaScript until a step is submitted; GPU the sum of its calls in passes of their own; calls a time step, forward + backward; cold start, compiling and the first step without a shader cache.';
  return section('programs', 'What a step of rimgrad is', table(caption, ths(words), rows));
}

async function kernels({ size, ceilings, rows, timestamps }: KernelsResult): Promise<string> {
  const colours = { arithmetic: 'rim', memory: 'lstm', dispatch: 'other' } as const;
  const copies = ceilings.copy.map(
    ({ bytes, bytesPerSecond }) => `${amount(bytesPerSecond)}B/s at ${(bytes / 2 ** 20).toPrecision(2)} MiB`,
  );
  const text = `How much of the ceiling that bounds it each main kernel of the fused step at size ${size} reaches, the dearest first. Ceilings of this adapter, measured in this run: ${amount(ceilings.arithmetic.operationsPerSecond)} operations a second in multiply-adds, copies of ${copies.join(', ')}, ${(1000 * ceilings.dispatch.one).toPrecision(3)} µs a dependent call.`;
  const bars = rows.map((row, i) => ({
    name: `${i + 1} ${row.op}, ${row.kernel}`,
    value: row.reached,
    label: `${(100 * row.reached).toFixed(0)} % · ${(100 * row.share).toFixed(0)} % of the step`,
    colour: `var(--${colours[row.bound]})`,
  }));
  const chart = await barChart({ text: escaped(text), x: 'of its ceiling', format: '.0%', bars, width: 480, level: 1 });
  const legend = Object.entries(colours).map(
    ([bound, hue]) => `<li><i class="${hue}"></i>bound by ${bound === 'dispatch' ? 'the number of calls' : bound}</li>`,
  );
  const lines = rows.map((row) => {
    const cells = [
      `${row.calls}`,
      milliseconds(row.milliseconds),
      (row.operationsPerSecond / 1e9).toPrecision(3),
      (row.bytesPerSecond / 1e9).toPrecision(3),
    ];
    return `<tr><th scope="row" class="left">${escaped(row.op)}<br><small>${escaped(kernelName(row))}</small></th>${tds(cells)}</tr>`;
  });
  const clock = timestamps ? "the GPU's own clock" : "the host's clock";
  const details = `<details>\n<summary>The same in numbers</summary>\n${table(`By ${clock}`, ths(['kernel', 'calls', 'ms', 'Gop/s', 'GB/s']), lines)}\n</details>`;
  const drawn =
    rows.length === 0
      ? ''
      : `<ul class="legend">${legend.join('')}</ul>\n<div class="stack">\n${figure(`Size ${size}`, text, `${chart}\n${details}`)}\n</div>`;
  return section('kernels', 'Kernels against ceilings', drawn);
}

function products({ shapes }: ProductsResult): string {
  if (shapes.length === 0) return '';
  const rows = shapes.map(({ name, chosen, best, share, candidates }) => {
    const rate = (value: number): string => (value / 1e9).toPrecision(3);
    const cells = [
      chosen.name,
      rate(chosen.operationsPerSecond),
      best.name,
      rate(best.operationsPerSecond),
      `${(100 * share).toFixed(0)} %`,
      `${candidates.length}`,
    ];
    return `<tr><th scope="row">${escaped(name)}</th>${tds(cells)}</tr>`;
  });
  const caption = 'The tile that rimgrad chooses, and the best of all candidates, measured in this run; Gop/s.';
  const words = ['shape', 'chosen', 'Gop/s', 'best', 'Gop/s', 'share', 'of'];
  return section('products', 'Matrix products', table(caption, ths(words), rows));
}

async function growth(axes: readonly AxisResult[]): Promise<string> {
  const figures: string[] = [];
  for (const { axis, base, points, slope } of axes) {
    const known = points.flatMap(({ value, step }) => (step === null ? [] : [[value, step.median] as const]));
    if (known.length < 2) continue;
    const reasons = points.flatMap(({ value, reason }) => (reason === null ? [] : [`${axis} ${value}: ${reason}`]));
    const steep = slope === null ? '' : ` Slope over the three largest: ${slope.toFixed(2)}.`;
    const text = `A fused step at ${base}.${steep}${reasons.length === 0 ? '' : ` ${reasons.join('; ')}.`}`;
    figures.push(figure(`Along ${axis}`, text, await growthChart(escaped(text), axis, known)));
  }
  if (figures.length === 0) return '';
  const words = 'Both axes are logarithmic; the dashed line grows in proportion.';
  return section('growth', 'How cost grows', `<p>${words}</p>\n<div class="charts">\n${figures.join('\n')}\n</div>`);
}

function footer({ notes, seconds, environment: { memory } }: BenchResult): string {
  const all = [
    ...notes,
    `The run took ${(seconds / 60).toFixed(1)} minutes on a machine with ${(memory / 2 ** 30).toFixed(0)} GiB of memory.`,
  ];
  return `<footer>\n${all.map((note) => `<p>${escaped(note)}</p>`).join('\n')}\n</footer>`;
}

function section(id: string, title: string, body: string): string {
  return body === '' ? '' : `<section aria-labelledby="${id}">\n<h2 id="${id}">${title}</h2>\n${body}\n</section>`;
}

function figure(title: string, caption: string, svg: string): string {
  return `<figure>\n<h3>${escaped(title)}</h3>\n<div class="scroll" tabindex="0" role="region" aria-label="${escaped(title)}">\n${svg}\n</div>\n<figcaption>${escaped(caption)}</figcaption>\n</figure>`;
}

function table(caption: string, head: string, rows: readonly string[]): string {
  return `<div class="scroll" tabindex="0" role="region" aria-label="${escaped(caption)}">
<table class="results small">
<caption>${escaped(caption)}</caption>
<thead><tr>${head}</tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table>
</div>`;
}

function ths(words: readonly string[]): string {
  return words.map((word) => `<th scope="col">${escaped(word)}</th>`).join('');
}

function tds(cells: readonly string[]): string {
  return cells.map((cell) => `<td>${escaped(cell)}</td>`).join('');
}
