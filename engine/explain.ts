// A plan as text, for people: what a step does, how much memory it moves and how much it computes.

import { bytesOf, type Dispatch, dispatchesOf, isLoop, type Plan } from './plan.ts';

/** What the graph remarks of itself, one line for each kernel call, loops indented under their number of steps, and a summary at the end. */
export function explainPlan(plan: Plan): string {
  const lines: string[] = [...plan.remarks];
  let calls = 0;
  let operations = 0;
  let bytes = 0;
  const line = (dispatch: Dispatch, times: number): string => {
    const moved = bytesOf(dispatch);
    calls += times;
    operations += times * dispatch.operations;
    bytes += times * moved;
    const constants = Object.entries(dispatch.constants).map(([name, value]) => `${name}=${value}`);
    const kernel = [dispatch.kernel.name, ...constants].join(' ');
    const groups = dispatch.workgroups.join('x');
    return `${dispatch.label.padEnd(20)} ${kernel.padEnd(36)} ${groups.padStart(10)} groups ${amount(moved).padStart(8)}B ${amount(dispatch.operations).padStart(8)} ops`;
  };
  for (const item of plan.items) {
    if (!isLoop(item)) lines.push(line(item, 1));
    else {
      lines.push(`${item.steps} steps${item.reverse ? ', last to first' : ''}, ${item.body.length} calls each:`);
      for (const dispatch of item.body) lines.push(`  ${line(dispatch, item.steps)}`);
    }
  }
  const memory = plan.slots.reduce((sum, each) => sum + each, 0);
  const kernels = new Set(dispatchesOf(plan).map(({ source }) => source));
  lines.push(
    `in all ${calls} calls of ${kernels.size} kernels, ${amount(bytes)}B bound, ${amount(operations)} operations; ${amount(memory)}B of memory in ${plan.slots.length} buffers`,
  );
  return lines.join('\n');
}

/** A number with a unit prefix: 1.5k, 20M, 3.2G. */
function amount(value: number): string {
  const prefixes = ['', 'k', 'M', 'G', 'T'];
  let scaled = value;
  let i = 0;
  while (scaled >= 1000 && i < prefixes.length - 1) {
    scaled /= 1000;
    i++;
  }
  return `${scaled < 10 && i > 0 ? scaled.toFixed(1) : Math.round(scaled)}${prefixes[i]}`;
}
