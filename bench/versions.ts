// Versions of installed npm packages, as the doctor and the benchmark name them.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(import.meta.url);

/** Version of an installed npm package, this one too; null where it is not there. */
export function packageVersion(name: string): string | null {
  const file = manifestOf(name);
  if (file === undefined) return null;
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** Its package.json, which some packages do not let themselves be asked for by name. */
function manifestOf(name: string): string | undefined {
  try {
    return require.resolve(`${name}/package.json`);
  } catch {
    const folders = require.resolve.paths(name) ?? [];
    return folders.map((folder) => join(folder, name, 'package.json')).find((file) => existsSync(file));
  }
}
