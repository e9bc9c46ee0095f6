/**
 * How Mesos' masters stand in ZooKeeper: each candidate is a node `json.info_` and a number, with its MasterInfo as JSON; the lowest
 * number leads (src/master/contender, src/master/detector). Other nodes, such as those of the replicated log, are none of them.
 */
import { messageOf } from '#lib/std/errors.ts';
import { readMessage } from './schema/codec.ts';
import type { MasterInfo } from './types.ts';
import type { ZooKeeperConnection } from './zookeeper/connection.ts';

export const candidatePrefix = 'json.info_';

export interface Candidate {
  readonly name: string;
  readonly number: number;
}

/** The candidates among the names of a directory, the leading one first. */
export function candidatesIn(names: readonly string[]): readonly Candidate[] {
  return names
    .flatMap((name) => {
      const [, number] = /^json\.info_(-?\d+)$/.exec(name) ?? [];
      return number === undefined ? [] : [{ name, number: Number(number) }];
    })
    .sort((a, b) => a.number - b.number);
}

/**
 * Who leads, and a watch for when that may change. Undefined: nobody does. A candidate that vanished since it was listed is nobody either:
 * the watch has fired then. Throws if what stands there is no MasterInfo.
 */
export async function readLeader(connection: ZooKeeperConnection, path: string): Promise<MasterInfo | undefined> {
  const [first] = candidatesIn((await connection.children(path)) ?? []);
  const node = first && (await connection.data(`${path}/${first.name}`));
  return node && readMasterInfo(`${path}/${first.name}`, node.data.toString('utf8'));
}

function readMasterInfo(node: string, text: string): MasterInfo {
  try {
    return readMessage('MasterInfo', JSON.parse(text)) as MasterInfo;
  } catch (error) {
    throw new Error(`ZooKeeper's node ${node} holds no MasterInfo: ${messageOf(error)}`);
  }
}

/**
 * Where the master is reached. By its address rather than its name, which may mean nothing in our network; over TLS by its name, which
 * the certificate bears.
 */
export function originOfMaster(info: MasterInfo, scheme: 'http' | 'https'): string {
  const name = nameOf(info);
  return originAt(scheme, scheme === 'https' && name !== undefined ? name : addressOf(info), info);
}

/** All origins that may be meant for it: redirects name a master by its name. */
export function namesOfMaster(info: MasterInfo): readonly string[] {
  const hosts = [nameOf(info), addressOf(info)].filter((host) => host !== undefined);
  return hosts.flatMap((host) => [originAt('http', host, info), originAt('https', host, info)]);
}

function nameOf({ address, hostname }: MasterInfo): string | undefined {
  return address?.hostname ?? hostname;
}

function addressOf({ address, ip }: MasterInfo): string {
  return address?.ip ?? dotted(ip);
}

function originAt(scheme: 'http' | 'https', host: string, { address, port }: MasterInfo): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${address?.port ?? port}`;
}

/** The old field holds the bytes of the address as a little-endian number. */
function dotted(ip = 0): string {
  return [0, 8, 16, 24].map((shift) => (ip >>> shift) & 255).join('.');
}
