/** The server as a program of its own, for tests of how it starts and ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Authority, createAuthority, issue } from '#lib/tls/authority.ts';
import { createRequester, type Requester } from './http.ts';

export interface Program extends AsyncDisposable {
  readonly process: ChildProcess;
  readonly url: string;
  readonly authority: Authority;
  readonly token: string;
  readonly request: Requester;
  /** What it has logged so far. */
  readonly lines: readonly string[];
  /** Resolves with the exit code. */
  readonly ended: Promise<number | null>;
}

const main = join(import.meta.dirname, '../main.ts');

/** Resolves when it serves. Disposing of it kills it if it still runs, and removes its files. */
export async function startProgram(flags: readonly string[] = []): Promise<Program> {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'apiserver-program-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const authority = await createAuthority('test');
  const server = await issue(authority, { commonName: 'api', ips: ['127.0.0.1'], usage: 'server' });
  const token = crypto.randomUUID();
  const files = {
    cert: server.certificate,
    key: server.key,
    ca: authority.certificate,
    tokens: `${token},admin,1,"system:masters"\n`,
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content, { mode: 0o600 });
  const at = (name: string) => join(folder, name);
  const child = spawn(
    process.execPath,
    [
      main,
      '--listen',
      '127.0.0.1:0',
      '--store',
      `sqlite:${at('store')}`,
      '--tls-cert',
      at('cert'),
      '--tls-key',
      at('key'),
      '--client-ca',
      at('ca'),
      '--token-file',
      at('tokens'),
      ...flags,
    ],
    { stdio: ['ignore', 'inherit', 'pipe'] },
  );
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  stack.defer(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const lines: string[] = [];
  const { promise: serving, resolve, reject } = Promise.withResolvers<string>();
  createInterface({ input: child.stderr }).on('line', (line) => {
    lines.push(line);
    const url = /"url":"(https:[^"]+)"/.exec(line)?.[1];
    if (url) resolve(url);
  });
  void ended.then((code) => reject(new Error(`The server ended with ${code}:\n${lines.join('\n')}`)));
  const url = await serving;
  const running = stack.move();
  return {
    process: child,
    url,
    authority,
    token,
    lines,
    ended,
    request: createRequester(url, authority.certificate, token),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
