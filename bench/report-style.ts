// The looks of the report page: one style sheet, for light and dark screens, phones and paper.
//
// Always: no fonts, images or imports from anywhere; the colours of the charts are the variables defined here.
// Not here: what stands on the page (report.ts).

import { lookVariables } from './model-looks.ts';

/** The style sheet of the report. */
export const reportStyle: string = `
:root {
  color-scheme: light dark;
  --page: #fcfbf8; --card: #ffffff; --ink: #1c2226; --muted: #646d75; --line: #e4e1d9;
  ${lookVariables('light')} --accent: #0c7489;
  --on: #262d33; --off: #ebe8e0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --card: #1a1e22; --ink: #e7e4dd; --muted: #9aa3ab; --line: #2e343a;
    ${lookVariables('dark')} --accent: #56c5d8;
    --on: #dcd8cf; --off: #262b30;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
}
main { max-width: 62rem; margin: 0 auto; padding: 3rem 1.25rem 4rem; }
header p { margin: 0; }
.kicker { color: var(--accent); font-weight: 600; letter-spacing: .02em; }
h1 { font-size: clamp(1.6rem, 4.5vw, 2.3rem); line-height: 1.2; margin: .3rem 0 .9rem; letter-spacing: -.015em; }
h2 { font-size: 1.3rem; margin: 3rem 0 .4rem; letter-spacing: -.01em; }
h3 { font-size: 1rem; margin: 0 0 .5rem; }
p { max-width: 44rem; margin: .4rem 0 1rem; }
.lead { font-size: 1.12rem; }
.meta { color: var(--muted); font-size: .92rem; }
header p.meta { margin-top: .8rem; }
.note { border-left: 3px solid var(--lstm); padding: .2rem 0 .2rem .8rem; margin: 1rem 0 0; }
.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.tables { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1.6rem 2.4rem; }
.tables.long { grid-template-columns: minmax(0, 1fr); }
.tables .scroll { min-width: 0; }
.results { width: 100%; }
caption { text-align: left; color: var(--muted); font-size: .92rem; padding-bottom: .6rem; }
th, td { padding: .5rem .8rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child { text-align: left; padding-left: 0; }
thead th { font-weight: 600; font-size: .88rem; color: var(--muted); vertical-align: bottom; }
thead th[scope="colgroup"] { color: var(--ink); font-size: 1rem; text-align: center; }
tbody th { font-weight: 500; }
tbody th small { color: var(--muted); font-size: .85rem; }
.results .level { color: var(--muted); font-weight: 400; }
.best { font-weight: 700; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1.25rem; }
figure { margin: 0; padding: 1.1rem 1.2rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.charts figure svg { display: block; width: 100%; height: auto; }
figcaption { color: var(--muted); font-size: .9rem; margin-top: .6rem; max-width: 46rem; }
figure + figure.strip { margin-top: 1.25rem; }
.strip svg { display: block; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.3rem; padding: 0; margin: .2rem 0 1rem; list-style: none; font-size: .92rem; }
.legend i { display: inline-block; width: 1.1em; height: .7em; border-radius: 2px; margin-right: .45em; }
.legend i.dash { height: 0; border-top: 2px dashed var(--muted); border-radius: 0; vertical-align: middle; }
.legend svg { width: 2em; height: .7em; margin-right: .45em; }
i.on { background: var(--on); } i.off { background: var(--off); outline: 1px solid var(--line); }
details { margin-top: .7rem; font-size: .92rem; }
summary { cursor: pointer; color: var(--muted); }
details table { margin-top: .6rem; }
details th, details td { padding: .25rem .8rem; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); gap: 0 2rem; margin: .8rem 0 0; }
dl div { display: flex; justify-content: space-between; gap: 1rem; padding: .3rem 0; border-bottom: 1px solid var(--line); }
dl.wide { grid-template-columns: 1fr; }
dl.wide div { justify-content: flex-start; }
dl.wide dt { min-width: 8rem; }
dt { color: var(--muted); }
dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
footer { margin-top: 3.5rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--muted); font-size: .9rem; }
@media (max-width: 36rem) {
  main { padding: 1.75rem 1rem 3rem; }
  th, td { padding: .45rem .35rem; }
  .results { font-size: .86rem; }
  .results th { white-space: normal; }
  .results thead th { font-size: .78rem; }
  figure { padding: .9rem .8rem; }
}
@media print { main { padding: 0; max-width: none; } figure, tr { break-inside: avoid; } }
`;
