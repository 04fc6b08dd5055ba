// What a task is to a trainer, an evaluation and a table: how sequences go in, what is wanted of a model, and how it is measured.
// It knows nothing of the model that is trained on it.
//
// Always: a batch is a pure function of what is asked for, so that a run may stop and go on at any batch; splits are disjoint; the
// first figure is the one by which a checkpoint is chosen. Not here: files, devices, models.

import type { Data, Dtype, Shape, Tensor } from '../../engine/core.ts';

/** Which of the disjoint sets of sequences: to learn from, to choose by, to tell. */
export type Split = 'train' | 'validation' | 'test';

/** How sequences go in: symbols u32 [T,B], which a model embeds, or channels f32 [T,B,size]. */
export type TaskInput =
  | {
      /** Symbols, u32 [T,B]. */
      readonly kind: 'symbols';
      /** How many there are: from 0 up to, not including, this. */
      readonly tokens: number;
    }
  | {
      /** Numbers, f32 [T,B,size]. */
      readonly kind: 'channels';
      /** Numbers a step. */
      readonly size: number;
    };

/** A figure of merit: one number for a batch, whose mean over batches is told. */
export interface Figure {
  /** As metrics have it, such as `crossEntropy`. */
  readonly name: string;
  /** As tables show it, such as `cross-entropy`. */
  readonly label: string;
  /** What it is measured in: `nats`, `share` for 0 to 1, or `` for a plain number. */
  readonly unit: 'nats' | 'share' | '';
  /** Which way it improves. */
  readonly better: 'lower' | 'higher';
}

/** Which batch. */
export interface BatchRequest {
  /** Of which set. */
  readonly split: Split;
  /** The value of the task's setting. */
  readonly setting: number;
  /** B. */
  readonly batch: number;
  /** Of the training: a whole number from 0 to 2^53 - 1. */
  readonly seed: number;
  /** Number of the batch in its split. */
  readonly index: number;
}

/** Feeds of a program: x as `input` says, y as `target` says. A type, not an interface, so that it may be fed as it is. */
export type TaskBatch = {
  /** The sequences. */
  readonly x: Data;
  /** What is wanted. */
  readonly y: Data;
};

/** What is computed of a model's scores. */
export interface TaskMeasures {
  /** What training minimises, []. */
  readonly loss: Tensor;
  /** The figures of merit, [] each, by the names of `figures`. */
  readonly figures: Readonly<Record<string, Tensor>>;
}

/** A task that any sequence model can be trained on. */
export interface Task {
  /** As command lines have it. */
  readonly name: string;
  /** What a test varies, in one word: `blank`, `length`, `resolution`. */
  readonly setting: string;
  /** Where its data come from and how they were split, to be shown beside every result; left out where a seed is all they come from. */
  readonly source?: string;
  /** How sequences go in. */
  readonly input: TaskInput;
  /** O: scores that a model gives where they are wanted. */
  readonly scores: number;
  /** Where they are wanted: at every step, scores [T,B,O], or at the last one alone, scores [B,O]. */
  readonly scored: 'every step' | 'last step';
  /** The figures of merit, the deciding one first. */
  readonly figures: readonly Figure[];
  /** T at a setting. @throws OptionError for a setting that is none */
  steps(setting: number): number;
  /** Shape and type of y for B sequences. */
  target(
    setting: number,
    batch: number,
  ): {
    /** Sizes of y. */
    readonly shape: Shape;
    /** Type of y. */
    readonly dtype: Dtype;
  };
  /** @throws OptionError for values out of their range */
  batch(request: BatchRequest): TaskBatch;
  /**
   * Loss and figures of a model's scores.
   * @param scores [T,B,O], or [B,O] where `scored` is 'last step'
   * @param y as `target` says
   * @throws ShapeError for others
   */
  measures(scores: Tensor, y: Tensor, setting: number): TaskMeasures;
  /** The figures of a model that has learned nothing but the layout, by their names: what counts as doing the task lies beyond. */
  trivial(setting: number): Readonly<Record<string, number>>;
  /** Sequences in a split that is finite; undefined where they are made without end. */
  sequences(split: Split): number | undefined;
}
