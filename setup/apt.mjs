// Installs a Debian/Ubuntu package as root without touching the system's own apt state: package lists, sources and
// downloads live in a temporary folder that is removed afterwards. Mirrors and keys are those of the machine's own
// sources (one-line and deb822); where the release's version is too old, the same mirror's backports suite is read too.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SetupError, say } from './say.mjs';

/** Fields of /etc/os-release ({} where there is none). */
export function osRelease(path = '/etc/os-release') {
  if (!existsSync(path)) return {};
  const lines = readFileSync(path, 'utf8').matchAll(/^(\w+)="?(.*?)"?$/gm);
  return Object.fromEntries([...lines].map(([, key, value]) => [key, value]));
}

/** True on Debian, Ubuntu and what derives from them. */
export function hasApt(os = osRelease()) {
  return process.platform === 'linux' && /\b(debian|ubuntu)\b/.test(`${os.ID} ${os.ID_LIKE}`);
}

/** The `deb` entries of apt's sources under `etc`: {kind, text, suites}; text is one line or one deb822 stanza. */
export function aptEntries(etc = '/etc/apt') {
  const parts = join(etc, 'sources.list.d');
  const files = [
    join(etc, 'sources.list'),
    ...(existsSync(parts) ? readdirSync(parts).map((f) => join(parts, f)) : []),
  ];
  return files.filter(existsSync).flatMap((file) => {
    const text = readFileSync(file, 'utf8').replace(/^#.*\n?/gm, '');
    if (file.endsWith('.list')) {
      return [...text.matchAll(/^deb\s+(?:\[[^\]]*\]\s*)?\S+\s+(\S+).*$/gm)].map(([line, suite]) => ({
        kind: 'list',
        text: line,
        suites: [suite],
      }));
    }
    if (!file.endsWith('.sources')) return [];
    return text.split(/\n\s*\n/).flatMap((stanza) => {
      const suites = stanza
        .match(/^Suites:(.*)$/im)?.[1]
        .trim()
        .split(/\s+/);
      const off = /^Enabled:\s*no/im.test(stanza) || !/^Types:.*\bdeb\b/im.test(stanza);
      return suites && !off ? [{ kind: 'sources', text: stanza.trim(), suites }] : [];
    });
  });
}

/** The entry of the release's own suite, turned to its backports; undefined when no entry has that suite. */
export function backportsOf(entries, codename) {
  const main = entries.find(({ suites }) => suites.includes(codename));
  if (!main) return undefined;
  const suite = `${codename}-backports`;
  const text =
    main.kind === 'list'
      ? main.text.replace(new RegExp(`\\s${codename}(?=\\s)`), ` ${suite}`)
      : main.text.replace(/^Suites:.*$/im, `Suites: ${suite}`);
  return { kind: main.kind, text, suites: [suite] };
}

/**
 * Installs `name` with apt-get (root only). `atLeast`: the lowest upstream major version that will do; when the
 * release's own is older, the backports suite is tried. Says what it installs in one line. Throws SetupError.
 */
export function aptInstall(name, why, atLeast = 0) {
  const { VERSION_CODENAME: codename } = osRelease();
  const own = aptEntries().filter(({ suites }) => suites.some((s) => s === codename || s.startsWith(`${codename}-`)));
  const home = mkdtempSync(join(tmpdir(), 'rimgrad-apt-'));
  chmodSync(home, 0o755); // apt downloads as the user _apt
  for (const folder of ['parts', 'lists/partial', 'archives/partial'])
    mkdirSync(join(home, folder), { recursive: true });
  const options = Object.entries({
    'Dir::Etc::sourcelist': '/dev/null',
    'Dir::Etc::sourceparts': join(home, 'parts'),
    'Dir::State::lists': join(home, 'lists'),
    'Dir::Cache::archives': join(home, 'archives'),
    'Dir::Cache::pkgcache': '',
    'Dir::Cache::srcpkgcache': '',
    'DPkg::Lock::Timeout': '120',
  }).map(([key, value]) => `-o${key}=${value}`);
  const apt = (tool, ...args) => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
    const run = spawnSync(tool, [...options, '-q', ...args], { encoding: 'utf8', env });
    if (run.status === 0) return run.stdout;
    const tail = `${run.error?.message ?? ''}${run.stderr ?? ''}`.trim().split('\n').slice(-4).join('\n  ');
    throw new SetupError(`${tool} ${args.join(' ')} failed:\n  ${tail}`);
  };
  const use = (entries) => {
    for (const kind of ['list', 'sources']) {
      const texts = entries.filter((entry) => entry.kind === kind).map((entry) => entry.text);
      writeFileSync(join(home, 'parts', `rimgrad.${kind}`), `${texts.join('\n\n')}\n`);
    }
    apt('apt-get', 'update');
  };
  const versions = () =>
    [...apt('apt-cache', 'madison', name).matchAll(/\|\s*(\S+)\s*\|/g)].map(([, version]) => version);
  const goodEnough = (version) => Number.parseInt(version.replace(/^\d+:/, ''), 10) >= atLeast;
  try {
    use(own.length > 0 ? own : aptEntries());
    let version = versions().find(goodEnough);
    if (!version) {
      const backports = backportsOf(own, codename);
      if (!backports)
        throw new SetupError(`no apt source of ${codename ?? 'this system'} offers ${name} ${atLeast || ''}`);
      use([...own, backports]);
      version = versions().find(goodEnough);
      if (!version) throw new SetupError(`${name} ${atLeast} or newer is in neither ${codename} nor its backports`);
    }
    const suite = version.includes('~bpo') ? ` from ${codename}-backports` : '';
    say(`${why}: installing the package ${name} ${version}${suite} with apt-get`);
    const from = suite ? ['-t', `${codename}-backports`] : [];
    apt('apt-get', 'install', '-y', '--no-install-recommends', ...from, name);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}
