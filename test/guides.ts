// The code blocks of the guides (docs/*.md) and of README.md as programs: the blocks of one page, in order, are one program,
// as a reader would type it. It tests nothing itself.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** One page's program. */
export interface Guide {
  /** The page, from the repository's root. */
  readonly page: string;
  /** The name of its file, `.mts` or `.mjs`: what a build of dist/ leaves alone. */
  readonly file: string;
  /** Its blocks in order; imports of a later one are hoisted by the language itself. */
  readonly code: string;
  readonly blocks: number;
}

/** The blocks of a page in TypeScript or JavaScript. Lines between them become empty, so that messages name the page's lines. */
export function codeOf(markdown: string): {
  readonly code: string;
  readonly language: 'ts' | 'js';
  readonly blocks: number;
} {
  let inside = false;
  let blocks = 0;
  const languages = new Set<string>();
  const code = markdown.split('\n').map((line) => {
    const fence = /^```(\w*)$/.exec(line);
    if (fence === null) return inside ? line : '';
    inside = !inside && /^(ts|js)$/.test(fence[1] ?? '');
    if (inside) {
      blocks++;
      languages.add(fence[1] ?? '');
    }
    return '';
  });
  if (languages.size > 1) throw new Error('one page, one language');
  return { code: code.join('\n'), language: languages.has('js') ? 'js' : 'ts', blocks };
}

/** Every page that has code. */
export function guides(): readonly Guide[] {
  const pages = readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => `docs/${name}`);
  return ['README.md', ...pages].flatMap((page) => {
    const { code, language, blocks } = codeOf(readFileSync(join(root, page), 'utf8'));
    const file = `${page.replace(/^docs\//, '').replace(/\.md$/, '')}.m${language}`;
    return blocks === 0 ? [] : [{ page, file, code, blocks }];
  });
}
