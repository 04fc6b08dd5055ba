// Going on after the loss of a device: a driver that was reset or updated, a laptop that changed its GPU, a browser that took the
// GPU away. What was on it is gone, so the work is begun again on a new device, from the last state that was kept.
//
// Always: the work is one function that builds all it needs on the device that it is given; the devices are disposed of here. Work
// that is lost over and over without keeping anything new is given up. Not here: what a state is (checkpoint.ts has the usual one).

import type { Device } from './device.ts';
import { checkOptions, DeviceLostError, OptionError } from './errors.ts';

/** The state that work goes on from. */
export interface Saved<State> {
  /** The state kept last; undefined at the beginning. */
  readonly last: State | undefined;
  /** Keeps a state to go on from after a loss. */
  keep(state: State): void;
}

/** How often to begin again, and who is told. */
export interface RecoveryOptions<State> {
  /** The state to begin with. */
  readonly from?: State;
  /** Losses in a row, without a state kept between, after which the work is given up. Default 3. */
  readonly losses?: number;
  /** Told of each loss before the work is begun again. */
  readonly onLoss?: (loss: DeviceLostError) => void;
}

/**
 * Does work on a device; where the device is lost, does it again on a new one, from the state that was kept last.
 * @param open opens a device, a new one at each call
 * @param work builds its graph, loads `saved.last` where there is one, and keeps a state now and then
 * @returns what the work returns
 * @throws DeviceLostError when it is given up: too many losses in a row, or the next device is the one that was lost, for a device
 *   that was given to `openDevice` is replaced by whoever made it. And what `open` and `work` throw for other reasons
 */
export async function withRecovery<Result, State = Uint8Array>(
  open: () => Promise<Device>,
  work: (device: Device, saved: Saved<State>) => Promise<Result>,
  options: RecoveryOptions<State> = {},
): Promise<Result> {
  checkOptions('withRecovery', options, ['from', 'losses', 'onLoss']);
  const { losses = 3, onLoss } = options;
  if (!Number.isInteger(losses) || losses < 1) {
    throw new OptionError(`withRecovery: losses is ${losses}; use a whole number from 1`);
  }
  let inARow = 0;
  let last = options.from;
  let gone: { readonly gpu: GPUDevice; readonly loss: DeviceLostError } | undefined;
  for (;;) {
    const device = await open();
    try {
      if (gone?.gpu === device.gpu) throw gone.loss;
      const saved: Saved<State> = {
        get last() {
          return last;
        },
        keep: (state) => {
          last = state;
          inARow = 0;
        },
      };
      return await work(device, saved);
    } catch (error) {
      const loss = await device.loss();
      if (loss === undefined || error === gone?.loss) throw error;
      if (++inARow >= losses) {
        throw new DeviceLostError(
          `withRecovery: given up after ${inARow} losses in a row without a checkpoint between (${loss.message}); keep states more often, or make the work of a step smaller`,
          { cause: loss },
        );
      }
      gone = { gpu: device.gpu, loss };
      onLoss?.(loss);
    } finally {
      device.dispose();
    }
  }
}
