// The part of a report that shows which modules of a RIM were active, as Figure 2 of the paper does: a strip for each sample sequence,
// and the same in numbers.
//
// Always: of copying it tells the phases and what is wanted; of any other task the inputs alone. Not here: the drawing (charts.ts).

import { at } from '../engine/errors.ts';
import { activationStrip, type StripNotes } from './charts.ts';
import { escapeText } from './html-page.ts';
import type { Activation } from './metrics.ts';
import type { RunConfig } from './run-config.ts';
import { copyingPhases } from './tasks/index.ts';

/** The section of a report; empty where nothing was looked at. */
export async function stripsSection(
  { task, options }: Pick<RunConfig, 'task' | 'options'>,
  activations: readonly Activation[],
): Promise<string> {
  if (activations.length === 0) return '';
  const strips: string[] = [];
  for (const activation of activations) strips.push(await stripFigure({ task, options }, activation));
  const pattern =
    task.name === 'copying'
      ? " The paper's Figure 2 shows such a pattern: one for the digits, a steady one in the blank, one for the recall."
      : '';
  return `<section aria-labelledby="modules">
<h2 id="modules">Which modules were active</h2>
<p>At each step the modules compete for the input; the winners update their state, the others keep theirs as it is.${pattern}</p>
<ul class="legend"><li><i class="on"></i>active</li><li><i class="off"></i>inactive</li></ul>
${strips.join('\n')}
</section>`;
}

/** One sample sequence. @param of what its modules are those of, as people call it */
export async function stripFigure(
  { task, options }: Pick<RunConfig, 'task' | 'options'>,
  activation: Activation,
  of: string = activation.model,
): Promise<string> {
  const { setting, inputs } = activation;
  const notes = notesOf(task.name, options.digits, activation);
  const text = `Active modules of the ${of} over ${inputs.length} steps, ${task.setting} ${setting}. The table below it holds the numbers.`;
  const svg = await activationStrip(activation, notes, escapeText(text));
  const factor = setting === task.trained ? 'as in training' : `trained at ${task.trained}`;
  return `<figure class="strip">
<h3>${escapeText(`${capital(task.setting)} of ${setting}, ${factor}`)}</h3>
<div class="scroll" tabindex="0" role="region" aria-label="${escapeText(`Active modules of the ${of}, ${task.setting} ${setting}`)}">
${svg}
</div>
<figcaption>One test sequence of ${inputs.length} steps. ${escapeText(inputsInWords(task.name, inputs))}</figcaption>
${shares(activation, notes)}
</figure>`;
}

/** What is known of a sequence besides its inputs. */
function notesOf(task: string, digits: unknown, { setting, inputs }: Activation): StripNotes {
  if (task !== 'copying' || typeof digits !== 'number' || inputs.length !== setting + 2 * digits) {
    return { phases: [], wanted: [] };
  }
  const { input, blank, recall } = copyingPhases({ digits, blank: setting });
  const named = [
    [input, 'digits'],
    [blank, setting > 3 ? `blank, ${setting} steps` : 'blank'],
    [recall, 'recall'],
  ] as const;
  return {
    phases: named.map(([[from, to], name]) => ({ name, from, to })),
    wanted: inputs.slice(0, digits).map((symbol, i) => ({ step: recall[0] + i, name: String(symbol) })),
  };
}

function inputsInWords(task: string, inputs: Activation['inputs']): string {
  if (task === 'copying') {
    return 'Under the modules the input: digits, blanks (·) and the marker 9; then the digits that are wanted.';
  }
  const symbols = typeof inputs[0] === 'number';
  return symbols
    ? 'Under the modules the input symbols.'
    : 'Under the modules the input, a row for each channel: the darker or brighter against the page, the larger.';
}

// The strip in numbers: the share of the steps of each phase, or of all, in which each module was active.
function shares({ mask }: Activation, { phases }: StripNotes): string {
  const parts = phases.length > 0 ? phases : [{ name: 'all steps', from: 0, to: mask.length }];
  const rows = at(mask, 0).map((_, n) => {
    const cells = parts.map(({ from, to }) => {
      const active = mask.slice(from, to).reduce((sum, row) => sum + at(row, n), 0);
      return `<td>${Math.round((100 * active) / (to - from))} %</td>`;
    });
    return `<tr><th scope="row">module ${n + 1}</th>${cells.join('')}</tr>`;
  });
  const heads = parts.map(({ name }) => `<th scope="col">${escapeText(name.replace(/,.*/, ''))}</th>`);
  return `<details>
<summary>The same in numbers</summary>
<table>
<caption>Share of the steps${phases.length > 0 ? ' of each phase' : ''} in which a module was active</caption>
<thead><tr><td></td>${heads.join('')}</tr></thead>
<tbody>${rows.join('')}</tbody>
</table>
</details>`;
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
