// Where a benchmark runs: adapter, runtime, versions, commit, machine. Not here: what is measured (bench.ts).

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { arch, availableParallelism, cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Device } from '../../engine/core.ts';
import { adapterName } from '../messages.ts';
import { packageVersion } from '../versions.ts';
import type { Environment } from './result.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Looks around. */
export function environmentOf(device: Device): Environment {
  const commit = git(['rev-parse', 'HEAD']);
  const status = commit === null ? null : git(['status', '--porcelain']);
  return {
    date: new Date().toISOString(),
    commit,
    changed: status === null ? null : status !== '',
    adapter: { ...device.adapter, name: adapterName(device), subgroupSize: device.subgroupSize },
    features: [...device.gpu.features].map(String).sort(),
    rimgrad: packageVersion('rimgrad') ?? 'unknown',
    node: process.versions.node,
    webgpu: packageVersion('webgpu'),
    platform: `${process.platform} ${release()} ${arch()}`,
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    processors: availableParallelism(),
    memory: totalmem(),
  };
}

function git(args: readonly string[]): string | null {
  // Not in an installed package, where git would speak of somebody else's repository.
  if (!existsSync(join(root, '.git'))) return null;
  const { status, stdout } = spawnSync('git', [...args], { cwd: root, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}
