// The page as a static folder, and a server for it on this machine: both by esbuild. Node only; no part of the page.
//
// Always: every address in the folder is relative, so that any host can serve it from any sub-folder; nothing of it needs a
// server side. What is bundled: the page, its two workers, the style; index.html is copied.

import { fileURLToPath } from 'node:url';
import { type BuildOptions, build, context, type ServeOptions } from 'esbuild';

/** The repository. */
const root = fileURLToPath(new URL('../../', import.meta.url));

function options(out: string): BuildOptions {
  const entries = ['index.html', 'style.css', 'page.ts', 'train-worker.ts', 'check-worker.ts'];
  return {
    absWorkingDir: root,
    entryPoints: entries.map((file) => `demo/${file}`),
    outbase: 'demo',
    outdir: out,
    loader: { '.html': 'copy' },
    bundle: true,
    minify: true,
    sourcemap: true,
    format: 'esm',
    target: 'es2023',
    logLevel: 'warning',
  };
}

/** Writes the page into a folder. */
export async function buildSite(out: string): Promise<void> {
  await build(options(out));
}

/** A running server. */
export interface Served {
  readonly url: string;
  stop(): Promise<void>;
}

/** Serves the page from memory, built when it is asked for, so that it follows its sources. Port 0: any that is free. */
export function serveSite(port: number): Promise<Served> {
  return serve({ ...options(`${root}site`), write: false }, { servedir: `${root}site`, port });
}

/** Serves a folder as it is. */
export function serveFolder(folder: string): Promise<Served> {
  return serve({}, { servedir: folder });
}

async function serve(what: BuildOptions, how: ServeOptions): Promise<Served> {
  const made = await context(what);
  try {
    const { port } = await made.serve({ ...how, host: '127.0.0.1' });
    // By its number: another program's server on [::1] would answer to `localhost`.
    return { url: `http://127.0.0.1:${port}/`, stop: () => made.dispose() };
  } catch (error) {
    await made.dispose();
    throw error;
  }
}
