// The vocabulary of a plan: an ordered list of kernel calls over planned memory, as data. planner.ts makes it from a graph
// without touching a device; program.ts carries it out; tests and explain.ts read it.

import type { Kernel } from '../kernels/kernel.ts';
import type { Guard, Guarded } from './guard.ts';
import type { View } from './op.ts';
import type { Node, Tensor } from './tensor.ts';
import type { Tuning } from './tuning.ts';
import type { Data, Variable } from './variable.ts';

/** What a plan depends on beside the graph: the run and the device. */
export interface PlanOptions {
  /** False in evaluation programs: dropout is off, and random state stands still. */
  readonly training: boolean;
  /** The size of the adapter's subgroups where it has them and all have one size, else 0. */
  readonly subgroupSize: number;
  /** Which kernels its products take; by its subgroups alone where it is left out. */
  readonly tuning?: Tuning;
  /** False to give every op a call of its own (fusion.ts). */
  readonly fuse?: boolean;
}

/** A run of bytes with a life: from its first to its last use in the list. */
export interface Value {
  readonly label: string;
  readonly bytes: number;
  first: number;
  last: number;
  /** Its slot, from the moment the plan is complete; a Variable has storage of its own instead. */
  slot: number;
  /** The home of Variables whose storage it is. */
  readonly variable: Variable | undefined;
}

/** A part of a value; in a loop, at iteration t it begins at `offset + t * step`. All in bytes. */
export interface Place extends View {
  readonly value: Value;
  readonly offset: number;
  readonly step: number;
}

/** A tensor that is computed: by which node, which may stand for several of the graph (fusion.ts), and where it lies. */
export interface Completed {
  readonly node: Node;
  readonly tensor: Tensor;
  readonly place: Place;
}

/** One kernel call, with everything bound. */
export interface Dispatch {
  /** The op that it belongs to, for people. */
  readonly label: string;
  readonly kernel: Kernel;
  /** The specialised source: the key of its pipeline. */
  readonly source: string;
  readonly constants: Readonly<Record<string, number | boolean>>;
  readonly uniforms: ArrayBuffer;
  readonly buffers: readonly { readonly binding: number; readonly write: boolean; readonly place: Place }[];
  readonly workgroups: readonly [number, number, number];
  readonly operations: number;
  /** The tensors of nodes that are computed once this call is done, and where they lie at that moment. */
  readonly completes: Completed[];
}

/** Bytes that a call binds: a place that is bound twice counts once. */
export function bytesOf({ buffers }: Dispatch): number {
  return [...new Set(buffers.map(({ place }) => place))].reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Calls repeated once a time step. */
export interface Loop {
  readonly scan: Node;
  readonly steps: number;
  readonly reverse: boolean;
  readonly body: readonly Dispatch[];
}

/** An element of the list. */
export type Item = Dispatch | Loop;

/** True for a loop. */
export function isLoop(item: Item): item is Loop {
  return 'body' in item;
}

/** Everything that a program does, and the memory that it needs. */
export interface Plan {
  readonly items: readonly Item[];
  /** Bytes of each slot. */
  readonly slots: readonly number[];
  /** The Variables that it names. */
  readonly variables: readonly Variable[];
  /** Those of them that it changes. */
  readonly changes: readonly Variable[];
  readonly inputs: readonly { readonly tensor: Tensor; readonly place: Place; readonly below: number | undefined }[];
  readonly constants: readonly { readonly place: Place; readonly values: Data | number }[];
  readonly outputs: ReadonlyMap<string, { readonly tensor: Tensor; readonly place: Place }>;
  /** What guards its updates, where something does. */
  readonly guard: PlanGuard | undefined;
  /** What the graph remarks of itself, for people. */
  readonly remarks: readonly string[];
}

/** The guards of a program. */
export interface PlanGuard {
  readonly guards: readonly Guard[];
  readonly guarded: readonly Guarded[];
  /** The first items that belong to the guards and the updates, not to what is computed. */
  readonly begins: number;
}

/** All kernel calls of a plan, those of loops once. */
export function dispatchesOf(plan: Plan): Dispatch[] {
  return plan.items.flatMap((item) => (isLoop(item) ? item.body : [item]));
}
