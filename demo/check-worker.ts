// The checking worker: runs `gradientCheck` on a device of its own and tells the page each line as it is found. The page
// stops it by ending the worker. Not here: what is checked (check/).

import { adapterName, describe } from '../bench/messages.ts';
import { allCases, gradientCheck } from '../check/index.ts';
import { openDevice } from '../engine/index.ts';
import type { FromChecker, ToChecker } from './messages.ts';

function tell(message: FromChecker): void {
  self.postMessage(message);
}

async function check(filter: string): Promise<void> {
  const device = await openDevice();
  try {
    const cases = allCases.filter(({ name }) => name.includes(filter));
    // A kernel line each, and a line of calculus where gradients are not blocked on purpose.
    const total = cases.reduce((sum, { blocked }) => sum + (blocked === true ? 1 : 2), 0);
    tell({ type: 'begin', total, adapter: adapterName(device) });
    const { ok } = await gradientCheck(device, { filter, onLine: (line) => tell({ type: 'line', line }) });
    tell({ type: 'end', ok });
  } finally {
    device.dispose();
  }
}

self.onmessage = (event: MessageEvent<ToChecker>) => {
  check(event.data.filter).catch((error: unknown) => tell({ type: 'error', message: describe(error) }));
};
