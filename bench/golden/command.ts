// The golden check as a command: arguments in, a line a file out, and an exit code. It reads every `*.safetensors` of a
// folder, tells of what kind each is, and compares what the engine computes on the adapter with what the file stores.
//
// Always: one device for all files (a new one where it was lost), memory freed after each file; a file that cannot be read
// or is of no known kind is a failure with its line, and the other files are checked all the same.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { type Device, DeviceError, FileError, OptionError, openDevice } from '../../engine/node.ts';
import { EXIT } from '../command-line.ts';
import { adapterName, describe, oneLine } from '../messages.ts';
import type { Tally } from './compare.ts';
import { GoldenFile } from './file.ts';
import { kindOf } from './kinds.ts';
import { type FileReport, formatFile, formatJson, formatSummary } from './report.ts';

/** Where the command writes. */
export interface Streams {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
}

interface Options {
  readonly filter: string;
  readonly verbose: boolean;
  readonly json: boolean;
}

/**
 * Runs the check.
 * @param args the command line after the program's name
 * @returns the exit code; that of wrong usage also where the folder or the adapter is no good, so that a failure means a difference
 */
export async function runGolden(args: readonly string[], streams: Streams): Promise<number> {
  const command = new Command('npm run golden --')
    .description('Checks every *.safetensors of a folder against the engine on this device: values, masks, gradients.')
    .argument('<folder>', 'the folder, or one file')
    .option('--filter <text>', 'only files whose name contains this', '')
    .option('--verbose', 'a line a tensor', false)
    .option('--json', 'one JSON object instead of lines', false)
    .configureOutput({ writeOut: (text) => streams.stdout.write(text), writeErr: () => {} })
    .exitOverride();
  try {
    command.parse([...args], { from: 'user' });
    return await checkFolder(command.args[0] ?? '', command.opts<Options>(), streams);
  } catch (error) {
    if (error instanceof CommanderError && error.code === 'commander.helpDisplayed') return EXIT.done;
    const usage =
      error instanceof CommanderError ? `${oneLine(error.message).replace(/^error: /, '')}; see --help` : undefined;
    streams.stderr.write(`rimgrad: ${usage ?? describe(error)}\n`);
    return EXIT.usage;
  }
}

async function checkFolder(folder: string, options: Options, { stdout }: Streams): Promise<number> {
  const paths = findFiles(folder, options.filter);
  const width = Math.max(...paths.map((path) => nameOf(path).length));
  const reports: FileReport[] = [];
  let device = await openDevice();
  const adapter = adapterName(device);
  try {
    for (const path of paths) {
      const { report, broken } = await checkFile(path, device);
      reports.push(report);
      if (!options.json) stdout.write(`${formatFile(report, width, options.verbose)}\n`);
      if (broken && path !== paths.at(-1)) {
        device[Symbol.dispose]();
        device = await openDevice();
      }
    }
  } finally {
    device[Symbol.dispose]();
  }
  stdout.write(`${options.json ? formatJson(folder, adapter, reports) : formatSummary(reports, adapter)}\n`);
  return reports.some(({ status }) => status === 'failed') ? EXIT.failed : EXIT.done;
}

/** Paths of the golden files. @throws FileError where the folder cannot be read or has none */
function findFiles(folder: string, filter: string): string[] {
  let names: string[];
  let parent = folder;
  try {
    if (statSync(folder).isDirectory()) {
      names = readdirSync(folder).filter((name) => name.endsWith('.safetensors'));
    } else {
      parent = dirname(folder);
      names = [basename(folder)];
    }
  } catch (cause) {
    throw new FileError(`${folder}: cannot be read (${codeOf(cause)}); give a folder of *.safetensors files`, {
      cause,
    });
  }
  if (names.length === 0) throw new FileError(`${folder}: has no *.safetensors files; give a folder that has`);
  const chosen = names.filter((name) => name.includes(filter));
  if (chosen.length === 0) {
    throw new OptionError(
      `--filter ${filter}: none of the ${names.length} files has this in its name; see what is in ${folder}`,
    );
  }
  return chosen.toSorted().map((name) => join(parent, name));
}

/** Checks one file. `broken`: the device must not be used again. */
async function checkFile(path: string, device: Device): Promise<{ report: FileReport; broken: boolean }> {
  const began = performance.now();
  const name = nameOf(path);
  let kind: string | undefined;
  let broken = false;
  let outcome: Pick<FileReport, 'status' | 'comparisons' | 'notes' | 'message'>;
  try {
    const file = readGolden(path, name);
    const found = kindOf(file);
    kind = found.name;
    if (found.record === undefined) outcome = judge(await found.check(file, device));
    else outcome = { status: 'record', comparisons: [], notes: [], message: `${found.name}: ${found.record}` };
  } catch (error) {
    broken = error instanceof DeviceError;
    outcome = { status: 'failed', comparisons: [], notes: [], message: describe(error) };
  }
  return { report: { file: name, kind, ...outcome, seconds: (performance.now() - began) / 1000 }, broken };
}

function judge({ comparisons, notes }: Tally): Pick<FileReport, 'status' | 'comparisons' | 'notes'> {
  return { status: comparisons.every(({ ok }) => ok) ? 'ok' : 'failed', comparisons, notes };
}

function readGolden(path: string, name: string): GoldenFile {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new FileError(`${name}: cannot be read (${codeOf(cause)}); check its permissions`, { cause });
  }
  return new GoldenFile(name, bytes);
}

function nameOf(path: string): string {
  return basename(path).replace(/\.safetensors$/, '');
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
}
