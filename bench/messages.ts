// What all commands say alike: an error in one line, and the adapter in words.

import { type Device, RimgradError } from '../engine/core.ts';

/** One line that tells what went wrong, whatever was thrown. */
export function describe(error: unknown): string {
  const line = oneLine(error instanceof Error ? error.message : String(error));
  return error instanceof RimgradError ? line : `an unexpected error, a bug of rimgrad: ${line}`;
}

/** Text in one line. */
export function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ').trim();
}

/** The adapter in words, as reports and verdicts name it. */
export function adapterName(device: Device): string {
  const { vendor, architecture, device: model, description } = device.adapter;
  return (
    description || [vendor, architecture, model].filter((part) => part !== '').join(' ') || 'an adapter without a name'
  );
}
