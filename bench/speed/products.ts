// Matrix products against their candidates: what rimgrad chooses at each shape on this adapter, beside all kernels and tiles
// that compute the same, measured in the same run. A cube, and the products of a RIM's training step at size M and S.
// Always: rounds of all candidates interleaved, medians; a masked product counts the terms that its mask leaves.

import type { Device } from '../../engine/core.ts';
import { at, need } from '../../engine/errors.ts';
import { chosenAt, type ProductShape, ratesOf } from '../../engine/tune.ts';
import type { ProductsResult } from './result.ts';

/** Modules, in the letters of ARCHITECTURE.md, of the sizes M and S. */
const MODULES = 6;
const ROWS = 64;
const STEPS = 20;

function shapesOf(software: boolean, quick: boolean): Readonly<Record<string, ProductShape>> {
  const side = software ? 512 : 1024;
  const forward = (n: number, k: number): ProductShape => ({ batches: MODULES, m: ROWS, n, k, a: 'k', b: 'n' });
  const backward = (n: number, k: number): ProductShape => ({ batches: MODULES, m: ROWS, n, k, a: 'k', b: 'k' });
  const weights = (m: number, n: number): ProductShape => ({ batches: MODULES, m, n, k: STEPS * ROWS, a: 'm', b: 'n' });
  const few = {
    [`${side}^3`]: { batches: 1, m: side, n: side, k: side, a: 'k', b: 'n' },
    'M forward 6 x [64,100] [100,492]': forward(492, 100),
    'M backward 6 x [64,364] [100,364]ᵀ': backward(100, 364),
    'M weights 6 x [1280,100]ᵀ [1280,364], active': { ...weights(100, 364), masked: 'terms' },
  } satisfies Record<string, ProductShape>;
  if (quick) return few;
  return {
    ...few,
    'M forward 6 x [64,100] [100,364], active': { ...forward(364, 100), masked: 'rows' },
    'M forward 6 x [64,64] [64,100]': forward(100, 64),
    'M backward 6 x [64,492] [100,492]ᵀ, active': { ...backward(100, 492), masked: 'rows' },
    'M inputs [1280,100] [100,1800]': { batches: 1, m: 1280, n: 1800, k: 100, a: 'k', b: 'n' },
    'S forward 6 x [64,32] [32,128]': forward(128, 32),
    'S backward 6 x [64,128] [32,128]ᵀ': backward(32, 128),
  };
}

/** Measures what is chosen and all candidates, at the shapes of this adapter. */
export async function measureProducts(
  device: Device,
  quick: boolean,
  onDetail: (text: string) => void,
): Promise<ProductsResult> {
  const shapes: ProductsResult['shapes'][number][] = [];
  for (const [name, shape] of Object.entries(shapesOf(device.adapter.software, quick))) {
    onDetail(name);
    const candidates = await ratesOf(device, shape, quick ? { rounds: 3 } : {});
    const best = at(candidates, 0);
    const chosen = need(
      candidates.find((each) => each.name === chosenAt(device, shape)),
      'the chosen product',
    );
    const share = chosen.operationsPerSecond / best.operationsPerSecond;
    shapes.push({ name, chosen, best, share, candidates });
  }
  return { shapes };
}
