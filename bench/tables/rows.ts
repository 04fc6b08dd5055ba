// The rows of all tables: a RIM or one of the systems it is compared with, at the sizes of a scale.
//
// Always: the paper's sizes stand here once; a smaller scale takes the same share of the units of RIMs, LSTMs and GRUs. The paper gives
// sizes for RIMs and LSTMs only: those of the other systems are ours at every scale, at the paper's near their own papers'. Not here:
// which rows a table has, and what was published of them.

import type { Row, Scale } from './definition.ts';

/** The share of the paper's units that a scale takes. */
const SHARE: Readonly<Record<Scale, number>> = { tiny: 0.04, small: 0.24, paper: 1 };

/** What a scale makes of a number of units of the paper. */
export function unitsAt(scale: Scale, units: number): number {
  return Math.max(2, Math.round(SHARE[scale] * units));
}

/** What all RIMs of a scale have in common. The paper's appendix gives keys and values of communication 32 each, its script 16. */
const RIM_ARGS: Readonly<Record<Scale, readonly string[]>> = {
  tiny: ['--key-size', '4', '--comm-heads', '1', '--comm-key-size', '4', '--comm-value-size', '4'],
  small: [],
  paper: [
    ...['--key-size', '64', '--comm-heads', '4', '--comm-key-size', '32', '--comm-value-size', '32'],
    ...['--attention-dropout', '0.1'],
  ],
};

/** A RIM of a table. */
export interface RIMRow {
  /** N: modules. */
  readonly modules: number;
  /** K: active modules. */
  readonly active: number;
  /** H in the paper; 100 where left out. */
  readonly hidden?: number;
  readonly cell?: 'lstm' | 'gru';
  /** Before the sizes in the row's id and label, such as `rim-gru` and `GRU RIM`. */
  readonly id?: string;
  readonly label?: string;
  /** Behind the units, in words. */
  readonly note?: string;
  readonly args?: readonly string[];
}

/** The row of a RIM. */
export function rim(scale: Scale, sizes: RIMRow, published: Pick<Row, 'paper' | 'reproductions'> = {}): Row {
  const { modules, active, hidden = 100, cell = 'lstm', note, args = [] } = sizes;
  const { id = cell === 'gru' ? 'rim-gru' : 'rim', label = cell === 'gru' ? 'GRU RIM' : 'RIM' } = sizes;
  const H = unitsAt(scale, hidden);
  return {
    id: `${id}-${modules}-${active}`,
    model: 'rim',
    label: `${label} ${modules}/${active}`,
    sizes: `${modules * H} units${note === undefined ? '' : `, ${note}`}`,
    args: [
      ...['--models', 'rim', '--modules', `${modules}`, '--active', `${active}`, '--hidden', `${H}`],
      ...['--value-size', `${4 * H}`, '--cell', cell, ...RIM_ARGS[scale], ...args],
    ],
    ...published,
  };
}

/** The systems that RIMs are compared with, by the names that `--models` takes. */
export type Baseline = 'lstm' | 'gru' | 'ntm' | 'rmc' | 'transformer' | 'entnet' | 'indrnn' | 'dnc';

const LABELS: Readonly<Record<Baseline, string>> = {
  lstm: 'LSTM',
  gru: 'GRU',
  ntm: 'NTM',
  rmc: 'RMC',
  transformer: 'Transformer',
  entnet: 'EntNet',
  indrnn: 'IndRNN',
  dnc: 'DNC',
};

/** Sizes of a system at a scale: its arguments, and the same in words. */
interface Sizes {
  readonly width?: number;
  readonly layers?: number;
  readonly heads?: number;
  readonly slots?: number;
  readonly slotSize?: number;
  readonly positions?: 'sinusoidal';
}

const OURS: Readonly<Record<Exclude<Baseline, 'lstm' | 'gru'>, Readonly<Record<Scale, Sizes>>>> = {
  ntm: {
    tiny: { width: 8, slots: 4, slotSize: 4 },
    small: { width: 72, slots: 32, slotSize: 16 },
    paper: { width: 300, slots: 128, slotSize: 20 },
  },
  rmc: {
    tiny: { slots: 2, slotSize: 8, heads: 2 },
    small: { slots: 4, slotSize: 36, heads: 4 },
    paper: { slots: 4, slotSize: 256, heads: 4 },
  },
  transformer: {
    tiny: { width: 8, layers: 1, heads: 2, positions: 'sinusoidal' },
    small: { width: 64, layers: 2, heads: 4, positions: 'sinusoidal' },
    paper: { width: 256, layers: 4, heads: 8, positions: 'sinusoidal' },
  },
  entnet: {
    tiny: { slots: 3, slotSize: 8 },
    small: { slots: 6, slotSize: 24 },
    paper: { slots: 20, slotSize: 100 },
  },
  indrnn: {
    tiny: { width: 8, layers: 2 },
    small: { width: 72, layers: 3 },
    paper: { width: 128, layers: 6 },
  },
  dnc: {
    tiny: { width: 8, slots: 4, slotSize: 4, heads: 1 },
    small: { width: 72, slots: 16, slotSize: 16, heads: 2 },
    paper: { width: 256, slots: 64, slotSize: 32, heads: 4 },
  },
};

/** Makes the row of another system. @param half an LSTM or GRU of half as many units as the RIMs */
export type MakeBaseline = (model: Baseline, published?: Pick<Row, 'paper' | 'reproductions'>, half?: boolean) => Row;

/**
 * The rows of other systems at a scale. A Transformer has its layer norms before its sublayers, for the learning rate does not warm up;
 * layers of an IndRNN are normalised, as its authors' are.
 * @param steps T of the training, over which an IndRNN remembers at first
 */
export function baselines(scale: Scale, steps: number): MakeBaseline {
  return (model, published = {}, half = false) => baseline(scale, steps, model, published, half);
}

function baseline(
  scale: Scale,
  steps: number,
  model: Baseline,
  published: Pick<Row, 'paper' | 'reproductions'>,
  half: boolean,
): Row {
  const recurrent = model === 'lstm' || model === 'gru';
  const sizes = recurrent ? { width: unitsAt(scale, half ? 300 : 600) } : OURS[model][scale];
  const options = Object.entries(sizes).flatMap(([name, value]) => [FLAGS[name as keyof Sizes], `${value}`]);
  return {
    id: half ? `${model}-half` : model,
    model,
    label: LABELS[model],
    sizes: words(sizes),
    // The paper's smaller LSTM embeds symbols in as many numbers as it has units.
    args: [
      ...['--models', model, ...options],
      ...(half && scale === 'paper' ? ['--embedding', '300'] : []),
      ...(model === 'transformer' ? ['--norm', 'pre'] : []),
      ...(model === 'indrnn' ? ['--between-layers', 'layer-norm', '--memory', `${steps}`] : []),
    ],
    ...published,
  };
}

const FLAGS: Readonly<Record<keyof Sizes, string>> = {
  width: '--width',
  layers: '--layers',
  heads: '--heads',
  slots: '--slots',
  slotSize: '--slot-size',
  positions: '--positions',
};

function words({ width, layers, heads, slots, slotSize, positions }: Sizes): string {
  return [
    ...(layers === undefined ? [] : [`${layers} ${layers === 1 ? 'layer' : 'layers'}`]),
    ...(width === undefined ? [] : [`${width} units`]),
    ...(slots === undefined ? [] : [`${slots} slots${slotSize === undefined ? '' : ` of ${slotSize}`}`]),
    ...(heads === undefined ? [] : [`${heads} ${heads === 1 ? 'head' : 'heads'}`]),
    ...(positions === undefined ? [] : [`${positions} positions`]),
  ].join(', ');
}
