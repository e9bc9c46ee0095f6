/** Probes of a real machine by a real host: an executor with libvirt, a guest that serves port 80. */
import { randomUUID } from 'node:crypto';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { openRealHost, whyNoRealHost } from '#test/real-host.ts';
import { parseConfig } from '../config.ts';
import { consolePaths } from '../console/paths.ts';
import { tapName } from '../network/names.ts';
import { startExecutor } from '../start.ts';
import { shell } from '../testing/guest-shell.ts';
import { ScriptedAgent } from '../testing/scripted-agent.ts';
import { digest, machineLaunch } from '../testing/world.ts';

const vni = 9;
const network = {
  ...{
    subnet: 's',
    subnetUID: 'u',
    vni,
    ip: '10.66.10.11',
    prefix: 24,
    gateway: '10.66.10.1',
    mac: '52:54:00:00:00:11',
  },
  ...{ mtu: 1450, dns: [], domain: '', leaseSeconds: 3600, tried: true as const },
};
const probe = { initialDelayMs: 0, periodMs: 1_000, timeoutMs: 2_000, successThreshold: 1, failureThreshold: 3 };
const http = { port: 80, path: '/', scheme: 'HTTP' as const, headers: [] };

test.skipIf(whyNoRealHost() !== undefined)(
  'a guest is ready when it serves, is left alone while its host is broken, and restarted when it serves no more',
  { timeout: 300_000 },
  async () => {
    await using host = await openRealHost();
    await using agent = await ScriptedAgent.listen();
    const imageStore = join(host.root, 'images');
    mkdirSync(imageStore, { recursive: true });
    copyFileSync(host.image, join(imageStore, digest));
    const { root, socket: libvirtSocket, netns, bootIdFile } = host;
    const common = { hypervisor: 'libvirt', root, imageStore, importDir: imageStore, kvm: false };
    await using _ = await startExecutor({
      config: parseConfig({ ...common, libvirtSocket, netns, bootIdFile }),
      environment: agent.environment(root),
      incarnation: 'life-1',
      ...{ clock: systemClock, random: systemRandom, log: silentLog, heartbeatMs: 500, lookMs: 1_000 },
    });
    await vi.waitFor(() => expect(agent.subscriptions.length).toBeGreaterThan(0), 20_000);
    const uid = randomUUID();
    agent.launch(
      machineLaunch(uid, {
        ...{ version: 4, memoryMiB: 96, rootDiskBytes: 64 * 2 ** 20, networks: [network], terminationGraceMs: 20_000 },
        ...{ image: { digest, format: 'qcow2', virtualSize: 64 * 2 ** 20 } },
        ...{ startup: { ...probe, http, failureThreshold: 200 }, liveness: { ...probe, http } },
        readiness: { ...probe, tcp: { port: 80 } },
      }),
    );
    const told = () => agent.heartbeats.at(-1)?.machines.find((each) => each.uid === uid);
    const until = async (check: () => unknown, timeout = 90_000) => await vi.waitFor(check, { timeout, interval: 100 });
    await until(() => expect(told()?.readiness).toMatchObject({ ready: true }));

    // Nobody answers, and that is not the guest's doing.
    const tap = tapName(uid, vni);
    await host.exec('ip', 'link', 'set', tap, 'down');
    await until(() => expect(told()?.readiness).toMatchObject({ ready: false }));
    await systemClock.sleep(10_000);
    expect(told()).toMatchObject({ phase: 'Running', restarts: 0 });
    await host.exec('ip', 'link', 'set', tap, 'up');
    await until(() => expect(told()?.readiness).toMatchObject({ ready: true }));

    await shell(consolePaths(root, uid), 'killall httpd');
    await until(() => expect(told()).toMatchObject({ lastEnd: { reason: 'LivenessFailed' }, restarts: 1 }));
    expect(told()?.lastEnd?.message).toBe(
      'The guest has failed its probe 3 times in a row: Nothing listens at port 80',
    );
    await until(() => expect(told()).toMatchObject({ phase: 'Running', readiness: { ready: true } }));
    // It was asked to shut down, and has kept what was on its disk.
    expect(await shell(consolePaths(root, uid), 'cat /data/boots')).toMatch(/\b2\b/);
  },
);
