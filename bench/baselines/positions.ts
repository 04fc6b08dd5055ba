// How a Transformer knows the order of its steps: numbers of a position, added to the input or to the scores. Which of them it has
// decides how it does on sequences longer than those it learned from.
//
// Always: tables in float64, rounded once; a position is the step's number in its whole sequence, from 0. Not here: learned
// positions, which are weights of the model (transformer.ts).

/**
 * The sinusoids of `length` positions from `start` on, [length,width] (Vaswani et al. 2017, section 3.5):
 * `PE(p,2i) = sin(p / 10000^(2i/width)), PE(p,2i+1) = cos(p / 10000^(2i/width))`.
 */
export function sinusoids(start: number, length: number, width: number): Float32Array {
  return Float32Array.from({ length: length * width }, (_, element) => {
    const i = element % width;
    const angle = (start + Math.floor(element / width)) / 10_000 ** ((i - (i % 2)) / width);
    return i % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
  });
}

/** How much each head minds distance in ALiBi, [heads]: `2^(-8/heads), 2^(-16/heads), ...` (Press et al., arXiv 2108.12409). */
export function alibiSlopes(heads: number): Float32Array {
  return Float32Array.from({ length: heads }, (_, head) => 2 ** ((-8 * (head + 1)) / heads));
}

/** What ALiBi multiplies by its slopes: `source - step`, 0 for the step itself and less before it, [length,start+length]. */
export function alibiDistances(start: number, length: number): Float32Array {
  const sources = start + length;
  return Float32Array.from({ length: length * sources }, (_, element) => {
    return (element % sources) - (start + Math.floor(element / sources));
  });
}

/** 1 where a step sees a source, itself and all before it, else 0: [length,start+length]. */
export function causalMask(start: number, length: number): Float32Array {
  return alibiDistances(start, length).map((distance) => (distance <= 0 ? 1 : 0));
}
