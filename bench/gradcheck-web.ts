// The gradient check in a runtime that has `navigator.gpu`: Deno runs this module, or a page imports it (runtimes.ts). It is told
// what to check as JSON, and logs a JSON object a line: the adapter, each finding, or why there is no device. It uses nothing
// but the web's own APIs. Not here: the table and the verdict (gradcheck.ts).

import {
  allCases,
  type GradientCheckLine,
  type GradientCheckOptions,
  gradientCheck,
  updateCases,
} from '../check/index.ts';
import { openDevice } from '../engine/index.ts';
import { adapterName } from './messages.ts';

/** What the module is told. */
export interface Told extends Pick<GradientCheckOptions, 'filter' | 'seed' | 'questions'> {
  /** Only the cases of these very names. */
  readonly names?: readonly string[];
}

/** What it logs. A worst error that is not a number is null. */
export type Said =
  | { readonly adapter: string }
  | { readonly line: Omit<GradientCheckLine, 'worst'> & { readonly worst: number | null } }
  | { readonly problem: string };

function say(said: Said): void {
  console.log(JSON.stringify(said));
}

async function check({ names, ...told }: Told): Promise<void> {
  const cases = [...allCases, ...updateCases].filter(({ name }) => names === undefined || names.includes(name));
  const device = await openDevice();
  try {
    say({ adapter: adapterName(device) });
    await gradientCheck(device, { ...told, cases, onLine: (line) => say({ line }) });
  } finally {
    device.dispose();
  }
}

const { Deno: deno } = globalThis as { readonly Deno?: { readonly args: readonly string[] } };
const told = deno === undefined ? decodeURIComponent(location.hash.slice(1)) : (deno.args[0] ?? '{}');
try {
  await check(JSON.parse(told) as Told);
} catch (error) {
  say({ problem: error instanceof Error ? error.message : String(error) });
}
