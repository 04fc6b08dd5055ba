// The paper's Table 4 (D.1): what becomes of a RIM on the copying task without communication, without input attention, and with more
// or fewer active modules; beside it how many sources a module reads from (communication top-k), of which the paper has no figures.
//
// Published figures are cross-entropies over the recalled digits, in nats, after 100 epochs. Nobody has published a reproduction.

import { BLANKS, COPYING_ARGS, COPYING_PROTOCOL } from './copying.ts';
import type { Published, Row, Scale, ScaledTable, TableDefinition } from './definition.ts';
import { rim } from './rows.ts';

/** Modules, active modules, and the paper's figures at a blank of 50 and of 200. */
type Line = readonly [modules: number, active: number, trained: number, far: number];

const NO_COMMUNICATION: readonly Line[] = [
  [4, 2, 2.3, 1.6],
  [4, 3, 1.7, 4.3],
  [5, 2, 2.5, 4.7],
  [5, 3, 0.4, 4.0],
  [5, 4, 0.2, 0.7],
  [6, 2, 3.3, 2.4],
  [6, 3, 1.2, 1.0],
  [6, 4, 0.7, 5.0],
  [6, 5, 0.22, 0.56],
];

/** Without input attention all modules are active: modules, units of each, figures. */
const NO_INPUT_ATTENTION: readonly (readonly [modules: number, hidden: number, trained: number, far: number])[] = [
  [6, 100, 0.0, 0.7],
  [5, 100, 0.0, 1.7],
  [2, 128, 0.0, 2.9],
  [2, 256, 0.0, 1.8],
  [1, 512, 0.0, 0.2],
];

const NINE: readonly Line[] = [
  [9, 2, 0.24, 0.15],
  [9, 3, 0.01, 0.0],
  [9, 4, 0.01, 0.0],
  [9, 5, 0.01, 0.0],
  [9, 6, 0.01, 0.01],
  [9, 7, 0.04, 0.07],
  [9, 8, 0.0, 0.1],
  [9, 9, 0.03, 0.24],
];

const MORE: readonly Line[] = [
  [16, 4, 0.05, 0.02],
  [16, 6, 0, 0],
  [16, 8, 0, 0],
  [16, 10, 0, 0],
  [16, 12, 0, 0],
  [16, 14, 0.01, 0.26],
  [24, 6, 0.01, 0.0],
  [24, 8, 0, 0],
  [24, 16, 0, 0],
  [24, 20, 0, 0],
  [24, 22, 0.0, 0.42],
];

/** Sources that a module of a RIM 6/4 may read; 6 is all of them. */
const TOP_K = [1, 2, 3, 4] as const;

/** What of the long lists a scale below the paper's takes: those that the claims are about, and what tells where they stand. */
const FEW: Readonly<Record<'tiny' | 'small', Readonly<Record<'nine' | 'alone' | 'topK', readonly number[]>>>> = {
  tiny: { nine: [4], alone: [2, 4], topK: [1, 4] },
  small: { nine: [2, 4, 9], alone: [2, 4], topK: [1, 2, 4] },
};

function published(trained: number, far: number): { readonly paper: Published } {
  return { paper: { 50: trained, 200: far } };
}

const whole = (scale: Scale, [modules, active, trained, far]: Line): Row =>
  rim(scale, { modules, active }, published(trained, far));

function withoutCommunication(scale: Scale, [modules, active, trained, far]: Line): Row {
  const sizes = { modules, active, id: 'alone', label: 'without communication', args: ['--no-communication'] };
  return rim(scale, { ...sizes, hidden: Math.round(600 / modules) }, published(trained, far));
}

function groups(scale: Scale): ScaledTable['groups'] {
  const blanks = BLANKS[scale];
  const few = scale === 'paper' ? undefined : FEW[scale];
  const group = (title: string, rows: readonly Row[]): ScaledTable['groups'][number] => ({
    title,
    ...blanks,
    args: [],
    rows,
  });
  const six = (active: number): Row => rim(scale, { modules: 6, active });
  return [
    group('Active modules', [
      ...[2, 3, 4, 5, 6].map(six),
      ...NINE.filter(([, active]) => few?.nine.includes(active) ?? true).map((line) => whole(scale, line)),
      ...(few === undefined ? MORE : []).map((line) => whole(scale, line)),
    ]),
    group(
      'Without communication',
      NO_COMMUNICATION.filter(
        ([modules, active]) => few === undefined || (modules === 6 && few.alone.includes(active)),
      ).map((line) => withoutCommunication(scale, line)),
    ),
    group(
      'Without input attention',
      NO_INPUT_ATTENTION.map(([modules, hidden, trained, far]) => {
        const id = hidden === 100 ? 'unattended' : `unattended-${modules * hidden}`;
        const sizes = { modules, active: modules, hidden, id, label: 'without input attention' };
        return rim(scale, { ...sizes, args: ['--no-input-attention'] }, published(trained, far));
      }),
    ),
    group(
      'Communication with the best sources only',
      TOP_K.filter((count) => few?.topK.includes(count) ?? true).map((count) => {
        const sizes = { modules: 6, active: 4, id: `top-${count}`, label: `top ${count} of` };
        return rim(scale, { ...sizes, args: ['--comm-top-k', `${count}`] });
      }),
    ),
  ];
}

function scaled(scale: Scale): ScaledTable {
  // The paper's ablations have 100 epochs of 200 batches where its other copying runs have 150.
  const shorter = scale === 'paper' ? ['--steps', '20000'] : [];
  return {
    ...(shorter.length === 0 && { sharedWith: 'copying' }),
    seeds: scale === 'tiny' ? [1] : [1, 2, 3],
    args: [...COPYING_ARGS[scale], ...shorter],
    groups: groups(scale),
    protocol: COPYING_PROTOCOL[scale].replace('30,000 updates (150 epochs', '20,000 updates (100 epochs'),
  };
}

/** Table 4. */
export const ablationsTable: TableDefinition = {
  name: 'ablations',
  task: 'copying',
  title: 'Ablations on the copying task',
  about:
    'A RIM without communication between its modules, without attention to its input, with more or fewer active modules, and with modules that read few others.',
  source: 'Table 4',
  published: 'crossEntropy',
  decimals: 1,
  setting: 'blank',
  scales: { tiny: scaled('tiny'), small: scaled('small'), paper: scaled('paper') },
  claims: [
    {
      kind: 'beats',
      text: 'communication helps at the longest blank',
      figure: 'crossEntropy',
      row: 'rim-6-4',
      other: 'alone-6-4',
      where: 'furthest',
    },
    {
      kind: 'beats',
      text: 'input attention helps at the longest blank',
      figure: 'crossEntropy',
      row: 'rim-6-4',
      other: 'unattended-6-6',
      where: 'furthest',
    },
    {
      kind: 'beats',
      text: 'four active of nine are ahead of nine at the longest blank: too many active modules hurt generalisation',
      figure: 'crossEntropy',
      row: 'rim-9-4',
      other: 'rim-9-9',
      where: 'furthest',
    },
    {
      kind: 'beats',
      text: 'four active of nine are ahead of two at the training blank: too few active modules hurt optimisation',
      figure: 'crossEntropy',
      row: 'rim-9-4',
      other: 'rim-9-2',
      where: 'trained',
    },
  ],
};
