// Whether a WebGPU device is still good, and why not. It hears of what WebGPU reports outside of calls (a lost device, a validation
// error, exhausted memory) and tells it to the next call that the user awaits.
//
// Always: what is awaited by way of `until` is settled by WebGPU or rejected at once when the device goes, so that nothing hangs
// on a device that is gone; nothing is kept of what has settled. The first fault stays, for what was computed since cannot be
// trusted; only a loss takes its place. Not here: what the device made (device.ts), and opening another (recovery.ts).

import { DeviceError, DeviceLostError } from './errors.ts';

/** Milliseconds that the word of a loss may come later than the failures that follow from it. */
const LATE_WORD = 200;

/** The health of one device, until `end`. */
export class Health {
  readonly #gpu: GPUDevice;
  readonly #onGone: () => void;
  readonly #waiting = new Set<(error: Error) => void>();
  #fault: DeviceError | undefined;
  #lost: DeviceLostError | undefined;
  #ended: DeviceError | undefined;

  /**
   * @param owned whether it is ours to open another
   * @param onGone called when the device was lost or `end` was called
   */
  constructor(gpu: GPUDevice, owned: boolean, onGone: () => void) {
    this.#gpu = gpu;
    this.#onGone = onGone;
    gpu.addEventListener('uncapturederror', this.#onError);
    void gpu.lost.then(({ message }) => {
      if (this.#ended !== undefined) return;
      const what = owned ? 'the device was lost' : 'the device that was given to openDevice was lost';
      const mend = owned ? 'open a new one' : 'give it a new one';
      this.#lost = new DeviceLostError(
        `${what}${message === '' ? '' : ` (${message})`}; ${mend} and load the last checkpoint`,
        { cause: this.#fault },
      );
      this.#fault = this.#lost;
      this.#gone(this.#lost);
    });
  }

  readonly #onError = (event: GPUUncapturedErrorEvent): void => {
    event.preventDefault();
    this.#fault ??= new DeviceError(
      `the device reported: ${event.error.message}; open a new one and load the last checkpoint`,
    );
  };

  /** @throws DeviceError where the device was lost, disposed of, or reported an error */
  check(): void {
    const trouble = this.#ended ?? this.#fault;
    if (trouble !== undefined) throw trouble;
  }

  /** As `promise`, unless the device goes first. @throws DeviceError, and what the promise rejects with */
  until<T>(promise: Promise<T>): Promise<T> {
    const gone = this.#ended ?? this.#lost;
    if (gone !== undefined) {
      promise.catch(() => undefined);
      return Promise.reject(gone);
    }
    return new Promise<T>((resolve, reject) => {
      this.#waiting.add(reject);
      promise.then(
        (value) => {
          this.#waiting.delete(reject);
          resolve(value);
        },
        (error: unknown) => {
          this.#waiting.delete(reject);
          reject(error);
        },
      );
    });
  }

  /** After a failure: the loss that it came from, if it did. It waits a moment, for failures may come before the word. */
  async loss(): Promise<DeviceLostError | undefined> {
    if (this.#lost !== undefined || this.#ended !== undefined) return this.#lost;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, LATE_WORD);
    });
    await this.until(late).catch(() => undefined);
    clearTimeout(timer);
    return this.#lost;
  }

  /** The device was disposed of; from now on its errors are its owner's. */
  end(): void {
    this.#gpu.removeEventListener('uncapturederror', this.#onError);
    this.#ended = new DeviceError('the device was disposed of; open a new one');
    this.#gone(this.#ended);
  }

  #gone(why: Error): void {
    const rejects = [...this.#waiting];
    this.#waiting.clear();
    for (const reject of rejects) reject(why);
    this.#onGone();
  }
}
