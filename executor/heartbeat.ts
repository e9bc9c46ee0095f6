/**
 * Tells the cluster server what is here: every 10 s, and at once when something changed. Messages may be lost, so each says
 * everything; the inventory goes along until a heartbeat that carried it was acknowledged.
 */
import type {
  Heartbeat,
  HeartbeatAck,
  HostFacts,
  ImagesReport,
  Inventory,
  MachineReport,
  OperationReport,
  StorageReport,
  UploadReport,
  VolumesReport,
} from '#lib/api/messages.ts';
import { type Clock, timestamp } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import { encodeData } from '#mesos/bytes.ts';
import type { Fences } from './fence/fences.ts';
import { executorVersion } from './version.ts';

/** Changes that come together go together. */
const coalesceMs = 75;

export interface HeartbeatDeps {
  readonly everyMs: number;
  /** Undefined until the agent has told. */
  hostname(): string | undefined;
  readonly bootId: string;
  readonly sealKey: string;
  readonly supervisorVersion: string | undefined;
  facts(): Promise<HostFacts>;
  machines(): readonly MachineReport[];
  /** Task ids. */
  imports(): readonly string[];
  /** Of a real host. */
  storage(): StorageReport | undefined;
  volumes(): VolumesReport;
  images(): ImagesReport;
  /** Undefined if the host takes none. */
  uploads(): readonly UploadReport[] | undefined;
  /** Id of the peers order in force. */
  peers(): string | undefined;
  operations(): readonly OperationReport[];
  inventory(): Promise<Inventory>;
  readonly fences: Pick<Fences, 'now' | 'sending' | 'acknowledged'>;
  console(): Heartbeat['console'];
  /** Sends base64; false if it certainly did not go out. */
  send(data: string): Promise<boolean>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export class Heartbeats implements AsyncDisposable {
  readonly #deps: HeartbeatDeps;
  readonly #workerId: string;
  readonly #since: string;
  #sequence = 0;
  /** First heartbeat of the present request for an inventory; 0: not sent yet, undefined: nobody waits for one. */
  #inventorySince: number | undefined = 0;
  #timer: Disposable | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #sending: Promise<void> | undefined;
  #changed = false;
  #closed = false;

  constructor(deps: HeartbeatDeps) {
    this.#deps = deps;
    this.#workerId = deps.random.uuid();
    this.#since = timestamp(deps.clock.now());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    await this.#sending;
  }

  /** Something in it is new: tell soon. Also starts the beat. */
  changed(): void {
    if (this.#sending !== undefined) this.#changed = true;
    else this.#schedule(coalesceMs);
  }

  requestInventory(): void {
    this.#inventorySince = 0;
    this.changed();
  }

  acknowledge(ack: HeartbeatAck): void {
    if (ack.workerId !== this.#workerId) return;
    this.#deps.fences.acknowledged(ack.sequence);
    if (this.#inventorySince && ack.sequence >= this.#inventorySince) this.#inventorySince = undefined;
  }

  #schedule(delayMs: number): void {
    const at = this.#deps.clock.monotonic() + delayMs;
    if (this.#closed || at >= this.#dueAt) return;
    this.#timer?.[Symbol.dispose]();
    this.#dueAt = at;
    this.#timer = this.#deps.clock.timeout(() => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      this.#sending = this.#beat();
    }, delayMs);
  }

  async #beat(): Promise<void> {
    this.#changed = false;
    try {
      await this.#send();
    } catch (error) {
      this.#deps.log.warn('Cannot make a heartbeat: the host does not answer', { reason: messageOf(error) });
    }
    this.#sending = undefined;
    this.#schedule(this.#changed ? coalesceMs : this.#deps.everyMs);
  }

  async #send(): Promise<void> {
    const hostname = this.#deps.hostname();
    if (hostname === undefined) return;
    const sentMs = this.#deps.fences.now();
    const facts = await this.#deps.facts();
    const inventory = this.#inventorySince === undefined ? undefined : await this.#deps.inventory();
    const sequence = ++this.#sequence;
    this.#deps.fences.sending(sequence, sentMs);
    const heartbeat = this.#heartbeat({ hostname, facts, sequence, ...(inventory ? { inventory } : {}) });
    const sent = await this.#deps.send(encodeData(heartbeat));
    if (sent && inventory && this.#inventorySince === 0) this.#inventorySince = sequence;
  }

  #heartbeat(parts: Pick<Heartbeat, 'hostname' | 'facts' | 'sequence' | 'inventory'>): Heartbeat {
    const [console, peers, storage] = [this.#deps.console(), this.#deps.peers(), this.#deps.storage()];
    const { supervisorVersion } = this.#deps;
    const uploads = this.#deps.uploads();
    return {
      type: 'heartbeat',
      version: 1,
      bootId: this.#deps.bootId,
      workerId: this.#workerId,
      executorVersion,
      ...(supervisorVersion === undefined ? {} : { supervisorVersion }),
      since: this.#since,
      ...(console ? { console } : {}),
      sealKey: this.#deps.sealKey,
      machines: this.#deps.machines(),
      imports: this.#deps.imports(),
      ...(storage ? { storage } : {}),
      volumes: this.#deps.volumes(),
      images: this.#deps.images(),
      ...(uploads ? { uploads } : {}),
      ...(peers === undefined ? {} : { peers }),
      operations: this.#deps.operations(),
      ...parts,
    };
  }
}
