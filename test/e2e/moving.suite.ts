/** Machines that are moved between real hosts as they run, in the user's own commands: what their guests notice, and what is left behind. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { conditionOf } from '#lib/api/conditions.ts';
import { VirtualMachine } from '#lib/api/generated/index.ts';
import { hostObjectName } from '#lib/api/names.ts';
import { must } from './local-cluster.ts';
import type { Holdings, RealCluster } from './real-cluster.ts';

const apiVersion = 'computefactory.io/v1alpha1';
const namespace = 'moving';
const inMoving = ['-n', namespace];
const bootMs = 240_000;
const libvirtMs = 10_000;
const patiently = { timeout: 60_000, interval: 500 };

/** What a guest says of its life. */
interface Life {
  readonly boot: string;
  readonly uptime: number;
  /** By a process that holds the number in memory. */
  readonly count: number;
  /** Of a file, read from the disk itself. */
  readonly sum: string;
}

/** In a lab of three hosts of two cores that have nothing to do; they have nothing to do afterwards. */
export function describeMoving(lab: () => RealCluster): void {
  describe('machines that are moved as they run', () => {
    let before: Holdings;
    let mover: VirtualMachine;
    let witness: VirtualMachine;
    let life: Life;

    const ctl = (...args: readonly string[]) => must(lab().factoryctl(...args));
    const hostName = (index: number) => lab().hosts[index]!.name;
    const machine = (name: string) => lab().client.get(VirtualMachine, { name, namespace });
    /** Nothing new starts on any other. */
    async function onlyOn(index: number): Promise<void> {
      for (const [at, { name }] of lab().hosts.entries())
        await ctl(at === index ? 'uncordon' : 'cordon', hostObjectName('local', name));
    }
    async function apply(...items: readonly object[]): Promise<void> {
      const file = join(lab().dir, 'moving.json');
      writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
      await ctl('apply', '-f', file);
    }
    const object = (kind: string, name: string, spec: object) => ({
      ...{ apiVersion, kind, metadata: { name, namespace }, spec },
    });
    const isBooted = async (name: string) =>
      await expect
        .poll(async () => lab().consoleLog(await machine(name)), { timeout: bootMs })
        .toContain(`READY ${name} `);
    async function start(name: string, index: number, more: object = {}): Promise<VirtualMachine> {
      await onlyOn(index);
      const size = { resources: { cores: 1, memory: '96Mi' }, image: { name: 'tiny' }, networks: [{ subnet: 'net' }] };
      await apply(object('VirtualMachine', name, { ...size, terminationGracePeriod: '5s', ...more }));
      await isBooted(name);
      await expect.poll(async () => conditionOf(await machine(name), 'Ready')?.status, patiently).toBe('True');
      const vm = await machine(name);
      expect(vm.status?.attempt?.host).toBe(hostName(index));
      return vm;
    }
    /** Over VXLAN: the two are never on one host. */
    const bootSeenByWitness = async ({ status }: VirtualMachine) =>
      /"boot":"([^"]+)"/.exec(await lab().shell(witness, `timeout 40 wget -qO- http://${status!.ip}/`))?.[1];
    async function lifeOf(vm: VirtualMachine): Promise<Life> {
      const said = await lab().shell(
        vm,
        'sync; echo 3 >/proc/sys/vm/drop_caches; echo "<$(cat /proc/sys/kernel/random/boot_id) $(cut -d" " -f1 /proc/uptime) $(cat /data/count) $(md5sum </data/file)>"',
      );
      const [, boot, uptime, count, sum] = /<(\S{36}) (\S+) (\d+) ([0-9a-f]{32})/.exec(said)!;
      return { boot: boot!, uptime: Number(uptime), count: Number(count), sum: sum! };
    }
    /** The same guest, further on, with the same disk. */
    async function livesOn(was: Life): Promise<Life> {
      const now = await lifeOf(mover);
      expect(now).toMatchObject({ boot: was.boot, sum: was.sum });
      expect(now.uptime).toBeGreaterThan(was.uptime);
      await expect.poll(async () => (await lifeOf(mover)).count, patiently).toBeGreaterThan(now.count);
      return now;
    }
    async function guestAt(index: number, name: string): Promise<string> {
      const { uid } = (await machine(name)).metadata;
      const domains = (await lab().hosts[index]!.activeDomains(libvirtMs))!;
      const domain = domains.find((each) => each.name === `cf-${uid}`);
      if (!domain) return 'absent';
      return domain.isStanding ? 'stands' : `runs (${domain.state})`;
    }
    /** Of what there is on this host: domains, disks, seeds, logs and sockets; taps, rules and leases; QEMUs and DHCP servers. */
    const ofHost = (index: number, all: Holdings) =>
      Object.fromEntries(
        (['domains', 'machineFiles', 'libvirtFiles', 'links', 'filterRules', 'dhcpFiles', 'processes'] as const).map(
          (kind) => [kind, all[kind].filter((entry) => entry.startsWith(`${hostName(index)} `))],
        ),
      );

    test('two machines of one subnet run on different hosts', async () => {
      before = await lab().holdings();
      await apply(
        { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
        object('Subnet', 'net', { cidr: '10.78.0.0/24', releaseCooldown: '0s' }),
        object('Image', 'tiny', { source: { file: { path: 'tiny.img' } } }),
      );
      await ctl('wait', 'img/tiny', '--for=condition=Ready', ...inMoving, '--timeout=4m');
      mover = await start('mover', 0, { evictionStrategy: 'LiveMigrateIfPossible' });
      witness = await start('witness', 1);
      await lab().shell(
        mover,
        'dd if=/dev/urandom of=/data/file bs=64k count=32; (n=0; while :; do n=$((n+1)); echo $n >/data/next; mv /data/next /data/count; sleep 1; done) >/dev/null 2>&1 & sleep 2',
      );
      life = await lifeOf(mover);
      await expect.poll(async () => await bootSeenByWitness(mover), patiently).toBe(life.boot);
    });

    test('factoryctl migrate: memory, disk and address go along, and nothing stays behind', async () => {
      await onlyOn(2);
      const seen = new Set<string>();
      const ended = new AbortController();
      const places = new Set<string>();
      const watching = (async () => {
        while (!ended.signal.aborted) {
          // Where it goes to first: it runs there only when it runs here no more.
          const there = await guestAt(2, 'mover');
          places.add(`${await guestAt(0, 'mover')} here, ${there} there`);
          const vm = await machine('mover');
          seen.add(`${vm.status?.phase} ${vm.status?.displayStatus} ${conditionOf(vm, 'Ready')?.status}`);
        }
      })();
      const said = await ctl('migrate', 'vm', 'mover', ...inMoving, '--timeout=2m').finally(() => ended.abort());
      await watching;
      expect(said).toContain('mover migrated');
      expect([...seen].toSorted()).toEqual(['Running Migrating True', 'Running Running True']);
      expect([...places]).toContainEqual(expect.stringMatching(/^runs .*here, absent there$/));
      expect([...places]).toContainEqual(expect.stringMatching(/^runs .*here, stands there$/));
      expect([...places].filter((place) => place.match(/runs/g)?.length === 2)).toEqual([]);
      const { metadata, status } = await machine('mover');
      expect(status).toMatchObject({
        attempt: { number: 2, host: hostName(2) },
        ip: mover.status!.ip,
        lastMigration: { outcome: 'Completed', fromHost: hostName(0), host: hostName(2) },
        attempts: [{ number: 1, host: hostName(0), outcome: 'Migrated' }],
      });
      expect(status?.migration).toBeUndefined();
      expect(status?.phaseTransitions).toEqual(mover.status!.phaseTransitions);
      expect(conditionOf(await machine('mover'), 'Migrating')).toMatchObject({ status: 'False', reason: 'Moved' });
      await expect
        .poll(async () => ofHost(0, await lab().holdings()), { ...patiently, message: 'the source' })
        .toEqual(ofHost(0, before));
      const now = await lab().holdings();
      expect(now.domains).toEqual([`${hostName(1)} cf-${witness.metadata.uid}`, `${hostName(2)} cf-${metadata.uid}`]);
      expect(now.tasks.toSorted()).toEqual([`vm-${metadata.uid}-2`, `vm-${witness.metadata.uid}-1`].toSorted());
    });

    test('it goes on there, answers over VXLAN, and its console is served', async () => {
      life = await livesOn(life);
      expect(await bootSeenByWitness(mover)).toBe(life.boot);
      expect(await lab().shell(mover, `ping -c 3 -w 40 ${witness.status!.ip}`)).toContain(' 0% packet loss');
      await lab().shell(mover, 'echo said "here"');
      expect(await ctl('log', 'mover', ...inMoving)).toContain('said here');
    });

    test('a drain moves it again, and stops what does not want that', async () => {
      const other = await start('other', 2);
      const boot = await bootSeenByWitness(other);
      await ctl('uncordon', hostObjectName('local', hostName(0)));
      await ctl('drain', hostObjectName('local', hostName(2)), '--reason=new disks', '--wait=3m');
      const [moved, stopped] = [await machine('mover'), await machine('other')];
      expect(moved.status).toMatchObject({ attempt: { number: 3, host: hostName(0) }, phase: 'Running' });
      expect(moved.status?.phaseTransitions).toEqual(mover.status!.phaseTransitions);
      await livesOn(life);
      expect(await bootSeenByWitness(mover)).toBe(life.boot);
      expect(stopped.status?.attempts?.at(-1)).toMatchObject({ number: 1, host: hostName(2), class: 'Preempted' });
      await expect
        .poll(async () => (await machine('other')).status, { timeout: bootMs, interval: 500 })
        .toMatchObject({ phase: 'Running', attempt: { host: hostName(0) }, ip: expect.any(String) });
      await isBooted('other');
      const another = await bootSeenByWitness(await machine('other'));
      expect(another).toMatch(/^[0-9a-f-]{36}$/);
      expect(another).not.toBe(boot);
      expect(ofHost(2, await lab().holdings())).toEqual(ofHost(2, before));
    });

    test('deleting them leaves what there was before', async () => {
      for (const { name } of lab().hosts) await ctl('uncordon', hostObjectName('local', name));
      await ctl('delete', 'namespace', namespace, '--timeout=3m');
      await expect.poll(() => lab().holdings(), { timeout: 90_000, interval: 500 }).toEqual(before);
    });
  });
}
