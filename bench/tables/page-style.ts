// The looks of a table's page, beside those of a report (report-style.ts) and of the systems (model-looks.ts).
//
// Always: colours are CSS variables with a value for light and one for dark; none carries a meaning alone, every line stands by its name.

/** Colours of the tested settings, the training's first. */
export const levelColours: readonly string[] = ['var(--level-1)', 'var(--level-2)', 'var(--level-3)', 'var(--level-4)'];

/** The style sheet, behind that of the report. */
export const pageStyle: string = `
:root {
  --level-1: #7fb8c4; --level-2: #3d93a5; --level-3: #c77c1f; --level-4: #96380c;
  --yes: #2f7a3b; --no: #b3362b; --more: #1c222638;
}
@media (prefers-color-scheme: dark) {
  :root {
    --level-1: #bfe6ee; --level-2: #56c5d8; --level-3: #f0b45d; --level-4: #f07f4a;
    --yes: #7fd08c; --no: #f28b82; --more: #000000c0;
  }
}
header p.protocol { margin-top: .8rem; }
.on-narrow { display: none; }
figure .legend { font-size: .86rem; gap: .1rem 1.1rem; margin: 0 0 .7rem; }
.charts figure .legend svg { display: inline-block; width: 2.4em; height: .9em; vertical-align: -.05em; }
.legend small { color: var(--muted); }
.results + .results, .scroll + .scroll { margin-top: 1.6rem; }
.results td { vertical-align: top; }
.results td small, .results th small { color: var(--muted); font-weight: 400; }
.results caption { max-width: min(44rem, calc(100vw - 2rem)); }
.results tbody th { white-space: normal; min-width: 8rem; vertical-align: top; }
.results tr > :first-child { position: sticky; left: 0; background: var(--page); }
/* A shadow at the side to which there is more: covered by the page's colour at the end, which scrolls with the table. */
.scroll {
  background:
    linear-gradient(to left, var(--page) 1.5rem, transparent) right / 3rem 100% local no-repeat,
    linear-gradient(to left, var(--more), transparent) right / .8rem 100% scroll no-repeat;
}
.results tbody th small { display: block; }
i.hue { display: inline-block; width: .6em; height: .6em; border-radius: 50%; margin-right: .5em; }
.open { color: var(--no) !important; }
.verdicts { list-style: none; padding: 0; margin: 0; }
.verdicts li { border-left: 3px solid var(--line); padding: .15rem 0 .15rem .9rem; margin: .8rem 0; }
.verdicts p { margin: 0; max-width: none; }
.verdicts .because { color: var(--muted); font-size: .92rem; }
.outcome { text-transform: uppercase; font-size: .75rem; letter-spacing: .04em; margin-right: .5em; color: var(--muted); }
.holds { border-left-color: var(--yes) !important; } .holds .outcome { color: var(--yes); }
.does-not-hold { border-left-color: var(--no) !important; } .does-not-hold .outcome { color: var(--no); }
.charts.small { grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); }
.command { font: .82rem/1.4 ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace; text-align: left; white-space: normal; min-width: 28rem; }
.commands th { vertical-align: top; }
.usage { min-width: 18rem; }
.usage td { text-align: center; }
.tables { align-items: start; margin: 1.2rem 0 1.8rem; }
.tables .scroll + .scroll { margin-top: 0; }
code { font: .9em ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
details > .scroll { margin-top: .6rem; }
.not-asked { color: var(--muted); }
@media (max-width: 44rem) { .on-wide { display: none; } .on-narrow { display: block; } }
@media (max-width: 36rem) { .results tbody th { min-width: 6.5rem; } .results caption { padding-right: 1rem; } }
`;
