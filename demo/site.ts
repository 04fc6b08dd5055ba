// The page as a static folder, and a server for it on this machine: both by esbuild. Node only; no part of the page.
//
// Always: every address in the folder is relative, so that any host can serve it from any sub-folder; nothing of it needs a
// server side. What is bundled: the page, its two workers, the style; index.html is copied.

import { fileURLToPath } from 'node:url';
import { type BuildOptions, build, context } from 'esbuild';

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

/** Serves the page from memory, built again when its sources change. Port 0: any that is free. */
export async function serveSite(port: number): Promise<Served> {
  const made = await context(options(`${root}site`));
  await made.watch();
  const server = await made.serve({ servedir: `${root}site`, host: '127.0.0.1', port });
  return { url: `http://localhost:${server.port}/`, stop: () => made.dispose() };
}

/** Serves a folder as it is. */
export async function serveFolder(folder: string): Promise<Served> {
  const made = await context({});
  const server = await made.serve({ servedir: folder, host: '127.0.0.1' });
  return { url: `http://localhost:${server.port}/`, stop: () => made.dispose() };
}
