// The frame of a page that stands alone: its head, a policy that lets nothing be loaded, the style, and the sections. Its
// looks are in report-style.ts; what stands on a page is made by report.ts and speed/page.ts.

import { reportStyle } from './report-style.ts';

/** Text as it may stand between tags and in attributes. */
export function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** A whole page from its sections, already HTML; empty ones are left out. */
export function htmlPage(title: string, sections: readonly string[], extraStyle: string = ''): string {
  const policy = "default-src 'none'; style-src 'unsafe-inline'";
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${escapeText(title)}</title>
<style>${reportStyle}${extraStyle}</style>
</head>
<body>
<main>
${sections.filter((section) => section !== '').join('\n')}
</main>
</body>
</html>
`;
}
