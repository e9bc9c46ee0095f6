/** What the agent of a guest says of it. A guest may say anything, so everything is looked at, and bounded: it goes into every heartbeat. */
import { isIP } from 'node:net';
import type { AgentReport, GuestAddresses } from '#lib/api/messages.ts';
import type { Hypervisor } from '../hypervisor.ts';

const wordsMax = 128;
/** api.md: of one interface; and as many interfaces as a machine may have. */
const [addressesMax, interfacesMax] = [8, 8];

type Connected = Extract<AgentReport, { readonly connected: true }>;

export type Ask = (execute: string) => Promise<unknown>;

export function asking(hypervisor: Pick<Hypervisor, 'agent'>, uid: string, deadlineMs: number): Ask {
  return async (execute) => await hypervisor.agent(uid, { execute }, deadlineMs);
}

/** What an agent does not know is left out. Throws what `ask` throws of one that does not answer at all. */
export async function describeGuest(ask: Ask): Promise<Connected> {
  const { version } = fieldsOf(await ask('guest-info'));
  const knows = async (execute: string) => await ask(execute).catch(() => undefined);
  const os = fieldsOf(await knows('guest-get-osinfo'));
  const hostname = wordsIn(fieldsOf(await knows('guest-get-host-name'))['host-name']);
  const system = wordsIn(os['pretty-name']) ?? wordsIn(os.name);
  const kernel = wordsIn(os['kernel-release']);
  return {
    connected: true,
    version: wordsIn(version) ?? 'unknown',
    ...(system ? { os: system } : {}),
    ...(kernel ? { kernel } : {}),
    ...(hostname ? { hostname } : {}),
    addresses: addressesIn(await knows('guest-network-get-interfaces')),
  };
}

function addressesIn(answer: unknown): readonly GuestAddresses[] {
  if (!Array.isArray(answer)) return [];
  return answer
    .map(fieldsOf)
    .map((each) => ({ mac: String(each['hardware-address']).toLowerCase(), ips: ipsIn(each['ip-addresses']) }))
    .filter(
      ({ mac, ips }) => /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac) && mac !== '00:00:00:00:00:00' && ips.length > 0,
    )
    .slice(0, interfacesMax);
}

/** Without those that every interface gives itself. */
function ipsIn(answer: unknown): readonly string[] {
  if (!Array.isArray(answer)) return [];
  const ips = answer.map((each) => String(fieldsOf(each)['ip-address'])).filter((ip) => isIP(ip) !== 0);
  return [...new Set(ips.filter((ip) => !/^(fe[89ab]|127\.|169\.254\.|::1$)/i.test(ip)))].sort().slice(0, addressesMax);
}

function wordsIn(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const text = value.replaceAll(/\p{C}/gu, '').trim().slice(0, wordsMax);
  return text === '' ? undefined : text;
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
