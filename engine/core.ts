// All public names of the engine but `openDevice`, which differs by runtime (index.ts, node.ts).

export { type Checkpoint, type CheckpointLoad, loadCheckpoint, readCheckpoint, saveCheckpoint } from './checkpoint.ts';
export { type Clipped, clipByGlobalNorm } from './clip.ts';
export { type AdapterDescription, type Created, Device, type Memory } from './device.ts';
export * from './errors.ts';
export type { Feeds } from './feeds.ts';
export { Gradients, grad } from './grad.ts';
export * as initialisers from './initialisers.ts';
export { type Embedding, embedding, type LayerOptions, type Linear, linear } from './layers.ts';
export {
  apply,
  applyOne,
  type Emitter,
  gridOf,
  type Joined,
  type KernelCall,
  type Op,
  type OverTime,
  rowsOverTime,
  type View,
} from './op.ts';
export type { DeviceOptions } from './open.ts';
export * from './ops/index.ts';
export * from './optimisers.ts';
export { formatProfile, type Profile, type ProfileEntry } from './profile.ts';
export { type CompileOptions, compile, evaluate, Program } from './program.ts';
export { recompute } from './recompute.ts';
export type { TensorRecord, Tensors } from './records.ts';
export { type RecoveryOptions, type Saved, withRecovery } from './recovery.ts';
export {
  readSafetensors,
  type SafetensorsArrays,
  type SafetensorsDtype,
  type SafetensorsFile,
  type SafetensorsTensor,
  toFloat32,
  writeSafetensors,
} from './safetensors.ts';
export { type ScanOptions, type ScanResult, type Step, scan } from './scan.ts';
export * from './schedules.ts';
export { type Dtype, type Node, type Shape, type Spec, Tensor } from './tensor.ts';
export { type ProductShape, tune } from './tune.ts';
export type { Tuning } from './tuning.ts';
export { assign, type Update, type UpdateOp } from './update.ts';
export { type Data, Variable, variable } from './variable.ts';
export { type LoadOptions, loadVariables, saveVariables } from './weights.ts';
