// `rimgrad/tasks`: the data of the tasks that the models are measured on.
//
// Always: pure functions of their options and a seed; nothing here touches a device, a file or a global.
// Not here: models and training.

export { addingTask, addingTolerance } from './adding.ts';
export type { CopyingBatch, CopyingOptions, CopyingPhases, CopyingSize, CopyingSplit } from './copying.ts';
export {
  copying,
  copyingBatch,
  copyingClasses,
  copyingLength,
  copyingPhases,
  copyingTokens,
  memoryless,
} from './copying.ts';
export { type CopyingTaskOptions, copyingTask } from './copying-task.ts';
export {
  type Digit,
  type DigitSource,
  digitClasses,
  digitSide,
  type MnistFiles,
  type MnistPair,
  mnistDigits,
} from './digits.ts';
export { type DrawnRequest, drawnDigit, drawnDigits } from './drawn.ts';
export { type IdxImages, readIdxImages, readIdxLabels } from './idx.ts';
export { nearestPixels, type SmnistOptions, smnistTask } from './smnist.ts';
export type { BatchRequest, Figure, Split, Task, TaskBatch, TaskInput, TaskMeasures } from './task.ts';
