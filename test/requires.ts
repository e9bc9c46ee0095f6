/** What a test needs and this machine may lack: skipped with a printed reason on a laptop, a failure on CI. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'];

export function hasProgram(name: string): boolean {
  return folders.some((folder) => existsSync(join(folder, name)));
}

/** The reason why tests that need these programs (and root, if asked for) cannot run here; undefined if they can. */
export function whyNot(programs: readonly string[], options: { readonly root?: boolean } = {}): string | undefined {
  const missing = programs.filter((name) => !hasProgram(name));
  const reason =
    missing.length > 0
      ? `${missing.join(', ')} not found: run "make test" as root on Debian, which installs it`
      : options.root && process.getuid?.() !== 0
        ? 'needs root'
        : undefined;
  if (reason === undefined) return undefined;
  if (process.env.CI === 'true') throw new Error(`On CI nothing is skipped: ${reason}`);
  console.warn(`Skipped: ${reason}`);
  return reason;
}
