// The entry of repeat.ts for runtimes that have `navigator.gpu`: Deno runs it as its main module, a page imports it; either way it
// logs what it found (bench/runtimes.ts). It uses nothing but the web's own APIs.
import { openDevice } from '../../engine/index.ts';
import { repeats } from './repeat.ts';

console.log(JSON.stringify(await repeats(openDevice, [])));
