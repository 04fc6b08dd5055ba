// What one runtime does when it is asked: it compiles the whole catalogue and trains. Runtime-neutral: the entry of the
// runtime (web.ts, the page, the test in Node) gives `openDevice`. A report is plain data, so that it can cross from a
// child process or a page to the test, which does all the judging.
import type { Device } from '../../engine/core.ts';
import { refusedKernels } from './kernels.ts';
import { losses } from './training.ts';

/** What a runtime found. */
export interface Report {
  /** The adapter, in its own words. */
  readonly adapter: string;
  /** What its shader compiler refuses of the catalogue, a line each. */
  readonly refused: readonly string[];
  /** The loss of each training step. */
  readonly losses: readonly number[];
}

/** Opens a device, does everything, disposes of it. */
export async function report(openDevice: () => Promise<Device>): Promise<Report> {
  const device = await openDevice();
  try {
    const { vendor, architecture, description } = device.adapter;
    const adapter = [vendor, architecture, description].filter(Boolean).join(' ');
    return { adapter, refused: await refusedKernels(device.gpu), losses: await losses(device) };
  } finally {
    device.dispose();
  }
}
