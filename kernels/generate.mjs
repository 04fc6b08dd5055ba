/**
 * Writes `catalogue.ts` from the `.wgsl` files beside it: `node kernels/generate.mjs`, or `npm run kernels`.
 * With `--check` it writes nothing and exits with 1 when the catalogue is stale. It enforces the dialect that the head of
 * `kernel.ts` describes; every error names the file and the mend. The same files always give the same bytes.
 * Plain JavaScript, because the catalogue must exist before anything can be compiled. Not part of the library.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WgslParser, WgslReflect } from 'wgsl_reflect/wgsl_reflect.module.js';

const MAX_STORAGE_BUFFERS = 8;
const MAX_INVOCATIONS = 256;
const MAX_INVOCATIONS_Z = 64;
const MAX_WORKGROUP_BYTES = 16384;

/**
 * The text of the catalogue.
 * @param {Readonly<Record<string, string>>} files sources by file name (`strided-copy.wgsl`)
 * @returns {string}
 */
export function catalogueOf(files) {
  const kernels = Object.keys(files)
    .sort()
    .map((file) => readKernel(file, files[file]));
  const types = kernels.map(({ name }) => `typeof ${name}`);
  return [
    '/**',
    ' * Generated from the .wgsl files of this folder by `npm run kernels`: do not edit. A test fails when it is stale.',
    ' */',
    "import type { Kernel } from './kernel.ts';",
    '',
    ...kernels.map(printKernel),
    'type Checked<K extends Kernel> = K;',
    '',
    '/** Any kernel of this catalogue. */',
    `export type AnyKernel = Checked<${types.length > 0 ? `\n  | ${types.join('\n  | ')}\n` : 'never'}>;`,
    '',
  ].join('\n');
}

/**
 * One kernel, checked against the dialect.
 * @param {string} file @param {string} source
 */
export function readKernel(file, source) {
  const fail = (message) => {
    throw new Error(`kernels/${file}: ${message}`);
  };
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*\.wgsl$/.test(file)) fail('name the file in kebab-case, like strided-copy.wgsl');
  checkText(source, file.endsWith('-subgroups.wgsl'), fail);
  const { nodes, reflection } = parse(source, fail);
  const constants = readConstants(source, nodes, fail);
  checkWorkgroupMemory(nodes, fail);
  return {
    name: file.slice(0, -'.wgsl'.length).replace(/-(.)/g, (_, letter) => letter.toUpperCase()),
    head: headOf(source),
    source: shipped(source),
    bindings: readBindings(source, reflection, fail),
    uniforms: readUniforms(reflection, fail),
    constants,
    workgroup: readWorkgroup(source, reflection, constants, fail),
  };
}

function withoutComments(source) {
  return source.replace(/\/\/.*/g, '');
}

/**
 * What users download: no comments and no indentation, which are for readers of the file, but line for line, so that a compiler's
 * line is the file's.
 */
export function shipped(source) {
  return withoutComments(source).replace(/^[ \t]+|[ \t]+$/gm, '');
}

/** What can be seen without parsing: the head comment, and what the dialect leaves out. */
function checkText(source, variant, fail) {
  if (!source.startsWith('//')) fail('begin with a // comment that says what the kernel does');
  if (!source.endsWith('\n')) fail('end the file with a newline');
  if (/[`\\\r]|\$\{/.test(source)) fail('no backticks, backslashes, carriage returns or ${ in a source');
  if (source.includes('/*')) fail('no block comments: use //');
  const code = withoutComments(source);
  const refused = [
    [/^\s*requires\b/m, 'requires'],
    [/\boverride\b/, 'override: write a const'],
    [
      /\bptr\s*<\s*(storage|uniform)\b/,
      'pointers to storage or uniforms: pass an index, or read the buffer by its name',
    ],
    [/\batomic\b/, 'atomics: sums must have one order'],
  ];
  // A variant for adapters with subgroups says so in its name, and needs nothing else.
  if (variant) refused.push([/^\s*enable\s+(?!subgroups\s*;)/m, 'enable but `enable subgroups;`']);
  else {
    refused.push([/^\s*enable\b/m, 'enable: only a file named ...-subgroups.wgsl may enable subgroups']);
    refused.push([/\bsubgroup[A-Z]\w*\s*\(/, 'subgroup functions: they belong in a file named ...-subgroups.wgsl']);
  }
  for (const [pattern, what] of refused) if (pattern.test(code)) fail(`the portable dialect has no ${what}`);
  const axes = /@workgroup_size\(([^)]*)\)/.exec(code)?.[1];
  if (axes === undefined) fail('main needs @workgroup_size(...)');
  if (!/^\s*\w+\s*(,\s*\w+\s*){0,2},?\s*$/.test(axes)) {
    fail(`@workgroup_size(${axes}): each must be a literal, or a u32 const whose value is a literal`);
  }
}

function parse(source, fail) {
  try {
    return { nodes: new WgslParser().parse(source), reflection: new WgslReflect(source) };
  } catch (error) {
    return fail(`not WGSL that wgsl_reflect can read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const LITERALS = {
  u32: /^(0[xX][0-9a-fA-F]+|\d+)u?$/,
  i32: /^-?(0[xX][0-9a-fA-F]+|\d+)i?$/,
  f32: /^-?(\d+\.\d*|\.\d+|\d+(?=[eEf]))([eE][+-]?\d+)?f?$/,
  bool: /^(true|false)$/,
};

/** The constants that can be set: those declared on one line, with a scalar type and a literal. */
function readConstants(source, nodes, fail) {
  const constants = {};
  const seen = new Set();
  const declarations = /^const\s+(\w+)(?:\s*:\s*([^=\n]+?))?\s*=\s*([^;\n]*);/gm;
  for (const [line, name, type, value] of source.matchAll(declarations)) {
    seen.add(name);
    if (!/^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/.test(name)) fail(`const ${name}: name constants in SCREAMING_CASE`);
    if (type === undefined) fail(`const ${name}: give it a type, like 'const ${name}: u32 = ...;'`);
    if (!(type in LITERALS)) continue;
    if (!LITERALS[type].test(value)) {
      if (!/[A-Z(]/.test(value)) fail(`const ${name}: '${value}' is not a literal of type ${type}`);
      continue;
    }
    if (!line.startsWith(`const ${name}: ${type} = ${value};`))
      fail(`write 'const ${name}: ${type} = ${value};' with single spaces`);
    const number = type === 'bool' ? value === 'true' : numberOf(value, type);
    if (type === 'f32' && !Number.isFinite(Math.fround(number))) fail(`const ${name}: ${value} is not finite in f32`);
    constants[name] = { type, value: number };
  }
  for (const node of nodes) {
    if (node.astNodeType === 'const' && !seen.has(node.name)) {
      fail(`const ${node.name}: declare it on one line, at the margin, like 'const ${node.name}: u32 = 64;'`);
    }
  }
  return constants;
}

function numberOf(literal, type) {
  const text = type === 'f32' ? literal.replace(/f$/, '') : literal.replace(/[ui]$/, '');
  return text.startsWith('-') ? -Number(text.slice(1)) : Number(text);
}

function readBindings(source, reflection, fail) {
  const used = new Set(reflection.entry.compute.flatMap((entry) => entry.resources.map(({ name }) => name)));
  const bindings = {};
  const storage = [...reflection.storage].sort((a, b) => a.binding - b.binding);
  if (reflection.textures.length + reflection.samplers.length > 0) fail('no textures or samplers');
  if (storage.length > MAX_STORAGE_BUFFERS) {
    fail(
      `${storage.length} storage buffers; at most ${MAX_STORAGE_BUFFERS} are on every device: put some into one buffer`,
    );
  }
  storage.forEach((variable, index) => {
    const { name, group, binding, access } = variable;
    if (group !== 0) fail(`${name}: every binding is in @group(0)`);
    if (binding !== index + 1) fail(`${name} has @binding(${binding}): storage buffers count from 1 without gaps`);
    const element = fullTypeName(variable.type.format?.getTypeName() ?? '');
    if (
      !variable.type.isArray ||
      variable.type.count !== 0 ||
      !['f32', 'u32', 'vec4<f32>', 'vec4<u32>'].includes(element)
    ) {
      fail(`${name}: a storage buffer is array<f32>, array<u32>, array<vec4<f32>> or array<vec4<u32>>`);
    }
    if (access !== 'read' && access !== 'read_write')
      fail(`${name}: write var<storage, read> or var<storage, read_write>`);
    if (!new RegExp(`var<storage[^>]*> ${name}:.*; // .*\\[.*\\]`).test(source)) {
      fail(`${name}: end its line with its shape, like '// ${name} [B,N,H]'`);
    }
    if (!used.has(name)) fail(`${name} is declared but main does not use it`);
    bindings[name] = { binding, access, element };
  });
  return bindings;
}

function readUniforms(reflection, fail) {
  const [variable, ...more] = reflection.uniforms;
  if (variable === undefined || more.length > 0 || variable.name !== 'u' || variable.type.name !== 'Uniforms') {
    return fail("declare one uniform, '@group(0) @binding(0) var<uniform> u: Uniforms;'");
  }
  if (variable.group !== 0 || variable.binding !== 0) fail('the uniform u is @group(0) @binding(0)');
  const fields = {};
  for (const member of variable.members) {
    const type = fullTypeName(member.type.getTypeName());
    if (!/^([uif]32|vec[24]<[uif]32>|array<vec4<[uif]32>, [1-9]\d*>)$/.test(type)) {
      fail(`uniform ${member.name}: ${type} is not u32, i32, f32, vec2 or vec4 of these, or array<vec4<...>, N>`);
    }
    fields[member.name] = { offset: member.offset, type };
  }
  return { size: Math.ceil(variable.size / 16) * 16, fields };
}

/** `vec4f` as `vec4<f32>`, inside an array too. */
function fullTypeName(name) {
  return name.replace(/\b(vec[234])([uif])\b/g, '$1<$232>');
}

function readWorkgroup(source, reflection, constants, fail) {
  const { compute, vertex, fragment } = reflection.entry;
  if (compute.length !== 1 || compute[0].name !== 'main' || vertex.length + fragment.length > 0) {
    fail("declare one entry point, '@compute @workgroup_size(...) fn main(...)'");
  }
  const written = withoutComments(source).match(/@workgroup_size\(([^)]*)\)/)[1];
  const axes = written.split(',').map((axis) => axis.trim());
  const workgroup = [0, 1, 2].map((axis) => {
    const text = axes[axis] || '1';
    if (/^\d+u?$/.test(text)) return Number.parseInt(text, 10);
    if (constants[text]?.type !== 'u32') {
      fail(`@workgroup_size(${written}): '${text}' must be a literal, or a u32 const whose value is a literal`);
    }
    return text;
  });
  const [x, y, z] = workgroup.map((extent) => (typeof extent === 'number' ? extent : constants[extent].value));
  if (x * y * z > MAX_INVOCATIONS || z > MAX_INVOCATIONS_Z || x * y * z < 1) {
    fail(`a workgroup of ${x} x ${y} x ${z}: at most ${MAX_INVOCATIONS} invocations, ${MAX_INVOCATIONS_Z} in z`);
  }
  return workgroup;
}

const SCALAR_BYTES = {
  f32: 4,
  u32: 4,
  i32: 4,
  bool: 4,
  vec2: 8,
  vec2u: 8,
  vec2i: 8,
  vec2f: 8,
  vec4: 16,
  vec4u: 16,
  vec4i: 16,
  vec4f: 16,
};

function checkWorkgroupMemory(nodes, fail) {
  const variables = nodes.filter((node) => node.astNodeType === 'var' && node.storage === 'workgroup');
  const bytesOf = (type, name) => {
    if (type.name === 'array') {
      const count = Number(type.count);
      if (!Number.isInteger(count) || count < 1) fail(`${name}: give the length of the array as a named const`);
      return count * bytesOf(type.format, name);
    }
    return SCALAR_BYTES[type.name] ?? fail(`${name}: workgroup memory is of scalars, vec2, vec4, or arrays of these`);
  };
  const bytes = variables.reduce((sum, { type, name }) => sum + bytesOf(type, name), 0);
  if (bytes > MAX_WORKGROUP_BYTES)
    fail(`${bytes} bytes of workgroup memory; at most ${MAX_WORKGROUP_BYTES}: use smaller tiles`);
}

function printKernel({ name, head, source, bindings, uniforms, constants, workgroup }) {
  const record = (entries, print) => {
    const lines = Object.entries(entries).map(([key, value]) => `    ${key}: { ${print(value)} },\n`);
    return lines.length === 0 ? '{}' : `{\n${lines.join('')}  }`;
  };
  const axes = workgroup.map((axis) => (typeof axis === 'number' ? axis : `'${axis}'`));
  const fields = record(uniforms.fields, ({ offset, type }) => `offset: ${offset}, type: '${type}'`);
  return `${head}export const ${name} = {
  name: '${name}',
  bindings: ${record(bindings, (b) => `binding: ${b.binding}, access: '${b.access}', element: '${b.element}'`)},
  uniforms: {
    size: ${uniforms.size},
    fields: ${fields.replaceAll('\n', '\n  ')},
  },
  constants: ${record(constants, ({ type, value }) => `type: '${type}', value: ${value}`)},
  workgroup: [${axes.join(', ')}],
  source: \`${source}\` as string,
} as const;
`;
}

/** The head comment of a source as a docstring. */
function headOf(source) {
  const lines = source.split('\n');
  const end = lines.findIndex((line) => !line.startsWith('//'));
  const text = lines.slice(0, end).map((line) => ` * ${line.slice(2).trim()}\n`);
  return `/**\n * \`\`\`text\n${text.join('').replaceAll('*/', '* /')} * \`\`\`\n */\n`;
}

/** The sources in a folder (a path), by file name. */
export function sourcesIn(folder) {
  const files = readdirSync(folder).filter((file) => file.endsWith('.wgsl'));
  return Object.fromEntries(files.map((file) => [file, readFileSync(join(folder, file), 'utf8')]));
}

function main(folder, check) {
  const target = join(folder, 'catalogue.ts');
  const text = catalogueOf(sourcesIn(folder));
  let present = '';
  try {
    present = readFileSync(target, 'utf8');
  } catch {
    // No catalogue yet: it is stale.
  }
  if (present === text) return;
  if (check) throw new Error("kernels/catalogue.ts is stale: run 'npm run kernels'");
  writeFileSync(target, text);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    main(dirname(fileURLToPath(import.meta.url)), process.argv.includes('--check'));
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}
