// The page: it owns what was measured, shows it, and asks the training worker for everything else.
//
// Always: nothing here computes on a device or waits for one, so the page never freezes. The address tells the settings of
// the form; a run has the settings that it was begun with until a reset takes new ones. Messages of the worker are the only
// way in which a run's state changes. Not here: the protocol (messages.ts), the parts of the page (form, charts, results,
// look-view, files, check-view).

import { type Evaluation, type Metric, sortMetrics, type TrainStep } from '../bench/metrics.ts';
import { systemOf } from '../bench/models.ts';
import { trivialAt } from '../bench/task-facts.ts';
import { Chart, type Curves } from './charts.ts';
import { CheckView } from './check-view.ts';
import { byId, download, onTheme } from './dom.ts';
import { picture } from './drawings.ts';
import { type Picked, readPicked, toCsv, toLines } from './files.ts';
import { Form } from './form.ts';
import { LookView } from './look-view.ts';
import { addLooks } from './looks.ts';
import type { FromTrainer, ToTrainer } from './messages.ts';
import { showComparison, showFigures, showLegends, showWords } from './results.ts';
import { fromQuery, modelNames, type Settings, toQuery } from './settings.ts';
import { pageTask } from './tasks.ts';
import { explainUnavailable } from './unavailable.ts';

const buttons = {
  run: byId('run', HTMLButtonElement),
  step: byId('step', HTMLButtonElement),
  reset: byId('reset', HTMLButtonElement),
  lose: byId('lose', HTMLButtonElement),
  recover: byId('recover', HTMLButtonElement),
  evaluate: byId('evaluate', HTMLButtonElement),
  look: byId('look', HTMLButtonElement),
  lookNext: byId('look-next', HTMLButtonElement),
  lookEach: byId('look-each', HTMLButtonElement),
  save: byId('save', HTMLButtonElement),
  csv: byId('save-csv', HTMLButtonElement),
  jsonl: byId('save-jsonl', HTMLButtonElement),
};

const pickers = ['load-files', 'load-folder'].map((id) => byId(id, HTMLInputElement));

/** Where the run is: without a device, with none yet, at rest, or at work. */
type Phase = 'opening' | 'unavailable' | 'idle' | 'preparing' | 'running' | 'paused' | 'lost';

/** Figures that are kept, of all models together. */
const MOST_STEPS = 20_000;

const debug = new URLSearchParams(location.search).has('debug');
const read = fromQuery(location.search);
let taken: Settings = read.settings;
let job = pageTask(taken);
let phase: Phase = 'opening';
/** The number of this run: what is told of an earlier one is of no interest. */
let run = 0;
let step = 0;
let steps: TrainStep[] = [];
let evaluations: Evaluation[] = [];

const worker = new Worker(new URL('./train-worker.js', import.meta.url), { type: 'module' });
const send = (message: ToTrainer): void => worker.postMessage(message);
addLooks();
const form = new Form(read.settings, changed);
const charts = {
  loss: new Chart(byId('loss-chart', HTMLDivElement), 'logarithmic', lossCurves()),
  share: new Chart(byId('share-chart', HTMLDivElement), 'share', shareCurves()),
};
const lookView = new LookView((request) => send({ type: 'look', ...request }));
new CheckView();

/** Shows a sentence in a panel; '' hides the panel. */
function say(id: 'notice' | 'error', text: string): void {
  const panel = byId(id, HTMLDivElement);
  panel.textContent = text;
  panel.hidden = text === '';
}

/** The form has new settings: they are in the address at once, and in the run where it has not begun. */
function changed(settings: Settings): void {
  writeAddress(settings);
  say('notice', '');
  if (step === 0 && phase !== 'running' && phase !== 'preparing') take(settings);
  showPending();
}

function writeAddress(settings: Settings): void {
  const query = new URLSearchParams(toQuery(settings));
  if (debug) query.set('debug', '');
  const text = query.toString().replace(/=(?=&|$)/g, '');
  history.replaceState(null, '', text === '' ? location.pathname : `?${text}`);
}

function showPending(): void {
  const differs = toQuery(form.settings) !== toQuery(taken);
  byId('pending', HTMLParagraphElement).textContent = differs
    ? 'The run goes on as it began. Reset takes the new settings.'
    : '';
  buttons.reset.textContent = differs ? 'Reset with new settings' : 'Reset';
}

/** Begins a run anew. */
function take(settings: Settings): void {
  taken = settings;
  job = pageTask(settings);
  step = 0;
  steps = [];
  evaluations = [];
  send({ type: 'reset', run: ++run, settings });
  afresh();
}

/** Shows a run from its beginning. */
function afresh(): void {
  say('error', '');
  lookView.reset(taken, job);
  showWords(job, taken);
  showLegends(job, models());
  showFigures(job, { step, models: [] });
  showAll();
  showPending();
}

/** The names of the models that are trained, and of others that something was measured of. */
function models(): readonly string[] {
  const measured = [...steps, ...evaluations].map(({ model }) => model);
  return [...new Set([...modelNames(taken).map((name) => systemOf(name).system), ...measured])];
}

function curves(title: string, figure: string | undefined, value: Curves['value']): Curves {
  const level = trivialAt(job.facts, job.facts.trained)[figure ?? ''] ?? 0;
  return { title, models: models(), steps, value, level, levelName: job.words.level };
}

function lossCurves(): Curves {
  return curves('Loss', job.facts.loss, ({ loss }) => loss);
}

function shareCurves(): Curves {
  const { name } = job.shown;
  return curves(`Share of ${job.words.shown}`, name, ({ figures }) => figures[name]);
}

function showCharts(): void {
  charts.loss.show(lossCurves());
  charts.share.show(shareCurves());
  showPhase();
}

function showAll(): void {
  showCharts();
  showComparison(job, taken, models(), evaluations);
}

const WORDS: Readonly<Record<Phase, () => string>> = {
  opening: () => 'Looking for a GPU',
  unavailable: () => 'No training here: this browser offers no WebGPU device',
  idle: () => 'Ready',
  preparing: () => 'Preparing the kernels',
  running: () => 'Training',
  paused: () => `Paused at step ${step.toLocaleString('en')}`,
  lost: () => 'Stopped: the device was lost',
};

function showPhase(): void {
  const none = phase === 'opening' || phase === 'unavailable' || phase === 'lost';
  for (const button of [
    buttons.run,
    buttons.step,
    buttons.reset,
    buttons.evaluate,
    buttons.look,
    buttons.lookNext,
    buttons.lookEach,
    buttons.save,
  ]) {
    button.disabled = none;
  }
  const measured = steps.length + evaluations.length === 0;
  // A run that is picked takes the place of the weights that a lost device left.
  for (const input of pickers) input.disabled = phase === 'opening' || phase === 'lost';
  buttons.csv.disabled = measured;
  buttons.jsonl.disabled = measured;
  const busy = phase === 'running' || phase === 'preparing';
  buttons.run.textContent = busy ? 'Pause' : step > 0 ? 'Go on' : 'Start';
  const state = byId('state', HTMLParagraphElement);
  const words = WORDS[phase]();
  if (state.textContent !== words) state.textContent = words;
  state.dataset.phase = phase;
  if (phase !== 'preparing') byId('progress', HTMLDivElement).hidden = true;
}

function showProgress(what: string, done: number, total: number): void {
  const bar = byId('progress-bar', HTMLProgressElement);
  byId('progress', HTMLDivElement).hidden = false;
  byId('progress-text', HTMLLabelElement).textContent =
    total === 0 ? `Planning ${what}` : `Kernels of ${what}: ${done} of ${total}`;
  if (total === 0) bar.removeAttribute('value');
  else {
    bar.max = total;
    bar.value = done;
  }
}

/** What is told of the device, and weights that were asked for, hold whatever run they come from. */
const OF_ANY_RUN: readonly FromTrainer['type'][] = ['device', 'unavailable', 'lost', 'saved', 'unsaved'];

function hear(message: FromTrainer): void {
  if (message.run !== run && !OF_ANY_RUN.includes(message.type)) return;
  switch (message.type) {
    case 'device':
      byId('device', HTMLParagraphElement).textContent = message.software
        ? `On ${message.adapter}, a software adapter: it works, slowly.`
        : `On your GPU: ${message.adapter}`;
      if (phase === 'opening') phase = 'idle';
      showPhase();
      return;
    case 'unavailable': {
      phase = 'unavailable';
      const panel = byId('unavailable', HTMLElement);
      panel.replaceChildren(...explainUnavailable(message.reason, message.message));
      panel.hidden = false;
      byId('device', HTMLParagraphElement).textContent = 'No GPU to train on.';
      showPhase();
      return;
    }
    case 'progress':
      showProgress(message.what, message.done, message.total);
      return;
    case 'built': {
      const counts = Object.entries(message.parameters).map(([name, count]) => `${name} ${count.toLocaleString('en')}`);
      byId('parameters', HTMLParagraphElement).textContent = `Trained numbers: ${counts.join(', ')}.`;
      return;
    }
    case 'state':
      // What was under way when there ceased to be a device says nothing new.
      if (phase === 'unavailable' || phase === 'lost') return;
      phase = message.state;
      step = message.step;
      byId('progress', HTMLDivElement).hidden = true;
      showPhase();
      return;
    case 'figures': {
      step = message.step;
      const { seconds } = message;
      steps.push(...message.models.map((each) => ({ ...each, step: message.step, seconds })));
      // A day of training too leaves room: of what is old, every second pair.
      if (steps.length > MOST_STEPS) steps = steps.filter((_, i) => Math.floor(i / 2) % 2 === 0);
      showFigures(job, message);
      showCharts();
      return;
    }
    case 'evaluation':
      evaluations.push(message.evaluation);
      showAll();
      return;
    case 'evaluated':
      lookView.ask();
      return;
    case 'look':
      lookView.show(message.look);
      return;
    case 'saved':
      download(`${nameOf(message.step, message.of)}.safetensors`, new Blob([message.bytes]));
      return;
    case 'unsaved':
      say('error', `The weights could not be saved: ${message.message}`);
      return;
    case 'loaded': {
      step = message.step;
      tellFile(
        `${message.file}: weights of ${message.models.join(' and ')}, trained for ${message.step.toLocaleString('en')} steps.`,
      );
      lookView.ask();
      return;
    }
    case 'lost':
      phase = 'lost';
      step = message.run === run ? message.step : 0;
      if (message.run !== run && steps.length + evaluations.length > 0) {
        tellFile('The device was lost before the weights of the file were on it: pick the file again.');
      }
      byId('lost-text', HTMLParagraphElement).textContent =
        `The GPU device was lost: ${message.message}. ${step === 0 ? 'Nothing was trained yet.' : `The weights of step ${step.toLocaleString('en')} were kept.`}`;
      byId('lost', HTMLDivElement).hidden = false;
      // What was measured after these weights will be measured anew.
      steps = steps.filter((each) => each.step <= step);
      evaluations = evaluations.filter((each) => each.step <= step);
      showLast();
      showAll();
      showPhase();
      return;
    case 'error':
      say('error', message.message);
  }
}

function nameOf(at: number, { task, seed }: Settings = taken): string {
  return `rimgrad-${task}-seed${seed}-step${at}`;
}

function metrics(): Metric[] {
  return [
    ...steps.map((each): Metric => ({ kind: 'train', ...each })),
    ...evaluations.map((each): Metric => ({ kind: 'evaluation', ...each })),
  ];
}

function tellFile(text: string): void {
  byId('file-state', HTMLParagraphElement).textContent = text;
}

async function pick(input: HTMLInputElement): Promise<void> {
  const files = [...(input.files ?? [])];
  input.value = '';
  if (files.length === 0) return;
  try {
    const [first] = files;
    show(await readPicked(files, first?.webkitRelativePath.split('/')[0]));
  } catch (error) {
    tellFile(error instanceof Error ? error.message : String(error));
  }
}

/** Takes over what a person picked: settings, curves, weights. */
function show(picked: Picked): void {
  const settings = picked.settings ?? form.settings;
  form.show(settings);
  writeAddress(settings);
  say('notice', picked.notes.join(' '));
  taken = settings;
  job = pageTask(settings);
  const sorted = sortMetrics(picked.metrics);
  steps = [...sorted.steps];
  evaluations = [...sorted.evaluations];
  step = picked.step;
  if (picked.weights === undefined || phase === 'unavailable') send({ type: 'reset', run: ++run, settings });
  else send({ type: 'load', run: ++run, settings, bytes: picked.weights, file: picked.name, step: picked.step });
  afresh();
  showLast();
  const many = `${steps.length} steps and ${evaluations.length} evaluations`;
  tellFile(
    `${picked.name}: ${steps.length + evaluations.length === 0 ? 'no metrics' : many}${picked.weights === undefined ? ', no weights.' : '.'}`,
  );
}

/** Shows the last figures that are kept. */
function showLast(): void {
  const last = steps.at(-1);
  showFigures(job, { step, models: steps.filter((each) => each.step === last?.step) });
}

async function savePicture(what: string): Promise<void> {
  const drawings = (ids: readonly string[]): SVGSVGElement[] =>
    ids.flatMap((id) => [...document.querySelectorAll<SVGSVGElement>(`#${id} svg`)]);
  const made =
    what === 'loss' || what === 'share'
      ? charts[what].picture()
      : picture(drawings(what === 'talk' ? ['talk'] : ['strip', 'input-strip', 'sample']));
  const blob = await made;
  if (blob !== null) download(`${nameOf(step)}-${what}.png`, blob);
}

buttons.run.addEventListener('click', () => {
  if (phase === 'running' || phase === 'preparing') {
    send({ type: 'pause' });
    return;
  }
  send({ type: 'start' });
});
buttons.step.addEventListener('click', () => send({ type: 'step' }));
buttons.reset.addEventListener('click', () => take(form.settings));
buttons.lose.addEventListener('click', () => send({ type: 'lose' }));
buttons.evaluate.addEventListener('click', () => send({ type: 'evaluate' }));
buttons.save.addEventListener('click', () => send({ type: 'save' }));
buttons.csv.addEventListener('click', () =>
  download(`${nameOf(step)}.csv`, new Blob([toCsv(metrics())], { type: 'text/csv' })),
);
buttons.jsonl.addEventListener('click', () => download('metrics.jsonl', new Blob([toLines(metrics())])));
buttons.recover.addEventListener('click', () => {
  byId('lost', HTMLDivElement).hidden = true;
  buttons.run.focus();
  phase = 'opening';
  showAll();
  send({ type: 'recover' });
});
for (const button of document.querySelectorAll<HTMLButtonElement>('[data-picture]')) {
  button.addEventListener('click', () => void savePicture(button.dataset.picture ?? ''));
}
for (const input of pickers) input.addEventListener('change', () => void pick(input));
byId('copy-link', HTMLButtonElement).addEventListener('click', ({ currentTarget }) => {
  void navigator.clipboard.writeText(location.href).then(
    () => tellFile('The link is on the clipboard: the same settings and seed, the same run.'),
    () => tellFile(`The clipboard is closed to this page; the address is ${location.href}`),
  );
  if (currentTarget instanceof HTMLElement) currentTarget.focus();
});

buttons.lose.hidden = !debug;
worker.onmessage = (event: MessageEvent<FromTrainer>) => hear(event.data);
worker.onerror = (event) =>
  say('error', `The training worker broke off: ${event.message || 'its script could not be loaded'}. Reload the page.`);
onTheme(() => showAll());
say('notice', read.notes.join(' '));
send({ type: 'open' });
take(read.settings);
