// Files that are never half there: written beside, flushed, renamed, and the folder flushed, so that a kill or a power cut at any
// moment leaves the old content or the new one.
//
// Always: every failure is a FileError that names the path and the mend. Not here: what the files are (runs.ts).

import { closeSync, fsyncSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
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
export function writeAtomically(path: string, content: string | Uint8Array): void {
  const beside = join(dirname(path), `.${basename(path)}.${process.pid}.part`);
  onDisk(path, () => {
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
  });
  try {
    onDisk(dirname(path), () => flushFolder(dirname(path)));
  } catch (cause) {
    if (!(cause instanceof FileError)) throw cause;
    const what = `${path}: it is written, but a power cut may undo that, for its folder could not be flushed`;
    throw new NotFlushedError(`${what} (${cause.message})`, { cause });
  }
}

/** The bytes of a file. @throws FileError when it cannot be read */
export function readBytes(path: string): Buffer<ArrayBuffer> {
  return onDisk(path, () => readFileSync(path));
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

const MENDS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied; give another folder with --out, or change its permissions',
  EPERM: 'not permitted; give another folder with --out',
  EROFS: 'the file system is read-only; give another folder with --out',
  ENOSPC: 'the disk is full; free some space',
  EDQUOT: 'the disk quota is used up; free some space',
  EFBIG: 'files may not be as large here; raise the limit (ulimit -f), or give another folder with --out',
  ENOTDIR: 'a part of the path is a file, not a folder; give another folder with --out',
  EEXIST: 'there is a run already; take another --name',
  EISDIR: 'a folder is in the way of a file; move it away',
  ENOENT: 'no such file or folder; was it removed while in use?',
  ENAMETOOLONG: 'the name is too long; give a shorter one',
};

/** Runs a file system call; its failure becomes a FileError that names the path and the mend. */
export function onDisk<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && typeof error.code === 'string')) throw error;
    throw new FileError(`${path}: ${MENDS[error.code] ?? `the file system answers ${error.code}`}`, { cause: error });
  }
}
