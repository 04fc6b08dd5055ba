// What the page says where it cannot train: which browsers have WebGPU, and what to switch on. Words only.

import { make } from './dom.ts';
import type { Unavailable } from './messages.ts';

const TITLES: Readonly<Record<Unavailable, string>> = {
  'no-webgpu': 'This browser does not offer WebGPU here',
  insecure: 'This page was not opened securely',
  'no-adapter': 'WebGPU is here, but it found no graphics adapter',
};

function list(...items: readonly (readonly (Node | string)[])[]): HTMLElement {
  return make('ul', {}, ...items.map((parts) => make('li', {}, ...parts)));
}

const code = (text: string): HTMLElement => make('code', {}, text);

/** The title and what to do about it. */
export function explainUnavailable(reason: Unavailable, message: string): readonly HTMLElement[] {
  const title = make('h2', { id: 'unavailable-title' }, TITLES[reason]);
  if (reason === 'insecure') {
    const mend = 'Browsers give WebGPU only to pages that come over https, or from localhost. Open this page that way.';
    return [title, make('p', {}, mend)];
  }
  const browsers = [
    make('h3', {}, 'Browsers that have it'),
    list(
      [
        make('strong', {}, 'Chrome and Edge 113'),
        ' or newer on Windows, macOS and ChromeOS; Chrome 121 or newer on Android',
      ],
      [make('strong', {}, 'Safari 26'), ' or newer on macOS, iOS, iPadOS and visionOS'],
      [make('strong', {}, 'Firefox 141'), ' or newer on Windows, 145 or newer on macOS with Apple silicon'],
    ),
  ];
  const mends = [
    make('h3', {}, 'What to switch on'),
    list(
      [
        'Chrome, Edge: ',
        code('chrome://settings/system'),
        ', “Use graphics acceleration when available”, then start the browser again',
      ],
      [
        'Chrome on Linux: ',
        code('chrome://flags/#enable-unsafe-webgpu'),
        ' and ',
        code('chrome://flags/#enable-vulkan'),
      ],
      [
        'Firefox: ',
        code('about:config'),
        ', ',
        code('dom.webgpu.enabled'),
        ' and ',
        code('dom.webgpu.workers.enabled'),
      ],
      ['Safari before 26: Settings, Feature Flags, “WebGPU”'],
      [
        'Any: newer graphics drivers. ',
        code('chrome://gpu'),
        ' and ',
        code('about:support'),
        ' say what the browser found',
      ],
    ),
  ];
  const detail =
    message === '' || /no adapter/.test(message) ? [] : [make('p', { class: 'hint' }, `The browser said: ${message}.`)];
  const lead =
    'Training needs WebGPU, the browser’s way to the GPU. Everything else on this page works without: load a run to see its curves.';
  const parts = reason === 'no-adapter' ? [...mends, ...browsers] : [...browsers, ...mends];
  return [title, make('p', {}, lead), ...parts, ...detail];
}
