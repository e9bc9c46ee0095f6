/** Messages that libvirtd sends unasked, as a closed union. What the machines need of them is told apart at the end. */
import type { DomainEvent, DomainPower } from '../hypervisor.ts';
import { domainName } from './domain-xml.ts';
import { powerAfter } from './power.ts';
import { type DomainRef, decodeDomain, procedure } from './protocol.ts';
import type { XdrReader } from './xdr.ts';

/**
 * What happened to a domain, whoever owns it. A number that this version does not know reads as `Unknown`. Numbers are
 * virDomainEventWatchdogAction, virDomainEventIOErrorAction, virConnectDomainEventAgentLifecycleState, virDomainBlockJobType and
 * virConnectDomainEventBlockJobStatus.
 */
export type LibvirtEvent = { readonly domain: DomainRef } & (
  | {
      readonly type: 'Lifecycle';
      /** undefined if it says nothing about power: defined, for one. */
      readonly power: DomainPower | undefined;
    }
  /** The guest restarted itself; it never went off. */
  | { readonly type: 'Reboot' }
  /** The guest's watchdog device was not fed; `action` is what was done. */
  | { readonly type: 'Watchdog'; readonly action: WatchdogAction }
  | {
      readonly type: 'IOError';
      /** File of the disk, and QEMU's name of the device. Either may be empty. */
      readonly path: string;
      readonly device: string;
      readonly action: 'Ignored' | 'Pause' | 'Report' | 'Unknown';
      /** `enospc` if the host had no room; empty for anything else. */
      readonly reason: string;
    }
  /** The agent in the guest opened or closed its channel. */
  | { readonly type: 'GuestAgent'; readonly state: 'Connected' | 'Disconnected' | 'Unknown' }
  /** The guest let go of a device that was to be unplugged; `device` is its alias. */
  | { readonly type: 'DeviceRemoved'; readonly device: string }
  | {
      readonly type: 'BlockJob';
      /** Target of the disk, as in the XML: `vda`. */
      readonly disk: string;
      readonly job: 'Pull' | 'Copy' | 'Commit' | 'ActiveCommit' | 'Backup' | 'Unknown';
      readonly status: 'Completed' | 'Failed' | 'Canceled' | 'Ready' | 'Unknown';
    }
);

type WatchdogAction = 'None' | 'Pause' | 'Reset' | 'PowerOff' | 'Shutdown' | 'Debug' | 'InjectNMI' | 'Unknown';

const watchdogActions = ['None', 'Pause', 'Reset', 'PowerOff', 'Shutdown', 'Debug', 'InjectNMI'] as const;
const ioErrorActions = ['Ignored', 'Pause', 'Report'] as const;
const agentStates = [undefined, 'Connected', 'Disconnected'] as const;
const blockJobs = [undefined, 'Pull', 'Copy', 'Commit', 'ActiveCommit', 'Backup'] as const;
const blockJobStates = ['Completed', 'Failed', 'Canceled', 'Ready'] as const;

type Decode = (body: XdrReader, domain: DomainRef) => LibvirtEvent;

const decoders: Readonly<Record<number, Decode>> = {
  [procedure.domainEventCallbackLifecycle]: (body, domain) => {
    const [event, detail] = [body.int32(), body.int32()];
    return { type: 'Lifecycle', domain, power: powerAfter(event, detail) };
  },
  [procedure.domainEventCallbackReboot]: (_, domain) => ({ type: 'Reboot', domain }),
  [procedure.domainEventCallbackWatchdog]: (body, domain) => ({
    type: 'Watchdog',
    domain,
    action: watchdogActions[body.int32()] ?? 'Unknown',
  }),
  [procedure.domainEventCallbackIoErrorReason]: (body, domain) => {
    const [path, device] = [body.string(), body.string()];
    const action = ioErrorActions[body.int32()] ?? 'Unknown';
    return { type: 'IOError', domain, path, device, action, reason: body.string() };
  },
  [procedure.domainEventCallbackAgentLifecycle]: (body, domain) => ({
    type: 'GuestAgent',
    domain,
    state: agentStates[body.int32()] ?? 'Unknown',
  }),
  [procedure.domainEventCallbackDeviceRemoved]: (body, domain) => ({
    type: 'DeviceRemoved',
    domain,
    device: body.string(),
  }),
  [procedure.domainEventBlockJob2]: (body, domain) => {
    const disk = body.string();
    const job = blockJobs[body.int32()] ?? 'Unknown';
    return { type: 'BlockJob', domain, disk, job, status: blockJobStates[body.int32()] ?? 'Unknown' };
  },
};

/** undefined for messages that are no events. Throws a RangeError for one that is cut off. */
export function decodeEvent(number: number, body: XdrReader): LibvirtEvent | undefined {
  const decode = decoders[number];
  if (!decode) return undefined;
  body.int32(); // which registration it answers: there is one per kind of event
  return decode(body, decodeDomain(body));
}

/**
 * What a machine needs to know, undefined for the rest and for domains that are not ours. Paused by an I/O error comes with the event of
 * the lifecycle: the one of the error itself is sent also when the guest goes on.
 */
export function domainEvent(event: LibvirtEvent): DomainEvent | undefined {
  const { name, uuid: uid } = event.domain;
  if (name !== domainName(uid)) return undefined;
  if (event.type === 'Reboot') return { uid, power: 'On', rebooted: true };
  return event.type === 'Lifecycle' && event.power !== undefined ? { uid, ...event.power } : undefined;
}
