// `rimgrad table`: from a command line to trained cells, a table on the console and its page.
//
// Always: what is printed is whole lines; a failed cell does not end the others, but the exit code tells of it; Ctrl-C keeps everything,
// and the table of what there is. Not here: the process (table-command.ts), and each of the steps.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { Device } from '../../engine/core.ts';
import { at, FileError, need } from '../../engine/errors.ts';
import { EXIT, shellCommand } from '../command-line.ts';
import { makeFolders, readBytes, writeAtomically } from '../disk.ts';
import { checkBatch, jobTask } from '../job-tasks.ts';
import { adapterName } from '../messages.ts';
import type { ProgressStream } from '../progress.ts';
import { factsOf, type JobTask, type TaskFacts } from '../task-facts.ts';
import type { TrainJob } from '../train.ts';
import { type Cell, cellsOf, type Group, type Part, partOf } from './definition.ts';
import { Estimates } from './estimate.ts';
import { parseTable, type TableRequest } from './options.ts';
import { renderTable } from './page.ts';
import { formatTime, tableProgress } from './progress.ts';
import { measureRates, type Rates } from './rates.ts';
import { type CellRecord, optionsOf, readRecords, withAllThereIs, withoutUnwanted } from './records.ts';
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
      return `${shellCommand('table')} ${words.map(quoted).join(' ')}\n`;
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
  /** Cells of which was said why they do not count. */
  readonly #told = new Set<string>();
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
    const whole = cell === undefined || json ? await this.#tell(cell === undefined) : this.#tellOfTable();
    if (result === undefined) return whole ? EXIT.done : EXIT.failed;
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
          const trouble = problem === undefined ? '' : `rimgrad: ${record.cell.name}: ${problem}\n`;
          if (!trained) stderr.write(trouble); // before the line that counts it; of one that was trained a bar is still drawn
          if (trouble !== '') this.#told.add(record.cell.name);
          const seconds = (performance.now() - began) / 1000;
          if (trained || record.state !== 'finished' || force) {
            const words =
              trained && record.state === 'finished' ? `finished in ${formatTime(seconds)}` : stateWords(record);
            const rest = open.size === 0 || !trained ? '' : `, ${formatTime(left())} left`;
            progress.end(`${record.cell.name}: ${words}${rest}`);
          } else progress.end(`${record.cell.name}: ${stateWords(record)}`);
          if (trained) stderr.write(trouble);
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
    for (const { cell, metrics, config } of records) {
      // What another device took tells nothing of this one.
      if (metrics !== undefined && config?.adapter === adapter) estimates.learn(cell, metrics);
    }
    const seconds = [...open].reduce((sum, each) => sum + estimates.seconds(...each), 0);
    const done = records.filter(({ cell, state }) => state === 'finished' && !open.has(cell)).length;
    this.#out.write(
      `${table.title}, scale ${part.scale}, on ${adapter}: ${open.size} of ${this.#cells.length} cells to train${done === 0 ? '' : `, ${done} finished`}\n` +
        `Estimated time: ${formatTime(seconds)} (${(1e6 * rates.secondsACall).toFixed(1)} µs a call, ${(1e-9 / rates.secondsAWork).toFixed(1)} G operations a second)\n${seconds > LONG_SECONDS ? LONG : ''}\n`,
    );
    return estimates;
  }

  /** Prints the table of what there is, and writes its page. @returns whether all of it counts and stands there */
  async #tell(write: boolean): Promise<boolean> {
    const { table, part, json } = this.#request;
    const { result, records } = await this.#table(part);
    if (json) this.#around.stdout.write(tableJSON(result));
    this.#out.write(`\n${formatTable(table, result)}`);
    const refused = records.filter(({ state }) => state === 'refused');
    for (const { cell, state, note } of records.filter(({ cell }) => !this.#told.has(cell.name))) {
      if (state === 'failed') this.#around.stderr.write(`rimgrad: ${cell.name} failed: ${note ?? 'see its report'}\n`);
      if (state !== 'refused') continue;
      this.#around.stderr.write(`rimgrad: ${cell.name} is not counted: ${note ?? 'it cannot be read'}\n`);
    }
    return (!write || (await this.#write())) && refused.length === 0;
  }

  /** After a cell alone: how the table is made. */
  #tellOfTable(): boolean {
    const { table, part, out } = this.#request;
    const words = [table.name, '--scale', part.scale, '--out', out, '--show'];
    this.#out.write(`The table of all cells that are there: ${shellCommand('table')} ${words.map(quoted).join(' ')}\n`);
    return true;
  }

  /** @param wanted whose cells are to come where they are not there; all of the part's where left out */
  async #table(
    part: Part,
    wanted?: Part,
  ): Promise<{ readonly result: TableResult; readonly records: readonly CellRecord[] }> {
    const { table, select, metric } = this.#request;
    const all = readRecords(table, part, this.#folders, this.#source);
    const records = wanted === undefined ? all : withoutUnwanted(table, wanted, all);
    const facts = new Map<string, TaskFacts>();
    for (const group of partOf(table, part).groups) facts.set(group.title, await this.#facts(group, records));
    const view = { select, ...(metric !== undefined && { metric }) };
    return { result: tabulate(table, part, records, ({ title }) => need(facts.get(title), title), view), records };
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
    const known = this.#jobs.get(title);
    if (known !== undefined) return known;
    const cell = cellsOf(table, { scale: part.scale }).find(({ group }) => group.title === title);
    const options = optionsOf(need(cell, 'a cell'));
    const job = await jobTask(options);
    checkBatch(job, options);
    this.#jobs.set(title, job);
    return job;
  }

  /** Writes the page, of all rows and seeds that there are. @returns false where a fuller one is there, which stays */
  async #write(): Promise<boolean> {
    const { table, out, force } = this.#request;
    const part = withAllThereIs(table, this.#request.part, this.#folders);
    const { result, records } = await this.#table(part, this.#request.part);
    const folder = join(out, `${table.name}-${part.scale}`);
    const [json, page] = [join(folder, 'table.json'), join(folder, 'table.html')];
    const before = finishedIn(json);
    if (!force && before > result.finished) {
      this.#around.stderr.write(
        `rimgrad: ${page} is of ${before} finished cells and stays as it is, for only ${result.finished} count now; give what it was made with, as --merge or --mnist, or move ${folder} away\n`,
      );
      return false;
    }
    makeFolders(folder);
    writeAtomically(json, tableJSON(result));
    writeAtomically(page, await renderTable({ table, scaled: partOf(table, part), result, records }));
    this.#out.write(`\nPage: ${page}\n`);
    return true;
  }
}

/** Longer than this, and a table says so. */
const LONG_SECONDS = 12 * 3600;

const LONG =
  'That is long for one device. Ctrl-C keeps all that is done; --list gives the cells as commands for several machines, --rows and --seeds make fewer of them\n';

/** The finished cells that a table's file tells of; 0 where there is none to read. */
function finishedIn(file: string): number {
  try {
    const { finished } = JSON.parse(readBytes(file).toString('utf8')) as { readonly finished?: unknown };
    return typeof finished === 'number' ? finished : 0;
  } catch {
    return 0;
  }
}

/** What there is of a cell, in words. */
function stateWords({ state, note }: CellRecord): string {
  if (state === 'finished') return 'finished before';
  if (state === 'running') return `left to ${note ?? 'another process'}`;
  if (state === 'begun' || state === 'failed') return `${state}${note === undefined ? '' : `, ${note}`}`;
  return state === 'refused' ? 'not counted' : 'missing';
}
