// The house rules of ARCHITECTURE.md that a machine can keep: which room may import which, no npm package and no Node
// module in the core, test/ alone may use setup/, and the core never reaches its Node entry point. It reads import
// specifiers as text; what is imported at run time by a computed name is beyond it.
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** room -> the rooms it may import, besides itself. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  kernels: [],
  engine: ['kernels'],
  rims: ['engine', 'kernels'],
  check: ['rims', 'engine'],
  bench: ['rims', 'engine', 'check'],
  demo: ['bench', 'check', 'rims', 'engine'],
  setup: [],
  test: ['kernels', 'engine', 'rims', 'check', 'bench', 'demo', 'setup'],
};
const core = ['kernels', 'engine', 'rims', 'check'];
/** The package's own names, as exported in package.json. */
const ownNames: Readonly<Record<string, string>> = {
  rimgrad: 'engine/index.ts',
  'rimgrad/kernels': 'kernels/index.ts',
  'rimgrad/rims': 'rims/index.ts',
  'rimgrad/check': 'check/index.ts',
  'rimgrad/tasks': 'bench/tasks/index.ts',
  'rimgrad/baselines': 'bench/baselines/index.ts',
};
/** The one core file that knows Node, and the generator of the kernel catalogue, which is a tool and never imported. */
const nodeEntry = 'engine/node.ts';
const tools = ['kernels/generate.mjs'];

/** The specifiers that a source file imports or re-exports, comments left out. */
function specifiers(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const patterns = [
    /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"\n]+)['"]/gm,
    /^\s*import\s*['"]([^'"\n]+)['"]/gm,
    /\bimport\(\s*['"]([^'"\n]+)['"]/g,
  ];
  return patterns.flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1] ?? ''));
}

/** What is wrong with `file` (path from the root, with slashes) importing `specifier`; '' when nothing is. */
function complaint(file: string, specifier: string): string {
  const room = file.split('/')[0] ?? '';
  const target = specifier.startsWith('.') ? posix.join(posix.dirname(file), specifier) : ownNames[specifier];
  if (target === undefined) {
    const node = specifier.startsWith('node:');
    if (room === 'setup' && !node && file !== 'setup/probe.mjs')
      return `${file}: setup/ uses Node's own modules only, not ${specifier}`;
    if (!core.includes(room) || tools.includes(file)) return '';
    if (file === nodeEntry && (node || specifier === 'webgpu')) return '';
    return `${file}: the core depends on nothing, yet imports ${specifier}`;
  }
  const targetRoom = target.split('/')[0] ?? '';
  if (tools.includes(target) && room !== 'test') return `${file}: ${target} is a tool and not to be imported`;
  if (target === nodeEntry && core.includes(room)) return `${file}: the core does not import ${nodeEntry}`;
  if (targetRoom === room || mayImport[room]?.includes(targetRoom)) return '';
  return `${file}: ${room}/ may not import ${target}`;
}

function sources(): string[] {
  const rooms = Object.keys(mayImport);
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && rooms.includes(entry.name))
    .flatMap((entry) => readdirSync(join(root, entry.name), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && /\.(ts|mjs|js)$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'));
}

test('imports point only downwards, and the core depends on nothing', () => {
  const files = sources();
  assert.ok(
    files.includes('setup/run.mjs') && files.includes('test/rooms.test.ts'),
    `found only ${files.length} files`,
  );
  const complaints = files.flatMap((file) =>
    specifiers(readFileSync(join(root, file), 'utf8')).map((specifier) => complaint(file, specifier)),
  );
  assert.equal(complaints.filter(Boolean).join('\n'), '');
});

test('every folder with sources is a room of the house', () => {
  const strangers = readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !/^(\..*|node_modules|dist|runs|site|docs)$/.test(entry.name))
    .filter((entry) => !(entry.name in mayImport));
  assert.equal(strangers.map((entry) => entry.name).join(' '), '');
});

test('the own names are those of package.json', () => {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    exports: Record<string, unknown>;
  };
  const names = Object.keys(exports).filter((name) => name !== './package.json');
  assert.equal(names.map((name) => posix.join('rimgrad', name)).sort(), Object.keys(ownNames).sort());
  for (const [name, file] of Object.entries(ownNames)) {
    const entry = JSON.stringify(exports[name === 'rimgrad' ? '.' : name.replace('rimgrad', '.')]);
    assert.ok(entry.includes(`./dist/${file.replace('.ts', '.js')}`), `${name} is not ${file}`);
  }
});

test('the rule finds each kind of breach', () => {
  const refused: readonly (readonly [string, string])[] = [
    ['kernels/index.ts', '../engine/op.ts'],
    ['engine/ops/add.ts', '../../rims/cell.ts'],
    ['engine/op.ts', 'rimgrad/rims'],
    ['rims/cell.ts', '../check/index.ts'],
    ['check/cell.ts', '../bench/rimgrad.ts'],
    ['bench/rimgrad.ts', '../kernels/index.ts'],
    ['bench/rimgrad.ts', '../setup/say.mjs'],
    ['engine/file.ts', 'node:fs'],
    ['rims/cell.ts', 'uvu'],
    ['engine/index.ts', './node.ts'],
    ['setup/run.mjs', 'commander'],
  ];
  for (const [file, specifier] of refused) assert.ok(complaint(file, specifier), `${file} -> ${specifier} passed`);
  for (const [file, specifier] of [
    ['rims/cell.ts', '../engine/index.ts'],
    ['bench/rimgrad.ts', 'rimgrad'],
    ['bench/rimgrad.ts', 'commander'],
    ['engine/node.ts', 'webgpu'],
  ] as const) {
    assert.is(complaint(file, specifier), '');
  }
  const source =
    "import a from 'a';\n// import b from 'b';\nexport {\n  c,\n} from 'c';\nconst d = await import('d');\nimport 'e';";
  assert.equal(specifiers(source).sort(), ['a', 'c', 'd', 'e']);
});

test.run();
