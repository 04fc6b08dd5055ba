// The package as users get it: packed by npm into a tarball, and installed from that tarball into folders that know nothing of
// this checkout. No network: the package depends on nothing, so that its tarball is all there is to install.
// Not here: what is asked of it (package.test.ts, consumers.test.ts, cli.test.ts).

import { type SpawnOptions, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RimgradError } from '../engine/errors.ts';

/** The checkout. */
export const root: string = fileURLToPath(new URL('../../', import.meta.url));

/** What a process came to. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end. */
export function ended(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<Ended> {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const seen = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    seen.stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    seen.stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...seen }));
  });
}

/** Runs a command that must end well. @returns its standard output */
export async function output(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await ended(command, args, options);
  if (code !== 0) throw new RimgradError(`${command} ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}

/** The environment that processes of users have: nothing of npm's, nothing that our set-up hands down to the tests. */
export function userEnvironment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(npm_|RIMGRAD_|NODE_OPTIONS$|INIT_CWD$)/i.test(name));
  return { ...Object.fromEntries(own), NO_COLOR: '1', ...more };
}

/** Runs npm, without a network. */
export function npm(args: readonly string[], cwd: string): Promise<string> {
  const quiet = ['--offline', '--no-audit', '--no-fund', '--loglevel=error', '--update-notifier=false'];
  const script = process.env.npm_execpath;
  const options = { cwd, env: userEnvironment() };
  return script === undefined
    ? output('npm', [...args, ...quiet], { ...options, shell: process.platform === 'win32' })
    : output(process.execPath, [script, ...args, ...quiet], options);
}

/** A script of an installed development package. */
export function tool(path: string): string {
  return join(root, 'node_modules', path);
}

/** A folder for one test file, gone at the end of it. */
export class Workshop {
  readonly folder: string = realpathSync(mkdtempSync(join(tmpdir(), 'rimgrad-package-')));

  /** Packs this checkout, as `npm pack` does after its prepack. @returns the path of the tarball */
  async pack(): Promise<string> {
    await output(process.execPath, [join(root, 'bench', 'bundle.mjs')], { cwd: root });
    await npm(['pack', '--ignore-scripts', '--pack-destination', this.folder], root);
    const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, string>;
    return join(this.folder, `${name}-${version}.tgz`);
  }

  /** A folder with nothing but the package in it. @param beside packages of this checkout that the user has installed too */
  async consumer(name: string, tarball: string, beside: readonly string[] = []): Promise<string> {
    const folder = join(this.folder, name);
    mkdirSync(folder);
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
    await npm(['install', '--no-package-lock', '--no-save', tarball], folder);
    for (const each of beside) {
      const link = join(folder, 'node_modules', each);
      mkdirSync(dirname(link), { recursive: true });
      symlinkSync(join(root, 'node_modules', each), link, 'junction');
    }
    return folder;
  }

  clear(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
