// How often each module of a RIM was active, and at what it switched: the numbers behind the paper's Figure 2, over a whole batch of
// test sequences.
//
// Always: every step of every sequence belongs to one part of the sequence, and to one kind of input; shares are of the steps of that
// part or kind. A step at which a module switches is one at which it is active and was not a step before, or the other way round.
// Not here: where the masks come from (samples.ts), how the figures look (tables/page-modules.ts).

import { at, FileError, need } from '../engine/errors.ts';

/** Over which steps shares are taken: those of a part of the sequence, or those of one kind of input. */
export type UsageBy = 'part' | 'input';

/** How the modules of a RIM were used over many sequences of one setting. */
export interface Usage {
  readonly by: UsageBy;
  /** The parts, or the kinds of input, in the order in which they come. */
  readonly names: readonly string[];
  /** Steps of each, over all sequences. */
  readonly steps: readonly number[];
  /** Share of these steps in which each module was active, `[names][N]`. */
  readonly active: readonly (readonly number[])[];
  /** Share of these steps at which each module switched, `[names][N]`; the first step of a sequence counts as none. */
  readonly switched: readonly (readonly number[])[];
}

/** What went in at one step: a symbol, or the channels. */
export type StepInput = number | readonly number[];

/** Where a step stands, and what is read there, in words. */
export type Describe = (
  input: StepInput,
  t: number,
  steps: number,
  setting: number,
) => Readonly<Record<UsageBy, string>>;

const DESCRIPTIONS: Readonly<Record<string, Describe>> = {
  copying: (symbol, t, steps, blank) => {
    const digits = (steps - blank) / 2;
    const recalling = t >= digits + blank;
    const nothing = recalling ? 'blank in recall' : 'blank';
    const kind = symbol === 0 ? nothing : symbol === 9 ? 'marker' : `digit ${String(symbol)}`;
    return { part: t < digits ? 'digits' : recalling ? 'recall' : 'blank', input: kind };
  },
  adding: (channels, t, steps) => {
    const [, first, second] = typeof channels === 'number' ? [] : channels;
    const kind = first === 1 ? 'first mark' : second === 1 ? 'second mark' : 'no mark';
    return { part: t < Math.floor(steps / 2) ? 'first half' : 'second half', input: kind };
  },
  smnist: (symbol, t, steps) => ({
    part: ['top', 'middle', 'bottom'][Math.floor((3 * t) / steps)] ?? 'bottom',
    input: symbol === 1 ? 'ink' : 'paper',
  }),
};

/** How the steps of a task are told apart; all alike for a task that is not known here. */
export function describeSteps(task: string): Describe {
  return (
    (Object.hasOwn(DESCRIPTIONS, task) ? DESCRIPTIONS[task] : undefined) ??
    (() => ({ part: 'all steps', input: 'all inputs' }))
  );
}

/** A batch of sequences and the masks of a RIM over them. */
export interface Masks {
  /** What went in at step t of sequence b. */
  input(t: number, b: number): StepInput;
  /** [T,B,N]: 1 where a module was active. */
  readonly mask: ArrayLike<number>;
  readonly shape: readonly [steps: number, batch: number, modules: number];
}

/** Counts how modules were used over batches of one setting: by part of the sequence, and by input. */
export function usageOf(task: string, setting: number, batches: readonly Masks[]): readonly Usage[] {
  const describe = describeSteps(task);
  return (['part', 'input'] as const).map((by) => {
    const counts = new Map<string, Count>();
    for (const masks of batches) {
      const [steps, batch, modules] = masks.shape;
      for (let t = 0; t < steps; t++) {
        for (let b = 0; b < batch; b++) {
          const name = describe(masks.input(t, b), t, steps, setting)[by];
          if (!counts.has(name)) counts.set(name, new Count(modules));
          need(counts.get(name), name).add(masks, t, b);
        }
      }
    }
    // Parts come in time; kinds of input in the order of their names.
    const order = by === 'part' ? [...counts] : [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      by,
      names: order.map(([name]) => name),
      steps: order.map(([, { steps }]) => steps),
      active: order.map(([, count]) => count.shares(count.active)),
      switched: order.map(([, count]) => count.shares(count.switched)),
    };
  });
}

class Count {
  steps = 0;
  readonly active: number[];
  readonly switched: number[];

  constructor(modules: number) {
    this.active = new Array<number>(modules).fill(0);
    this.switched = new Array<number>(modules).fill(0);
  }

  add({ mask, shape: [, batch, modules] }: Masks, t: number, b: number): void {
    this.steps++;
    for (let n = 0; n < modules; n++) {
      const now = at(mask, (t * batch + b) * modules + n);
      if (now === 1) this.active[n] = at(this.active, n) + 1;
      if (t > 0 && at(mask, ((t - 1) * batch + b) * modules + n) !== now) this.switched[n] = at(this.switched, n) + 1;
    }
  }

  shares(counts: readonly number[]): number[] {
    return counts.map((count) => count / this.steps);
  }
}

/**
 * Usage from plain data, as a line of metrics has it.
 * @param where what an error names
 * @throws FileError where it is none
 */
export function parseUsage(value: unknown, where: string): readonly Usage[] {
  const damaged = (): FileError => new FileError(`${where}: 'usage' is not what it should be; the line is damaged`);
  if (!Array.isArray(value)) throw damaged();
  return value.map((each: unknown): Usage => {
    const { by, names, steps, active, switched } = typeof each === 'object' ? { ...(each as Partial<Usage>) } : {};
    if ((by !== 'part' && by !== 'input') || !isListOf(names, 'string') || !isListOf(steps, 'number')) throw damaged();
    if (!isTable(active) || !isTable(switched)) throw damaged();
    const counts = new Set([names, steps, active, switched].map(({ length }) => length));
    const widths = new Set([...active, ...switched].map(({ length }) => length));
    if (names.length === 0 || counts.size > 1 || widths.size > 1) throw damaged();
    return { by, names, steps, active, switched };
  });
}

function isTable(value: unknown): value is readonly (readonly number[])[] {
  return Array.isArray(value) && value.every((row) => isListOf(row, 'number'));
}

function isListOf<Kind extends 'string' | 'number'>(
  value: unknown,
  kind: Kind,
): value is readonly (Kind extends 'string' ? string : number)[] {
  return (
    Array.isArray(value) && value.every((each) => typeof each === kind && (kind === 'string' || Number.isFinite(each)))
  );
}
