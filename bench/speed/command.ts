// `rimgrad bench`, and `npm run bench`: runs the benchmark, prints its tables, writes its JSON file and, if asked, its page.
//
// Always: what is piped or written to a file holds the tables alone, progress goes to a terminal and is gone at the end; Ctrl-C
// ends it at once and closes all peers; an error is one line and an exit code. Not here: the measurements (bench.ts).

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FileError } from '../../engine/errors.ts';
import { called, EXIT, fail } from '../command-line.ts';
import { makeFolders } from '../disk.ts';
import { runBench, stagesOf } from './bench.ts';
import { parseBenchOptions } from './options.ts';
import { renderPage } from './page.ts';
import { measureProducts } from './products.ts';
import { stageProgress } from './progress.ts';
import type { BenchResult } from './result.ts';
import { formatSystems, timeSystems } from './systems.ts';
import { formatResult } from './table.ts';

/** Runs the benchmark in this process. @returns its exit code */
export async function bench(args: readonly string[]): Promise<number> {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(EXIT.stopped);
      process.stderr.write('rimgrad: stopping\n');
      controller.abort();
    });
  }
  // A reader that has seen enough closes the pipe; the files are written by then.
  process.stdout.on('error', () => {});
  try {
    const request = parseBenchOptions(args);
    if (request.kind === 'help') {
      process.stdout.write(request.text);
      return EXIT.done;
    }
    const { options } = request;
    const { stdout, stderr } = process;
    if (options.systems) {
      const result = await timeSystems(options.rounds, options.quick, controller.signal);
      stdout.write(options.json ? `${JSON.stringify(result)}\n` : formatSystems(result));
      return EXIT.done;
    }
    const progress = stageProgress(stderr.isTTY ? stderr : stdout, stagesOf(options)); // the set-up pipes stderr
    try {
      const result = await runBench(options, {
        signal: controller.signal,
        onStage: progress.stage,
        onDetail: progress.detail,
        products: measureProducts,
        command: [called('bench'), ...args].join(' '),
      });
      progress.end();
      const files = await keep(options.out, options.html, result);
      stdout.write(options.json ? `${JSON.stringify(result)}\n` : `${formatResult(result)}\n${files.join('\n')}\n`);
      return EXIT.done;
    } finally {
      progress.end();
    }
  } catch (error) {
    if (controller.signal.aborted) return EXIT.stopped;
    return fail(error);
  }
}

/** Writes the result and, if wanted, its page; gives their paths. */
async function keep(folder: string, html: boolean, result: BenchResult): Promise<string[]> {
  const stamp = result.environment.date.slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
  const files: [string, string][] = [[join(folder, `bench-${stamp}.json`), `${JSON.stringify(result, null, 1)}\n`]];
  if (html) files.push([join(folder, `bench-${stamp}.html`), await renderPage(result)]);
  makeFolders(folder);
  try {
    for (const [file, text] of files) writeFileSync(file, text);
  } catch (cause) {
    throw new FileError(`${folder}: cannot be written; choose another --out`, { cause });
  }
  return files.map(([file]) => file);
}
