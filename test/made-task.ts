// What tests of run folders and reports share: the facts of a copying task as a config has them. It tests nothing itself.
import { jobTask } from '../bench/job-tasks.ts';
import { parseMainOptions } from '../bench/options.ts';
import { factsOf, type TaskFacts } from '../bench/task-facts.ts';

/** The facts of the task that a command line asks for. */
export async function factsFor(...args: readonly string[]): Promise<TaskFacts> {
  const request = parseMainOptions(args);
  if (request.kind !== 'run') throw new Error(`it asks for ${request.kind}`);
  return factsOf(await jobTask(request.options));
}
