// The API reference and the guides as pages: `npm run docs` writes docs/api/index.html from the docstrings of the entry points;
// `node docs/reference.mjs FOLDER` writes elsewhere. Any warning fails it: a public symbol without a docstring, a link that leads
// nowhere, a type that public signatures name and no entry exports. What is exported for other rooms alone is tagged @internal.
//
// typedoc reads sources by the compiler's JavaScript API, which TypeScript 7 does not have: wherever it asks for `typescript` it
// gets `typescript-6` (and package.json says that this is no conflict). The build has nothing to do with that one.

import { readFileSync } from 'node:fs';
import { register } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Entry point of the package -> its source. Of `rimgrad`, that of browsers and Deno: Node's differs in `openDevice` alone. */
const entries = {
  rimgrad: 'engine/index.ts',
  'rimgrad/rims': 'rims/index.ts',
  'rimgrad/check': 'check/index.ts',
  'rimgrad/kernels': 'kernels/index.ts',
  'rimgrad/tasks': 'bench/tasks/index.ts',
  'rimgrad/baselines': 'bench/baselines/index.ts',
};

const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
for (const name of Object.keys(exports).map((key) => key.replace(/^\./, 'rimgrad'))) {
  if (!(name in entries) && !name.endsWith('.json'))
    throw new Error(`docs/reference.mjs: no source for the entry ${name}`);
}

const hook = `export const resolve = (name, context, next) => next(name === 'typescript' ? 'typescript-6' : name, context);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
const { Application } = await import('typedoc');

const app = await Application.bootstrap({
  name: 'rimgrad',
  entryPoints: Object.values(entries).map((file) => join(root, file)),
  tsconfig: join(root, 'docs', 'tsconfig.json'),
  skipErrorChecking: true, // the build has checked the types
  readme: 'none',
  projectDocuments: ['first-steps', 'your-own-task', 'your-own-op', 'profiling', 'pytorch', 'systems'].map((name) =>
    join(root, 'docs', `${name}.md`),
  ),
  highlightLanguages: ['typescript', 'javascript', 'python'],
  disableSources: true,
  excludeInternal: true,
  excludeExternals: true,
  navigation: { includeFolders: false },
  validation: { notExported: true, invalidLink: true, rewrittenLink: true, notDocumented: true },
  intentionallyNotExported: ['Checked'],
  logLevel: 'Warn',
});
const project = await app.convert();
for (const module of project?.children ?? []) {
  const entry = Object.entries(entries).find(([, file]) => file === `${module.name}/index.ts`);
  if (entry) module.name = entry[0];
}
if (project) {
  // The fields of a catalogue entry are the declarations of its source, which explains them.
  const catalogue = project.children?.find(({ name }) => name === 'rimgrad/kernels')?.getChildByName('kernels');
  const below = [];
  catalogue?.children?.forEach((kernel) => {
    kernel.type?.visit({ reflection: ({ declaration }) => collect(declaration) });
  });
  function collect(reflection) {
    reflection.traverse((child) => {
      if (child.name !== '__type') below.push(child.getFullName());
      collect(child);
    });
  }
  app.options.setValue('intentionallyNotDocumented', below);
  app.validate(project);
  await app.generateDocs(project, process.argv[2] ?? join(root, 'docs', 'api'));
}
process.exitCode = app.logger.errorCount + app.logger.warningCount > 0 ? 1 : 0;
