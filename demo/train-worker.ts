// The training worker: it owns the device and the models, does one thing after the other, and tells the page.
//
// Always: requests and training steps are tasks of one queue, so that a look or a save falls between two steps; a pause acts
// before the next step. After a step the worker gives way to messages. Every error becomes a message; an error of the
// device becomes 'lost', with the weights of the last snapshot kept here for 'recover'. Not here: what a task does
// (trainer.ts), what the page makes of it.

import { adapterName, describe } from '../bench/messages.ts';
import { type Device, DeviceError, openDevice } from '../engine/index.ts';
import type { FromTrainer, LookRequest, ToldByTrainer, ToTrainer } from './messages.ts';
import { defaults, type Settings } from './settings.ts';
import { type Snapshot, Trainer } from './trainer.ts';

/** Milliseconds between two reads of figures, and between two copies of the weights. */
const READ_EVERY = 100;
const KEEP_EVERY = 2000;

/** The number of the run that is trained, and of the newest that was asked for: requests of an older one have no meaning any more. */
let run = 0;
let newest = 0;

function tell(message: ToldByTrainer, transfer: Transferable[] = []): void {
  self.postMessage({ ...message, run } satisfies FromTrainer, { transfer });
}

/** Lets waiting messages in. */
const channel = new MessageChannel();
const waiting: (() => void)[] = [];
channel.port1.onmessage = () => waiting.shift()?.();
function giveWay(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    channel.port2.postMessage(0);
  });
}

let device: Device | undefined;
let trainer: Trainer | undefined;
let settings: Settings = defaults;
let kept: Snapshot | undefined;
let lost = false;
let running = false;
let looping = false;
/** Whether it ran when the device was lost, and is to run on. */
let ran = false;
let seconds = 0;
let lastRead = 0;
/** The step of the last read. */
let readStep = 0;
let lastKept = 0;
/** Seconds spent and steps done at the last reads, for the speed. */
let pace: { readonly seconds: number; readonly step: number }[] = [];
/** The newest look that was asked for: it makes those before it stale. */
let wanted: LookRequest | undefined;
/** What the next pause aborts: tests that were asked for before it, under way or not begun. */
let stopping = new AbortController();

let queue: Promise<void> = Promise.resolve();

/** Does something after what was asked for before. */
function enqueue(task: () => Promise<void>): Promise<void> {
  queue = queue.then(task).catch(fail);
  return queue;
}

/** The same with what a run is asked: nothing where another run was asked for meanwhile. */
function request(task: () => Promise<void>): Promise<void> {
  const asked = newest;
  return enqueue(async () => {
    if (asked === newest) await task();
  });
}

function fail(error: unknown): void {
  if (lost) return;
  if (isBroken()) {
    lose(describe(error));
    return;
  }
  if (run !== newest) return;
  pause();
  tell({ type: 'error', message: describe(error) });
  tellState();
}

function isBroken(): boolean {
  try {
    device?.check();
    return false;
  } catch {
    return true;
  }
}

function lose(message: string): void {
  if (lost) return;
  lost = true;
  ran ||= running;
  running = false;
  stop();
  tell({ type: 'lost', message, step: kept?.step ?? 0 });
}

function pause(): void {
  running = false;
  ran = false;
  stop();
}

function stop(): void {
  stopping.abort();
  stopping = new AbortController();
}

/** Tells where the run is. A loop that was stopped tells it itself, when the figures of its last step are out. */
function tellState(): void {
  if (looping && !running) return;
  const step = trainer?.step ?? kept?.step ?? 0;
  tell({ type: 'state', state: running ? 'running' : step > 0 ? 'paused' : 'idle', step });
}

async function open(): Promise<void> {
  if (!self.isSecureContext || navigator.gpu === undefined) {
    const reason = self.isSecureContext ? 'no-webgpu' : 'insecure';
    tell({ type: 'unavailable', reason, message: '' });
    return;
  }
  try {
    device = await openDevice();
  } catch (error) {
    tell({ type: 'unavailable', reason: 'no-adapter', message: describe(error) });
    return;
  }
  lost = false;
  const opened = device;
  void opened.gpu.lost.then(({ message }) => {
    if (device === opened) lose(message.replace(/\.$/, '') || 'the browser took the device away');
  });
  tell({ type: 'device', adapter: adapterName(device), software: device.adapter.software });
}

/** The trainer of the present settings, built where there is none; it goes on from the weights that were kept of a lost device. */
async function ready(): Promise<Trainer> {
  if (trainer !== undefined) return trainer;
  if (device === undefined) throw new DeviceError('there is no device; reload the page');
  tell({ type: 'state', state: 'preparing', step: 0 });
  trainer = await Trainer.build(device, settings, (what, done, total) => tell({ type: 'progress', what, done, total }));
  if (kept !== undefined) trainer.restore(kept);
  readStep = trainer.step;
  pace = [];
  tell({ type: 'built', parameters: trainer.parameters, step: trainer.step });
  if (running) tellState();
  return trainer;
}

function forget(number: number, next: Settings): void {
  run = number;
  trainer?.dispose();
  trainer = undefined;
  settings = next;
  kept = undefined;
  seconds = 0;
}

async function read(of: Trainer, force: boolean): Promise<void> {
  const began = performance.now();
  if (of.step === readStep || (!force && began - lastRead < READ_EVERY)) return;
  const models = await of.figures();
  readStep = of.step;
  lastRead = performance.now();
  seconds += (lastRead - began) / 1000;
  pace = [...pace, { seconds, step: of.step }].slice(-20);
  const [first] = pace;
  const span = first === undefined ? 0 : seconds - first.seconds;
  const stepsPerSecond = first === undefined || span === 0 ? 0 : (of.step - first.step) / span;
  const memory = device?.memory().bytes ?? 0;
  tell({ type: 'figures', step: of.step, seconds, stepsPerSecond, memory, models });
}

async function keep(of: Trainer, force: boolean): Promise<void> {
  if (!force && performance.now() - lastKept < KEEP_EVERY) return;
  kept = await of.snapshot();
  lastKept = performance.now();
}

/** A round of tests. @param signal of when it was asked for */
async function evaluate(of: Trainer, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  for await (const evaluation of of.evaluate(signal)) {
    tell({ type: 'evaluation', evaluation });
    await giveWay();
    if (signal.aborted) return;
  }
  tell({ type: 'evaluated', step: of.step });
}

/** One training step, with what is due after it. */
async function step(last: boolean): Promise<void> {
  const { signal } = stopping;
  const of = await ready();
  const began = performance.now();
  await of.train();
  seconds += (performance.now() - began) / 1000;
  await read(of, last || of.step === 1);
  await keep(of, last || kept === undefined);
  if (of.step % settings.evaluateEvery === 0) await evaluate(of, signal);
}

/** Trains for as long as it is to run; there is one loop at a time. */
async function loop(): Promise<void> {
  looping = true;
  await enqueue(async () => {
    await ready();
    if (running) tellState();
  });
  while (running) {
    await enqueue(async () => {
      if (running) await step(false);
    });
    await giveWay();
  }
  await enqueue(async () => {
    if (!lost && !running && trainer !== undefined && trainer.step > 0) {
      await read(trainer, true);
      await keep(trainer, true);
    }
  });
  looping = false;
  if (running) start();
  else if (!lost) tellState();
}

function start(): void {
  if (lost) return;
  running = true;
  if (!looping) void loop();
}

async function recover(): Promise<void> {
  device?.dispose();
  device = undefined;
  trainer = undefined;
  await open();
  if (device === undefined) return;
  if (kept !== undefined) await ready();
  if (ran) start();
  else tellState();
}

async function look(): Promise<void> {
  const request = wanted;
  wanted = undefined;
  if (request === undefined || lost) return;
  const of = await ready();
  tell({ type: 'look', look: await of.look(request) });
  tellState();
}

async function handle(message: ToTrainer): Promise<void> {
  switch (message.type) {
    case 'open':
      return enqueue(open);
    case 'reset':
      pause();
      newest = message.run;
      return enqueue(async () => {
        forget(message.run, message.settings);
        tellState();
      });
    case 'start':
      return start();
    case 'pause':
      return pause();
    case 'step':
      pause();
      return request(async () => {
        await step(true);
        tellState();
      });
    case 'evaluate': {
      const { signal } = stopping;
      return request(async () => {
        await evaluate(await ready(), signal);
        tellState();
      });
    }
    case 'look': {
      const { type: _, ...of } = message;
      wanted = of;
      return request(look);
    }
    // Not lost where a reset comes behind it.
    case 'save':
      return enqueue(async () => {
        try {
          const of = await ready();
          const bytes = await of.save();
          tell({ type: 'saved', bytes, step: of.step, of: settings }, [bytes.buffer]);
        } catch (error) {
          tell({ type: 'unsaved', message: describe(error) });
          if (isBroken()) fail(error);
        }
        tellState();
      });
    case 'load':
      pause();
      newest = message.run;
      return enqueue(async () => {
        forget(message.run, message.settings);
        const of = await ready();
        const models = of.load(message.bytes, message.file, message.step);
        readStep = message.step;
        await keep(of, true);
        tell({ type: 'loaded', file: message.file, models, step: of.step });
        tellState();
      });
    case 'recover':
      return enqueue(recover);
    case 'lose':
      device?.gpu.destroy();
  }
}

self.onmessage = (event: MessageEvent<ToTrainer>) => {
  void handle(event.data);
};
