// The meanings of rims/step-backward.ts and rims/active-outer.ts: the gradient of one step of a RIM, by the chain rule from
// what the step saved, batch row by batch row; and sums of outer products over active rows. What the ops leave undefined for
// an inactive module is 0 here.

import { at, need } from '../../engine/errors.ts';
import { layoutOf } from '../../rims/step-layout.ts';
import type { StepAttrs } from '../../rims/step-op.ts';
import { build, read, type Value } from '../value.ts';
import { sigmoidOf } from './elementwise.ts';
import { type Meanings, means, meansAll } from './meaning.ts';
import { columns, dot, outputOf, placesOf, plus, Rows, rowTimes, upTo } from './rim-step.ts';

interface Backward {
  readonly step: StepAttrs;
  readonly names: readonly string[];
}

/** Derivatives of sigmoid and tanh. */
const sigmoidSlope = (x: number): number => sigmoidOf(x) * (1 - sigmoidOf(x));
const tanhSlope = (x: number): number => 1 - Math.tanh(x) ** 2;

/** The gradients of a unit's gates, and of what it had before. */
interface UnitGradient {
  /** Of the input's half and of the state's half of each gate. */
  readonly ofInput: readonly number[];
  readonly ofState: readonly number[];
  /** Of h before a GRU's step, not by way of its gates; of c before an LSTM's. */
  readonly before: number;
}

/** Of a GRU's unit: its gates r, z, n and the state's part of n, h before, and the gradient of its candidate. */
function gruUnit([reset, renew, fresh, recurrent]: readonly number[], old: number, d: number): UnitGradient {
  const [r, z, n, s] = [need(reset, 'r'), need(renew, 'z'), need(fresh, 'n'), need(recurrent, 'the part of n')];
  const dn = d * (1 - sigmoidOf(z)) * tanhSlope(n);
  const dz = d * (old - Math.tanh(n)) * sigmoidSlope(z);
  const dr = dn * s * sigmoidSlope(r);
  return { ofInput: [dr, dz, dn], ofState: [dr, dz, dn * sigmoidOf(r)], before: d * sigmoidOf(z) };
}

/** Of an LSTM's unit: its gates i, f, g, o, c before, and the gradients of its candidate and of its c. */
function lstmUnit([i, f, g, o]: readonly number[], old: number, d: number, dcell: number): UnitGradient {
  const [enter, forget, fresh, show] = [need(i, 'i'), need(f, 'f'), need(g, 'g'), need(o, 'o')];
  const c = sigmoidOf(forget) * old + sigmoidOf(enter) * Math.tanh(fresh);
  const dc = dcell + d * sigmoidOf(show) * tanhSlope(c);
  const gates = [
    dc * Math.tanh(fresh) * sigmoidSlope(enter),
    dc * old * sigmoidSlope(forget),
    dc * sigmoidOf(enter) * tanhSlope(fresh),
    d * Math.tanh(c) * sigmoidSlope(show),
  ];
  return { ofInput: gates, ofState: gates, before: dc * sigmoidOf(forget) };
}

/** Meanings of the gradient of a step. */
export const rimStepBackwardMeanings: Meanings = {
  rimStepBackward: meansAll<Backward>((inputs, { step, names }, specs) => {
    const layout = layoutOf(step);
    const places = placesOf(step, layout);
    const { rows, modules: N, hidden: H, keySize: E, heads: C, talkKey: F, talkValue: W } = step;
    const find = (name: string): Value | undefined => inputs[names.indexOf(name)];
    const of = (name: string): Value => need(find(name), name);
    const outputs = specs.map(({ shape }) => new Rows(shape));
    const [dh, dmemory, duk, dqkv, dpre] = outputs as [Rows, Rows, Rows, Rows, Rows];
    const [saved, qkv, uk] = [of('saved'), of('qkv'), of('uk')];
    const all = upTo(N);
    const dropsTalk = step.names.includes('talkFactors');
    const dropsInput = at(uk.shape, 2) === layout.scored + 4;
    const own = at(uk.shape, 2) === layout.scored + layout.gates * H;
    const nullOfN = step.cell === 'gru' && step.names.includes('nullGates') && !dropsInput;
    const ofN = step.names.includes('nBias') || nullOfN;

    for (const b of upTo(rows)) {
      const active = all.filter((n) => read(of('mask'), [n, b]) !== 0);
      const isActive = (n: number): boolean => active.includes(n);
      const arriving = (n: number): number[] => {
        const d = columns(of('dh'), [b, n], 0, H);
        const more = find('arriving');
        return more === undefined ? d : plus(d, columns(more, [b, n], 0, H));
      };
      const ofMemory = (n: number, from: number, size: number): number[] => columns(of('dmemory'), [b, n], from, size);

      // h': of active modules also what later steps sent to the products that were made of it.
      const dnext = all.map((n) => {
        if (!layout.cached || !isActive(n)) return arriving(n);
        const w = of('wState');
        const waited = ofMemory(n, 0, layout.products);
        return plus(
          arriving(n),
          rowTimes(waited, H, (column, k) => read(w, [n, k, column])),
        );
      });

      // The projection of the context.
      const dcontext = new Map<number, number[]>();
      for (const n of active) {
        const factor = (k: number): number => {
          const factors = find('outputFactors');
          return factors === undefined ? 1 : read(factors, [b, n, k]);
        };
        const d = at(dnext, n);
        let own = d.map((x, k) => x * factor(k));
        if (step.gated) {
          const before = columns(of('pre'), [b, n], 0, 2 * H);
          const [x, gate] = [before.slice(0, H).map((each, k) => each * factor(k)), before.slice(H)];
          own = [
            ...d.map((each, k) => each * sigmoidOf(at(gate, k)) * tanhSlope(at(x, k)) * factor(k)),
            ...d.map((each, k) => each * Math.tanh(at(x, k)) * sigmoidSlope(at(gate, k))),
          ];
        }
        dpre.put([b, n], 0, own);
        const w = outputOf(of('wOutput'), n);
        dcontext.set(
          n,
          rowTimes(own, layout.context, (column, k) => w(k, column)),
        );
      }

      // Communication, head by head: to the queries of its readers, and to keys and values of all sources.
      const kept = (n: number): boolean => layout.cached && !isActive(n);
      const zeros = (): number[] => new Array<number>(layout.talk).fill(0);
      const dtalk = all.map(zeros);
      const add = (n: number, from: number, numbers: readonly number[]): void => {
        const row = at(dtalk, n);
        numbers.forEach((x, i) => {
          row[from + i] = at(row, from + i) + x;
        });
      };
      for (const head of upTo(C)) {
        const key = (m: number): number[] => columns(qkv, [b, m], places.talkKeys + head * F, F);
        const value = (m: number): number[] => columns(qkv, [b, m], places.talkValues + head * W, W);
        for (const reader of active) {
          const p = columns(of('probabilities'), [...(dropsTalk ? [0] : []), b, head, reader], 0, N);
          const factors = dropsTalk
            ? columns(of('probabilities'), [1, b, head, reader], 0, N)
            : new Array<number>(N).fill(1);
          const d = need(dcontext.get(reader), 'the gradient of a context').slice(head * W, (head + 1) * W);
          const dp = all.map((m) => at(factors, m) * dot(d, value(m)));
          const mean = dot(p, dp);
          const query = columns(qkv, [b, reader], head * F, F);
          for (const m of all) {
            const dscore = step.talkScale * at(p, m) * (at(dp, m) - mean);
            const weight = at(p, m) * at(factors, m);
            add(
              reader,
              head * F,
              key(m).map((x) => dscore * x),
            );
            add(
              m,
              places.talkKeys + head * F,
              query.map((x) => dscore * x),
            );
            add(
              m,
              places.talkValues + head * W,
              d.map((x) => weight * x),
            );
          }
        }
      }

      for (const n of all) {
        const talk = at(dtalk, n);
        if (!kept(n)) dqkv.put([b, n], 0, talk);
        if (!isActive(n)) {
          dh.put([b, n], 0, at(dnext, n));
          if (layout.cached) {
            const waits = plus(ofMemory(n, places.keys, layout.products - layout.scored), talk.slice(places.talkKeys));
            dmemory.put([b, n], 0, ofMemory(n, 0, layout.scored));
            dmemory.put([b, n], places.keys, waits);
          }
          if (step.cell === 'lstm') dmemory.put([b, n], places.cell, ofMemory(n, places.cell, H));
          continue;
        }

        // The dynamics.
        const w = of('wTalk');
        const ofSource = rowTimes(talk, H, (column, k) => read(w, [n, k, column]));
        const d = plus(at(dnext, n), ofSource);
        const units = upTo(H).map((k) => {
          const gates = upTo(4).map((gate) => read(saved, [b, n, places.savedGates + gate * H + k]));
          const old = read(saved, [b, n, places.savedBefore + k]);
          if (step.cell === 'gru') return gruUnit(gates, old, at(d, k));
          return lstmUnit(gates, old, at(d, k), read(of('dmemory'), [b, n, places.cell + k]));
        });
        const gates = upTo(layout.gates);
        const ofInput = gates.flatMap((gate) => units.map((unit) => at(unit.ofInput, gate)));
        const ofState = gates.flatMap((gate) => units.map((unit) => at(unit.ofState, gate)));
        const before = units.map((unit) => unit.before);

        // The two-term attention: gates are rest * null + share * change, share and rest linear in p.
        const p = read(saved, [b, n, places.odds + 2]);
        const [ofX, ofNull] = dropsInput ? columns(uk, [b, n], layout.scored, 2) : [1, 1];
        const [fx, f0] = [need(ofX, 'a factor'), need(ofNull, 'a factor')];
        const change = columns(uk, [b, n], 0, layout.scored);
        const nulls = columns(of('side'), [], n * layout.gates * H, layout.gates * H);
        const dp = fx * dot(ofInput, change.slice(0, layout.gates * H)) + (fx - f0) * dot(ofInput, nulls);
        const dodds = dp * p * (1 - p);
        const dquery = change.slice(places.query).map((x) => dodds * x);
        const query = columns(saved, [b, n], places.savedQuery, E);

        dmemory.put([b, n], 0, [...ofState, ...dquery]);
        if (step.cell === 'lstm') dmemory.put([b, n], places.cell, before);
        const direct = step.cell === 'gru' ? before : new Array<number>(H).fill(0);
        const state = of('wState');
        const back = rowTimes([...ofState, ...dquery], H, (column, k) => read(state, [n, k, column]));
        dh.put([b, n], 0, layout.cached ? direct : plus(direct, back));
        duk.put([b, n], 0, [
          ...ofInput.map((x) => fx * p * x),
          ...query.map((x) => dodds * x),
          ...(own || (step.names.includes('nullGates') && dropsInput)
            ? ofInput.map((x) => (fx * p + f0 * (1 - p)) * x)
            : []),
          ...(ofN ? ofInput.slice(2 * H) : []),
        ]);
      }
    }
    return outputs;
  }),

  activeOuter: means<{
    readonly steps: number | undefined;
    readonly shared: boolean;
    readonly together: boolean;
    readonly x: { readonly from: number };
    readonly d: { readonly from: number };
  }>((inputs, { steps, shared, together, x: xColumns, d: dColumns }, { shape }) => {
    const [x, d, mask] = [at(inputs, 0), at(inputs, 1), inputs[2]];
    const times = steps === undefined ? [[]] : upTo(steps).map((t) => [t]);
    const [rows = 0, modules = 0] = d.shape.slice(-3);
    return build(shape, ([own = 0, i = 0, j = 0]) => {
      let total = 0;
      for (const time of times) {
        for (const b of upTo(rows)) {
          for (const n of together ? upTo(modules) : [own]) {
            if (mask !== undefined && read(mask, [...time, n, b]) === 0) continue;
            const left = read(x, [...time, b, ...(shared ? [] : [n]), xColumns.from + i]);
            total += left * read(d, [...time, b, n, dColumns.from + j]);
          }
        }
      }
      return total;
    });
  }),
};
