/** The program as it is started. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { createAuthority, issue } from '#lib/tls/authority.ts';

async function flagsIn(directory: string): Promise<string[]> {
  const authority = await createAuthority('test-authority');
  const { certificate, key } = await issue(authority, { commonName: 'api', ips: ['127.0.0.1'], usage: 'server' });
  const file = async (name: string, content: string) => {
    await writeFile(join(directory, name), content, { mode: 0o600 });
    return join(directory, name);
  };
  return [
    ['--listen', '127.0.0.1:0', '--store', `sqlite:${join(directory, 'store.db')}`],
    ['--tls-cert', await file('api.crt', certificate), '--tls-key', await file('api.key', key)],
    ['--client-ca', await file('ca.crt', authority.certificate), '--token-file', await file('tokens', '')],
  ].flat();
}

function start(flags: readonly string[]): ChildProcess & AsyncDisposable {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), ...flags], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  return Object.assign(child, { [Symbol.asyncDispose]: end });
}

async function serving(child: ChildProcess): Promise<void> {
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stderr! })) {
    if (line.includes('"Serving"')) return;
    said.push(line);
  }
  throw new Error(`The server did not start: ${said.join('\n')}`);
}

test('a second server on one SQLite file ends and says why; after kill -9 of the first another may take over', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'cf-apiserver-'));
  try {
    const flags = await flagsIn(directory);
    await using first = start(flags);
    await serving(first);
    await using second = start(flags);
    let said = '';
    second.stderr!.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    const [code] = (await once(second, 'close')) as [number];
    expect([code, said]).toEqual([
      2,
      expect.stringContaining('is in use by another server: stop that one, or name another file'),
    ]);
    await first[Symbol.asyncDispose]();
    await using third = start(flags);
    await serving(third);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
