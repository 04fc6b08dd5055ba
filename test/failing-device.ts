// A device made to fail, for tests: a real GPUDevice, one kind of whose calls does not do what it is asked, at a chosen one of
// them. What WebGPU reports through error scopes is reported through the scopes that are open, innermost first, and as an
// uncaptured error where none is. Always: what fails is really not there (a buffer is an invalid one), so that all that is
// built on it fails as it would. It tests nothing itself.

import { need } from '../engine/errors.ts';
import type { Device } from '../engine/node.ts';

/** What can be made to fail. */
export type Failure =
  /** A buffer: WebGPU reports that memory is exhausted. */
  | 'memory'
  /** A buffer: WebGPU reports that it is invalid. */
  | 'invalid'
  /** A buffer: the call throws. */
  | 'throw'
  /** A pipeline: the promise rejects. */
  | 'pipeline'
  /** A shader module: the call throws. */
  | 'module'
  /** A mapping: the promise rejects. */
  | 'map'
  /** A mapped range: the call throws, as where the host has no memory. */
  | 'range'
  /** The closing of a scope: the promise rejects. */
  | 'scope';

/** How many calls there were of the kind that fails. */
export interface Failing {
  readonly calls: number;
  /** The device does again what it is asked. */
  mend(): void;
}

interface Scope {
  readonly filter: GPUErrorFilter;
  error: { readonly message: string } | undefined;
}

/** Makes the call of a kind that comes after `before` others fail; none where it is infinite. */
export function fail({ gpu }: Device, failure: Failure, before: number): Failing {
  let calls = 0;
  const mends: (() => void)[] = [];
  const scopes: Scope[] = [];
  const isTurn = (): boolean => calls++ === before;
  const replace = <T extends object, Name extends keyof T>(of: T, name: Name, value: T[Name]): void => {
    Object.defineProperty(of, name, { value, configurable: true });
    mends.push(() => Reflect.deleteProperty(of, name));
  };
  const report = (filter: GPUErrorFilter, message: string): void => {
    const scope = scopes.findLast((each) => each.filter === filter);
    if (scope !== undefined) scope.error ??= { message };
    else gpu.dispatchEvent(Object.assign(new Event('uncapturederror'), { error: { message } }));
  };
  const [push, pop] = [gpu.pushErrorScope.bind(gpu), gpu.popErrorScope.bind(gpu)];
  replace(gpu, 'pushErrorScope', (filter) => {
    scopes.push({ filter, error: undefined });
    return push(filter);
  });
  replace(gpu, 'popErrorScope', async () => {
    const scope = need(scopes.pop(), 'a scope');
    const real = pop();
    if (failure === 'scope' && isTurn()) {
      await real;
      throw new Error('the scope was lost');
    }
    return ((await real) ?? scope.error ?? null) as GPUError | null;
  });
  const create = gpu.createBuffer.bind(gpu);
  replace(gpu, 'createBuffer', (descriptor) => {
    const buffers = failure === 'memory' || failure === 'invalid' || failure === 'throw';
    if (!buffers || !isTurn()) {
      const buffer = create(descriptor);
      if (failure === 'map') {
        replace(buffer, 'mapAsync', isTurn() ? async () => fails('nothing was mapped') : buffer.mapAsync.bind(buffer));
      }
      if (failure === 'range' && isTurn()) {
        replace(buffer, 'getMappedRange', () => fails('Array buffer allocation failed'));
      }
      return buffer;
    }
    if (failure === 'throw') return fails('createBuffer failed');
    push('validation');
    const buffer = create({ ...descriptor, usage: 0 });
    void pop();
    report(failure === 'memory' ? 'out-of-memory' : 'validation', 'made to fail');
    return buffer;
  });
  const compile = gpu.createComputePipelineAsync.bind(gpu);
  replace(gpu, 'createComputePipelineAsync', async (descriptor) =>
    failure === 'pipeline' && isTurn() ? fails('the driver gave up') : compile(descriptor),
  );
  const module = gpu.createShaderModule.bind(gpu);
  replace(gpu, 'createShaderModule', (descriptor) =>
    failure === 'module' && isTurn() ? fails('no module') : module(descriptor),
  );
  return {
    get calls() {
      return calls;
    },
    mend: () => {
      for (const each of mends.splice(0)) each();
    },
  };
}

function fails(message: string): never {
  throw new Error(message);
}
