// The matrix products against their candidates: TEMPORARY until products.ts is there.

import type { Device } from '../../engine/core.ts';

export interface ProductCandidate {
  readonly name: string;
  readonly operationsPerSecond: number;
}

export interface ProductShape {
  readonly name: string;
  readonly chosen: ProductCandidate;
  readonly best: ProductCandidate;
  /** Of the best's rate. */
  readonly share: number;
  readonly candidates: readonly ProductCandidate[];
}

export interface ProductsResult {
  readonly shapes: readonly ProductShape[];
}

export async function measureProducts(
  _device: Device,
  _quick: boolean,
  _onDetail: (text: string) => void,
): Promise<ProductsResult> {
  return { shapes: [] };
}
