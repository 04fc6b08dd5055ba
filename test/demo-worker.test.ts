// The training worker behind the page, message by message, on the adapter of Node: whatever arrives while something else is under
// way, what is told belongs to the run that was asked for, a start, a pause and a reset hold, and nothing that was trained is lost.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { create, globals } from 'webgpu';
import type { FromTrainer, ToTrainer } from '../demo/messages.ts';
import { fromQuery, type Settings } from '../demo/settings.ts';
import { need } from '../engine/errors.ts';
import { LIMIT, TINY } from './demo-browser.ts';

const tiny = fromQuery(`${TINY}&beside=none`).settings;

type Of<T extends FromTrainer['type']> = Extract<FromTrainer, { type: T }>;

/** Of all workers: Node does not end while one is open. */
const channels: MessageChannel[] = [];
const Channel = MessageChannel;

/** A worker of its own, with what it told so far. */
class Worker {
  static readonly #all: Worker[] = [];
  readonly told: FromTrainer[] = [];
  readonly #scope: { onmessage?: (event: { readonly data: ToTrainer }) => void };
  readonly #waiting = new Set<() => void>();

  private constructor() {
    this.#scope = {
      isSecureContext: true,
      postMessage: (message: FromTrainer) => {
        this.told.push(message);
        for (const look of this.#waiting) look();
      },
    } as object;
  }

  /** Opened, with settings taken. */
  static async open(settings: Settings): Promise<Worker> {
    const worker = new Worker();
    Object.assign(globalThis, { self: worker.#scope });
    Worker.#all.push(worker);
    await import(`../demo/train-worker.js?${Worker.#all.length}`);
    worker.send({ type: 'open' }, { type: 'reset', run: 1, settings });
    await worker.hears(1, 'state');
    return worker;
  }

  /** Ends all of them. */
  static end(): void {
    for (const worker of Worker.#all) worker.send({ type: 'lose' });
    for (const channel of channels) channel.port1.close();
  }

  /** Sends messages that arrive one right behind the other. */
  send(...messages: readonly ToTrainer[]): void {
    for (const data of messages) need(this.#scope.onmessage, 'a worker that listens')({ data });
  }

  /** The next message of a type and a run, or of any run where that is 0, which is as asked for. */
  hears<T extends FromTrainer['type']>(
    run: number,
    type: T,
    is: (message: Of<T>) => boolean = () => true,
  ): Promise<Of<T>> {
    const from = this.told.length;
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => {
        const told = this.told.slice(from).map((each) => `${each.type} of ${each.run}`);
        reject(new Error(`no ${type} of run ${run} was told, but ${told.join(', ')}`));
      }, LIMIT);
      const look = (): void => {
        const found = this.told
          .slice(from)
          .find((each): each is Of<T> => each.type === type && (run === 0 || each.run === run) && is(each as Of<T>));
        if (found === undefined) return;
        clearTimeout(limit);
        this.#waiting.delete(look);
        resolve(found);
      };
      this.#waiting.add(look);
    });
  }

  /** Everything that was asked for is done: the worker answers in order. */
  async rest(run: number): Promise<void> {
    const done = this.hears(run, 'saved');
    this.send({ type: 'save' });
    await done;
    const last = this.told.findLast((each) => each.type === 'state');
    assert.is(last?.run, run);
  }

  /** What was told since a message. */
  since(message: FromTrainer): readonly FromTrainer[] {
    return this.told.slice(this.told.indexOf(message) + 1);
  }
}

const paused = ({ state }: Of<'state'>): boolean => state === 'paused';
const running = ({ state }: Of<'state'>): boolean => state === 'running';
const kinds = (messages: readonly FromTrainer[], run: number): readonly string[] => [
  ...new Set(messages.filter((each) => each.run === run).map(({ type }) => type)),
];

test.before(() => {
  Object.assign(globalThis, globals, {
    MessageChannel: function made() {
      const channel = new Channel();
      channels.push(channel);
      return channel;
    },
  });
  Object.defineProperty(globalThis, 'navigator', { value: { gpu: create([]) }, configurable: true });
});

test.after(() => Worker.end());

test('a start that comes right behind a reset trains the new run', async () => {
  const worker = await Worker.open(tiny);
  const planning = worker.hears(1, 'progress', ({ what }) => what.startsWith('the test'));
  worker.send({ type: 'evaluate' });
  await planning;
  const trains = worker.hears(2, 'figures', ({ step }) => step > 1);
  worker.send({ type: 'reset', run: 2, settings: { ...tiny, seed: 2 } }, { type: 'start' });
  await trains;
  const stops = worker.hears(2, 'state', paused);
  worker.send({ type: 'pause' });
  const { step } = await stops;
  const figures = worker.told.filter((each): each is Of<'figures'> => each.type === 'figures');
  assert.is(figures.at(-1)?.step, step, 'it is paused when the figures of its last step are out');
  assert.equal(kinds(worker.since(await trains), 1), []);
});

test('a pause and a reset end tests that have not begun', async () => {
  const worker = await Worker.open({ ...tiny, evaluateEvery: 1 });
  const preparing = worker.hears(1, 'state');
  worker.send({ type: 'evaluate' });
  await preparing;
  worker.send({ type: 'pause' });
  await worker.rest(1);
  assert.not(worker.told.some(({ type }) => type === 'evaluation'));
  // Of a single step that asks for tests, too.
  worker.send({ type: 'step' }, { type: 'reset', run: 2, settings: tiny });
  await worker.rest(2);
  assert.not(worker.told.some(({ type }) => type === 'evaluation'));
  const tested = worker.hears(2, 'evaluated');
  worker.send({ type: 'evaluate' });
  await tested;
  assert.ok(
    worker.told.some(({ type }) => type === 'evaluation'),
    'what is asked for now is done',
  );
});

test('weights that are saved are those of the run that was shown', async () => {
  const worker = await Worker.open(tiny);
  worker.send({ type: 'step' });
  await worker.rest(1);
  const seeds: number[] = [];
  for (const run of [2, 3]) {
    worker.send({ type: 'reset', run, settings: { ...tiny, seed: run } }, { type: 'save' });
  }
  worker.send({ type: 'reset', run: 4, settings: tiny });
  await worker.rest(4);
  for (const each of worker.told) if (each.type === 'saved') seeds.push(each.of.seed);
  assert.equal(seeds, [tiny.seed, 2, 3, tiny.seed]);
});

test('a run goes on through a device that is lost twice, and a pause ends that', async () => {
  const worker = await Worker.open(tiny);
  const trains = worker.hears(1, 'figures', ({ step }) => step > 3);
  worker.send({ type: 'start' });
  await trains;
  const lose = async (): Promise<Of<'lost'>> => {
    const lost = worker.hears(1, 'lost');
    worker.send({ type: 'lose' });
    return lost;
  };
  const { step } = await lose();
  assert.ok(step > 0);
  const opened = worker.hears(0, 'device');
  worker.send({ type: 'recover' });
  await opened;
  assert.is((await lose()).step, step, 'the weights of before');
  const goesOn = worker.hears(1, 'state', running);
  const further = worker.hears(1, 'figures', (each) => each.step > step);
  worker.send({ type: 'recover' });
  await goesOn;
  await further;
  await lose();
  const again = worker.hears(0, 'device');
  worker.send({ type: 'recover' });
  await again;
  const stops = worker.hears(1, 'state', paused);
  worker.send({ type: 'pause' });
  const rests = await stops;
  await worker.rest(1);
  assert.not(
    worker.since(rests).some(({ type }) => type === 'figures'),
    'it trains on',
  );
  // The next step is told, and is the next one.
  const next = worker.hears(1, 'figures');
  worker.send({ type: 'step' });
  assert.is((await next).step, rests.step + 1);
});

test.run();
