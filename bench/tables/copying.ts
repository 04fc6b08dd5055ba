// The paper's Table 1, left: the copying task, trained at one blank and tested at four times it.
//
// Published figures are cross-entropies over the recalled digits, in nats (Goyal et al., arXiv 1909.10893v6, Table 1; that they are
// over the last ten steps is said at Table 4). GRU, EntNet, IndRNN and DNC are not in it. Nobody's independent figures are for this
// table's numbers: bmistry4 reports 0.30 and 0.09 over all positions (RIMs issue 8), which is the memoryless level.

import type { Claim } from './claims.ts';
import type { Group, Published, Row, Scale, ScaledTable, TableDefinition } from './definition.ts';
import { baselines, rim } from './rows.ts';

/** The paper's figures at a blank of 50 and of 200. */
function at(trained: number, far: number): { readonly paper: Published } {
  return { paper: { 50: trained, 200: far } };
}

function rows(scale: Scale): readonly Row[] {
  const steps = 2 * DIGITS[scale] + BLANKS[scale].trained; // the digits twice, and the blank
  const other = baselines(scale, steps);
  return [
    rim(scale, { modules: 6, active: 4 }, at(0, 0)),
    rim(scale, { modules: 6, active: 3 }, at(0, 0)),
    rim(scale, { modules: 6, active: 2 }, at(0, 0)),
    rim(scale, { modules: 5, active: 2 }, at(0, 0)),
    other('lstm', at(0, 4.32), true),
    other('lstm', at(0, 3.56)),
    other('gru'),
    other('ntm', at(0, 2.54)),
    other('rmc', at(0, 0.13)),
    other('transformer', at(0, 0.54)),
    other('entnet'),
    other('indrnn'),
    other('dnc'),
  ];
}

/** Digits to remember. */
const DIGITS: Readonly<Record<Scale, number>> = { tiny: 1, small: 3, paper: 10 };

/** Arguments of all cells of the copying task at a scale. */
export const COPYING_ARGS: Readonly<Record<Scale, readonly string[]>> = {
  tiny: [
    ...['--task', 'copying', '--digits', `${DIGITS.tiny}`, '--blank', '3', '--test-blanks', '6,12', '--batch', '4'],
    ...[
      '--embedding',
      '4',
      '--steps',
      '20',
      '--evaluate-every',
      '10',
      '--test-batches',
      '1',
      '--checkpoint-every',
      '10',
    ],
  ],
  small: [
    ...['--task', 'copying', '--digits', `${DIGITS.small}`, '--blank', '20', '--test-blanks', '40,80', '--batch', '64'],
    ...['--steps', '2000', '--evaluate-every', '250', '--test-batches', '10', '--checkpoint-every', '200'],
  ],
  paper: [
    ...['--task', 'copying', '--digits', `${DIGITS.paper}`, '--blank', '50', '--test-blanks', '200', '--batch', '64'],
    ...['--embedding', '600', '--preset', 'official', '--dropout', '0.5'],
    ...['--learning-rate', '1e-3', '--clip', '1', '--steps', '30000', '--evaluate-every', '1000'],
    ...['--test-batches', '20', '--checkpoint-every', '1000'],
  ],
};

/**
 * The tested blanks at a scale, and the paper's that they stand for. A small RIM that was trained at a blank of 10 forgets at 40; one
 * that was trained at 20 keeps most digits at 80.
 */
export const BLANKS: Readonly<Record<Scale, Pick<Group, 'trained' | 'columns'>>> = {
  tiny: { trained: 3, columns: [{ setting: 3, paper: 50 }, { setting: 6 }, { setting: 12, paper: 200 }] },
  small: { trained: 20, columns: [{ setting: 20, paper: 50 }, { setting: 40 }, { setting: 80, paper: 200 }] },
  paper: {
    trained: 50,
    columns: [
      { setting: 50, paper: 50 },
      { setting: 200, paper: 200 },
    ],
  },
};

/** What the scales of the copying task change about the paper's protocol. */
export const COPYING_PROTOCOL: Readonly<Record<Scale, string>> = {
  tiny: 'A few updates of the smallest sizes: it shows that everything runs, and learns nothing.',
  small:
    'Three digits over a blank of 20 in place of ten over 50, a quarter of the units, Adam at 0.003 without dropout, 2,000 updates.',
  paper:
    "The paper's sizes: ten digits over a blank of 50, Adam at 0.001, 30,000 updates (150 epochs of 200 batches), the script's dropout; a state of zeros at every batch, where the script carries states over between unrelated ones.",
};

function scaled(scale: Scale): ScaledTable {
  return {
    seeds: scale === 'tiny' ? [1] : [1, 2, 3],
    args: COPYING_ARGS[scale],
    groups: [{ title: 'Copying', ...BLANKS[scale], args: [], rows: rows(scale) }],
    protocol: COPYING_PROTOCOL[scale],
  };
}

/** Table 1, left. */
export const copyingTable: TableDefinition = {
  name: 'copying',
  task: 'copying',
  title: 'The copying task',
  about:
    'A model sees digits, then a long blank, then a marker, and has to give the digits back. It is trained at one blank and tested at longer ones.',
  source: 'Table 1, left',
  published: 'crossEntropy',
  decimals: 2,
  setting: 'blank',
  scales: { tiny: scaled('tiny'), small: scaled('small'), paper: scaled('paper') },
  claims: [
    {
      kind: 'reaches',
      text: 'RIM solves the task at the blank it was trained at',
      figure: 'accuracy',
      row: 'rim-6-4',
      where: 'trained',
      bound: { value: 0.99 },
    },
    {
      kind: 'reaches',
      text: 'RIM holds at the longest blank',
      figure: 'accuracy',
      row: 'rim-6-4',
      where: 'furthest',
      bound: { value: 0.9 },
    },
    {
      kind: 'reaches',
      text: 'LSTM solves the task at the blank it was trained at',
      figure: 'accuracy',
      row: 'lstm',
      where: 'trained',
      bound: { value: 0.99 },
    },
    {
      kind: 'falls',
      text: 'LSTM falls to within 5 % of the memoryless level or worse at the longest blank',
      figure: 'crossEntropy',
      row: 'lstm',
      where: 'furthest',
      bound: { trivial: 0.95 },
      given: {
        text: 'the LSTM has learned the blank of its training',
        figure: 'accuracy',
        where: 'trained',
        bound: { value: 0.9 },
      },
    },
    ...(['lstm', 'gru', 'ntm', 'rmc', 'transformer'] as const).map(
      (other): Claim => ({
        kind: 'beats',
        text: `RIM is ahead of ${other === 'transformer' ? 'the Transformer' : `the ${other.toUpperCase()}`} at the longest blank`,
        figure: 'crossEntropy',
        row: 'rim-6-4',
        other,
        where: 'furthest',
      }),
    ),
  ],
};
