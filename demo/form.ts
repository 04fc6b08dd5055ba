// The form of the settings, made from the table of fields: labelled, with limits that the browser knows, rare ones folded.
// Always: what it gives are complete settings; what cannot be is told at the field and leaves the last good value in place; what the
// task and the models do not use is not shown, and keeps its value.

import { byId, make } from './dom.ts';
import {
  type Field,
  type FieldName,
  fieldNames,
  fields,
  groups,
  isUsed,
  rangeOf,
  type Settings,
  settingsOf,
} from './settings.ts';

type Control = HTMLInputElement | HTMLSelectElement;

export class Form {
  readonly #controls = new Map<FieldName, Control>();
  readonly #rows = new Map<FieldName, HTMLElement>();
  #settings: Settings;

  /** @param onChange called with the settings after a change that makes sense */
  constructor(settings: Settings, onChange: (settings: Settings) => void) {
    this.#settings = settings;
    const home = byId('fields', HTMLDivElement);
    for (const group of groups) {
      const names = fieldNames.filter((name) => fields[name].group === group);
      const shown = names.filter((name) => !fields[name].rare).map((name) => this.#row(name));
      const folded = names.filter((name) => fields[name].rare).map((name) => this.#row(name));
      const grid = make('div', { class: 'grid' }, ...shown);
      const more = make(
        'details',
        {},
        make('summary', {}, `More of ${group}`),
        make('div', { class: 'grid' }, ...folded),
      );
      home.append(make('fieldset', {}, make('legend', {}, group), grid, ...(folded.length > 0 ? [more] : [])));
    }
    this.show(settings);
    // Open beside the training, folded above it.
    const wide = matchMedia('(min-width: 60rem)');
    const fold = (): void => {
      byId('settings-fold', HTMLDetailsElement).open = wide.matches;
    };
    fold();
    wide.addEventListener('change', fold);
    const form = byId('settings', HTMLFormElement);
    form.addEventListener('submit', (event) => event.preventDefault());
    form.addEventListener('change', () => {
      const { settings: chosen } = settingsOf((name) => this.#textOf(name));
      const { settings: next, notes } = settingsOf((name) =>
        isUsed(name, chosen) ? this.#textOf(name) : String(this.#settings[name]),
      );
      this.#arrange(next);
      byId('pending', HTMLParagraphElement).textContent = notes.join(' ');
      if (notes.length > 0) return;
      this.#settings = next;
      onChange(next);
    });
  }

  get settings(): Settings {
    return this.#settings;
  }

  /** Puts settings into the controls. */
  show(settings: Settings): void {
    this.#settings = settings;
    for (const [name, control] of this.#controls) {
      const value = settings[name];
      control.value = control instanceof HTMLInputElement && value === 'own' ? '' : String(value);
    }
    this.#arrange(settings);
    byId('pending', HTMLParagraphElement).textContent = '';
  }

  #textOf(name: FieldName): string | undefined {
    return this.#controls.get(name)?.value;
  }

  /** Shows what is used, and complains where it cannot be. */
  #arrange(settings: Settings): void {
    for (const [name, control] of this.#controls) {
      const used = isUsed(name, settings);
      const row = this.#rows.get(name);
      if (row !== undefined) row.hidden = !used;
      const field: Field<unknown> = fields[name];
      const good = !used || field.parse(control.value) !== undefined;
      control.setCustomValidity(good ? '' : rangeOf(field));
      control.setAttribute('aria-invalid', String(!good));
    }
  }

  #row(name: FieldName): HTMLElement {
    const field: Field<unknown> = fields[name];
    const [id, hint] = [`field-${name}`, `hint-${name}`];
    const control = controlOf(field, { id, name, 'aria-describedby': hint });
    this.#controls.set(name, control);
    const words = make('span', { class: 'words' }, make('label', { for: id }, field.label));
    words.append(make('small', { id: hint }, field.hint));
    const row = make('div', { class: field.kind === 'choice' ? 'field wide' : 'field' }, words, control);
    this.#rows.set(name, row);
    return row;
  }
}

function controlOf(field: Field<unknown>, attributes: Readonly<Record<string, string>>): Control {
  if (field.choices !== undefined) {
    const options = field.choices.map(({ value, label }) => make('option', { value }, label));
    return make('select', attributes, ...options);
  }
  const { least = 0, most = 0 } = field;
  const inputmode = field.kind === 'whole' ? 'numeric' : 'decimal';
  const step = field.kind === 'whole' ? '1' : 'any';
  const placeholder = field.value === 'own' && 'usual';
  return make('input', { ...attributes, type: 'number', min: least, max: most, step, inputmode, placeholder });
}
