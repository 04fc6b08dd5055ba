// The entry of the command line: `rimgrad COMMAND [ARG ...]`, of the npm package and behind the npm scripts.
//
// Always: a command's code is loaded when it is called, so that help is quick; the exit code is the command's. Standard output
// holds what was asked for and nothing else.
// Not here: the set-up around it (setup/rimgrad.mjs, setup/run.mjs), and the commands.

import { nearest, OptionError } from '../engine/errors.ts';
import { EXIT, fail } from './command-line.ts';
import { packageVersion } from './versions.ts';

/** A command with the arguments after its name. @returns its exit code */
type Run = (args: readonly string[]) => Promise<number>;

const COMMANDS: Readonly<Record<string, readonly [about: string, load: () => Promise<Run>]>> = {
  train: [
    'train models on a task: RIMs, LSTMs and others on copying, adding or digits',
    async () => (await import('./train-command.ts')).train,
  ],
  eval: ['test saved weights at settings of your own', async () => (await import('./eval-command.ts')).evaluateSaved],
  table: ['train and show a table of the paper', async () => (await import('./table-command.ts')).table],
  report: ["render a run's page again", async () => (await import('./report-command.ts')).report],
  gradcheck: ['check every op on this device against float64', async () => (await import('./gradcheck.ts')).gradcheck],
  doctor: ['tell what there is to run on, and what is missing', async () => (await import('./doctor.ts')).doctor],
  bench: ['time training steps', async () => (await import('./speed/command.ts')).bench],
};

const HELP = `Usage: rimgrad <command> [options]

Trains Recurrent Independent Mechanisms on the WebGPU device that is there.

Commands:
${Object.entries(COMMANDS)
  .map(([name, [about]]) => `  ${name.padEnd(10)} ${about}`)
  .join('\n')}

rimgrad <command> --help tells the options of a command, with examples; rimgrad --version the version.
WebGPU in Node comes from the package webgpu: npm install rimgrad webgpu

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C, 141 nobody reads the output any more.
`;

async function main([name, ...rest]: readonly string[]): Promise<number> {
  if (name === undefined) {
    process.stderr.write(HELP);
    return EXIT.usage;
  }
  const args = name === 'help' ? rest.slice(0, 1).flatMap((topic) => [topic, '--help']) : [name, ...rest];
  const [first = '--help', ...others] = args;
  if (first === '-h' || first === '--help') {
    process.stdout.write(HELP);
    return EXIT.done;
  }
  if (first === '-V' || first === '--version') {
    process.stdout.write(`${packageVersion('rimgrad') ?? 'unknown'}\n`);
    return EXIT.done;
  }
  const command = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  if (command === undefined) {
    const near = nearest(first, Object.keys(COMMANDS));
    const mend = near === undefined ? '' : `did you mean ${near}? `;
    throw new OptionError(`there is no command '${first}'; ${mend}See rimgrad --help`);
  }
  const [, load] = command;
  return (await load())(others);
}

// Somebody may close the terminal's end of it while we are busy.
process.stderr.on('error', () => {});
process.exitCode = await main(process.argv.slice(2)).catch(fail);
