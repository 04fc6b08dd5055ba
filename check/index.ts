// The public names of rimgrad/check: what every op means, in float64, and the checks that are built on it.
// No kernels are used but through a device that the user opened; nothing here is part of the core bundle.

export { CALCULUS_LIMIT, type CalculusOptions, type CalculusResult, checkCalculus } from './calculus.ts';
export { allCases, opCases, updateCases } from './cases/index.ts';
export { type Case, Draw, type DrawnCase, drawCase } from './draw.ts';
export {
  type GradientCheckLine,
  type GradientCheckOptions,
  type GradientCheckQuestion,
  type GradientCheckResult,
  gradientCheck,
  KERNEL_LIMIT,
} from './gradcheck.ts';
export { type InterpretOptions, interpret } from './interpret.ts';
export { meanings } from './meanings/index.ts';
export type { Circumstances, Meaning, Meanings } from './meanings/meaning.ts';
export { formatGradientCheck, formatLine, formatVerdict, TABLE_HEAD } from './table.ts';
export type { UpdateCase, UpdateRun } from './update-check.ts';
export type { Numbers, Value } from './value.ts';
