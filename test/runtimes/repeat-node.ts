// The entry of repeat.ts for a process of Node of its own: it prints what it found.
import { openDevice } from '../../engine/node.ts';
import { repeats } from './repeat.ts';

console.log(JSON.stringify(await repeats(openDevice, [])));
