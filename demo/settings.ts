// What can be set on the page: one table of fields with labels, limits and defaults, from which the form is made and by which
// the page's address is read and written.
//
// Always: settings are complete and fit together; whatever an address or a run's config.json says, what is bad is replaced
// by its default and told, never trusted. Names and defaults are those of the command line, but how often and how much is tested (bench/options.ts; a test
// holds them together), so a run here can be repeated there. Not here: how a field looks (form.ts).

import { type ModelOptions, systems } from '../bench/models.ts';
import type { RIMChoice } from '../bench/options.ts';
import type { StepOptions } from '../bench/programs.ts';

/** The tasks by their names on the command line. */
export type TaskName = 'copying' | 'adding' | 'smnist';

/** The groups of fields, in the order in which they stand. */
export const groups = ['Task', 'RIM', 'Beside it', 'Training'] as const;

/** One thing that can be set. */
export interface Field<T> {
  readonly label: string;
  /** A few words under the label. */
  readonly hint: string;
  readonly group: (typeof groups)[number];
  /** The only task that it concerns. */
  readonly task?: TaskName;
  /** Shown only on demand. */
  readonly rare: boolean;
  readonly value: T;
  readonly kind: 'whole' | 'real' | 'choice';
  readonly least?: number;
  readonly most?: number;
  readonly choices?: readonly { readonly value: string; readonly label: string }[];
  /** The value that a text means; undefined where it means none. */
  parse(text: string): T | undefined;
}

/** A size that each model has a default of its own for. */
type OwnSize = number | 'own';

/** All that can be set, by the names of the command line's options; `beside` names the model that is trained beside the RIM. */
export interface Fields {
  readonly task: Field<TaskName>;
  readonly digits: Field<number>;
  readonly blank: Field<number>;
  readonly length: Field<number>;
  readonly resolution: Field<number>;
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
  readonly beside: Field<string>;
  readonly width: Field<number>;
  readonly layers: Field<OwnSize>;
  readonly heads: Field<OwnSize>;
  readonly slots: Field<OwnSize>;
  readonly slotSize: Field<OwnSize>;
  readonly positions: Field<'own' | 'sinusoidal' | 'alibi' | 'none'>;
  readonly norm: Field<'own' | 'post' | 'pre'>;
  readonly betweenLayers: Field<'own' | 'none' | 'layer-norm'>;
  readonly memory: Field<OwnSize>;
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

type Looks = Pick<Field<unknown>, 'label' | 'hint' | 'group' | 'task'> & { readonly rare?: true };

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

/** A size that the model has a default of its own for, which an empty text means too. */
function ownSize(looks: Looks, most: number): Field<OwnSize> {
  const size = number('whole', looks, 1, [1, most]);
  return {
    ...size,
    value: 'own',
    parse: (text) => (text.trim() === '' || text === 'own' ? 'own' : size.parse(text)),
  };
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

const rare = true;

/** The models that can be trained beside a RIM, by their names on the command line. */
const others: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(systems).flatMap(([name, { system }]) => (name === 'rim' ? [] : [[name, system]])),
);

/** The table. */
export const fields: Fields = {
  task: choice({ label: 'Task', hint: 'what a model has to do', group: 'Task' }, 'copying', {
    copying: 'Copying digits',
    adding: 'Adding two numbers',
    smnist: 'Digits pixel by pixel',
  }),
  digits: number('whole', { label: 'Digits', hint: 'to remember', group: 'Task', task: 'copying' }, 3, [1, 20]),
  blank: number('whole', { label: 'Blank', hint: 'steps in between', group: 'Task', task: 'copying' }, 10, [1, 500]),
  length: number('whole', { label: 'Length', hint: 'numbers in all', group: 'Task', task: 'adding' }, 20, [2, 500]),
  resolution: number(
    'whole',
    { label: 'Resolution', hint: 'pixels on a side', group: 'Task', task: 'smnist' },
    14,
    [1, 28],
  ),
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
  beside: choice<string>({ label: 'Model', hint: 'on the same sequences', group: 'Beside it' }, 'lstm', {
    ...others,
    none: 'None',
  }),
  width: number('whole', { label: 'Width', hint: 'hidden size', group: 'Beside it' }, 144, [1, 4096]),
  layers: ownSize({ label: 'Layers', hint: 'on each other', group: 'Beside it' }, 16),
  heads: ownSize({ label: 'Heads', hint: 'that look or write', group: 'Beside it' }, 16),
  slots: ownSize({ label: 'Slots', hint: 'of its memory', group: 'Beside it' }, 1024),
  slotSize: ownSize({ label: 'Slot size', hint: 'numbers in one', group: 'Beside it' }, 1024),
  positions: choice({ label: 'Positions', hint: 'how they are told', group: 'Beside it' }, 'own', {
    own: 'As usual',
    sinusoidal: 'By waves',
    alibi: 'By distance (ALiBi)',
    none: 'Not at all',
  }),
  norm: choice({ label: 'Layer norm', hint: 'where', group: 'Beside it' }, 'own', {
    own: 'As usual',
    post: 'Behind each residual',
    pre: 'Before each sublayer',
  }),
  betweenLayers: choice({ label: 'Between', hint: 'its layers', group: 'Beside it' }, 'own', {
    own: 'As usual',
    none: 'Nothing',
    'layer-norm': 'Layer norm',
  }),
  memory: ownSize({ label: 'Memory', hint: 'steps, at first', group: 'Beside it' }, 1_000_000),
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

/** Whether anything comes of a field: a task and a model have what is theirs alone. */
export function isUsed(name: FieldName, { task, beside }: Pick<Settings, 'task' | 'beside'>): boolean {
  const { task: own, group }: Field<unknown> = fields[name];
  if (own !== undefined) return own === task;
  // Numbers are not embedded.
  if (name === 'embedding') return task !== 'adding';
  return group !== 'Beside it' || name === 'beside' || systems[beside]?.options.some((each) => each === name) === true;
}

/** The models that settings train, by their names on the command line. */
export function modelNames({ beside }: Pick<Settings, 'beside'>): readonly string[] {
  return beside === 'none' ? ['rim'] : ['rim', beside];
}

/** Settings from the query of an address, such as `?modules=4&active=2`. */
export function fromQuery(query: string): Read {
  const given = new URLSearchParams(query);
  return settingsOf((name) => given.get(name) ?? undefined);
}

/** The query of an address: only what is used and differs from the defaults, so that the usual address is short. */
export function toQuery(settings: Settings): string {
  const query = new URLSearchParams();
  for (const name of fieldNames) {
    if (isUsed(name, settings) && settings[name] !== defaults[name]) query.set(name, String(settings[name]));
  }
  return query.toString();
}

/** Settings from the options of a run's config.json, which leaves out what its preset decides. */
export function fromRunOptions(options: Readonly<Record<string, unknown>>): Read {
  const models: readonly unknown[] = Array.isArray(options.models) ? options.models : ['rim', defaults.beside];
  const [beside = 'none', ...more] = models.filter((name) => name !== 'rim').map(String);
  const { settings, notes } = settingsOf((name) => {
    // The command line names its models in a list; the page has the RIM always, and one beside it or none.
    if (name === 'beside') return beside;
    const value = options[name];
    // The page tests more often than the command line, which need not be its choice.
    return value === undefined || name === 'evaluateEvery' || name === 'testBatches' ? undefined : String(value);
  });
  if (more.length === 0) return { settings, notes };
  const names = more.map((name) => others[name] ?? name).join(', ');
  return { settings, notes: [...notes, `The page trains one model beside the RIM: ${names} is only shown.`] };
}

/** What a field takes, in words. */
export function rangeOf(field: Field<unknown>): string {
  if (field.choices !== undefined) return `use ${field.choices.map(({ value }) => value).join(', ')}`;
  return `use a ${field.kind === 'whole' ? 'whole ' : ''}number from ${field.least} to ${field.most}`;
}

/** The model's options that settings mean. */
export function modelOptions(settings: Settings): ModelOptions & StepOptions {
  const { commOutput, sources, layers, heads, slots, slotSize, positions, norm, betweenLayers, memory, ...rest } =
    settings;
  const decided = chosen({
    ...{ commOutput, sources },
    ...{ layers, heads, slots, slotSize, positions, norm, betweenLayers, memory },
  });
  return { ...rest, communication: true, inputAttention: true, ...decided };
}

/** What is left to the preset or to the model. */
type Undecided = 'preset' | 'own';

/** Settings without those that are left to others. */
function chosen<T extends object>(settings: T): { [K in keyof T]?: Exclude<T[K], Undecided> } {
  const decided = Object.entries(settings).filter(([, value]) => value !== 'preset' && value !== 'own');
  return Object.fromEntries(decided) as { [K in keyof T]?: Exclude<T[K], Undecided> };
}
