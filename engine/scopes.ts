// What WebGPU reports of calls: error scopes opened and closed around them. Reports come later than the calls return.
// Always: whatever happens within, the scopes that were opened are closed; what is reported never rejects, it is a value.
// Not here: what is said about it (device.ts, limits.ts).

/** What was made, or what was thrown. */
export type Made<T> = { readonly result: T } | { readonly error: unknown };

/** What WebGPU reported of what was done within the scopes. */
export interface Reports {
  readonly invalid: { readonly message: string } | null;
  readonly exhausted: { readonly message: string } | null;
}

/**
 * Runs `make` within error scopes of its own: tells what it made or threw, and what WebGPU will report of it. It must not
 * wait: the scopes belong to whatever is called while they are open.
 */
export function scoped<T>(
  gpu: GPUDevice,
  make: () => T,
): { readonly made: Made<T>; readonly reports: Promise<Reports> } {
  gpu.pushErrorScope('out-of-memory');
  gpu.pushErrorScope('validation');
  let made: Made<T>;
  try {
    made = { result: make() };
  } catch (error) {
    made = { error };
  }
  // Some runtimes reject where the device was lost.
  const reports = Promise.all([gpu.popErrorScope(), gpu.popErrorScope()]).then(
    ([invalid, exhausted]) => ({ invalid, exhausted }),
    (cause: unknown) => ({ invalid: { message: reasonOf(cause) }, exhausted: null }),
  );
  return { made, reports };
}

/** What something that was thrown says. */
export function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
