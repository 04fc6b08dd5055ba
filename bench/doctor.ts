// `rimgrad doctor`, and `npm run doctor`: prints what the library would run on here (runtime, adapter, its limits and features, driver, the
// other runtimes of the tests) and what is missing, with the command that mends it. It installs and changes nothing;
// the set-up hands it what it found out in RIMGRAD_MEND and RIMGRAD_CHROMIUM. Exit status 1 without a usable adapter.
import { spawnSync } from 'node:child_process';
import { arch, availableParallelism, release, totalmem } from 'node:os';
import { openDevice } from '../engine/node.ts';
import { commandOf, EXIT, endWhenUnread, readArguments } from './command-line.ts';
import { packageVersion } from './versions.ts';

/** The limits that decide what the kernels and plans may do, with the unit they are shown in. */
const LIMITS = {
  maxBufferSize: 'MiB',
  maxStorageBufferBindingSize: 'MiB',
  maxStorageBuffersPerShaderStage: '',
  maxComputeWorkgroupStorageSize: 'KiB',
  maxComputeInvocationsPerWorkgroup: '',
  maxComputeWorkgroupsPerDimension: '',
  minStorageBufferOffsetAlignment: 'bytes',
} as const satisfies Partial<Record<keyof GPUSupportedLimits, string>>;
const UNITS = { MiB: 2 ** 20, KiB: 2 ** 10, bytes: 1, '': 1 } as const;

interface Adapter {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly software: boolean;
  readonly limits: Readonly<Record<string, number>>;
  readonly features: readonly string[];
}

interface Report {
  readonly rimgrad: string;
  readonly runtime: string;
  readonly machine: string;
  readonly binding: string;
  readonly driver: string;
  readonly adapter: Adapter | null;
  readonly deno: string | null;
  readonly chromium: string | null;
  /** What is missing, and the command or step that mends it. */
  readonly missing: readonly { readonly what: string; readonly mend: string }[];
}

function chromiumVersion(): string | null {
  const path = process.env.RIMGRAD_CHROMIUM;
  if (!path) return null;
  const { status, stdout } = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 20_000 });
  return status === 0 ? `${stdout.trim().replace(/ built on .*/, '')} (${path})` : null;
}

/** Asks for the adapter and opens the library's device on it. The first result is null where either fails. */
async function examineAdapter(): Promise<[adapter: Adapter | null, problem: string]> {
  try {
    const { create } = await import('webgpu');
    const gpu: GPU = create([]);
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (adapter === null) return [null, 'a WebGPU adapter'];
    using device = await openDevice({ gpu });
    const { vendor, architecture, device: name, description, software } = device.adapter;
    const limits = Object.keys(LIMITS).map((key) => [key, adapter.limits[key as keyof typeof LIMITS]]);
    const features = [...adapter.features].sort();
    const found = { vendor, architecture, device: name, description, software, features };
    return [{ ...found, limits: Object.fromEntries(limits) }, ''];
  } catch (error) {
    return [null, `a usable device (${error instanceof Error ? error.message : String(error)})`];
  }
}

async function examine(): Promise<Report> {
  const [adapter, problem] = await examineAdapter();
  const deno = packageVersion('deno');
  const chromium = chromiumVersion();
  const missing: { what: string; mend: string }[] = [];
  const binding = packageVersion('webgpu');
  const adapterMend = process.env.RIMGRAD_MEND ?? 'update the graphics driver';
  if (binding === null) missing.push({ what: 'the package webgpu, the WebGPU of Node', mend: 'npm install webgpu' });
  else if (adapter === null) missing.push({ what: problem, mend: adapterMend });
  // The other runtimes belong to the tests, which a checkout has and the package has not.
  const tests = process.env.RIMGRAD_CALLED !== undefined;
  if (tests && deno === null) missing.push({ what: 'Deno, for its test', mend: 'npm ci' });
  if (tests && chromium === null) {
    const mend =
      'install Chromium or Chrome, or name its executable in RIMGRAD_CHROMIUM (Debian: sudo apt-get install chromium)';
    missing.push({ what: 'Chromium, for the browser test', mend });
  }
  return {
    rimgrad: packageVersion('rimgrad') ?? 'unknown',
    runtime: `Node ${process.versions.node}`,
    machine: `${process.platform} ${release()} ${arch()}, ${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    binding: binding === null ? 'none' : `webgpu ${binding} (Dawn)`,
    driver: process.env.VK_DRIVER_FILES || process.env.VK_ICD_FILENAMES || "the system's own",
    adapter,
    deno,
    chromium,
    missing,
  };
}

function print(report: Report): void {
  const line = (label: string, value: string): void => console.log(`${label.padEnd(12)}${value}`);
  line('rimgrad', report.rimgrad);
  line('runtime', report.runtime);
  line('machine', report.machine);
  line('WebGPU', report.binding);
  line('driver', report.driver);
  if (report.adapter) {
    const { vendor, architecture, description, device, software, limits, features } = report.adapter;
    line('adapter', [vendor, architecture, device, description].filter(Boolean).join(', '));
    line('', software ? 'software: works everywhere, but a GPU is far faster' : 'hardware');
    for (const [name, unit] of Object.entries(LIMITS)) {
      line(
        name === 'maxBufferSize' ? 'limits' : '',
        `${name} ${Math.round((limits[name] ?? Number.NaN) / UNITS[unit])} ${unit}`.trim(),
      );
    }
    line('features', features.join(', '));
  }
  line('Deno', report.deno ?? 'not found');
  line('Chromium', report.chromium ?? 'not found');
  for (const { what, mend } of report.missing) console.log(`missing: ${what}\n  mend:  ${mend}`);
  if (report.missing.length === 0) console.log('nothing is missing');
}

/** Tells what there is. @returns the exit code: 1 without a usable adapter */
export async function doctor(args: readonly string[]): Promise<number> {
  const command = commandOf(
    'doctor',
    'Prints the runtime, the WebGPU adapter, its limits and features, and what is missing, with what mends it.\n' +
      'Its exit code is 1 where there is no adapter to run on. It installs and changes nothing.',
    [
      ['', ''],
      ['--json', 'for machines: one JSON object, nothing else'],
    ],
  ).option('--json', 'print one JSON object');
  endWhenUnread();
  const help = readArguments(command, args);
  if (help !== undefined) {
    process.stdout.write(help);
    return EXIT.done;
  }
  const report = await examine();
  if (command.opts<{ json?: true }>().json) console.log(JSON.stringify(report, null, 2));
  else print(report);
  return report.adapter === null ? EXIT.failed : EXIT.done;
}
