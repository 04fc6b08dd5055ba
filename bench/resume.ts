// A run that goes on: which one is meant, whether it can, with which options and from where.
//
// Always: nothing is changed here, so that a refusal leaves the run as it was; the options are those that the run was begun with,
// but for the few that may change. Not here: the training (train.ts), and the cutting back of the metrics (runs.ts).

import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Checkpoint } from '../engine/core.ts';
import { FileError, OptionError } from '../engine/errors.ts';
import { namesIn } from './disk.ts';
import { flagOf } from './option-rows.ts';
import {
  CHANGEABLE,
  decidingOptions,
  keptOptions,
  type MainOptions,
  MOVABLE,
  parseMainOptions,
  type ResumeRequest,
} from './options.ts';
import type { RunConfig } from './run-config.ts';
import { readRunCheckpoint, readRunConfig, runsAs } from './runs.ts';
import { type ModelProgress, readProgress } from './training-state.ts';

/** A run that goes on. */
export interface Resumed {
  readonly path: string;
  readonly config: RunConfig;
  readonly options: MainOptions;
  /** Undefined where the run was stopped before its first: then it begins again, which comes to the same. */
  readonly checkpoint: Checkpoint | undefined;
  /** Lines of the metrics that belong to the checkpoint. */
  readonly told: number;
}

/**
 * Finds the run that a command line means and reads what it needs to go on.
 *
 * @throws FileError where there is no such run, or it is damaged; OptionError where it is finished, still runs, or an option is
 *   given that may not change.
 */
export function openResumed(request: ResumeRequest): Resumed {
  const path = request.run === undefined ? newestRun(request.out) : folderOf(request.run, request.out);
  const config = readRunConfig(path);
  const pid = runsAs(config);
  if (pid !== undefined && !request.force) {
    throw new OptionError(
      `${path}: still runs, as process ${pid}; stop it first, or give --force if that is another program by now`,
    );
  }
  const options = resumedOptions(config.options, request.args, join(path, 'config.json'));
  if (config.task.name !== options.task) {
    throw new FileError(
      `${join(path, 'config.json')}: a run on ${config.task.name} with options of ${options.task}; it is damaged`,
    );
  }
  const checkpoint = readRunCheckpoint(path);
  const { models, told } = checkpoint === undefined ? { models: [], told: 0 } : readProgress(checkpoint);
  if (config.status === 'finished') checkSteps(path, models, options, config);
  const placed = { ...options, out: dirname(path), name: basename(path) };
  return { path, config, options: placed, checkpoint, told };
}

/** The steps of the models that have begun, in words. */
export function describeProgress(models: readonly ModelProgress[]): string {
  const begun = models.filter(({ step }) => step > 0).map(({ model, step }) => `step ${step} of the ${model}`);
  return begun.length === 0 ? 'the beginning' : begun.join(' and ');
}

/** A run by its name or by its folder. @throws FileError naming the newest runs where there is none of it */
function folderOf(run: string, out: string): string {
  const named = join(out, run);
  if (existsSync(named)) return named;
  if (existsSync(run)) return run;
  const newest = runsIn(out).slice(0, LISTED);
  if (newest.length === 0)
    throw new FileError(`${named}: no such folder, and ${out} holds no run; give --out, or the folder of a run`);
  const names = newest.map(({ path }) => basename(path)).join(', ');
  throw new FileError(`${named}: no such folder; the newest runs in ${out} are ${names}`);
}

/** The most runs that a message names. */
const LISTED = 5;

/** The runs of a folder, the newest first. */
function runsIn(out: string): { readonly path: string; readonly started: string }[] {
  const folders = existsSync(out) ? namesIn(out).map((name) => join(out, name)) : [];
  return folders
    .filter((path) => existsSync(join(path, 'config.json')))
    .flatMap((path) => {
      try {
        return [{ path, started: readRunConfig(path).started }];
      } catch {
        return []; // not one that could be meant; by its name it is refused with the reason
      }
    })
    .sort((a, b) => (a.started < b.started ? 1 : -1));
}

/** The run of a folder that was begun last. */
function newestRun(out: string): string {
  const [newest, second] = runsIn(out);
  if (newest === undefined)
    throw new FileError(`${out}: no run in it to go on with; give --out, or the folder of a run`);
  if (newest.started === second?.started) {
    throw new OptionError(`--resume: ${newest.path} and ${second.path} began at one moment; say which`);
  }
  return newest.path;
}

/** The options of a run that goes on: those that it was begun with, and of those on the command line the ones that may change. */
function resumedOptions(saved: Readonly<Record<string, unknown>>, args: readonly string[], where: string): MainOptions {
  const begun = keptOptions(saved, where);
  const request = parseMainOptions(args, saved);
  if (request.kind !== 'run') throw new OptionError('--resume and --help do not go together; leave one out');
  const given = request.options;
  const [old, now] = [decidingOptions(begun), decidingOptions(given)];
  for (const [name, value] of Object.entries(now)) {
    if (JSON.stringify(value) === JSON.stringify(old[name])) continue;
    throw new OptionError(
      `${flagOf(name)}: the run was begun with ${String(old[name] ?? 'none')}, not ${String(value)}, and only ${[...CHANGEABLE, ...MOVABLE].map(flagOf).join(', ')} may change; leave it out, or begin another run`,
    );
  }
  return given;
}

function checkSteps(path: string, models: readonly ModelProgress[], options: MainOptions, config: RunConfig): void {
  if (models.length === 0) {
    throw new OptionError(`${path}: the run is finished and has no checkpoint to go on from; begin another run`);
  }
  if (models.some(({ step }) => step < options.steps)) return;
  throw new OptionError(
    `${path}: the run is finished: all ${String(config.options.steps)} steps are done; give more --steps to go on, or begin another run`,
  );
}
