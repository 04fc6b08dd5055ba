// A small training run that knows no runtime: the same weights, data and order of operations wherever it is run. Node,
// Deno and a browser must give the same first losses, and losses that fall. It opens no device and reads no clock.
// Not here: whether the model is any good; that is the business of the tests of the models.
import {
  add,
  assign,
  compile,
  type Device,
  fill,
  grad,
  input,
  matmul,
  meanSquare,
  mul,
  scan,
  sub,
  tanh,
  Variable,
} from '../../engine/core.ts';
import { normalArray } from '../../engine/random.ts';

const [T, B, D, H] = [12, 8, 3, 16];
const STEPS = 30;
const LEARNING_RATE = 0.05;

const weight = (name: string, shape: readonly [number, number], stream: number): Variable =>
  new Variable(name, shape, normalArray(shape[0] * shape[1], { seed: 5, stream, std: shape[0] ** -0.5 }));

/** The losses of a few steps: a recurrent net learns to give back its input of the step before. */
export async function losses(device: Device): Promise<number[]> {
  const [wx, wh, wy] = [weight('wx', [D, H], 0), weight('wh', [H, H], 1), weight('wy', [H, D], 2)];
  const [x, y, rate] = [input('x', [T, B, D]), input('y', [T, B, D]), input('rate', [])];
  const { outputs } = scan(
    ({ x }, { h }) => {
      const next = tanh(add(matmul(x, wx), matmul(h, wh)));
      return { state: { h: next }, output: { y: matmul(next, wy) } };
    },
    { x },
    { h: fill(0, [B, H]) },
  );
  const loss = meanSquare(outputs.y, y);
  const updates = [...grad(loss, [wx, wh, wy])].map(([w, d]) => assign(w as Variable, sub(w, mul(rate, d))));
  const program = await compile(device, { loss }, updates);
  const found: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    const seen = normalArray(T * B * D, { seed: 6, stream: 0, start: step * T * B * D });
    const wanted = new Float32Array(T * B * D);
    wanted.set(seen.subarray(0, (T - 1) * B * D), B * D);
    await program.run({ x: seen, y: wanted, rate: LEARNING_RATE });
    found.push((await program.read('loss'))[0] ?? Number.NaN);
  }
  program.dispose();
  for (const each of [wx, wh, wy]) each.dispose();
  return found;
}
