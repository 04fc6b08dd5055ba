// The modules at work: the strip of who is active (Figure 2 of the paper), attention to the input, and who listens to whom at
// the step under the pointer; switches that take modules out.
//
// Always: one step is chosen, by pointer or by the slider, and all parts show it; every drawing is one image with a sentence,
// and the chosen step is a table too. Strips are drawn when there is something new, not at each step. Switches and buttons only ask (`onAsk`); what was found comes back through `show`.
// Not here: the drawings themselves (drawings.ts), the looking (trainer.ts).

import { at } from '../engine/errors.ts';
import { byId, make, percent } from './dom.ts';
import { drawInput, drawStrip, drawTalk, gridOf, moveCursor } from './drawings.ts';
import type { Look, LookRequest } from './messages.ts';
import { type Reading, readingOf } from './readings.ts';
import type { Settings } from './settings.ts';
import { type PageTask, sentence } from './tasks.ts';

export class LookView {
  readonly #onAsk: (request: LookRequest) => void;
  readonly #slider = byId('look-step', HTMLInputElement);
  readonly #setting = byId('look-setting', HTMLSelectElement);
  readonly #strips = [byId('strip', HTMLDivElement), byId('input-strip', HTMLDivElement)] as const;
  #off = new Set<number>();
  #index = 0;
  #look: Look | undefined;
  #reading: Reading | undefined;
  #settings: Settings | undefined;
  #job: PageTask | undefined;
  #width = 0;

  /** @param onAsk called when something else is to be looked at */
  constructor(onAsk: (request: LookRequest) => void) {
    this.#onAsk = onAsk;
    this.#slider.addEventListener('input', () => this.#choose());
    this.#setting.addEventListener('change', () => this.ask());
    byId('look', HTMLButtonElement).addEventListener('click', () => this.ask());
    byId('look-each', HTMLButtonElement).addEventListener('click', () => this.ask(true));
    byId('look-next', HTMLButtonElement).addEventListener('click', () => {
      this.#index++;
      this.ask();
    });
    for (const strip of this.#strips) {
      for (const kind of ['pointermove', 'pointerdown'] as const) {
        strip.addEventListener(kind, (event) => this.#point(strip, event));
      }
    }
    new ResizeObserver(([entry]) => {
      if (entry === undefined || entry.contentRect.width === this.#width) return;
      this.#width = entry.contentRect.width;
      this.#draw();
    }).observe(this.#strips[0]);
  }

  /** Begins anew for settings: all modules on, nothing seen. */
  reset(settings: Settings, job: PageTask): void {
    this.#settings = settings;
    this.#job = job;
    this.#off = new Set();
    this.#index = 0;
    this.#look = undefined;
    const { setting, trained, tested } = job.facts;
    byId('look-setting-label', HTMLSpanElement).textContent = sentence(setting);
    this.#setting.replaceChildren(
      ...tested.map((value) => make('option', { value }, value === trained ? `${value}, as trained` : `${value}`)),
    );
    this.#setting.value = String(trained);
    byId('switch-list', HTMLDivElement).replaceChildren(
      ...Array.from({ length: settings.modules }, (_, n) => this.#switch(n)),
    );
    for (const id of ['look-result', 'look-outcome']) byId(id, HTMLParagraphElement).textContent = '';
    byId('look-view', HTMLDivElement).hidden = true;
    byId('look-empty', HTMLParagraphElement).hidden = false;
  }

  /** Asks for a look at what is chosen. @param each also without each module in turn */
  ask(each = false): void {
    this.#onAsk({
      setting: Number(this.#setting.value),
      index: this.#index,
      off: [...this.#off].sort((a, b) => a - b),
      each,
    });
  }

  /** Shows what was found. */
  show(look: Look): void {
    const [settings, job] = [this.#settings, this.#job];
    if (settings === undefined || job === undefined) return;
    const fresh = this.#look?.inputs.length !== look.inputs.length;
    // What was measured without each module stays until the model or the batch is another one.
    const before = this.#look;
    const same = before?.step === look.step && before.index === look.index && before.setting === look.setting;
    const without = look.without ?? (same ? before?.without : undefined);
    this.#look = { ...look, ...(without && { without }) };
    const reading = readingOf(look, settings);
    this.#reading = reading;
    byId('look-view', HTMLDivElement).hidden = false;
    byId('look-empty', HTMLParagraphElement).hidden = true;
    this.#slider.max = String(look.inputs.length - 1);
    if (fresh) this.#slider.value = String(reading.start);
    const base = `At step ${look.step}, on ${settings.batch} test sequences: ${percent(look.shareAllOn)} of the ${job.words.shown} with all modules`;
    const off = look.off.map((module) => module + 1).join(', ');
    byId('look-result', HTMLParagraphElement).textContent =
      look.off.length === 0
        ? `${base}.`
        : `${base}, ${percent(look.share)} without ${look.off.length === 1 ? 'module' : 'modules'} ${off}.`;
    document.querySelectorAll('#switch-list small').forEach((place, n) => {
      place.textContent = without === undefined ? '' : `${percent(at(without, n))} without`;
    });
    byId('look-outcome', HTMLParagraphElement).textContent = `This sequence: ${reading.outcome}.`;
    this.#draw();
  }

  #switch(module: number): HTMLElement {
    const id = `module-${module + 1}`;
    const box = make('input', { type: 'checkbox', role: 'switch', id, checked: true });
    box.addEventListener('change', () => {
      if (box.checked) this.#off.delete(module);
      else this.#off.add(module);
      this.ask();
    });
    return make('div', { class: 'switch' }, box, make('label', { for: id }, `Module ${module + 1}`), make('small'));
  }

  /** The step under the pointer becomes the chosen one. */
  #point(strip: HTMLElement, event: PointerEvent): void {
    const grid = strip.querySelector('[data-grid]')?.getBoundingClientRect();
    if (grid === undefined || this.#look === undefined || grid.width === 0) return;
    const share = (event.clientX - grid.left) / grid.width;
    if (share < 0 || share >= 1) return;
    this.#slider.value = String(Math.floor(share * this.#look.inputs.length));
    this.#choose();
  }

  #draw(): void {
    const [look, reading] = [this.#look, this.#reading];
    if (look === undefined || reading === undefined || this.#width === 0) return;
    const [strip, input] = this.#strips;
    strip.replaceChildren(drawStrip(look, reading, this.#width));
    if (look.input === undefined)
      input.replaceChildren(make('p', { class: 'empty' }, 'This model reads its input without attention.'));
    else input.replaceChildren(drawInput(look, look.input, this.#width));
    // The slider lies under the steps that it chooses, where they all can be seen.
    const { cell, left, width } = gridOf(look, this.#width);
    const fits = width <= this.#width;
    this.#slider.style.marginLeft = fits ? `${left + cell / 2 - 9}px` : '';
    this.#slider.style.width = fits ? `${cell * (look.inputs.length - 1) + 16}px` : '';
    byId('sample-figure', HTMLElement).hidden = reading.image === undefined;
    this.#choose();
  }

  /** Shows the chosen step in all parts. */
  #choose(): void {
    const [look, reading] = [this.#look, this.#reading];
    if (look === undefined || reading === undefined || this.#width === 0) return;
    const t = Number(this.#slider.value);
    const grid = gridOf(look, this.#width);
    for (const strip of this.#strips) {
      moveCursor(strip, grid, t);
      // A strip that is wider than its place follows.
      const x = grid.left + t * grid.cell;
      if (x < strip.scrollLeft + grid.left) strip.scrollLeft = x - grid.left;
      if (x + grid.cell > strip.scrollLeft + strip.clientWidth) strip.scrollLeft = x + grid.cell - strip.clientWidth;
    }
    byId('sample', HTMLDivElement).replaceChildren(...(reading.image === undefined ? [] : [reading.image(t)]));
    const talk = byId('talk', HTMLDivElement);
    const map = look.talk?.[t];
    if (map === undefined)
      talk.replaceChildren(make('p', { class: 'empty' }, 'The modules of this model do not talk.'));
    else talk.replaceChildren(drawTalk(map, at(look.mask, t), t));
    byId('talk-caption', HTMLElement).textContent =
      `Step ${t + 1}. Each row is a module that listens, each column one that it listens to: the darker, the more (mean of heads). Inactive modules do not listen.`;
    const active = at(look.mask, t).flatMap((on, n) => (on === 1 ? [n + 1] : []));
    const words = `${t + 1} of ${look.inputs.length}, reads ${reading.reads(t)}`;
    byId('look-step-text', HTMLOutputElement).textContent = words;
    this.#slider.setAttribute('aria-valuetext', `${words}, active: ${active.join(', ') || 'none'}`);
    this.#table(look, t);
  }

  #table(look: Look, t: number): void {
    const mask = at(look.mask, t);
    const heads = ['Module', 'Active', 'Attention to the input', ...mask.map((_, n) => `Listens to ${n + 1}`)];
    const rows = mask.map((on, n) => {
      const cells = [
        on === 1 ? 'yes' : 'no',
        look.input === undefined ? '–' : at(at(look.input, t), n).toFixed(2),
        ...mask.map((_, source) => {
          const map = look.talk?.[t];
          return map === undefined || on === 0 ? '–' : at(at(map, n), source).toFixed(2);
        }),
      ];
      return make('tr', {}, make('th', { scope: 'row' }, `${n + 1}`), ...cells.map((cell) => make('td', {}, cell)));
    });
    byId('step-table', HTMLTableElement).replaceChildren(
      make('caption', {}, `Step ${t + 1} of the sequence`),
      make('thead', {}, make('tr', {}, ...heads.map((head) => make('th', { scope: 'col' }, head)))),
      make('tbody', {}, ...rows),
    );
  }
}
