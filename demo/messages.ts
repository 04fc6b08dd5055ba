// What the page and its workers say to each other: the only door between them.
//
// Always: messages are plain data. The training worker owns the device and the models; the page owns what was measured and
// shows it. A request is answered by messages, never by a return; whatever fails becomes an 'error' message in plain words,
// unless the device is lost or a newer run was begun meanwhile: then it has no meaning any more.
// Settings that are taken, or weights that are loaded, begin a run, which the page numbers; what is said carries the number of its run,
// so that nothing that was still under way is taken for the next one's.
// The check of a device has a worker of its own, which is stopped by ending it.

import type { Activation, Evaluation, Figures } from '../bench/metrics.ts';
import type { GradientCheckLine } from '../check/index.ts';
import type { Settings } from './settings.ts';

/** What to look at in the RIM. */
export interface LookRequest {
  /** The value of the task's setting. */
  readonly setting: number;
  /** Which test batch: its first sequence is shown, all of it is measured. */
  readonly index: number;
  /** Modules that are switched off, from 0. */
  readonly off: readonly number[];
  /** Also measure the batch without each module in turn. */
  readonly each: boolean;
}

/** The page to the training worker. */
export type ToTrainer =
  /** Open the device. The first message; its answer is 'device' or 'unavailable'. */
  | { readonly type: 'open' }
  /** Forget everything trained and take these settings; models are built when they are needed. */
  | { readonly type: 'reset'; readonly run: number; readonly settings: Settings }
  | { readonly type: 'start' }
  | { readonly type: 'pause' }
  /** One step, then pause. */
  | { readonly type: 'step' }
  /** Measure at the settings of the tests. */
  | { readonly type: 'evaluate' }
  | ({ readonly type: 'look' } & LookRequest)
  | { readonly type: 'save' }
  /** Reset to these settings, with weights of a file and the count of steps that it was trained for. */
  | {
      readonly type: 'load';
      readonly run: number;
      readonly settings: Settings;
      readonly bytes: Uint8Array<ArrayBuffer>;
      readonly file: string;
      readonly step: number;
    }
  /** After 'lost': open a new device and go on from the last weights that were kept. */
  | { readonly type: 'recover' }
  /** Destroy the device, as a driver's crash would: to see what happens then. */
  | { readonly type: 'lose' };

/** Figures of one model at one step. */
export interface ModelFigures {
  readonly model: string;
  readonly loss: number;
  /** The task's figures by their names. */
  readonly figures: Figures;
}

/** What a look found. All of the first sequence of the batch, but for the shares. */
export interface Look extends LookRequest {
  /** Updates done before it. */
  readonly step: number;
  /** What goes in at each step: symbols [T], or channels [T][size]. */
  readonly inputs: Activation['inputs'];
  /** What is wanted at each step [T], or after the last one alone [1]. */
  readonly wanted: readonly number[];
  /** As `wanted`: the class with the best score, or the number itself where numbers are wanted. */
  readonly answers: readonly number[];
  /** [T][N], 1 where active. */
  readonly mask: readonly (readonly number[])[];
  /** [T][N]: attention to the input rather than to the null row, mean of heads. */
  readonly input?: readonly (readonly number[])[];
  /** [T][N][N], reader then source, mean of heads. */
  readonly talk?: readonly (readonly (readonly number[])[])[];
  /** The figure that is shown (`shownFigure`) over the batch, with the modules that are off, and with all on. */
  readonly share: number;
  readonly shareAllOn: number;
  /** [N]: with that module alone switched off. */
  readonly without?: readonly number[];
}

/** Why there is no device: the browser has no WebGPU here, the page is not secure, or no adapter was given. */
export type Unavailable = 'no-webgpu' | 'insecure' | 'no-adapter';

/** The training worker to the page, of the run with this number. */
export type FromTrainer = ToldByTrainer & { readonly run: number };

/** What the training worker tells. */
export type ToldByTrainer =
  | { readonly type: 'device'; readonly adapter: string; readonly software: boolean }
  | { readonly type: 'unavailable'; readonly reason: Unavailable; readonly message: string }
  /** Work before steps: kernels that are ready, of all. */
  | { readonly type: 'progress'; readonly what: string; readonly done: number; readonly total: number }
  /** The models stand: trained numbers of each, and how the RIM is computed. */
  | {
      readonly type: 'built';
      readonly parameters: Readonly<Record<string, number>>;
      readonly step: number;
    }
  | { readonly type: 'state'; readonly state: 'idle' | 'preparing' | 'running' | 'paused'; readonly step: number }
  | {
      readonly type: 'figures';
      readonly step: number;
      /** Seconds spent on steps so far. */
      readonly seconds: number;
      readonly stepsPerSecond: number;
      /** Bytes on the device. */
      readonly memory: number;
      readonly models: readonly ModelFigures[];
    }
  | { readonly type: 'evaluation'; readonly evaluation: Evaluation }
  /** A whole round of evaluations is done. */
  | { readonly type: 'evaluated'; readonly step: number }
  | { readonly type: 'look'; readonly look: Look }
  /** `of`: the settings that these weights were trained with. */
  | { readonly type: 'saved'; readonly bytes: Uint8Array<ArrayBuffer>; readonly step: number; readonly of: Settings }
  | { readonly type: 'unsaved'; readonly message: string }
  | { readonly type: 'loaded'; readonly file: string; readonly models: readonly string[]; readonly step: number }
  /** The device is gone; weights are kept of this step. */
  | { readonly type: 'lost'; readonly message: string; readonly step: number }
  | { readonly type: 'error'; readonly message: string };

/** The page to the checking worker: the only message. */
export interface ToChecker {
  /** Only cases whose name contains this. */
  readonly filter: string;
}

/** The checking worker to the page. */
export type FromChecker =
  | { readonly type: 'begin'; readonly total: number; readonly adapter: string }
  | { readonly type: 'line'; readonly line: GradientCheckLine }
  | { readonly type: 'end'; readonly ok: boolean }
  | { readonly type: 'error'; readonly message: string };
