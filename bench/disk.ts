// Files that are never half there: written beside, flushed, renamed, and the folder flushed, so that a kill or a power cut at any
// moment leaves the old content or the new one.
//
// Always: every failure is a FileError that names the path and the mend. Not here: what the files are (runs.ts).

import { randomBytes } from 'node:crypto';
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { FileError } from '../engine/errors.ts';

/** A file was written whole, and its folder could not be flushed: the file is there, but a power cut may bring the old one back. */
export class NotFlushedError extends FileError {
  override readonly name: string = 'NotFlushedError';
}

/**
 * Writes a file so that a kill at any moment leaves the old content or the new one.
 *
 * @throws FileError when it cannot be written: the old content stays, and nothing is left beside; NotFlushedError when the new one
 *   is there, and may not last.
 */
export function writeAtomically(path: string, content: string | Uint8Array, mends: Mends = WRITING): void {
  const beside = besideOf(path);
  const write = (): void => {
    const file = openSync(beside, 'w');
    try {
      try {
        writeAll(file, typeof content === 'string' ? Buffer.from(content) : content, 0);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(beside, path);
    } catch (error) {
      rmSync(beside, { force: true });
      throw error;
    }
  };
  onDisk(path, write, mends);
  try {
    onDisk(dirname(path), () => flushFolder(dirname(path)));
  } catch (cause) {
    if (!(cause instanceof FileError)) throw cause;
    const what = `${path}: it is written, but a power cut may undo that, for its folder could not be flushed`;
    throw new NotFlushedError(`${what} (${cause.message})`, { cause });
  }
}

/**
 * Keeps room on the disk for the next content of a file, where `writeAtomically` of this process will write it: a last word then fits on
 * a disk that has become full. Where there is no room, none is kept.
 */
export function keepRoom(path: string, bytes: number): void {
  try {
    // Random, so that no file system makes them smaller.
    writeFileSync(besideOf(path), randomBytes(bytes));
  } catch {
    dropRoom(path);
  }
}

/** Gives the room back. */
export function dropRoom(path: string): void {
  rmSync(besideOf(path), { force: true });
}

/** Where this process writes the next content of a file. */
function besideOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.part`);
}

/** The bytes of a file. @throws FileError when it cannot be read */
export function readBytes(path: string): Buffer<ArrayBuffer> {
  return onDisk(path, () => readFileSync(path), READING);
}

/** The names in a folder. @throws FileError when it cannot be read */
export function namesIn(folder: string): string[] {
  return onDisk(folder, () => readdirSync(folder), READING);
}

/** A folder that has such a file: in a folder, or beside it with a name that begins with its own, as a table's cells lie. */
export function folderNear(path: string, file: string): string | undefined {
  const here = resolve(path);
  const inside = (above: string, begin: string): string | undefined => {
    const name = namesIn(above).find((each) => each.startsWith(begin) && existsSync(join(above, each, file)));
    return name === undefined ? undefined : join(above, name);
  };
  return inside(here, '') ?? inside(dirname(here), `${basename(here)}-`);
}

/** The nearest path that is there: itself, or of the folders above it. */
export function nearestExisting(path: string): string {
  let above = path;
  while (!existsSync(above) && dirname(above) !== above) above = dirname(above);
  return above;
}

/** @throws FileError where nothing may be written into a folder that is there */
export function checkWritable(folder: string): void {
  onDisk(folder, () => accessSync(folder, constants.W_OK));
}

/**
 * Makes a folder and those above it that are missing, one at a time: where a file system makes none, as `/proc`, the recursive mkdir
 * of some versions of Node tries without end, or names another cause than the real one.
 * @throws FileError naming the folder that cannot be made
 */
export function makeFolders(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
  if (dirname(path) !== path) makeFolders(dirname(path));
  onDisk(
    path,
    () => {
      try {
        mkdirSync(path);
      } catch (error) {
        // Another process may have made it in between.
        if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) throw error;
      }
    },
    MAKING,
  );
}

/** The names in a folder that a killed `writeAtomically` left beside one of these files. */
export function remainsIn(folder: string, files: readonly string[]): string[] {
  const known = new Set(files);
  return readdirSync(folder).filter((name) => known.has(/^\.(.+)\.\d+\.part$/.exec(name)?.[1] ?? ''));
}

/** Removes what a killed `writeAtomically` left. */
export function removeRemains(folder: string, files: readonly string[]): void {
  for (const name of remainsIn(folder, files)) rmSync(join(folder, name), { force: true });
}

/** Makes renames and new files in a folder last; where folders cannot be flushed (Windows), the system sees to it. */
export function flushFolder(path: string): void {
  if (process.platform === 'win32') return;
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** Writes bytes from a position on, all of them. */
export function writeAll(file: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, bytes.length - done, position + done);
}

/** What helps, by the code of a failure. */
export type Mends = Readonly<Record<string, string>>;

/** What helps where something cannot be written. @param elsewhere how to write to another place */
function mendsOfWriting(elsewhere: string): Mends {
  return {
    EACCES: `permission denied; ${elsewhere}, or change its permissions`,
    EPERM: `not permitted; ${elsewhere}`,
    EROFS: `the file system is read-only; ${elsewhere}`,
    ENOSPC: 'the disk is full; free some space',
    EDQUOT: 'the disk quota is used up; free some space',
    EFBIG: `files may not be as large here; raise the limit (ulimit -f), or ${elsewhere}`,
    ENOTDIR: `a part of the path is a file, not a folder; ${elsewhere}`,
    EEXIST: 'there is a run already; take another --name',
    EISDIR: 'a folder is in the way of a file; move it away',
    ENOENT: 'no such file or folder; was it removed while in use?',
    ENAMETOOLONG: 'the name is too long; give a shorter one',
  };
}

/** Where something new is written. */
const WRITING: Mends = mendsOfWriting('give another folder with --out');

/** Where it is written into a run that is there, which `--out` cannot move. */
export const WRITING_THERE: Mends = mendsOfWriting('copy the run to a folder that can be written');

/** Where a folder is to be made. */
const MAKING: Mends = {
  ...WRITING,
  EEXIST: 'a file is in the way of a folder; move it away, or give another folder with --out',
  ENOENT: 'no folder can be made there; give another one with --out',
};

/** Where a file or folder is only read. */
export const READING: Mends = {
  EACCES: 'permission denied; change its permissions, or name another',
  EPERM: 'not permitted; change its permissions, or name another',
  ENOTDIR: 'a part of the path is a file, not a folder; name another',
  EISDIR: 'it is a folder where a file is wanted; name another, or move it away',
  ENOENT: 'no such file or folder; name another',
  ENAMETOOLONG: 'the name is too long; name another',
};

/** Runs a file system call; its failure becomes a FileError that names the path and the mend. */
export function onDisk<T>(path: string, action: () => T, mends: Mends = WRITING): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && typeof error.code === 'string')) throw error;
    throw new FileError(`${path}: ${mends[error.code] ?? `the file system answers ${error.code}`}`, { cause: error });
  }
}
