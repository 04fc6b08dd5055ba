// A golden file by its name, through the checker of `npm run golden`. It tests nothing itself.
import { readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { GoldenFile } from '../bench/golden/file.ts';
import { kindOf } from '../bench/golden/kinds.ts';
import type { Device } from '../engine/node.ts';

/** Everything that the file holds is what the engine computes. */
export async function goldenAgrees(name: string, device: Device): Promise<void> {
  const path = new URL(`../../test/golden/${name}.safetensors`, import.meta.url);
  const file = new GoldenFile(name, readFileSync(path));
  const { comparisons } = await kindOf(file).check(file, device);
  assert.equal(
    comparisons.filter(({ ok }) => !ok),
    [],
  );
  assert.ok(
    comparisons.some(({ tensor }) => tensor.startsWith('grad64.param.')),
    'no gradients of weights',
  );
}
