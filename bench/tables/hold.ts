// Who trains a cell: a small file beside its run folder, so that of several processes, also on several machines that share the
// folder, only one does.
//
// Always: the file is made in one step that only one process can win; its holder renews its time, and a file whose process is gone,
// or of another machine and not renewed for some minutes, is nobody's. Not here: what is done meanwhile (runner.ts).

import { closeSync, linkSync, openSync, renameSync, rmSync, statSync, utimesSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { FileError } from '../../engine/errors.ts';
import { makeFolders, onDisk, readBytes } from '../disk.ts';
import { runsAs } from '../runs.ts';

const RENEW_MS = 30_000;
const STALE_MS = 10 * 60_000;

/** A cell that this process holds. */
export interface Hold {
  /** Lets it go; safe to call twice. */
  release(): void;
}

/** The process that holds a cell, in words; undefined where none other than this one does. */
export function holderOf(out: string, cell: string): string | undefined {
  const found = look(fileOf(out, cell));
  return found?.live === true && !found.own ? found.words : undefined;
}

/** Takes a cell. @returns undefined where another process holds it. @throws FileError where the folder cannot be written */
export function hold(out: string, cell: string): Hold | undefined {
  const file = fileOf(out, cell);
  makeFolders(out);
  for (let attempt = 0; attempt < 3; attempt++) {
    if (make(file)) return held(file);
    const found = look(file);
    if (found?.live === true && !found.own) return undefined;
    if (found !== undefined) remove(file, found.text);
  }
  return undefined;
}

function held(file: string): Hold {
  // After a long sleep it may be another's by now, who is neither renewed nor removed: the run folder itself still tells who trains.
  const isOwn = (): boolean => look(file)?.own === true;
  const renewing = setInterval(() => {
    try {
      if (isOwn()) utimesSync(file, new Date(), new Date());
    } catch {
      // It was taken away since.
    }
  }, RENEW_MS);
  renewing.unref();
  return {
    release: () => {
      clearInterval(renewing);
      if (isOwn()) rmSync(file, { force: true });
    },
  };
}

function fileOf(out: string, cell: string): string {
  return join(out, `.${cell}.held`);
}

/** Makes the file, unless there is one; one that cannot be written is not left behind, for an empty one holds a cell as well. */
function make(file: string): boolean {
  return onDisk(dirname(file), () => {
    const descriptor = openNew(file);
    if (descriptor === undefined) return false;
    try {
      writeSync(descriptor, JSON.stringify({ pid: process.pid, host: hostname() }));
    } catch (error) {
      rmSync(file, { force: true });
      throw error;
    } finally {
      closeSync(descriptor);
    }
    return true;
  });
}

/** Opens a file that is not there yet; undefined where there is one. */
function openNew(file: string): number | undefined {
  try {
    return openSync(file, 'wx');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return undefined;
    throw error;
  }
}

interface Found {
  readonly text: string;
  readonly own: boolean;
  readonly live: boolean;
  readonly words: string;
}

function look(file: string): Found | undefined {
  let text: string;
  let age: number;
  try {
    text = readBytes(file).toString('utf8');
    age = Date.now() - statSync(file).mtimeMs;
  } catch (error) {
    if (error instanceof FileError || (error instanceof Error && 'code' in error)) return undefined; // it is gone by now
    throw error;
  }
  const { pid, host } = holder(text);
  const here = host === hostname();
  const own = here && pid === process.pid;
  // One that is still being written belongs to whoever made it a moment ago.
  const live = pid === undefined || !here ? age < STALE_MS : own || runsAs({ process: { pid, host } }) !== undefined;
  return {
    text,
    own,
    live,
    words: pid === undefined ? 'another process' : `process ${pid}${here ? '' : ` of ${host}`}`,
  };
}

function holder(text: string): { readonly pid?: number; readonly host: string } {
  try {
    const { pid, host } = JSON.parse(text) as { pid?: unknown; host?: unknown };
    if (typeof pid === 'number' && typeof host === 'string') return { pid, host };
  } catch {
    // Cut off: nothing is known of it.
  }
  return { host: '' };
}

/** Removes the file that was looked at, and no newer one: another process may have taken the cell since. */
function remove(file: string, text: string): void {
  const aside = `${file}.${process.pid}`;
  try {
    renameSync(file, aside);
    if (readBytes(aside).toString('utf8') !== text) linkSync(aside, file);
  } catch (error) {
    if (!(error instanceof FileError) && !(error instanceof Error && 'code' in error)) throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}
