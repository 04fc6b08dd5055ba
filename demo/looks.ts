// The colours of the models, those of the report (bench/model-looks.ts): given to the page as variables of a style sheet, for light and
// dark screens, and to single elements as the variable `--look`. Not here: where they are used (results.css, charts.ts).

import { lookOf, lookVariables } from '../bench/model-looks.ts';

/** Gives the page the colours of all models. */
export function addLooks(): void {
  const sheet = new CSSStyleSheet();
  const dark = `@media (prefers-color-scheme: dark) { :root { ${lookVariables('dark')} } }`;
  sheet.replaceSync(`:root { ${lookVariables('light')} } ${dark}`);
  document.adoptedStyleSheets.push(sheet);
}

/** Gives an element the colour of a model. */
export function wear<T extends HTMLElement>(element: T, model: string): T {
  element.style.setProperty('--look', `var(--${lookOf(model)})`);
  return element;
}
