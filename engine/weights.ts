// Variables on disk: saved under their names as a safetensors file, and loaded from one.
//
// Always: a file is compared whole with the Variables before anything is written, so that a file which does not fit leaves
// every Variable as it was. Equal values give equal bytes. Optimiser moments, random counters and weights are all Variables:
// what belongs to a checkpoint is the caller's list.
// Not here: the format itself (safetensors.ts), disks (the caller has bytes), and the names (whoever makes the Variables).

import { at, checkOptions, FileError, formatShape, need, OptionError, quote } from './errors.ts';
import {
  readSafetensors,
  type SafetensorsFile,
  type SafetensorsTensor,
  toFloat32,
  writeSafetensors,
} from './safetensors.ts';
import { sameShape } from './tensor.ts';
import { type Data, readVariables, type Variable } from './variable.ts';

/** How Variables are loaded. */
export interface LoadOptions {
  /** True: Variables that the file has not keep their values, and tensors without a Variable are passed over. */
  readonly partial?: boolean;
  /** What messages call the file; 'weights' where left out. */
  readonly file?: string;
}

/**
 * The present values of Variables as a safetensors file: f32 as F32, u32 as U32, under their names.
 * @param metadata strings to store beside them
 * @throws OptionError where two Variables have one name, or for a name that the format cannot hold; DeviceError where a value
 *   went with its device
 */
export async function saveVariables(
  variables: Iterable<Variable>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const named = byName('saveVariables', variables);
  // All are read at once: a training step that is started later changes none of them.
  const values = await readVariables([...named.values()]);
  const tensors = new Map(
    [...named].map(([name, { shape }], i): [string, SafetensorsTensor] => {
      const data = at(values, i);
      return [name, data instanceof Uint32Array ? { dtype: 'U32', shape, data } : { dtype: 'F32', shape, data }];
    }),
  );
  return writeSafetensors(tensors, metadata);
}

/**
 * Writes the tensors of a safetensors file into the Variables of the same names. An f32 Variable takes F32, F16, BF16 and, rounded,
 * F64; a u32 Variable takes U32.
 * @returns the names that were loaded, in the order of the Variables
 * @throws FileError for a file that is none, and one that names every tensor that is missing, left over, or of another
 *   shape or dtype; then nothing was written. OptionError where two Variables have one name
 */
export function loadVariables(
  source: Uint8Array | ArrayBuffer | SafetensorsFile,
  variables: Iterable<Variable>,
  options: LoadOptions = {},
): readonly string[] {
  checkOptions('loadVariables', options, ['partial', 'file']);
  const { partial = false, file = 'weights' } = options;
  const named = byName('loadVariables', variables);
  const { tensors } = isRead(source) ? source : readSafetensors(source, file);
  const known = [...named].filter(([name]) => tensors.has(name));
  const unfit = known.flatMap(([name, variable]) => complaint(variable, need(tensors.get(name), name)) ?? []);
  const missing = [...named.keys()].filter((name) => !tensors.has(name));
  const extra = [...tensors.keys()].filter((name) => !named.has(name));
  const problems = [
    ...(unfit.length > 0 ? [unfit.join(', ')] : []),
    ...(missing.length > 0 && (!partial || known.length === 0) ? [`${listed(missing)} missing`] : []),
    ...(extra.length > 0 && (!partial || known.length === 0) ? [`${listed(extra)} not in the model`] : []),
  ];
  if (problems.length > 0) {
    const mend =
      partial || unfit.length > 0
        ? 'give the file of a model with the same options'
        : 'give the file of a model with the same options, or load what there is with partial: true';
    throw new FileError(`${file}: does not fit the model: ${problems.join('; ')}; ${mend}`);
  }
  const values = known.map(([name]) => dataOf(need(tensors.get(name), name)));
  known.forEach(([, variable], i) => {
    variable.write(at(values, i));
  });
  return known.map(([name]) => name);
}

/** Variables by their names, each once. */
function byName(where: string, variables: Iterable<Variable>): ReadonlyMap<string, Variable> {
  const named = new Map<string, Variable>();
  for (const variable of variables) {
    const before = named.get(variable.name);
    if (before !== undefined && before !== variable) {
      throw new OptionError(
        `${where}: two Variables are called '${variable.name}'; give every layer a name of its own`,
      );
    }
    named.set(variable.name, variable);
  }
  return named;
}

/** What keeps a tensor from being the value of a Variable. */
function complaint(variable: Variable, { dtype, shape }: SafetensorsTensor): string | undefined {
  const wanted = variable.dtype === 'u32' ? ['U32'] : ['F32', 'F16', 'BF16', 'F64'];
  if (sameShape(shape, variable.shape) && wanted.includes(dtype)) return undefined;
  return `'${variable.name}' is ${dtype} ${formatShape(shape)} where the model has ${wanted[0]} ${formatShape(variable.shape)}`;
}

function dataOf(tensor: SafetensorsTensor): Data {
  return tensor.dtype === 'U32' ? tensor.data : toFloat32(tensor);
}

/** Names as messages show them: the first few. */
function listed(names: readonly string[]): string {
  const shown = names
    .slice(0, 8)
    .map((name) => `'${quote(name).slice(1, -1)}'`)
    .join(', ');
  return names.length > 8
    ? `${shown} and ${names.length - 8} more are`
    : `${shown} ${names.length === 1 ? 'is' : 'are'}`;
}

/** True for a file that was read already. */
function isRead(source: Uint8Array | ArrayBuffer | SafetensorsFile): source is SafetensorsFile {
  return typeof source === 'object' && source !== null && 'tensors' in source;
}
