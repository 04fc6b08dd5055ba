// The gradient check in Deno or in a browser, as if it ran here: the same findings, one after the other. Started from Node; what
// runs there is gradcheck-web.ts.

import type { GradientCheckLine } from '../check/index.ts';
import { DeviceError, RimgradError } from '../engine/errors.ts';
import type { Said, Told } from './gradcheck-web.ts';
import {
  chromiumFlags,
  chromiumPath,
  denoScript,
  hardwareFlags,
  inChromium,
  inDeno,
  missingPackage,
} from './runtimes.ts';

const ENTRY = 'bench/gradcheck-web.js';

/** What the check found elsewhere. */
export interface Elsewhere {
  readonly adapter: string;
  readonly lines: readonly GradientCheckLine[];
}

/**
 * Checks in Deno or in headless Chromium: there on the adapter of the machine, or in software where it gives none.
 * @param onLine called with each finding
 * @throws RimgradError where the runtime is not there, DeviceError where it has no adapter
 */
export async function checkElsewhere(
  runtime: 'deno' | 'browser',
  told: Told,
  onLine: (line: GradientCheckLine) => void = () => undefined,
): Promise<Elsewhere> {
  if (runtime === 'deno') {
    const script = denoScript();
    if (script === undefined) throw new RimgradError(missingPackage('deno'));
    return await heard((hear) => inDeno(script, ENTRY, JSON.stringify(told), hear), onLine);
  }
  const path = chromiumPath();
  if (path === undefined) {
    throw new RimgradError('no Chromium was found; install one, or name its executable in RIMGRAD_CHROMIUM');
  }
  const run = (flags: readonly string[]) => (hear: (line: string) => void) =>
    inChromium(path, ENTRY, JSON.stringify(told), hear, flags);
  try {
    return await heard(run(hardwareFlags), onLine);
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    return await heard(run(chromiumFlags), onLine);
  }
}

/** Collects what a run says. */
async function heard(
  run: (hear: (line: string) => void) => Promise<void>,
  onLine: (line: GradientCheckLine) => void,
): Promise<Elsewhere> {
  const lines: GradientCheckLine[] = [];
  let adapter: string | undefined;
  let problem: string | undefined;
  await run((text) => {
    if (!text.startsWith('{')) return;
    const said = JSON.parse(text) as Said;
    if ('adapter' in said) adapter = said.adapter;
    else if ('problem' in said) problem = said.problem;
    else {
      const line = { ...said.line, worst: said.line.worst ?? Number.NaN };
      lines.push(line);
      onLine(line);
    }
  });
  if (problem !== undefined) throw adapter === undefined ? new DeviceError(problem) : new RimgradError(problem);
  if (adapter === undefined) throw new RimgradError('the gradient check ended without a word');
  return { adapter, lines };
}
