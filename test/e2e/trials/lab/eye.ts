/**
 * A port of the trial's own on the subnet of one host, in a network namespace of its own: the pages of the guests are read by it, without
 * any of our programs. It comes and goes with the host's power, and is plugged in again when a guest does not answer.
 */

import { ip, makeNamespace, removeNamespace } from '#cli/pretend-host/namespace.ts';
import { bridgeName } from '#executor/network/names.ts';
import { systemClock } from '#lib/std/clock.ts';
import { run } from '../../local-cluster.ts';
import type { LabHost } from './cluster.ts';

/** What a guest says of itself. */
export interface Page {
  /** The machine's uid. */
  readonly instance: string;
  /** Kept on its disk. */
  readonly boots: number;
  /** Of this boot alone. */
  readonly boot: string;
}

export interface Eye extends AsyncDisposable {
  readonly host: string;
  /** undefined if nobody answers in time. */
  page(address: string): Promise<Page | undefined>;
}

const port = 'eye';
const answerMs = 3_000;
/** The highest there is: a bridge takes the lowest of its ports for its own. */
const mac = 'fe:ff:ff:ff:ff:fe';

/** `address` with its prefix is nobody else's on the subnet. */
export async function openEye({ name, netns }: LabHost, vni: number, address: string): Promise<Eye> {
  const own = `${netns}-${port}`;
  await makeNamespace(own);
  const isPluggedIn = async () => {
    const [link] = JSON.parse(await ip('-n', netns, '-json', 'link', 'show', port)) as readonly { master?: string }[];
    return link?.master === bridgeName(vni);
  };
  /** At both ends: what the host had before its last boot may live on for a while. It may be gone, too. */
  const pullOut = async () => {
    await ip('-n', own, 'link', 'del', port).catch(() => undefined);
    await ip('-n', netns, 'link', 'del', port).catch(() => undefined);
  };
  const plugIn = async () => {
    if (await isPluggedIn().catch(() => false)) return;
    await pullOut();
    await ip('-n', netns, 'link', 'add', port, 'address', mac, 'type', 'veth', 'peer', 'name', port, 'netns', own);
    await ip('-n', netns, 'link', 'set', port, 'master', bridgeName(vni), 'up');
    await ip('-n', own, 'addr', 'add', address, 'dev', port);
    await ip('-n', own, 'link', 'set', port, 'up');
  };
  return {
    host: name,
    async page(of) {
      // Without a limit of its own: with one, Debian's static busybox crashes.
      const get = ['busybox', 'wget', '-q', '-O', '-', `http://${of}/`];
      const { code, stdout } = await run('nsenter', [`--net=/run/netns/${own}`, ...get], {}, answerMs);
      if (code === 0) return read(stdout);
      // There is no bridge while the host is without power or without a guest.
      await plugIn().catch(() => undefined);
      return undefined;
    },
    async [Symbol.asyncDispose]() {
      await pullOut();
      await removeNamespace(own, systemClock);
    },
  };
}

/** undefined if it is no page: half of one was received. */
function read(text: string): Page | undefined {
  try {
    return JSON.parse(text) as Page;
  } catch {
    return undefined;
  }
}
