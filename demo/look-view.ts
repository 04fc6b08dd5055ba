// The modules at work: the strip of who is active (Figure 2 of the paper), attention to the input, and who listens to whom at
// the step under the pointer; switches that take modules out.
//
// Always: one step is chosen, by pointer or by the slider, and all parts show it; every drawing is one image with a sentence,
// and the chosen step is a table too. Switches and buttons only ask (`onAsk`); what was found comes back through `show`.
// Not here: the drawings themselves (drawings.ts), the looking (trainer.ts).

import { at } from '../engine/errors.ts';
import { byId, make, percent } from './dom.ts';
import { drawInput, drawStrip, drawTalk, gridOf } from './drawings.ts';
import type { Look, LookRequest } from './messages.ts';
import { type Settings, testBlanks } from './settings.ts';

export class LookView {
  readonly #onAsk: (request: LookRequest) => void;
  readonly #slider = byId('look-step', HTMLInputElement);
  readonly #blank = byId('look-blank', HTMLSelectElement);
  readonly #strips = [byId('strip', HTMLDivElement), byId('input-strip', HTMLDivElement)] as const;
  #off = new Set<number>();
  #index = 0;
  #look: Look | undefined;
  #settings: Settings | undefined;
  #width = 0;

  /** @param onAsk called when something else is to be looked at */
  constructor(onAsk: (request: LookRequest) => void) {
    this.#onAsk = onAsk;
    this.#slider.addEventListener('input', () => this.#draw());
    this.#blank.addEventListener('change', () => this.ask());
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
  reset(settings: Settings): void {
    this.#settings = settings;
    this.#off = new Set();
    this.#index = 0;
    this.#look = undefined;
    const blanks = testBlanks(settings);
    const names = ['as trained', 'twice', 'four times'];
    this.#blank.replaceChildren(
      ...blanks.map((blank, i) => make('option', { value: blank }, `${blank}, ${at(names, i)}`)),
    );
    byId('switch-list', HTMLDivElement).replaceChildren(
      ...Array.from({ length: settings.modules }, (_, n) => this.#switch(n)),
    );
    byId('look-view', HTMLDivElement).hidden = true;
    byId('look-empty', HTMLParagraphElement).hidden = false;
  }

  /** Asks for a look at what is chosen. @param each also without each module in turn */
  ask(each = false): void {
    this.#onAsk({
      blank: Number(this.#blank.value),
      index: this.#index,
      off: [...this.#off].sort((a, b) => a - b),
      each,
    });
  }

  /** Shows what was found. */
  show(look: Look): void {
    const fresh = this.#look?.symbols.length !== look.symbols.length;
    // What was measured without each module stays until the model or the batch is another one.
    const before = this.#look;
    const same = before?.step === look.step && before.index === look.index && before.blank === look.blank;
    const without = look.without ?? (same ? before?.without : undefined);
    this.#look = { ...look, ...(without && { without }) };
    byId('look-view', HTMLDivElement).hidden = false;
    byId('look-empty', HTMLParagraphElement).hidden = true;
    this.#slider.max = String(look.symbols.length - 1);
    if (fresh)
      this.#slider.value = String(
        Math.max(
          0,
          look.wanted.findIndex((symbol) => symbol !== 0),
        ),
      );
    const count = this.#settings?.batch ?? 0;
    const base = `At step ${look.step}, on ${count} test sequences: ${percent(look.accuracyAllOn)} of the last digits right with all modules`;
    const off = look.off.map((module) => module + 1).join(', ');
    byId('look-result', HTMLParagraphElement).textContent =
      look.off.length === 0
        ? `${base}.`
        : `${base}, ${percent(look.accuracy)} without ${look.off.length === 1 ? 'module' : 'modules'} ${off}.`;
    document.querySelectorAll('#switch-list small').forEach((place, n) => {
      place.textContent = without === undefined ? '' : `${percent(at(without, n))} without`;
    });
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
    this.#slider.value = String(Math.floor(share * this.#look.symbols.length));
    this.#draw();
  }

  #draw(): void {
    const look = this.#look;
    if (look === undefined || this.#width === 0) return;
    const t = Number(this.#slider.value);
    const digits = this.#settings?.digits ?? 0;
    const [strip, input] = this.#strips;
    strip.replaceChildren(drawStrip(look, digits, t, this.#width));
    if (look.input === undefined)
      input.replaceChildren(make('p', { class: 'empty' }, 'This model reads its input without attention.'));
    else input.replaceChildren(drawInput(look, look.input, t, this.#width));
    // The slider lies under the steps that it chooses.
    const { cell, left } = gridOf(look, this.#width);
    this.#slider.style.marginLeft = `${left + cell / 2 - 9}px`;
    this.#slider.style.width = `${cell * (look.symbols.length - 1) + 16}px`;
    const talk = byId('talk', HTMLDivElement);
    const map = look.talk?.[t];
    if (map === undefined)
      talk.replaceChildren(make('p', { class: 'empty' }, 'The modules of this model do not talk.'));
    else talk.replaceChildren(drawTalk(map, at(look.mask, t), t));
    byId('talk-caption', HTMLElement).textContent =
      `Step ${t + 1}. Each row is a module that listens, each column one that it listens to: the darker, the more (mean of heads). Inactive modules do not listen.`;
    const active = at(look.mask, t).flatMap((on, n) => (on === 1 ? [n + 1] : []));
    const words = `${t + 1} of ${look.symbols.length}, reads ${symbolName(at(look.symbols, t))}`;
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

/** A symbol of the copying task in words. */
export function symbolName(symbol: number): string {
  return symbol === 0 ? 'a blank' : symbol === 9 ? 'the marker' : `the digit ${symbol}`;
}
