// What JSON.parse lets pass and a file of ours must not have: a name twice in one object (the last would win in silence), half of
// a surrogate pair (which no UTF-8 can hold again), lists and objects in each other without end, and whole numbers
// written as something else.
//
// Always: one walk over the text, with memory for as many levels as are allowed. Not here: reading the values (JSON.parse), and
// what they mean (safetensors.ts, and whoever reads a file of JSON).

import { quote } from './errors.ts';

/** How strict to be. */
export interface JSONRules {
  /** How many lists and objects may lie in each other. */
  readonly levels: number;
  /** Whole numbers must be written with digits alone: `2`, not `2.0` or `2e0`. */
  readonly plainNumbers?: boolean;
}

/** What is wrong with a text that JSON.parse takes; undefined where it keeps the rules. */
export function jsonDefect(text: string, { levels, plainNumbers = false }: JSONRules): string | undefined {
  const open: Set<string>[] = [];
  for (let i = 0; i < text.length; i++) {
    const character = text.charAt(i);
    if (character === '{' || character === '[') {
      if (open.push(new Set()) > levels) return `character ${i} opens a level below the ${levels} that there may be`;
    } else if (character === '}' || character === ']') {
      open.pop();
    } else if (character === '"') {
      const start = i++;
      while (i < text.length && text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
      const string = String(JSON.parse(text.slice(start, i + 1)));
      if (!isWellFormed(string)) return `the text at character ${start} has half of a surrogate pair`;
      let next = i + 1;
      while (next < text.length && ' \t\r\n'.includes(text.charAt(next))) next++;
      if (text[next] !== ':') continue;
      const names = open.at(-1);
      if (names?.has(string)) return `the name ${quote(string)} stands twice`;
      names?.add(string);
    } else if ('-0123456789'.includes(character)) {
      const [number = ''] = /^[-+.eE0-9]+/.exec(text.slice(i, i + NUMBER_LENGTH)) ?? [];
      if (
        plainNumbers &&
        !/^(0|[1-9][0-9]*)$/.test(number) &&
        Number(number) >= 0 &&
        Number.isInteger(Number(number))
      ) {
        return `the number ${quote(number)} is not written as a whole one`;
      }
      i += number.length - 1;
    }
  }
  return undefined;
}

/** Characters of a number that are looked at together. */
const NUMBER_LENGTH = 64;

/** Whether a string has no lone surrogate, which UTF-8 cannot hold. */
export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}
