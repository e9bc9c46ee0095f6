/**
 * libvirt's calls, one method each, over a connection that comes back (session.ts). Nothing is decided or remembered here. Every method
 * rejects with a LibvirtError if libvirt refuses, and with another error if there is no answer in time or the connection ends: then it may
 * or may not have been done.
 */
import { type Clock, systemClock } from '#lib/std/clock.ts';
import { type Random, systemRandom } from '#lib/std/random.ts';
import type { DomainPower } from '../hypervisor.ts';
import { decodeEvent, type LibvirtEvent } from './events.ts';
import { isMigrating, powerOf } from './power.ts';
import {
  completedJob,
  type DomainRef,
  decodeDomain,
  decodeNumbers,
  encodeDomain,
  encodeTexts,
  encodeUuid,
  endedJob,
  errorCode,
  isLibvirtError,
  jobType,
  liveOnly,
  powerButton,
  procedure,
  qemuProcedure,
  qemuProgram,
  undefineEverything,
  xmlInactive,
} from './protocol.ts';
import { openSession, type Session } from './session.ts';
import * as xdr from './xdr.ts';

/** libvirt probes QEMU at the first start of a host, which takes many seconds without KVM. */
const startDeadlineMs = 120_000;
const destroyDeadlineMs = 60_000;
const callDeadlineMs = 15_000;
/** Of the step that sends a guest: as long as its memory and disks take. Whoever asks for it ends it. */
const performDeadlineMs = 7 * 24 * 3_600_000;
/** Of steps that start a QEMU, or wait for one to load what has come. */
const migrateDeadlineMs = 120_000;
const domainsMax = 16_384;
/** 5120 x 2880 pixels have 44 MB. */
const screenshotBytesMax = 48 * 2 ** 20;

export interface LibvirtOptions {
  /** libvirtd's unix socket; /run/libvirt/libvirt-sock unless told. */
  readonly socket?: string | undefined;
  /** What happens to any domain, in the order libvirt tells it. Must not throw: that would end the connection. */
  readonly onEvent?: (event: LibvirtEvent) => void;
  /** The connection was lost and is back: what happened meanwhile nobody tells. */
  readonly onRestored?: () => void;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
}

/** One step of a migration: parameters as migrateParameter names them, and what the step before gave. */
export interface MigrateStep {
  readonly parameters: readonly (readonly [name: string, value: string])[];
  readonly cookie: Buffer;
  readonly flags: number;
}

export interface MigrateBegun {
  readonly cookie: Buffer;
  readonly xml: string;
}

/** Of a job that is under way, or ended last. */
export interface Job {
  /** virDomainJobType. */
  readonly type: number;
  /** virDomainJobOperation; undefined if it is not told. */
  readonly operation: number | undefined;
  /** Bytes. */
  readonly transferred: number;
  readonly total: number;
}

export class Libvirt implements AsyncDisposable {
  readonly #session: Session;

  /** Connects in the background at once; calls wait for the connection, and fail when it does not come. */
  constructor({ socket, onEvent, onRestored, clock, random }: LibvirtOptions) {
    this.#session = openSession({
      socket: socket ?? '/run/libvirt/libvirt-sock',
      uri: 'qemu:///system',
      clock: clock ?? systemClock,
      random: random ?? systemRandom,
      onMessage: (number, body) => {
        const event = decodeEvent(number, body);
        if (event) onEvent?.(event);
      },
      onRestored: () => onRestored?.(),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session[Symbol.asyncDispose]();
  }

  async versions(): Promise<{ readonly libvirt: string; readonly qemu: string }> {
    const [libvirt, qemu] = await Promise.all([
      this.#session.call(procedure.connectGetLibVersion),
      this.#session.call(procedure.connectGetVersion),
    ]);
    return { libvirt: version(libvirt.uint64()), qemu: version(qemu.uint64()) };
  }

  /** What the host can, as XML. */
  async capabilities(): Promise<string> {
    return (await this.#session.call(procedure.connectGetCapabilities)).string();
  }

  /** All of the host, on and off, whoever made them. */
  async domains(): Promise<readonly DomainRef[]> {
    const args = Buffer.concat([xdr.int32(1), xdr.uint32(0)]);
    const answer = await this.#session.call(procedure.connectListAllDomains, args);
    return answer.list(() => decodeDomain(answer), domainsMax);
  }

  /** undefined if there is none. Throws a TypeError for what is no UUID. */
  async lookup(uuid: string): Promise<DomainRef | undefined> {
    try {
      return decodeDomain(await this.#session.call(procedure.domainLookupByUuid, encodeUuid(uuid)));
    } catch (error) {
      if (isLibvirtError(error, errorCode.noDomain)) return undefined;
      throw error;
    }
  }

  /** The definition as XML: the stored one, which a running domain may differ from. */
  async definition(domain: DomainRef): Promise<string> {
    return (await this.#on(domain, procedure.domainGetXmlDesc, xdr.uint32(xmlInactive))).string();
  }

  /** What it runs as; the definition if it is off. */
  async running(domain: DomainRef): Promise<string> {
    return (await this.#on(domain, procedure.domainGetXmlDesc, xdr.uint32(0))).string();
  }

  async power(domain: DomainRef): Promise<DomainPower & { readonly migrating: boolean }> {
    const answer = await this.#on(domain, procedure.domainGetState, xdr.uint32(0));
    const [state, reason] = [answer.int32(), answer.int32()];
    return { ...powerOf(state, reason), migrating: isMigrating(state, reason) };
  }

  /** Whether it has a stored definition. One that is received has none yet. */
  async persistent(domain: DomainRef): Promise<boolean> {
    return (await this.#on(domain, procedure.domainIsPersistent)).int32() === 1;
  }

  /** Makes it known, or changes what is stored of the one with the same UUID. */
  async define(xml: string): Promise<DomainRef> {
    return decodeDomain(await this.#session.call(procedure.domainDefineXml, xdr.string(xml)));
  }

  async start(domain: DomainRef): Promise<void> {
    await this.#session.call(procedure.domainCreate, encodeDomain(domain), startDeadlineMs);
  }

  /** Changes a device of the running domain, which is told by its MAC or address, to what the XML says. */
  async updateDevice(domain: DomainRef, xml: string): Promise<void> {
    await this.#on(domain, procedure.domainUpdateDeviceFlags, xdr.string(xml), xdr.uint32(liveOnly));
  }

  /** Presses the power button; what the guest does then is an event. */
  async shutdown(domain: DomainRef): Promise<void> {
    await this.#on(domain, procedure.domainShutdownFlags, xdr.uint32(powerButton));
  }

  async reboot(domain: DomainRef): Promise<void> {
    await this.#on(domain, procedure.domainReboot, xdr.uint32(powerButton));
  }

  async reset(domain: DomainRef): Promise<void> {
    await this.#on(domain, procedure.domainReset, xdr.uint32(0));
  }

  async suspend(domain: DomainRef): Promise<void> {
    await this.#on(domain, procedure.domainSuspend);
  }

  async resume(domain: DomainRef): Promise<void> {
    await this.#on(domain, procedure.domainResume);
  }

  /** Cuts the power. */
  async destroy(domain: DomainRef): Promise<void> {
    const args = Buffer.concat([encodeDomain(domain), xdr.uint32(0)]);
    await this.#session.call(procedure.domainDestroyFlags, args, destroyDeadlineMs);
  }

  /** Forgets it with all that libvirt keeps for it. One that runs goes on without a definition, until it is off. */
  async undefine(domain: DomainRef): Promise<void> {
    await this.#on(domain, procedure.domainUndefineFlags, xdr.uint32(undefineEverything));
  }

  /** What is on its first screen, in the format that QEMU makes: PNG or PPM. */
  async screenshot(domain: DomainRef): Promise<Buffer> {
    const args = Buffer.concat([encodeDomain(domain), xdr.uint32(0), xdr.uint32(0)]);
    return await this.#session.download(procedure.domainScreenshot, args, callDeadlineMs, screenshotBytesMax);
  }

  /** Has the agent in the guest do something; command and answer are JSON of its own protocol. Whole seconds, for the agent alone. */
  async agentCommand(domain: DomainRef, command: string, seconds: number): Promise<string> {
    const args = Buffer.concat([encodeDomain(domain), xdr.string(command), xdr.int32(seconds), xdr.uint32(0)]);
    // Beyond the agent's time: others may be asking it for something before it is our turn.
    const deadlineMs = seconds * 1000 + callDeadlineMs;
    const answer = await this.#session.call(qemuProcedure.domainAgentCommand, args, deadlineMs, qemuProgram);
    return answer.optional(() => answer.string()) ?? '{}';
  }

  /** Begins to copy disks as they are now, as the XML says. */
  async beginBackup(domain: DomainRef, xml: string): Promise<void> {
    await this.#on(
      domain,
      procedure.domainBackupBegin,
      xdr.string(xml),
      xdr.optional(undefined, xdr.string),
      xdr.uint32(0),
    );
  }

  /** What such copying is under way, as XML; undefined if there is none. */
  async backup(domain: DomainRef): Promise<string | undefined> {
    try {
      return (await this.#on(domain, procedure.domainBackupGetXmlDesc, xdr.uint32(0))).string();
    } catch (error) {
      if (isLibvirtError(error, errorCode.noBackup, errorCode.operationInvalid)) return undefined;
      throw error;
    }
  }

  /**
   * Answers when libvirt has done what it is doing with the running domain. A backup is told to have ended while QEMU still holds its file,
   * with tables that are not written yet; whoever asks for the figures of a disk waits until it was let go.
   */
  async settled(domain: DomainRef, device: string): Promise<void> {
    await this.#on(domain, procedure.domainBlockStats, xdr.string(device));
  }

  /** The job that is under way; type 0 if there is none. */
  async job(domain: DomainRef): Promise<Job> {
    return decodeJob(await this.#on(domain, procedure.domainGetJobStats, xdr.uint32(0)));
  }

  /** The job that ended last. */
  async lastJob(domain: DomainRef): Promise<Job> {
    return decodeJob(await this.#on(domain, procedure.domainGetJobStats, xdr.uint32(completedJob)));
  }

  /** Whether the job that ended last went well. */
  async lastJobCompleted(domain: DomainRef): Promise<boolean> {
    return (await this.lastJob(domain)).type === jobType.completed;
  }

  /** Has libvirt forget how the job went that ended last. */
  async forgetLastJob(domain: DomainRef): Promise<void> {
    await this.#on(domain, procedure.domainGetJobStats, xdr.uint32(endedJob));
  }

  async abortJob(domain: DomainRef): Promise<void> {
    await this.#on(domain, procedure.domainAbortJob);
  }

  /** Source, first of five steps. Gives the XML that the destination is to make, and a cookie for it. */
  async migrateBegin(domain: DomainRef, { parameters, flags }: Omit<MigrateStep, 'cookie'>): Promise<MigrateBegun> {
    const args = Buffer.concat([encodeDomain(domain), encodeTexts(parameters), xdr.uint32(flags)]);
    const answer = await this.#session.call(procedure.domainMigrateBegin3Params, args, migrateDeadlineMs);
    return { cookie: answer.bytes(), xml: answer.string() };
  }

  /** Destination: starts a QEMU that waits for the guest. It ends with the connection. */
  async migratePrepare({ parameters, cookie, flags }: MigrateStep): Promise<Buffer> {
    const args = Buffer.concat([encodeTexts(parameters), xdr.bytes(cookie), xdr.uint32(flags)]);
    return (await this.#session.call(procedure.domainMigratePrepare3Params, args, migrateDeadlineMs)).bytes();
  }

  /** Source: sends the guest, which stands when this resolves, as long as that takes; `abortJob` breaks it off. */
  async migratePerform(domain: DomainRef, { parameters, cookie, flags }: MigrateStep): Promise<Buffer> {
    const uri = xdr.optional(undefined, xdr.string);
    const args = Buffer.concat([
      ...[encodeDomain(domain), uri, encodeTexts(parameters), xdr.bytes(cookie), xdr.uint32(flags)],
    ]);
    return (await this.#session.call(procedure.domainMigratePerform3Params, args, performDeadlineMs)).bytes();
  }

  /** Destination: the guest goes on here. */
  async migrateFinish({ parameters, cookie, flags }: MigrateStep): Promise<void> {
    const args = Buffer.concat([encodeTexts(parameters), xdr.bytes(cookie), xdr.uint32(flags), xdr.int32(0)]);
    await this.#session.call(procedure.domainMigrateFinish3Params, args, migrateDeadlineMs);
  }

  /** Source: the guest was not taken, and goes on here. */
  async migrateCancel(domain: DomainRef, flags: number): Promise<void> {
    const nothing = [encodeTexts([]), xdr.bytes(Buffer.alloc(0))];
    const args = Buffer.concat([encodeDomain(domain), ...nothing, xdr.uint32(flags), xdr.int32(1)]);
    await this.#session.call(procedure.domainMigrateConfirm3Params, args, migrateDeadlineMs);
  }

  async #on(domain: DomainRef, number: number, ...args: readonly Buffer[]) {
    return await this.#session.call(number, Buffer.concat([encodeDomain(domain), ...args]));
  }
}

function decodeJob(answer: xdr.XdrReader): Job {
  const type = answer.int32();
  const numbers = decodeNumbers(answer);
  const [transferred, total] = [numbers.get('data_processed') ?? 0, numbers.get('data_total') ?? 0];
  return { type, operation: numbers.get('operation'), transferred, total };
}

/** libvirt packs a version as major * 1,000,000 + minor * 1,000 + release. */
function version(packed: number): string {
  return [Math.floor(packed / 1_000_000), Math.floor(packed / 1_000) % 1_000, packed % 1_000].join('.');
}
