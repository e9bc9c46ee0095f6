/**
 * Watches the lab from the outside all the time, without our API: which QEMUs live, which domains each libvirt says to be running, and what
 * the guests themselves say on their pages.
 */
import { systemClock } from '#lib/std/clock.ts';
import type { ActiveDomain } from '../../real-cluster.ts';
import type { Wishes } from '../faults/wishes.ts';
import type { Lab } from './cluster.ts';
import type { Eye } from './eye.ts';
import { type Qemu, qemusIn } from './host-processes.ts';
import type { Ledger } from './ledger.ts';

export interface LabObserver extends AsyncDisposable {
  readonly looks: {
    readonly processes: number;
    readonly libvirt: number;
    readonly unanswered: number;
    readonly pages: number;
  };
  running(): readonly Qemu[];
  /** Whether a machine has a QEMU at two hosts just now: it is being moved. */
  isMoving(): boolean;
  /** What of those that run does not show, or shows too often: guests without a page, libvirts that do not list them, two QEMUs of one. */
  hidden(): readonly string[];
}

const everyMs = { processes: 200, libvirt: 1_000, pages: 2_000 } as const;
const libvirtMs = 3_000;
/** A page is as good as new for so long. */
const freshMs = 8_000;

export function observe(lab: Lab, ledger: Ledger, wishes: Wishes, eyes: readonly Eye[]): LabObserver {
  const { cluster, hosts } = lab;
  const names = hosts.map(({ name }) => name);
  const ended = new AbortController();
  const looks = { processes: 0, libvirt: 0, unanswered: 0, pages: 0 };
  const answeredMs = new Map<string, number>();
  let listed: ReadonlyMap<string, readonly ActiveDomain[] | undefined> = new Map();
  const running = () => qemusIn(cluster.dir, names);

  const lookAtProcesses = () => {
    looks.processes += 1;
    // Which of two guests runs while one is sent to the other, libvirt knows.
    const started = () => running().filter(({ receives }) => !receives);
    const now = started();
    for (const { uid, host, identity } of now) ledger.sawQemu(uid, host, `${identity.pid}:${identity.startTime}`);
    // The list is read one after the other: who moved in between only looks double. It is if a second look says so too.
    if (twice(now).size === 0) return;
    for (const [uid, places] of twice(started())) ledger.sawTwice(uid, places, 'the list of processes');
  };

  const ask = async () => {
    const answers = hosts.map(async (host) => [host.name, await host.activeDomains(libvirtMs)] as const);
    const all = new Map(await Promise.all(answers));
    looks.libvirt += [...all.values()].filter((domains) => domains !== undefined).length;
    looks.unanswered += [...all.values()].filter((domains) => domains === undefined).length;
    return all;
  };
  /** Where a guest runs, or would if nobody had paused it. */
  const livesOf = (all: ReadonlyMap<string, readonly ActiveDomain[] | undefined>) =>
    [...all].flatMap(([host, domains = []]) =>
      domains.filter(({ isStanding }) => !isStanding).map(({ name }) => ({ host, uid: name.slice('cf-'.length) })),
    );
  const lookAtLibvirt = async () => {
    listed = await ask();
    if (twice(livesOf(listed)).size === 0) return;
    for (const [uid, places] of twice(livesOf(await ask()))) ledger.sawTwice(uid, places, 'libvirt');
  };

  const lookAtPages = async ({ host, page }: Eye) => {
    for (const { uid } of running().filter((qemu) => qemu.host === host)) {
      const address = wishes.byUid.get(uid)?.ip;
      const said = address === undefined ? undefined : await page(address);
      if (!said) continue;
      looks.pages += 1;
      ledger.sawPage(said);
      answeredMs.set(said.instance, systemClock.monotonic());
    }
  };

  const loop = async (pauseMs: number, look: () => void | Promise<void>) => {
    while (!ended.signal.aborted) {
      await look();
      await systemClock.sleep(pauseMs, ended.signal).catch(() => undefined);
    }
  };
  const loops = Promise.all([
    loop(everyMs.processes, lookAtProcesses),
    loop(everyMs.libvirt, lookAtLibvirt),
    ...eyes.map((eye) => loop(everyMs.pages, () => lookAtPages(eye))),
  ]);
  return {
    looks,
    running,
    isMoving: () => twice(running()).size > 0,
    hidden() {
      const now = running();
      const isFresh = (uid: string) => systemClock.monotonic() - (answeredMs.get(uid) ?? -freshMs) < freshMs;
      return [
        ...now.filter(({ uid }) => !isFresh(uid)).map(({ uid, host }) => `no page of ${uid} on ${host}`),
        ...names.filter((host) => listed.get(host) === undefined).map((host) => `libvirt of ${host} does not answer`),
        ...[...twice(now)].map(([uid, places]) => `${uid} has QEMUs on ${places.join(' and ')}`),
        ...now
          .filter(({ uid, host }) => listed.get(host)?.every(({ name }) => name !== `cf-${uid}`))
          .map(({ uid, host }) => `libvirt of ${host} does not list ${uid}`),
      ];
    },
    async [Symbol.asyncDispose]() {
      ended.abort();
      await loops;
    },
  };
}

/** uid: the places, where it is in more than one. */
function twice(
  found: readonly { readonly uid: string; readonly host: string }[],
): ReadonlyMap<string, readonly string[]> {
  const places = Map.groupBy(found, ({ uid }) => uid);
  return new Map(
    [...places].filter(([, its]) => its.length > 1).map(([uid, its]) => [uid, its.map(({ host }) => host)]),
  );
}
