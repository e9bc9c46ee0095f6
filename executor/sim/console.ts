/** The serial console of an imitated guest: a boot log with the machine's name and addresses, and an echo of what is typed. */
import { appendFileSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Log } from '#lib/std/log.ts';
import type { DomainSpec } from '../hypervisor.ts';
import type { SimNics } from './devices.ts';

/** A log this large is renamed and begun anew, as virtlogd does it. */
const logBytesMax = 2 ** 20;
/** sun_path of Linux. A longer path cannot be listened on. */
const maxSocketPath = 107;

export function bootLog(spec: DomainSpec, nics: SimNics | undefined): string {
  const addresses = (nics?.networks ?? []).map(({ ip, prefix }, index) =>
    ip === '' ? `NET eth${index} dhcp` : `NET eth${index} dhcp ${ip}/${prefix}`,
  );
  const name = nics?.hostname ?? spec.name;
  return ['Booting imitated guest', ...addresses, `READY ${name}`, '', `${name} login: `].join('\r\n');
}

export class SimConsole implements Disposable {
  readonly #server: Server | undefined;
  readonly #clients = new Set<Socket>();
  readonly #logFile: string;

  /** Listens at the machine's socket while the domain runs. `text` is printed to the log if the guest boots now, else known already. */
  constructor(spec: DomainSpec, text: string | undefined, log: Log) {
    this.#logFile = spec.consoleLog;
    mkdirSync(dirname(spec.consoleLog), { recursive: true });
    if (text !== undefined) this.#print(text);
    if (Buffer.byteLength(spec.consoleSocket) > maxSocketPath) {
      log.warn('No console: the path of its socket is too long', { path: spec.consoleSocket, limit: maxSocketPath });
      return;
    }
    // Left by a killed worker: nobody listens there any more.
    rmSync(spec.consoleSocket, { force: true });
    mkdirSync(dirname(spec.consoleSocket), { recursive: true });
    this.#server = createServer((client) => this.#serve(client));
    this.#server.on('error', (error) => log.warn('The console cannot be served', { error, uid: spec.uid }));
    this.#server.listen(spec.consoleSocket).unref();
  }

  #print(text: string | Buffer): void {
    appendFileSync(this.#logFile, text, { mode: 0o600 });
    if (statSync(this.#logFile).size > logBytesMax) renameSync(this.#logFile, `${this.#logFile}.0`);
  }

  #serve(client: Socket): void {
    this.#clients.add(client);
    client.on('close', () => this.#clients.delete(client));
    client.on('error', () => client.destroy());
    client.on('data', (typed) => {
      this.#print(typed);
      for (const each of this.#clients) each.write(typed);
    });
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client.destroy();
    this.#server?.close();
  }
}
