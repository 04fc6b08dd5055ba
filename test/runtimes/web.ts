// The entry for runtimes that have `navigator.gpu`: Deno runs it as its main module and reads the report from its output,
// the page of the browser test imports it and reads the report from the module. It uses nothing but the web's own APIs.
import { openDevice } from '../../engine/index.ts';
import { type Report, report } from './report.ts';

export const found: Report = await report(openDevice);

if ('Deno' in globalThis) console.log(JSON.stringify(found));
