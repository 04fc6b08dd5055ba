// `rimgrad table`: from a command line to trained cells, a table on the console and its page.
//
// Always: what is printed is whole lines; a failed cell does not end the others, but the exit code tells of it; Ctrl-C keeps everything,
// and the table of what there is. Not here: the process (table-command.ts), and each of the steps.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { Device } from '../../engine/core.ts';
import { at, FileError, need } from '../../engine/errors.ts';
import { called, EXIT } from '../command-line.ts';
import { makeFolders, writeAtomically } from '../disk.ts';
import { jobTask } from '../job-tasks.ts';
import { adapterName } from '../messages.ts';
import { formatDuration, type ProgressStream } from '../progress.ts';
import { factsOf, type JobTask, type TaskFacts } from '../task-facts.ts';
import type { TrainJob } from '../train.ts';
import { type Cell, cellsOf, type Group, partOf } from './definition.ts';
import { Estimates } from './estimate.ts';
import { parseTable, type TableRequest } from './options.ts';
import { renderTable } from './page.ts';
import { tableProgress } from './progress.ts';
import { measureRates, type Rates } from './rates.ts';
import { type CellRecord, optionsOf, readRecords } from './records.ts';
import { metricOf, type TableResult, tableJSON, tabulate } from './result.ts';
import { isToTrain, type RunnerResult, recordToTrain, runCells } from './runner.ts';
import { formatTable } from './text.ts';

/** What the command is given by the process that it runs in. */
export interface TableSurroundings {
  readonly stdout: ProgressStream;
  readonly stderr: NodeJS.WritableStream;
  /** Aborted to stop early and keep what there is. */
  readonly signal: AbortSignal;
  /** Opens the device whose speed is measured. */
  open(): Promise<Device>;
  readonly train: TrainJob;
}

/**
 * Runs `rimgrad table`.
 * @returns the exit code, of `EXIT`
 * @throws RimgradError for a command line that is wrong, or where the device or the disk fails
 */
export async function runTable(args: readonly string[], around: TableSurroundings): Promise<number> {
  const request = parseTable(args);
  if (typeof request === 'string') {
    around.stdout.write(request);
    return EXIT.done;
  }
  if (request.list) {
    around.stdout.write(listOf(request));
    return EXIT.done;
  }
  return new TableJob(request, around).run();
}

/** A command for each cell, a line each. */
function listOf({ table, part, out, merge, mnist, force }: TableRequest): string {
  const shared = [
    ...['--out', out],
    ...(mnist === undefined ? [] : ['--mnist', mnist]),
    ...(force ? ['--force'] : []),
    ...(merge.length === 0 ? [] : ['--merge', ...merge]),
  ];
  return cellsOf(table, part)
    .map(({ name }) => {
      const words = [table.name, '--scale', part.scale, '--cell', name, ...shared];
      return `${called('table')} ${words.map(quoted).join(' ')}\n`;
    })
    .join('');
}

/** A word as a shell reads it. */
function quoted(word: string): string {
  return /^[\w./:=,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

class TableJob {
  readonly #request: TableRequest;
  readonly #around: TableSurroundings;
  readonly #cells: readonly Cell[];
  /** What people read: nothing of it where machines do. */
  readonly #out: ProgressStream;
  readonly #folders: readonly string[];
  readonly #jobs = new Map<string, JobTask>();
  /** Whose data its cells are trained on, where the task says so. */
  #source: string | undefined;

  constructor(request: TableRequest, around: TableSurroundings) {
    const { table, part, cell, json, out, merge } = request;
    this.#request = request;
    this.#around = around;
    this.#cells = cell === undefined ? cellsOf(table, part) : [cell];
    this.#out = json ? new Writable({ write: (_chunk, _encoding, done) => done() }) : around.stdout;
    this.#folders = [out, ...merge];
  }

  async run(): Promise<number> {
    const { show, cell, json } = this.#request;
    await this.#check();
    const result = show ? undefined : await this.#train();
    if (cell === undefined || json) await this.#tell(cell === undefined);
    if (result === undefined) return EXIT.done;
    if (result.stopped) return EXIT.stopped;
    return result.failed > 0 ? EXIT.failed : EXIT.done;
  }

  /** Refuses before anything is trained what would be refused at the end. @throws OptionError, FileError */
  async #check(): Promise<void> {
    const { table, part, merge, show, metric } = this.#request;
    for (const folder of merge) {
      if (!existsSync(folder))
        throw new FileError(`--merge ${folder}: there is no such folder; give one with run folders`);
    }
    if (show) return;
    const { figures, source } = await this.#facts(at(partOf(table, part).groups, 0), []);
    this.#source = source;
    if (metric !== undefined) metricOf(figures, metric);
  }

  async #train(): Promise<RunnerResult> {
    const { out, merge, force } = this.#request;
    const { signal, train, stderr } = this.#around;
    const where = { out, others: merge, ...(this.#source !== undefined && { source: this.#source }) };
    const records = this.#cells.map((cell) => recordToTrain(cell, where));
    /** The cells that are to be trained, and the updates that need not be made again. */
    const open = new Map<Cell, number>();
    for (const record of records) {
      if (isToTrain(record, force)) open.set(record.cell, force ? 0 : (record.step ?? 0));
    }
    const estimates = open.size === 0 ? undefined : await this.#estimate(records, open);
    const progress = tableProgress(this.#out, this.#cells.length);
    let began = 0;
    const left = (): number => [...open].reduce((sum, each) => sum + (estimates?.seconds(...each) ?? 0), 0);
    const result = await runCells(
      this.#cells,
      { ...where, force, train, signal },
      {
        onBegin: (cell) => {
          began = performance.now();
          const expected = estimates?.seconds(cell, open.get(cell)) ?? 0;
          progress.begin(cell, optionsOf(cell).steps, expected, left() - expected);
        },
        onStep: (_cell, step) => progress.update(step),
        onWarning: ({ name }, line) => stderr.write(`rimgrad: ${name}: ${line}\n`),
        onEnd: (record, trained, problem) => {
          open.delete(record.cell); // whatever became of it, this process is done with it
          if (trained && record.metrics !== undefined) estimates?.learn(record.cell, record.metrics);
          const seconds = (performance.now() - began) / 1000;
          if (trained || record.state !== 'finished' || force) {
            const words =
              trained && record.state === 'finished' ? `finished in ${formatDuration(seconds)}` : stateWords(record);
            const rest = open.size === 0 || !trained ? '' : `, ${formatDuration(left())} left`;
            progress.end(`${record.cell.name}: ${words}${rest}`);
          } else progress.end(`${record.cell.name}: ${stateWords(record)}`);
          if (problem !== undefined) stderr.write(`rimgrad: ${record.cell.name}: ${problem}\n`);
        },
      },
    );
    if (result.stopped) {
      this.#out.write(`Stopped. The same command${force ? ' without --force' : ''} goes on from here\n`);
    }
    if (result.elsewhere > 0) {
      this.#out.write(`${result.elsewhere} left to other processes; --show makes the table again when they are done\n`);
    }
    return result;
  }

  /** Measures the device, plans what is to be done, and says how long that may take; undefined where it is stopped. */
  async #estimate(records: readonly CellRecord[], open: ReadonlyMap<Cell, number>): Promise<Estimates | undefined> {
    const { table, part } = this.#request;
    let rates: Rates;
    let adapter: string;
    {
      using device = await this.#around.open();
      adapter = adapterName(device);
      rates = await measureRates(device);
    }
    const estimates = await Estimates.of([...open.keys()], rates, (group) => this.#job(group), this.#around.signal);
    if (estimates === undefined) return undefined;
    for (const { cell, metrics } of records) if (metrics !== undefined) estimates.learn(cell, metrics);
    const seconds = [...open].reduce((sum, each) => sum + estimates.seconds(...each), 0);
    const done = records.filter(({ state }) => state === 'finished').length;
    this.#out.write(
      `${table.title}, scale ${part.scale}, on ${adapter}: ${open.size} of ${this.#cells.length} cells to train${done === 0 ? '' : `, ${done} finished`}\n` +
        `Estimated time: ${formatDuration(seconds)} (${(1e6 * rates.secondsACall).toFixed(1)} µs a call, ${(1e-9 / rates.secondsAWork).toFixed(1)} G operations a second)\n\n`,
    );
    return estimates;
  }

  /** Writes and prints the table of what there is. */
  async #tell(write: boolean): Promise<void> {
    const { table, part, json, select, metric } = this.#request;
    const records = readRecords(table, part, this.#folders, this.#source);
    const facts = new Map<string, TaskFacts>();
    for (const group of partOf(table, part).groups) facts.set(group.title, await this.#facts(group, records));
    const view = { select, ...(metric !== undefined && { metric }) };
    const result = tabulate(table, part, records, ({ title }) => need(facts.get(title), title), view);
    if (json) this.#around.stdout.write(tableJSON(result));
    this.#out.write(`\n${formatTable(table, result)}`);
    for (const { cell, note } of records.filter(({ state }) => state === 'refused')) {
      this.#around.stderr.write(`rimgrad: ${cell.name} is not counted: ${note ?? 'it cannot be read'}\n`);
    }
    if (write) this.#out.write(`\nPage: ${await this.#write(result, records)}\n`);
  }

  /** What is known of a group's task: what its first finished cell was told of it, so that a table needs no task's files. */
  async #facts(group: Group, records: readonly CellRecord[]): Promise<TaskFacts> {
    const { title } = group;
    const told = records.find(({ cell, config }) => cell.group.title === title && config !== undefined)?.config?.task;
    return told ?? factsOf(await this.#job(group));
  }

  /** A group's task, which its rows share: made once, for it may read files. */
  async #job({ title }: Group): Promise<JobTask> {
    const { table, part } = this.#request;
    const cell = cellsOf(table, part).find(({ group }) => group.title === title);
    const job = this.#jobs.get(title) ?? (await jobTask(optionsOf(need(cell, 'a cell'))));
    this.#jobs.set(title, job);
    return job;
  }

  async #write(result: TableResult, records: readonly CellRecord[]): Promise<string> {
    const { table, part, out } = this.#request;
    const folder = join(out, `${table.name}-${part.scale}`);
    makeFolders(folder);
    writeAtomically(join(folder, 'table.json'), tableJSON(result));
    const page = join(folder, 'table.html');
    writeAtomically(page, await renderTable({ table, scaled: partOf(table, part), result, records }));
    return page;
  }
}

/** What there is of a cell, in words. */
function stateWords({ state, note }: CellRecord): string {
  if (state === 'finished') return 'finished before';
  if (state === 'running') return `left to ${note ?? 'another process'}`;
  if (state === 'begun' || state === 'failed') return `${state}${note === undefined ? '' : `, ${note}`}`;
  return state === 'refused' ? 'not counted' : 'missing';
}
