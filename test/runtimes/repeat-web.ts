// The entry of repeat.ts for runtimes that have `navigator.gpu`: Deno runs it as its main module and reads its output, a page imports
// it and reads what it exports. It uses nothing but the web's own APIs.
import { openDevice } from '../../engine/index.ts';
import { type Repeats, repeats } from './repeat.ts';

export const found: Repeats = await repeats(openDevice, []);

if ('Deno' in globalThis) console.log(JSON.stringify(found));
