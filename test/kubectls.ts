/** Every kubectl that can be had on this machine, each with its minor version: old ones speak older dialects of the same protocol. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { hasProgram } from './requires.ts';

export interface Kubectl {
  readonly file: string;
  /** N of 1.N; what a dispatcher picks when no server is asked. */
  readonly minor: number;
}

const cache = join(import.meta.dirname, '../.factory/debian-kubectl');

/** The kubectl in PATH, those that lie beside it as `kubectl.1.N` (Google's packages bring seven), and Debian's own. */
export function kubectlsHere(): readonly Kubectl[] {
  const inPath = (process.env.PATH ?? '').split(':').map((folder) => join(folder, 'kubectl'));
  const first = inPath.find((file) => existsSync(file));
  const folder = first && dirname(realpathSync(first));
  const beside = folder ? readdirSync(folder).filter((name) => /^kubectl\.1\.\d+$/.test(name)) : [];
  const debian = debianKubectl();
  const files = [...(first ? [first] : []), ...beside.map((name) => join(folder!, name)), ...(debian ? [debian] : [])];
  const found = files.map((file) => ({ file, minor: minorOf(file) }));
  // Where Debian's package is installed, it is the one in PATH as well.
  return found.filter(
    ({ minor, file }) => file !== debian || !found.some((other) => other.file !== debian && other.minor === minor),
  );
}

function minorOf(file: string): number {
  const text = execFileSync(file, ['version', '--client', '-o', 'json'], {
    encoding: 'utf8',
    env: { HOME: '/nonexistent' },
  });
  return Number.parseInt((JSON.parse(text) as { clientVersion: { minor: string } }).clientVersion.minor, 10);
}

/** Debian's package, unpacked but not installed: it would fight with the kubectl that is. Kept for the next run. */
function debianKubectl(): string | undefined {
  const file = join(cache, 'usr/bin/kubectl');
  if (existsSync(file)) return file;
  if (!hasProgram('apt-get') || !hasProgram('dpkg-deb')) return skipped('this is no Debian');
  mkdirSync(dirname(cache), { recursive: true });
  const fresh = mkdtempSync(`${cache}-`);
  try {
    execFileSync('apt-get', ['-q', 'download', 'kubernetes-client'], { cwd: fresh, stdio: 'pipe', timeout: 60_000 });
    const name = readdirSync(fresh).find((entry) => entry.endsWith('.deb'));
    if (!name) return skipped('apt-get download brought no package');
    execFileSync('dpkg-deb', ['-x', join(fresh, name), fresh], { stdio: 'pipe', timeout: 60_000 });
    rmSync(join(fresh, name));
    // Another run may have been faster: its copy is as good.
    if (!existsSync(cache)) renameSync(fresh, cache);
    return existsSync(file) ? file : skipped('the package has no usr/bin/kubectl');
  } catch (error) {
    return existsSync(file) ? file : skipped((error as Error).message.split('\n')[0]!);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

function skipped(reason: string): undefined {
  console.warn(`Skipped: Debian's kubectl: ${reason}`);
  return undefined;
}
