// "Check this device": starts the checking worker, shows each line as it is found, and a verdict. A second press of the button
// stops it, which ends the worker at once. The training goes on beside it. Not here: what is checked.

import type { GradientCheckLine } from '../check/index.ts';
import { byId, make } from './dom.ts';
import type { FromChecker, ToChecker } from './messages.ts';

export class CheckView {
  readonly #button = byId('check-run', HTMLButtonElement);
  readonly #bar = byId('check-bar', HTMLProgressElement);
  readonly #state = byId('check-state', HTMLParagraphElement);
  readonly #rows = byId('check-rows', HTMLTableSectionElement);
  #worker: Worker | undefined;
  #adapter = '';
  #done = 0;
  #failed = 0;

  constructor() {
    this.#button.addEventListener('click', () => {
      if (this.#worker === undefined) this.#start();
      else
        this.#end(
          `Stopped after ${this.#done} of ${this.#bar.max} checks: ${this.#failed === 0 ? 'all of them passed' : `${this.#failed} failed`}.`,
        );
    });
  }

  #start(): void {
    this.#done = 0;
    this.#failed = 0;
    this.#rows.replaceChildren();
    this.#bar.removeAttribute('value');
    this.#bar.hidden = false;
    this.#button.textContent = 'Stop the check';
    this.#state.textContent = 'Opening a device for the check …';
    const worker = new Worker(new URL('./check-worker.js', import.meta.url), { type: 'module' });
    this.#worker = worker;
    worker.onmessage = (event: MessageEvent<FromChecker>) => this.#hear(event.data);
    worker.onerror = (event) => this.#end(`The check broke off: ${event.message || 'its script could not be loaded'}.`);
    const filter = byId('check-filter', HTMLInputElement).value.trim();
    worker.postMessage({ filter } satisfies ToChecker);
  }

  #hear(message: FromChecker): void {
    switch (message.type) {
      case 'begin':
        this.#adapter = message.adapter;
        this.#bar.max = Math.max(1, message.total);
        this.#bar.value = 0;
        byId('check-lines', HTMLDivElement).hidden = message.total === 0;
        this.#state.textContent = `Running ${message.total} checks …`;
        return;
      case 'line':
        this.#done++;
        this.#bar.value = this.#done;
        if (!message.line.ok) this.#failed++;
        this.#add(message.line);
        return;
      case 'end':
        if (this.#done === 0) {
          this.#end('No case has that in its name.');
          return;
        }
        this.#end(
          message.ok
            ? `All ${this.#done} checks passed on ${this.#adapter}: gradients from this device are right.`
            : `${this.#failed} of ${this.#done} checks failed on ${this.#adapter}: do not trust gradients from this device.`,
          message.ok ? 'good' : 'bad',
        );
        return;
      case 'error':
        this.#end(`The check broke off: ${message.message}`, 'bad');
    }
  }

  /** Failures stand on top; what passed follows in order. */
  #add({ name, what, worst, limit, ok, problem }: GradientCheckLine): void {
    const error = problem ?? worst.toExponential(1);
    const cells = [what, error, limit.toExponential(0)].map((text) => make('td', {}, text));
    const verdict = make('td', {}, ok ? 'passed' : 'FAILED');
    const row = make('tr', ok ? {} : { class: 'bad' }, verdict, make('th', { scope: 'row' }, name), ...cells);
    if (ok) this.#rows.append(row);
    else this.#rows.prepend(row);
  }

  #end(words: string, kind = ''): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#button.textContent = 'Check';
    this.#bar.hidden = true;
    this.#state.textContent = words;
    this.#state.className = kind;
  }
}
