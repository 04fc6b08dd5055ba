// Makes sure of a WebGPU adapter for Node and gives the environment in which a child process finds it. A real GPU
// always wins and nothing is installed; without one, an installed software Vulkan driver (lavapipe, then Chromium's
// SwiftShader); without that, as root on Debian/Ubuntu, lavapipe is installed. Nothing is set outside the child.
// Run by itself (`node setup/adapter.mjs`, as root) it does the same and says which adapter there is.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { aptInstall, hasApt, osRelease } from './apt.mjs';
import { SetupError, say } from './say.mjs';

const probeScript = fileURLToPath(new URL('probe.mjs', import.meta.url));
const LAVAPIPE = 'mesa-vulkan-drivers';
const OLDEST_MESA = 23; // Dawn refuses lavapipe 22
const isRoot = process.getuid?.() === 0;

/** {adapter: {name, software} | null, env, problem?}: what Dawn finds with `extra` added to the environment. */
function probe(extra = {}) {
  const runtime = process.platform === 'linux' && !process.env.XDG_RUNTIME_DIR ? { XDG_RUNTIME_DIR: tmpdir() } : {};
  const env = { ...runtime, ...extra };
  const child = spawnSync(process.execPath, [probeScript], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
    timeout: 60_000,
  });
  const line = child.stdout?.trim().split('\n').at(-1);
  if (child.status === 0 && line) return { ...JSON.parse(line), env };
  return { adapter: null, env, problem: child.stderr?.match(/^\w*Error.*$/m)?.[0] };
}

/** Driver files of GPUs that container runtimes mount outside the loader's own search path. */
const hardwareDrivers = ['/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json'];

/** Driver files of software Vulkan that may lie outside the loader's own search path, best first. */
function softwareDrivers() {
  const folders = ['/usr/share/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/etc/vulkan/icd.d'];
  const lavapipe = folders.filter(existsSync).flatMap((folder) =>
    readdirSync(folder)
      .filter((file) => /^lvp_icd.*\.json$/.test(file))
      .map((file) => join(folder, file)),
  );
  const browsers = ['/usr/lib/chromium', '/usr/lib/chromium-browser', '/opt/google/chrome'];
  const swiftshader = browsers.map((folder) => join(folder, 'vk_swiftshader_icd.json'));
  return [...lavapipe, ...swiftshader];
}

/** The environment that makes the Vulkan loader use one driver file, with the loader beside it if it brings one. */
function driverEnv(file) {
  const loader = existsSync(join(dirname(file), 'libvulkan.so.1'));
  const path = [process.env.LD_LIBRARY_PATH, dirname(file)].filter(Boolean).join(':');
  return { VK_ICD_FILENAMES: file, VK_DRIVER_FILES: file, ...(loader ? { LD_LIBRARY_PATH: path } : {}) };
}

/** Looks for an adapter without installing anything: {adapter, env, problem?}; adapter is null when there is none. */
export function findAdapter() {
  const asIs = probe();
  const driverGiven = process.env.VK_ICD_FILENAMES || process.env.VK_DRIVER_FILES;
  const isHardware = (found) => found.adapter !== null && !found.adapter.software;
  if (isHardware(asIs) || driverGiven || process.platform !== 'linux') return asIs;
  const firstWith = (files, fits) => {
    for (const file of files.filter(existsSync)) {
      const found = probe(driverEnv(file));
      if (fits(found)) return found;
    }
    return undefined;
  };
  const gpu = firstWith(hardwareDrivers, isHardware);
  if (gpu || asIs.adapter) return gpu ?? asIs;
  return firstWith(softwareDrivers(), (found) => found.adapter !== null) ?? asIs;
}

/** The command that gives this machine an adapter, or a sentence where no command can. */
export function adapterMend(os = osRelease()) {
  if (process.platform !== 'linux') return 'update the graphics driver';
  if (hasApt(os)) return `sudo "${process.execPath}" "${fileURLToPath(import.meta.url)}"`;
  const like = `${os.ID} ${os.ID_LIKE}`;
  if (/\b(fedora|rhel|centos)\b/.test(like)) return `sudo dnf install ${LAVAPIPE} vulkan-loader`;
  if (/\barch\b/.test(like)) return 'sudo pacman -S vulkan-swrast vulkan-icd-loader';
  if (/\bsuse\b/.test(like)) return 'sudo zypper install libvulkan_lvp libvulkan1';
  return `install a Vulkan driver: the GPU's own, or Mesa's lavapipe ${OLDEST_MESA} or newer (software)`;
}

/** Makes sure of an adapter, installing lavapipe where it may; returns {adapter, env} or throws SetupError. */
export function ensureAdapter() {
  const found = findAdapter();
  if (found.adapter) return found;
  if (process.env.VK_ICD_FILENAMES || process.env.VK_DRIVER_FILES) {
    throw new SetupError(
      'no WebGPU adapter with the Vulkan driver that VK_ICD_FILENAMES / VK_DRIVER_FILES names; unset it',
    );
  }
  if (found.problem) throw new SetupError(`the npm package webgpu does not run here: ${found.problem}`);
  if (!(isRoot && hasApt())) throw new SetupError(`no WebGPU adapter found. To mend it, run:\n  ${adapterMend()}`);
  aptInstall(LAVAPIPE, 'no WebGPU adapter found', OLDEST_MESA);
  const now = findAdapter();
  if (!now.adapter)
    throw new SetupError(`${LAVAPIPE} is installed, yet Dawn finds no WebGPU adapter; npm run doctor says more`);
  return now;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    say(`WebGPU adapter: ${ensureAdapter().adapter.name}`);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
    process.exitCode = 1;
  }
}
