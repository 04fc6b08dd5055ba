// What can be set on the page: one table of fields with labels, limits and defaults, from which the form is made and by which
// the page's address is read and written.
//
// Always: settings are complete and fit together; whatever an address or a run's config.json says, what is bad is replaced
// by its default and told, never trusted. Names and defaults are those of the command line (bench/options.ts; a test holds
// them together), so a run here can be repeated there. Not here: how a field looks (form.ts).

import type { ModelOptions } from '../bench/models.ts';
import type { RIMChoice } from '../bench/options.ts';
import type { StepOptions } from '../bench/programs.ts';

/** One thing that can be set. */
export interface Field<T> {
  readonly label: string;
  /** A few words under the label. */
  readonly hint: string;
  readonly group: 'Task' | 'RIM' | 'LSTM' | 'Training';
  /** Shown only on demand. */
  readonly rare: boolean;
  readonly value: T;
  readonly kind: 'whole' | 'real' | 'choice' | 'flag';
  readonly least?: number;
  readonly most?: number;
  readonly choices?: readonly { readonly value: string; readonly label: string }[];
  /** The value that a text means; undefined where it means none. */
  parse(text: string): T | undefined;
}

/** All that can be set, by the names of the command line's options. */
export interface Fields {
  readonly task: Field<'copying'>;
  readonly digits: Field<number>;
  readonly blank: Field<number>;
  readonly modules: Field<number>;
  readonly active: Field<number>;
  readonly hidden: Field<number>;
  readonly cell: Field<'lstm' | 'gru'>;
  readonly preset: Field<RIMChoice>;
  readonly embedding: Field<number>;
  readonly keySize: Field<number>;
  readonly valueSize: Field<number>;
  readonly commHeads: Field<number>;
  readonly commKeySize: Field<number>;
  readonly commValueSize: Field<number>;
  readonly commOutput: Field<'preset' | 'residual' | 'gated'>;
  readonly sources: Field<'preset' | 'kept' | 'candidate'>;
  readonly attentionDropout: Field<number>;
  readonly lstm: Field<boolean>;
  readonly width: Field<number>;
  readonly seed: Field<number>;
  readonly learningRate: Field<number>;
  readonly batch: Field<number>;
  readonly clip: Field<number>;
  readonly dropout: Field<number>;
  readonly evaluateEvery: Field<number>;
  readonly testBatches: Field<number>;
}

export type FieldName = keyof Fields;

/** A complete choice. */
export type Settings = { readonly [K in FieldName]: Fields[K] extends Field<infer T> ? T : never };

type Looks = Pick<Field<unknown>, 'label' | 'hint' | 'group'> & { readonly rare?: true };

function number(
  kind: 'whole' | 'real',
  looks: Looks,
  value: number,
  [least, most]: readonly [number, number],
): Field<number> {
  const parse = (text: string): number | undefined => {
    const found = Number(text);
    const fits = text.trim() !== '' && found >= least && found <= most && (kind === 'real' || Number.isInteger(found));
    return fits ? found : undefined;
  };
  return { rare: false, ...looks, kind, value, least, most, parse };
}

function choice<T extends string>(looks: Looks, value: NoInfer<T>, labels: Readonly<Record<T, string>>): Field<T> {
  const known = Object.keys(labels) as T[];
  const choices = known.map((each) => ({ value: each, label: labels[each] }));
  return {
    rare: false,
    ...looks,
    kind: 'choice',
    value,
    choices,
    parse: (text) => known.find((each) => each === text),
  };
}

function flag(looks: Looks, value: boolean): Field<boolean> {
  const parse = (text: string): boolean | undefined => (text === 'true' ? true : text === 'false' ? false : undefined);
  return { rare: false, ...looks, kind: 'flag', value, parse };
}

const rare = true;

/** The table. */
export const fields: Fields = {
  task: choice({ label: 'Task', hint: 'remember digits over a blank', group: 'Task' }, 'copying', {
    copying: 'Copying',
  }),
  digits: number('whole', { label: 'Digits', hint: 'to remember', group: 'Task' }, 3, [1, 20]),
  blank: number('whole', { label: 'Blank', hint: 'steps in between', group: 'Task' }, 10, [1, 500]),
  preset: choice(
    { label: 'Preset', hint: 'whose choices, where the sources differ', group: 'RIM' },
    'default-mixture',
    {
      'default-mixture': 'Learned best here',
      paper: 'The paper',
      official: "The authors' code",
      dido: "dido's code",
    },
  ),
  cell: choice({ label: 'Cell', hint: 'of a module', group: 'RIM' }, 'lstm', { lstm: 'LSTM', gru: 'GRU' }),
  modules: number('whole', { label: 'Modules N', hint: 'in all', group: 'RIM' }, 6, [1, 32]),
  active: number('whole', { label: 'Active K', hint: 'at each step', group: 'RIM' }, 4, [1, 32]),
  hidden: number('whole', { label: 'Hidden H', hint: 'units a module', group: 'RIM' }, 24, [1, 1024]),
  embedding: number('whole', { label: 'Embedding', hint: 'of a symbol', group: 'RIM', rare }, 16, [1, 1024]),
  keySize: number('whole', { label: 'Key size', hint: 'input attention', group: 'RIM', rare }, 16, [1, 1024]),
  valueSize: number('whole', { label: 'Value size', hint: 'input attention', group: 'RIM', rare }, 32, [1, 1024]),
  commHeads: number('whole', { label: 'Heads', hint: 'communication', group: 'RIM', rare }, 2, [1, 16]),
  commKeySize: number('whole', { label: 'Key size', hint: 'communication', group: 'RIM', rare }, 16, [1, 1024]),
  commValueSize: number('whole', { label: 'Value size', hint: 'communication', group: 'RIM', rare }, 16, [1, 1024]),
  commOutput: choice({ label: 'Talk enters', hint: 'the state', group: 'RIM', rare }, 'preset', {
    preset: 'As the preset',
    residual: 'Added',
    gated: 'Through a gate',
  }),
  sources: choice({ label: 'Inactive offer', hint: 'to others', group: 'RIM', rare }, 'preset', {
    preset: 'As the preset',
    kept: 'What they kept',
    candidate: 'Their candidate',
  }),
  attentionDropout: number('real', { label: 'Dropout', hint: 'at attention', group: 'RIM', rare }, 0, [0, 0.95]),
  lstm: flag({ label: 'Train an LSTM beside it', hint: 'on the same sequences', group: 'LSTM' }, true),
  width: number('whole', { label: 'Hidden size', hint: 'of the LSTM', group: 'LSTM' }, 144, [1, 4096]),
  seed: number('whole', { label: 'Seed', hint: 'of the run', group: 'Training' }, 1, [0, 0xffff_ffff]),
  learningRate: number('real', { label: 'Learning rate', hint: 'of Adam', group: 'Training' }, 3e-3, [1e-9, 10]),
  batch: number('whole', { label: 'Batch', hint: 'sequences a step', group: 'Training' }, 64, [1, 4096]),
  clip: number('real', { label: 'Clip', hint: 'norm of the gradient, 0: none', group: 'Training', rare }, 1, [0, 1e9]),
  dropout: number('real', { label: 'Dropout', hint: 'before the readout', group: 'Training', rare }, 0, [0, 0.95]),
  evaluateEvery: number('whole', { label: 'Test every', hint: 'steps', group: 'Training', rare }, 100, [1, 1_000_000]),
  testBatches: number('whole', { label: 'Test batches', hint: 'each time', group: 'Training', rare }, 4, [1, 1000]),
};

export const fieldNames: readonly FieldName[] = Object.keys(fields) as FieldName[];

/** What everything is before anybody chose. */
export const defaults: Settings = settingsOf(() => undefined).settings;

/** Settings from anywhere, and what had to be said about them, a sentence each. */
export interface Read {
  readonly settings: Settings;
  readonly notes: readonly string[];
}

/** Settings from what `given` says of each name; a name that it does not know keeps its default. */
export function settingsOf(given: (name: FieldName) => string | undefined): Read {
  const notes: string[] = [];
  const values = fieldNames.map((name) => {
    const field: Field<unknown> = fields[name];
    const text = given(name);
    if (text === undefined) return [name, field.value] as const;
    const value = field.parse(text);
    if (value !== undefined) return [name, value] as const;
    notes.push(`${field.label} cannot be “${text.slice(0, 40)}”: ${rangeOf(field)}. It is ${String(field.value)}.`);
    return [name, field.value] as const;
  });
  const settings = Object.fromEntries(values) as Settings;
  if (settings.active <= settings.modules) return { settings, notes };
  notes.push(`${settings.active} modules cannot be active of ${settings.modules}. Active K is ${settings.modules}.`);
  return { settings: { ...settings, active: settings.modules }, notes };
}

/** Settings from the query of an address, such as `?modules=4&active=2`. */
export function fromQuery(query: string): Read {
  const given = new URLSearchParams(query);
  return settingsOf((name) => given.get(name) ?? undefined);
}

/** The query of an address: only what differs from the defaults, so that the usual address is short. */
export function toQuery(settings: Settings): string {
  const query = new URLSearchParams();
  for (const name of fieldNames) {
    if (settings[name] !== defaults[name]) query.set(name, String(settings[name]));
  }
  return query.toString();
}

/** Settings from the options of a run's config.json, which leaves out what its preset decides. */
export function fromRunOptions(options: Readonly<Record<string, unknown>>): Read {
  return settingsOf((name) => {
    // The command line names its models in a list; the page has the RIM always, and the LSTM or not.
    if (name === 'lstm') return Array.isArray(options.models) ? String(options.models.includes('lstm')) : undefined;
    const value = options[name];
    // The page tests more often than the command line, which need not be its choice.
    return value === undefined || name === 'evaluateEvery' || name === 'testBatches' ? undefined : String(value);
  });
}

/** What a field takes, in words. */
export function rangeOf(field: Field<unknown>): string {
  if (field.kind === 'flag') return 'use true or false';
  if (field.choices !== undefined) return `use ${field.choices.map(({ value }) => value).join(', ')}`;
  return `use a ${field.kind === 'whole' ? 'whole ' : ''}number from ${field.least} to ${field.most}`;
}

/** The model's options that settings mean. */
export function modelOptions({ commOutput, sources, ...rest }: Settings): ModelOptions & StepOptions {
  return {
    ...rest,
    communication: true,
    inputAttention: true,
    ...(commOutput !== 'preset' && { commOutput }),
    ...(sources !== 'preset' && { sources }),
  };
}

/** The blanks that models are compared at: that of training, twice and four times it. */
export function testBlanks({ blank }: Pick<Settings, 'blank'>): readonly number[] {
  return [blank, 2 * blank, 4 * blank];
}
