// The entry for runtimes that have `navigator.gpu`: Deno runs it as its main module, the page of the browser test imports it;
// either way it logs the report (bench/runtimes.ts). It uses nothing but the web's own APIs.
import { openDevice } from '../../engine/index.ts';
import { report } from './report.ts';

console.log(JSON.stringify(await report(openDevice)));
