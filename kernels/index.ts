/**
 * The room `kernels`: hand-written WGSL, one file a kernel, as a typed catalogue. It imports nothing and touches no device.
 */
export * as kernels from './catalogue.ts';
export { checkKernel } from './check-kernel.ts';
export * from './kernel.ts';
