// The options of a RIM cell: every choice that the paper and its public implementations make differently, and the three
// presets. What each value does is in selection.ts, communication.ts and cell.ts; the differences are explained in the
// docstrings below, with the paper's equation numbers (Goyal et al. 2019, arXiv 1909.10893).

import { checkOptions, checkSwitch, OptionError, quote } from '../engine/errors.ts';

/** Everything that defines a cell. Letters: ARCHITECTURE.md's, as in `[B,N,H]`. */
export interface CellOptions {
  /** D: size of an input row. */
  readonly inputSize: number;
  /** H: hidden size of one module. */
  readonly hiddenSize: number;
  /** N: modules (the paper's k_T). */
  readonly modules: number;
  /** K: modules active at a step (k_A). */
  readonly active: number;
  /**
   * The dynamics of a module; every module has its own weights. An LSTM makes h anew from its gates at each step; a GRU may keep it, and
   * communication adds up to 1 (gated) at each: its h has no bound.
   */
  readonly cell: 'lstm' | 'gru';
  /** R: input rows a step, besides the null row. */
  readonly inputRows: number;
  /** False: every module reads the input as it is and all are active (the paper's ablation, Table 4). */
  readonly inputAttention: boolean;
  /** I: input heads. */
  readonly inputHeads: number;
  /** E: key size of an input head. */
  readonly keySize: number;
  /** V: value size of an input head. */
  readonly valueSize: number;
  /** Keys and values of the input have a bias, which then is the null row's key and value. */
  readonly inputBias: boolean;
  /** Keys and values have a matrix of their own for each row (official code); else one for all (eq. 2). */
  readonly rowWeights: boolean;
  /** 'separate': a softmax a head, values side by side; 'averaged': scores and values averaged over heads, one softmax. */
  readonly headRule: 'separate' | 'averaged';
  /** The official code's sparse rule over the input rows: acts with 3 rows or more (its t = 3). */
  readonly sparseInput: boolean;
  /**
   * Who is active: 'least-null', the least attention on the null row (eq. 2 and the text below); 'raw-score', the greatest
   * score of the input before the softmax (dido); 'across-modules', a sparse softmax over the modules without a null row
   * (the ICLR version of the paper, the official Atari code).
   */
  readonly selection: 'least-null' | 'raw-score' | 'across-modules';
  /** What an inactive module's candidate reads: what it attended to, or zeros. Matters with candidate sources. */
  readonly inactiveInput: 'attended' | 'zero';
  /** What others read of an inactive module: its kept h, with gradient (paper), or its discarded candidate, without. */
  readonly sources: 'kept' | 'candidate';
  /** The biases of the LSTM or GRU, two as in PyTorch. */
  readonly cellBias: boolean;
  /** False: modules do not talk (ablation). */
  readonly communication: boolean;
  /** C: communication heads. */
  readonly commHeads: number;
  /** F: key size of a communication head. */
  readonly commKeySize: number;
  /** W: value size of a communication head. */
  readonly commValueSize: number;
  /** 'residual': h + out(o) (section 2.4); 'gated': h + sigmoid(gate(o)) tanh(out(o)) (official code). */
  readonly commOutput: 'residual' | 'gated';
  /** The output projection is one for all modules (official code) instead of one each. */
  readonly commShared: boolean;
  /** The output projection has a bias. */
  readonly commBias: boolean;
  /** Sources that a reader attends to: its greatest scores, in each head. N: all. */
  readonly commTopK: number;
  /** Rate of dropout at the input attention; 0 is off. */
  readonly inputDropout: number;
  /** Rate of dropout at the communication; 0 is off. */
  readonly commDropout: number;
  /** On the attended values and the projected communication, or on the attention probabilities. */
  readonly dropoutOn: 'values' | 'probabilities';
  /** 'small': attention matrices 0.01 times normal (both public codes); 'fan-in': uniform within 1/sqrt(rows). */
  readonly initialisation: 'small' | 'fan-in';
}

/** Sizes that every preset asks for; all other options may be given to override the preset. */
export type PresetOptions = Pick<CellOptions, 'inputSize' | 'hiddenSize' | 'modules' | 'active'> & Partial<CellOptions>;

const common = {
  cell: 'lstm',
  inputRows: 1,
  inputAttention: true,
  inputHeads: 1,
  keySize: 64,
  sparseInput: false,
  cellBias: true,
  communication: true,
  commHeads: 4,
  commKeySize: 32,
  commValueSize: 32,
  inputDropout: 0.1,
  commDropout: 0.1,
} as const;

/** The names of the presets: the paper's choices, those of the official code (event_based), those of dido's code. */
export type Preset = 'paper' | 'official' | 'dido';

const presets: Readonly<
  Record<Preset, Omit<CellOptions, 'inputSize' | 'hiddenSize' | 'modules' | 'active' | 'valueSize' | 'commTopK'>>
> = {
  paper: {
    ...common,
    inputBias: false,
    rowWeights: false,
    headRule: 'separate',
    selection: 'least-null',
    inactiveInput: 'attended',
    sources: 'kept',
    commOutput: 'residual',
    commShared: false,
    commBias: false,
    dropoutOn: 'values',
    initialisation: 'fan-in',
  },
  official: {
    ...common,
    inputBias: false,
    rowWeights: true,
    headRule: 'separate',
    sparseInput: true,
    selection: 'least-null',
    inactiveInput: 'attended',
    sources: 'candidate',
    commKeySize: 16,
    commValueSize: 16,
    commOutput: 'gated',
    commShared: true,
    commBias: true,
    dropoutOn: 'values',
    initialisation: 'small',
  },
  dido: {
    ...common,
    inputBias: true,
    rowWeights: false,
    headRule: 'averaged',
    selection: 'raw-score',
    inactiveInput: 'zero',
    sources: 'candidate',
    cellBias: false,
    commOutput: 'residual',
    commShared: false,
    commBias: false,
    dropoutOn: 'probabilities',
    initialisation: 'small',
  },
};

/** The full options of a preset with some of them set. @throws OptionError for an unknown or impossible one */
export function presetOptions(preset: Preset, given: PresetOptions): CellOptions {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new OptionError(`RIM: the options must be an object, not ${quote(given)}`);
  }
  const options: CellOptions = {
    ...presets[preset],
    valueSize: 4 * given.hiddenSize,
    commTopK: given.modules,
    ...(preset === 'dido' ? { commValueSize: given.hiddenSize } : {}),
    ...given,
  };
  return checkCell(options);
}

const SIZES = [
  'inputSize',
  'hiddenSize',
  'modules',
  'active',
  'inputRows',
  'inputHeads',
  'keySize',
  'valueSize',
  'commHeads',
  'commKeySize',
  'commValueSize',
  'commTopK',
] as const;
const FLAGS = [
  'inputAttention',
  'inputBias',
  'rowWeights',
  'sparseInput',
  'cellBias',
  'communication',
  'commShared',
  'commBias',
] as const;
const CHOICES = {
  cell: ['lstm', 'gru'],
  headRule: ['separate', 'averaged'],
  selection: ['least-null', 'raw-score', 'across-modules'],
  inactiveInput: ['attended', 'zero'],
  sources: ['kept', 'candidate'],
  commOutput: ['residual', 'gated'],
  dropoutOn: ['values', 'probabilities'],
  initialisation: ['small', 'fan-in'],
} as const;
const RATES = ['inputDropout', 'commDropout'] as const;

/** The names of all options of a cell. */
export const CELL_OPTIONS: readonly string[] = [...SIZES, ...FLAGS, ...Object.keys(CHOICES), ...RATES];

/** @throws OptionError where the value of an option is none of those it can take */
export function checkChoice(name: string, value: unknown, values: readonly string[]): void {
  if (values.some((each) => each === value)) return;
  throw new OptionError(`RIM: ${name} must be ${values.map((each) => `'${each}'`).join(' or ')}, not ${quote(value)}`);
}

/** The same options. @throws OptionError naming what is unknown, missing or impossible, and the mend */
export function checkCell(options: CellOptions): CellOptions {
  checkOptions('RIM', options, CELL_OPTIONS);
  for (const name of SIZES) {
    if (!Number.isSafeInteger(options[name]) || options[name] < 1) {
      throw new OptionError(`RIM: ${name} must be a whole number of at least 1, not ${quote(options[name])}`);
    }
  }
  for (const name of FLAGS) checkSwitch('RIM', name, options[name]);
  for (const [name, values] of Object.entries(CHOICES)) {
    checkChoice(name, options[name as keyof typeof CHOICES], values);
  }
  for (const name of RATES) {
    if (!(options[name] >= 0 && options[name] < 1))
      throw new OptionError(`RIM: ${name} must be in [0, 1), not ${quote(options[name])}`);
  }
  const { modules, active, inputRows } = options;
  if (active > modules)
    throw new OptionError(`RIM: ${active} modules cannot be active of ${modules}; lower active or raise modules`);
  if (options.commTopK > modules)
    throw new OptionError(`RIM: commTopK ${options.commTopK} is above the ${modules} modules there are`);
  if (!options.inputAttention && (active !== modules || inputRows !== 1)) {
    throw new OptionError(
      'RIM: without input attention nothing chooses modules; set active to modules and inputRows to 1',
    );
  }
  if (options.selection === 'across-modules' && (inputRows !== 1 || options.headRule !== 'separate')) {
    throw new OptionError("RIM: selection 'across-modules' is defined for one input row and headRule 'separate'");
  }
  if (options.rowWeights && options.inputBias) {
    throw new OptionError(
      'RIM: rowWeights and inputBias do not go together; the code that has the one has not the other',
    );
  }
  return options;
}
