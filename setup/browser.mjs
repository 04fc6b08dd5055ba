// Finds the Chromium that the browser test drives, and in `npm test` as root on Debian installs it. Elsewhere
// a missing Chromium is no error here: the browser test then reports itself as skipped. It never downloads a browser
// by itself. RIMGRAD_CHROMIUM names another executable.
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { aptInstall, hasApt, osRelease } from './apt.mjs';
import { SetupError, say } from './say.mjs';

/** Path of a Chromium or Chrome executable, or undefined. */
export function findChromium() {
  const given = process.env.RIMGRAD_CHROMIUM;
  if (given !== undefined) return existsSync(given) ? given : undefined;
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome.exe'];
  const onPath = (process.env.PATH ?? '').split(delimiter).flatMap((folder) => names.map((name) => join(folder, name)));
  return [...onPath, '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'].find(existsSync);
}

/** Like findChromium, installing Debian's where it may. */
export function ensureChromium() {
  const found = findChromium();
  const mayInstall = process.getuid?.() === 0 && hasApt() && osRelease().ID === 'debian'; // Ubuntu's is a snap stub
  if (found || !mayInstall || process.env.RIMGRAD_CHROMIUM !== undefined) return found;
  try {
    aptInstall('chromium', 'no Chromium found for the browser test');
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message); // the browser test is skipped, by name
  }
  return findChromium();
}
