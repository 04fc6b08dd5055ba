// What the set-up says: one-line notices on stderr (so that a command's stdout stays its own), and SetupError, the
// only error that a person is meant to see: run.mjs prints its message without a stack trace and exits with 1.
import { fileURLToPath } from 'node:url';

/** The repository's root folder. */
export const root = fileURLToPath(new URL('..', import.meta.url));

/** Prints one line to stderr. */
export function say(line) {
  process.stderr.write(`rimgrad: ${line}\n`);
}

/** A set-up step that cannot go on; the message names the mend. */
export class SetupError extends Error {
  name = 'SetupError';
}
