// The tables of the paper as data: every cell is a command line that parses and plans, no id stands twice, what was published is there;
// and what follows from figures: means and spreads, what can be told apart, how claims come out.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { jobTask } from '../bench/job-tasks.ts';
import type { Metrics } from '../bench/metrics.ts';
import { bestText } from '../bench/results-table.ts';
import { type Claim, type Evidence, judge } from '../bench/tables/claims.ts';
import { cellsOf, partOf, SCALES, type Scale, TABLES, type TableDefinition } from '../bench/tables/definition.ts';
import { Estimates, workOf } from '../bench/tables/estimate.ts';
import { DEFINITIONS } from '../bench/tables/index.ts';
import { showFigure, showPublished, showSummary } from '../bench/tables/numbers.ts';
import { parseTable } from '../bench/tables/options.ts';
import { formatTime } from '../bench/tables/progress.ts';
import { optionsOf } from '../bench/tables/records.ts';
import { tabulate } from '../bench/tables/result.ts';
import { compare, shareWithin, summarise } from '../bench/tables/statistics.ts';
import { factsOf } from '../bench/task-facts.ts';
import { describeSteps, parseUsage, usageOf } from '../bench/usage.ts';
import { at, OptionError } from '../engine/errors.ts';

const every = TABLES.flatMap((name) => SCALES.map((scale) => [DEFINITIONS[name], scale] as const));

function rowsOf(table: TableDefinition, scale: Scale): TableDefinition['scales'][Scale]['groups'][number]['rows'] {
  return table.scales[scale].groups.flatMap(({ rows }) => rows);
}

test('every cell of every table is a command line that trains one model at the settings of its columns', async () => {
  for (const [table, scale] of every) {
    const names = new Set<string>();
    for (const cell of cellsOf(table, { scale })) {
      assert.not(names.has(cell.name), `${cell.name} stands twice`);
      names.add(cell.name);
      const options = optionsOf(cell, 'runs');
      assert.is(options.task, table.task);
      assert.equal(options.models, [cell.row.model]);
      assert.is(options.seed, cell.seed);
      assert.equal([options.validate, options.select, options.name], ['all', 'validation', cell.name]);
      if (cell.seed !== at(table.scales[scale].seeds, 0)) continue;
      const { trained, tested, task } = await jobTask(options);
      const { group } = cell;
      assert.equal([trained, ...tested], [group.trained, ...group.columns.map(({ setting }) => setting)], cell.name);
      assert.ok(task.figures.some(({ name }) => name === table.published));
    }
  }
});

test('tables that share run folders train what has one name with the same arguments', () => {
  const made = new Map<string, readonly string[]>();
  let shared = 0;
  for (const [table, scale] of every) {
    for (const { name, args } of cellsOf(table, { scale })) {
      if (made.has(name)) shared++;
      assert.equal(made.get(name) ?? args, args, `${table.name} ${name}`);
      made.set(name, args);
    }
  }
  // RIM 6/4, 6/3 and 6/2 are rows of copying and of the ablations, over three seeds at the scale small and one at tiny.
  assert.is(shared, 3 * 3 + 3);
});

test('the paper trains smnist on as many images, and chooses by as many, as its split has', () => {
  const { batch, steps, testBatches, validationBatches } = optionsOf(
    at(cellsOf(DEFINITIONS.smnist, { scale: 'paper' }), 0),
  );
  assert.is(batch * steps, 100 * 48_000);
  assert.equal([validationBatches, testBatches], [Math.floor(12_000 / batch), Math.floor(10_000 / batch)]);
  for (const scale of SCALES) {
    const { protocol } = DEFINITIONS.smnist.scales[scale];
    assert.not.match(protocol, /48,000/, 'digits that are drawn are no 48,000');
  }
});

test('small cells and some of the paper plan without a device', async () => {
  for (const [table, scale] of every) {
    const rows = cellsOf(table, { scale }).filter(({ seed }) => seed === 1);
    const some = scale === 'paper' ? rows.filter(({ row }) => /lstm|rim-6-4$/.test(row.id)) : rows;
    assert.ok(some.length > 0, `${table.name} ${scale}`);
    for (const cell of some) {
      const options = optionsOf(cell);
      const { training, evaluations } = workOf(await jobTask(options), options);
      for (const { calls, work } of [training, evaluations]) assert.ok(calls > 0 && work > calls, cell.name);
    }
  }
});

test('an estimate is of what is left to do, and stops when it is told to', async () => {
  const rates = { secondsACall: 1e-4, secondsAWork: 1e-12 };
  const cells = cellsOf(DEFINITIONS.copying, { scale: 'tiny', rows: ['lstm-half', 'gru'], seeds: [1, 2] });
  const [cell, other] = [at(cells, 0), at(cells, 1)];
  assert.not.equal(cell.row.id, other.row.id);
  const { steps } = optionsOf(cell);
  const controller = new AbortController();
  let made = 0;
  const job = (): ReturnType<typeof jobTask> => {
    made++;
    return jobTask(optionsOf(cell));
  };
  const planned = cells.filter(({ row }) => row === cell.row);
  const estimates = await Estimates.of(planned, rates, job, controller.signal);
  if (estimates === undefined) throw new Error('it was stopped');
  assert.is(made, 1, 'a row is planned once');
  const [whole, half, none] = [0, steps / 2, steps].map((done) => estimates.seconds(cell, done));
  if (whole === undefined || half === undefined || none === undefined) throw new Error('three times');
  assert.ok(none < half && Math.abs(half - (whole + none) / 2) < 1e-9 * whole, `${whole}, ${half}, ${none}`);
  assert.is(estimates.seconds(other), 0, 'nothing of it is to be trained');
  const metrics = (seconds: number): Metrics => ({
    steps: [{ model: 'LSTM', step: steps, loss: 1, figures: {}, seconds }],
    evaluations: [],
    activations: [],
  });
  estimates.learn(other, metrics(1000));
  assert.is(estimates.seconds(cell), whole);
  estimates.learn(cell, metrics(1000));
  assert.ok(estimates.seconds(cell) > 1000, 'it really took that long');
  controller.abort();
  assert.is(await Estimates.of(cells, rates, job, controller.signal), undefined);
});

test('the figures of the paper stand beside the rows that it has', () => {
  const paper = (table: TableDefinition, id: string, scale: Scale = 'paper'): unknown =>
    rowsOf(table, scale).find((row) => row.id === id)?.paper;
  const { copying, adding, smnist, ablations } = DEFINITIONS;
  for (const scale of SCALES) {
    assert.equal(paper(copying, 'rim-6-4', scale), { 50: 0, 200: 0 });
    assert.equal(paper(copying, 'lstm', scale), { 50: 0, 200: 3.56 });
    assert.equal(paper(copying, 'lstm-half', scale), { 50: 0, 200: 4.32 });
    assert.equal(paper(copying, 'transformer', scale), { 50: 0, 200: 0.54 });
    assert.equal(paper(smnist, 'rim-6-4', scale), { 16: 0.9, 19: 0.734, 24: 0.381 });
    assert.equal(paper(smnist, 'dnc', scale), { 16: 0.872, 19: 0.441, 24: 0.198 });
    assert.equal(paper(ablations, 'alone-6-4', scale), { 50: 0.7, 200: 5 });
    assert.is(paper(copying, 'gru', scale), undefined);
  }
  assert.equal(paper(ablations, 'rim-24-22'), { 50: 0, 200: 0.42 });
  assert.equal(paper(ablations, 'unattended-1-1-512') ?? paper(ablations, 'unattended-512-1-1'), { 50: 0, 200: 0.2 });
  // As many rows as the paper's tables have.
  const published = (table: TableDefinition): number => rowsOf(table, 'paper').filter((row) => row.paper).length;
  assert.equal([published(copying), published(smnist), published(ablations)], [9, 9, 33]);
  const rims = (pair: string): number =>
    rowsOf(adding, 'paper').filter(({ id, model, paper }) => id.startsWith(pair) && model === 'rim' && paper).length;
  assert.equal([rims('short'), rims('long')], [12, 8]);
  const reproduced = rowsOf(smnist, 'small').flatMap(({ reproductions = [] }) => reproductions);
  assert.is(reproduced.length, 8);
  for (const { who, values } of reproduced) assert.ok(who !== '' && Object.keys(values).length === 3);
});

test('the test sequences that a table tells of are those that there are', async () => {
  const { smnist } = DEFINITIONS;
  const part = { scale: 'small', seeds: [1] } as const;
  const records = cellsOf(smnist, part).map((cell) => ({ cell, state: 'missing' }) as const);
  const facts = factsOf(await jobTask(optionsOf(at(records, 0).cell)));
  const told = (testSequences?: number): number => {
    const known = { ...facts, ...(testSequences !== undefined && { testSequences }) };
    return tabulate(smnist, part, records, () => known, { select: 'validation' }).sequences;
  };
  // Batches of 32: 16 are asked for, or the whole ones of a split that ends.
  assert.equal([told(), told(10_000), told(100)], [512, 512, 96]);
});

test('every claim is about rows and figures that the table has, at every scale', () => {
  for (const [table, scale] of every) {
    const ids = rowsOf(table, scale).map(({ id }) => id);
    for (const claim of table.claims) {
      if (scale === 'tiny' && table.name === 'ablations') continue; // fewer rows: then the claim is left out
      assert.ok(ids.includes(claim.row), `${table.name} ${scale}: ${claim.row}`);
      if (claim.kind === 'beats') assert.ok(ids.includes(claim.other), `${table.name} ${scale}: ${claim.other}`);
    }
  }
});

test('rows are chosen by the beginnings of their names, cells by their own', () => {
  const { copying } = DEFINITIONS;
  const ids = (...rows: string[]): string[] =>
    partOf(copying, { scale: 'small', rows }).groups.flatMap((group) => group.rows.map(({ id }) => id));
  assert.equal(ids('rim-6', 'gru'), ['rim-6-4', 'rim-6-3', 'rim-6-2', 'gru']);
  assert.equal(ids('lstm'), ['lstm-half', 'lstm']);
  const cells = cellsOf(copying, { scale: 'small', rows: ['rim-6-4', 'lstm'], seeds: [7, 8] });
  assert.equal(
    cells.map(({ name }) => name),
    [
      ...['copying-small-rim-6-4-seed7', 'copying-small-lstm-half-seed7', 'copying-small-lstm-seed7'],
      ...['copying-small-rim-6-4-seed8', 'copying-small-lstm-half-seed8', 'copying-small-lstm-seed8'],
    ],
  );
  const request = parseTable(['copying', '--scale', 'tiny', '--cell', 'copying-tiny-ntm-seed41']);
  if (typeof request === 'string') throw new Error(request);
  assert.is(request.cell?.seed, 41);
});

test('a wrong command line is told with the mend', () => {
  const refusals: readonly (readonly [line: string, message: RegExp])[] = [
    ['coping', /no table 'coping'; did you mean copying\? There are copying, adding/],
    ['copying --rows rim-6-5', /--rows rim-6-5: the table copying has no such row; did you mean rim-6-4\?/],
    ['copying --cell copying-small-lstm-seed', /did you mean copying-small-lstm-seed1\?/],
    ['copying --scale tiny --cell copying-small-lstm-seed1', /at scale tiny has no such cell/],
    ['copying --mnist d', /--mnist: it is for the table smnist/],
    ['copying --list --show', /--list and --show do not go together/],
    ['copying --show --force', /--show: it trains nothing; leave out --force/],
    ['copying --list --json', /--list: its lines are commands; leave out --json/],
    ['copying --seeds 1,x', /Give whole numbers from 0 to \d+ with commas between/],
    ['copying --scale tinny', /Did you mean tiny\? There are tiny, small, paper; see/],
    ['copying --seeds 1,2,1', /Give each seed once/],
    ['', /missing required argument 'name'/],
  ];
  for (const [line, message] of refusals) {
    try {
      parseTable(line.split(' ').filter((word) => word !== ''));
      assert.unreachable(line);
    } catch (error) {
      assert.instance(error, OptionError, line);
      assert.match(String(error), message);
    }
  }
});

test('mean, spread of a sample, count', () => {
  assert.is(summarise([]), undefined);
  assert.equal(summarise([3]), { mean: 3, spread: null, count: 1 });
  assert.equal(summarise([1, 3]), { mean: 2, spread: Math.SQRT2, count: 2 });
  assert.equal(summarise([2, 4, 4, 4, 5, 5, 7, 9]), { mean: 5, spread: Math.sqrt(32 / 7), count: 8 });
  const of = (
    mean: number,
    spread: number | null,
    count = 4,
  ): { mean: number; spread: number | null; count: number } => ({ mean, spread, count });
  // The standard error of the difference is sqrt(1/4 + 1/4), the quantile of 6 degrees of freedom 2.447: 1.7303 tells apart.
  assert.is(compare(of(0, 1), of(1.7307, 1)), 'apart');
  assert.is(compare(of(1.7299, 1), of(0, 1)), 'together');
  // One of them decides alone, with 2 degrees of freedom: 4.303 standard errors of sqrt(1/3).
  assert.is(compare(of(0, 1, 3), of(2.486, 0, 3)), 'apart');
  assert.is(compare(of(0, 1, 3), of(2.482, 0, 3)), 'together');
  // Spreads of 1 and 2 with 3 seeds each: 50/17 degrees of freedom, a quantile a little above the 3.182 of 3.
  const error = Math.sqrt(5 / 3);
  assert.is(compare(of(0, 1, 3), of(3.182 * error, 2, 3)), 'together');
  assert.is(compare(of(0, 1, 3), of(3.26 * error, 2, 3)), 'apart');
  assert.equal([compare(of(1, 0), of(1, 0)), compare(of(1, 0), of(1.001, 0))], ['together', 'apart']);
  assert.is(compare(of(0, 1), of(9, null, 1)), 'unknown');
});

test("Student's t distribution is that of the printed tables", () => {
  // Two-sided: the quantiles at 90, 95 and 99 %.
  const printed: readonly (readonly [freedom: number, ...quantiles: readonly number[]])[] = [
    [1, 6.314, 12.706, 63.657],
    [2, 2.92, 4.303, 9.925],
    [3, 2.353, 3.182, 5.841],
    [4, 2.132, 2.776, 4.604],
    [5, 2.015, 2.571, 4.032],
    [10, 1.812, 2.228, 3.169],
    [30, 1.697, 2.042, 2.75],
    [120, 1.658, 1.98, 2.617],
    [1000, 1.646, 1.962, 2.581],
  ];
  for (const [freedom, ...quantiles] of printed) {
    for (const [i, share] of [0.9, 0.95, 0.99].entries()) {
      const found = shareWithin(at(quantiles, i), freedom);
      assert.ok(Math.abs(found - share) < 2e-4, `${freedom} degrees of freedom: ${found} for ${share}`);
    }
  }
  // Between whole degrees of freedom it lies between them.
  const shares = [1, 1.3, 2, 2.4, 3].map((freedom) => shareWithin(3, freedom));
  for (const [i, share] of shares.entries()) assert.ok(i === 0 || share > at(shares, i - 1), `${shares}`);
});

test('figures as they are shown', () => {
  const [share, nats] = [{ unit: 'share' }, { unit: 'nats' }] as const;
  assert.equal(
    [0.7341, 0, 1].map((value) => showFigure(share, value)),
    ['73.4 %', '0.0 %', '100.0 %'],
  );
  assert.equal(
    [0, 2.0794, 0.00004, 123456, 250.04].map((value) => showFigure(nats, value)),
    ['0', '2.079', '4.0e-5', '1.2e+5', '250.0'],
  );
  assert.equal(
    [0, 4.32, 0.7].map((value) => showPublished(nats, value, 2)),
    ['0.00', '4.32', '0.70'],
  );
  assert.equal(
    [0.9, 0.8958].map((value) => showPublished(share, value, 1)),
    ['90.0 %', '89.58 %'],
  );
  assert.is(showSummary(share, { mean: 0.5, spread: 0.1234, count: 3 }), '50.0 ± 12.3 %');
  assert.is(showSummary(nats, { mean: 0.5, spread: null, count: 1 }), '0.500');
});

/** Evidence from accuracies by row, at the settings 10 (trained), 20 and 40. */
function evidence(
  values: Readonly<Record<string, readonly number[]>>,
  seeds = 3,
  scale: Scale = 'small',
  failed: Readonly<Record<string, number>> = {},
): Evidence {
  const of = (row: string): readonly number[] => values[row] ?? [];
  return {
    scale,
    seeds,
    label: (row) => (row in values ? row.toUpperCase() : undefined),
    settings: (_row, where) => (where === 'trained' ? [10] : where === 'furthest' ? [40] : [20, 40]),
    values: of,
    failed: (row) => failed[row] ?? 0,
    summary: (row) => summarise(of(row)),
    figure: (name) => ({ name, label: name, unit: 'share', better: name === 'error' ? 'lower' : 'higher' }),
    trivial: () => 0.125,
    show: showFigure,
  };
}

test('claims are decided by the numbers', () => {
  const shared = { text: 'it is so', where: 'furthest', row: 'rim' } as const;
  const reaches: Claim = { ...shared, kind: 'reaches', figure: 'accuracy', bound: { value: 0.9 } };
  const outcome = (claim: Claim, values: Readonly<Record<string, readonly number[]>>): string | undefined =>
    judge(claim, evidence(values))?.outcome;
  assert.is(outcome(reaches, { rim: [0.9, 0.95, 1] }), 'holds');
  assert.is(outcome(reaches, { rim: [0.9, 0.89, 1] }), 'does not hold');
  assert.is(outcome(reaches, { rim: [0.95] }), 'not decided', 'two seeds are missing');
  assert.is(outcome(reaches, { rim: [0.85] }), 'not decided', 'one seed decides nothing, not against it either');
  assert.is(judge(reaches, evidence({ rim: [0.95] }, 1))?.outcome, 'not decided', 'nor where no other is asked for');
  assert.is(judge(reaches, evidence({ rim: [0.95, 0.95] }, 2))?.outcome, 'holds');
  assert.is(outcome(reaches, { rim: [] }), 'not decided');
  assert.is(outcome(reaches, { lstm: [1] }), undefined, 'the table was asked for other rows');
  const falls: Claim = { ...shared, kind: 'falls', figure: 'accuracy', bound: { trivial: 1 } };
  assert.is(outcome(falls, { rim: [0.1, 0.12, 0.125] }), 'holds');
  assert.is(outcome(falls, { rim: [0.1, 0.12, 0.13] }), 'does not hold');
  const worse: Claim = { ...falls, figure: 'error', bound: { trivial: 0.5 } };
  assert.is(outcome(worse, { rim: [0.1, 0.2, 0.3] }), 'holds', 'an error falls upwards');
  assert.is(outcome({ ...worse, kind: 'reaches' }, { rim: [0.01, 0.02, 0.0625] }), 'holds');
  const beats: Claim = { ...shared, kind: 'beats', figure: 'accuracy', other: 'lstm' };
  assert.is(outcome(beats, { rim: [0.9, 0.92, 0.94], lstm: [0.2, 0.3, 0.25] }), 'holds');
  assert.is(outcome(beats, { rim: [0.2, 0.3, 0.25], lstm: [0.9, 0.92, 0.94] }), 'does not hold');
  assert.is(outcome(beats, { rim: [0.9, 0.2, 0.9], lstm: [0.3, 0.8, 0.2] }), 'not decided', 'ahead within the spread');
  assert.is(outcome(beats, { rim: [0.3, 0.8, 0.2], lstm: [0.9, 0.2, 0.9] }), 'does not hold', 'behind, if within it');
  assert.is(outcome(beats, { rim: [0.9], lstm: [0.2] }), 'not decided', 'one seed decides nothing');
  assert.is(outcome(beats, { rim: [0.9, 0.92, 0.94], lstm: [0.2, 0.3] }), 'not decided', 'a seed is missing');
  const unequal = { rim: [0.9, 0.92, 0.94, 0.93, 0.95], lstm: [0.2, 0.3, 0.25] };
  assert.is(outcome(beats, unequal), 'holds', 'more seeds than are asked for make no other row incomplete');
  const lost = (claim: Claim, values: Readonly<Record<string, readonly number[]>>): string => {
    const { outcome = '', because = '' } = judge(claim, evidence(values, 3, 'small', { rim: 1 })) ?? {};
    return `${outcome}: ${because.split('; ').at(-1)}`;
  };
  assert.is(
    lost(reaches, { rim: [0.95, 0.95] }),
    'not decided: 1 failed',
    'the mean of the others tells nothing of it',
  );
  assert.is(lost(reaches, { rim: [0.95] }), 'not decided: 1 failed, 1 still to come');
  assert.is(lost(beats, { rim: [0.9, 0.92], lstm: [0.2, 0.3] }), 'not decided: 1 failed, 1 still to come');
  const none = (claim: Claim, values: Readonly<Record<string, readonly number[]>>, failed = {}): string | undefined =>
    judge(claim, evidence(values, 3, 'small', failed))?.because;
  assert.is(none(reaches, { rim: [] }), 'there is no RIM at 40: 3 still to come');
  assert.is(none(reaches, { rim: [] }, { rim: 3 }), 'there is no RIM at 40: 3 failed');
  assert.is(none(beats, { rim: [0.9], lstm: [] }, { lstm: 1 }), 'there is no LSTM at 40: 1 failed, 2 still to come');
  const why = (claim: Claim, ...rim: number[]): string | undefined => judge(claim, evidence({ rim }))?.because;
  assert.is(
    why(reaches, 0.9, 0.89, 1),
    'RIM at 40: accuracy 89.0 % to 100.0 % of 3 seeds; each has to have at least 90.0 %, and 2 of 3 have',
  );
  assert.is(
    why(reaches, 0.89996),
    'RIM at 40: accuracy 89.996 % of 1 seed; at least 90.000 % is asked for; 2 still to come',
    'as many digits as tell them apart',
  );
  const both = judge({ ...beats, where: 'beyond' }, evidence({ rim: [0.9, 0.92], lstm: [0.2, 0.3] }));
  assert.match(both?.because ?? '', /at 20: .*; at 40: /);
});

test('a claim is asked from a scale on, and of a row that has learned what it is about', () => {
  const falls: Claim = {
    ...{ text: 'it forgets', kind: 'falls', figure: 'accuracy', row: 'rim', where: 'furthest', bound: { trivial: 1 } },
    given: { text: 'it has learned', figure: 'error', where: 'trained', bound: { value: 0.5 } },
  };
  const judged = (rim: readonly number[], scale?: Scale): ReturnType<typeof judge> =>
    judge(falls, evidence({ rim }, 3, scale));
  assert.equal(judged([0.1, 0.1, 0.1], 'tiny'), { claim: 'it forgets', outcome: 'not asked', because: '' });
  assert.is(judged([0.1, 0.1, 0.1])?.outcome, 'holds');
  assert.is(judged([0.1, 0.1, 0.1], 'paper')?.outcome, 'holds');
  // With the same numbers for both: an error of 0.6 is more than was allowed.
  const unlearned = judged([0.1, 0.1, 0.6]);
  assert.is(unlearned?.outcome, 'not decided');
  assert.match(
    unlearned?.because ?? '',
    /^only where it has learned\. RIM at 10: error 10\.0 % to 60\.0 % of 3 seeds; each/,
  );
  assert.is(judge({ ...falls, from: 'paper' }, evidence({ rim: [0.1, 0.1, 0.1] }))?.outcome, 'not asked');
  assert.is(judge({ ...falls, from: 'tiny' }, evidence({ rim: [0.1, 0.1, 0.1] }, 3, 'tiny'))?.outcome, 'holds');
});

test('what is best is told only where it says something', () => {
  const best = (
    values: readonly (number | undefined)[],
    trivial: number,
    better: 'lower' | 'higher' = 'higher',
  ): unknown => bestText({ better }, values, trivial, (value) => value.toFixed(1));
  assert.is(best([0.9, 0.5, undefined], 0.1), '0.9');
  assert.is(best([0.9, 0.5], 0.1, 'lower'), undefined, 'worse than what has learned nothing');
  assert.is(best([0.04, 0.5], 0.1, 'lower'), '0.0');
  assert.is(best([0.09, 0.5], 0.1, 'lower'), undefined, 'as it');
  assert.is(best([0.9], 0.1), undefined, 'there is no other');
  assert.is(best([0.91, 0.9, 0.5, 0.4], 0.1), '0.9', 'two of four');
  assert.is(best([0.91, 0.9, 0.9, 0.4], 0.1), undefined, 'three of four');
});

test('long times are told in days', () => {
  assert.equal([59, 3600, 47 * 3600, 68.2 * 86400].map(formatTime), ['0:59', '1:00:00', '47:00:00', '68 days']);
});

test('usage counts how often modules were active, and at what they switched', () => {
  // Two sequences of two digits over a blank of three; module 1 reads digits and marker, module 2 the rest.
  const inputs = [
    [3, 4, 0, 0, 9, 0, 0],
    [3, 3, 0, 0, 9, 0, 0],
  ];
  const input = (t: number, b: number): number => at(at(inputs, b), t);
  const steps = 7;
  const mask = Array.from({ length: steps * 2 }, (_, i) =>
    input(Math.floor(i / 2), i % 2) > 0 ? [1, 0] : [0, 1],
  ).flat();
  const [parts, kinds] = usageOf('copying', 3, [{ input, mask, shape: [steps, 2, 2] }]);
  assert.equal(parts, {
    by: 'part',
    names: ['digits', 'blank', 'recall'],
    steps: [4, 6, 4],
    active: [
      [1, 0],
      [1 / 3, 2 / 3],
      [0, 1],
    ],
    switched: [
      [0, 0],
      [2 / 3, 2 / 3],
      [0.5, 0.5],
    ],
  });
  assert.equal(kinds?.names, ['blank', 'blank in recall', 'digit 3', 'digit 4', 'marker']);
  assert.equal(kinds?.steps, [4, 4, 3, 1, 2]);
  assert.equal(
    kinds?.switched.map((row) => row[0]),
    [0.5, 0.5, 0, 0, 1],
  );
  assert.equal(parseUsage([parts, kinds], 'here'), [parts, kinds]);
  assert.throws(() => parseUsage([{ by: 'part', names: [], steps: [], active: [], switched: [] }], 'here'), /damaged/);
  const adding = describeSteps('adding');
  assert.equal(adding([0.5, 0, 1], 7, 10, 10), { part: 'second half', input: 'second mark' });
  assert.equal(adding([0.5, 0, 0], 4, 10, 10), { part: 'first half', input: 'no mark' });
  const digits = describeSteps('smnist');
  assert.equal(digits(1, 48, 49, 7), { part: 'bottom', input: 'ink' });
  assert.equal(digits(0, 0, 49, 7), { part: 'top', input: 'paper' });
});

test.run();
