// How each system looks in charts and legends: a colour for light and one for dark pages, and dashes, so that nine lines can be told
// apart without colours too. Always: systems of one kind of line differ in lightness as well as in hue. Not here: the charts (charts.ts).

/** The looks of a system. */
export interface ModelLook {
  readonly light: string;
  readonly dark: string;
  /** Lengths of dashes and gaps; none for a solid line. */
  readonly dash: readonly number[];
}

const DASHES = [7, 3];
const DOTS = [2, 3];

/** By the system's name in lower case; `other` for what is not known. */
export const modelLooks: Readonly<Record<string, ModelLook>> = {
  rim: { light: '#0c7489', dark: '#56c5d8', dash: [] },
  lstm: { light: '#cf6a12', dark: '#f0a45d', dash: [] },
  transformer: { light: '#3a2f9c', dark: '#a3a0ff', dash: [] },
  gru: { light: '#8e4bb0', dark: '#cf9bea', dash: DASHES },
  dnc: { light: '#565d63', dark: '#b4bcc3', dash: DASHES },
  entnet: { light: '#8a7400', dark: '#e0cc55', dash: DASHES },
  ntm: { light: '#8c1d3f', dark: '#ff8fa8', dash: DOTS },
  rmc: { light: '#2c8a4b', dark: '#7ddb97', dash: DOTS },
  indrnn: { light: '#d3479a', dark: '#ffb3dd', dash: DOTS },
  other: { light: '#7a5aa8', dark: '#b79ae0', dash: [10, 3, 2, 3] },
};

/** The name of a system's looks: also of its CSS variable and class. */
export function lookOf(model: string): string {
  const name = model.toLowerCase();
  return Object.hasOwn(modelLooks, name) ? name : 'other';
}

/** The dashes of a system's lines. */
export function dashOf(model: string): readonly number[] {
  return modelLooks[lookOf(model)]?.dash ?? [];
}

/** CSS variables of all systems, for one of the two kinds of page. */
export function lookVariables(kind: 'light' | 'dark'): string {
  return Object.entries(modelLooks)
    .map(([name, look]) => `--${name}: ${look[kind]};`)
    .join(' ');
}
