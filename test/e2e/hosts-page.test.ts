/**
 * docs/hosts.md from its first step to its last, with the commands and the files that are written there, on a Debian that has nothing yet
 * (test/fresh-debian.ts).
 *
 * What the page takes as given is made before: a Mesos master and a control plane, at 10.0.0.1 on the wire that the host is joined to; the
 * host's own address; a program called mesos-agent. What the computer cannot do as it stands is stood in for, by programs of the same name
 * in `stand-ins/`, which say how: `systemctl` (no systemd runs), `mesos-agent` (Debian has none: it is the local agent behind the flags of
 * the real one) and `scp` (there is no sshd). apt-get and what the desk fetches or copies use the computer's network; all else has the wire
 * alone. The reader looks until the host is there before waiting for it.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recordedProcess } from '#cli/local/keeper.ts';
import { localPaths } from '#cli/local/settings.ts';
import { plugIn, removeFabric } from '#cli/pretend-host/fabric.ts';
import { Cluster, type Host } from '#lib/api/generated/index.ts';
import { apiVersionOf } from '#lib/api/meta.ts';
import { systemClock } from '#lib/std/clock.ts';
import { type FreshDebian, freshDebianPrograms, openFreshDebian } from '../fresh-debian.ts';
import { whyNot } from '../requires.ts';
import { type Step, stepsOf } from './hosts-page.ts';
import { must, root as project, run } from './local-cluster.ts';

const steps = stepsOf(readFileSync(join(project, 'docs/hosts.md'), 'utf8'));
const stepMs = 240_000;
/** The first time a Debian is fetched. */
const setUpMs = 900_000;
const standIns = join(import.meta.dirname, 'stand-ins');
const archive = join(project, '.factory/host.tar.gz');
/** For the guest's image. */
const desk = ['busybox', 'mcopy', 'syslinux', 'qemu-img', 'cpio'];
const reason = whyNot([...freshDebianPrograms, ...desk], { root: true });

describe.skipIf(reason !== undefined)(`docs/hosts.md ${reason ?? ''}`, () => {
  const name = `cft-${randomBytes(4).toString('hex')}`;
  const fabric = `${name}-f`;
  const undo = new AsyncDisposableStack();
  let cluster: string;
  let host: FreshDebian;
  /** The step that failed. What comes after it says nothing. */
  let broken: string | undefined;

  /** At the desk, which reaches the control plane, or else what has to be fetched. */
  async function atDesk(line: string, network: 'the wire' | "the computer's" = 'the wire'): Promise<string> {
    const environment = {
      KUBECONFIG: localPaths(cluster).kubeconfig,
      HOST_ROOT: host.root,
      PATH: `${standIns}:${process.env.PATH}:/usr/sbin:/sbin`,
    };
    const enter = network === 'the wire' ? ['nsenter', `--net=/run/netns/${fabric}`] : [];
    const [file, ...args] = [...enter, 'bash', '-c', `cd ${project}\n${line}`];
    return await must(run(file!, args, environment, stepMs));
  }

  async function take(step: Step): Promise<string> {
    if ('file' in step) {
      await writeFile(join(host.root, step.file), step.text);
      return '';
    }
    const { command } = step;
    if (step.where === 'desk') return await atDesk(command, command.startsWith('bin/') ? 'the wire' : "the computer's");
    return await host.shell(command, command.startsWith('apt-get ') ? "the computer's" : 'its own', stepMs);
  }

  const hostObject = async () => JSON.parse(await atDesk('bin/factoryctl get host local-host-11 -o json')) as Host;

  async function until(holds: () => Promise<boolean>): Promise<void> {
    const deadline = AbortSignal.timeout(60_000);
    while (!(await holds().catch(() => false))) await systemClock.sleep(300, deadline);
  }

  const qemus = async () => (await host.shell('pgrep -f ^/usr/bin/qemu-system')).trim().split('\n');
  /** Before the update. */
  let before: { readonly qemus: readonly string[]; readonly since: string | undefined };

  /** What the reader sees where a step is taken, besides that the command succeeds. Each is for exactly one step. */
  const looks: readonly {
    step: RegExp;
    before?: () => Promise<unknown>;
    after?: (said: string) => Promise<unknown>;
  }[] = [
    {
      step: /factory-executor --check$/,
      async after(said) {
        expect(said).toContain('Machines can run on this host.');
        expect(said).toMatch(/^ok +libvirt +libvirt \d/m);
        expect(said).toMatch(/^ok +tunnel +10\.0\.0\.11 on eth0/m);
      },
    },
    { step: /factoryctl get hosts$/, before: () => until(async () => (await hostObject()) !== undefined) },
    {
      step: /^virsh list$/,
      async after(said) {
        expect(said.match(/running/g)).toHaveLength(2);
        await until(async () => (await hostObject()).status?.vms === 2);
        expect(await hostObject()).toMatchObject({ status: { executor: { version: expect.any(String) } } });
      },
    },
    {
      step: /^pkill /,
      async before() {
        before = { qemus: await qemus(), since: (await hostObject()).status?.executor?.since };
        expect(before.qemus).toHaveLength(2);
      },
      async after() {
        await until(async () => (await hostObject()).status?.executor?.since !== before.since);
        expect(await qemus()).toEqual(before.qemus);
      },
    },
    {
      step: /factoryctl drain /,
      async after(said) {
        expect(said).toContain('drained');
        expect((await host.shell('virsh list --all --name')).trim()).toBe('');
      },
    },
    {
      step: /^rm -r .*\/etc\/computefactory/,
      async after() {
        expect((await host.shell('ip -brief link')).trim().split('\n')).toHaveLength(2);
        expect(await host.shell("pgrep -af '[q]emu-system|[d]nsmasq|[m]esos-local|/[c]omputefactory/' || :")).toBe('');
        expect(await atDesk('bin/factoryctl get hosts')).not.toContain('host-11');
      },
    },
  ];
  const lookOf = (step: Step) => looks.find((look) => 'command' in step && look.step.test(step.command));

  beforeAll(async () => {
    const dir = await mkdtemp(join(tmpdir(), 'cf-page-'));
    undo.defer(() => rm(dir, { recursive: true, force: true }));
    undo.defer(() => rm(archive, { force: true }));
    cluster = join(dir, 'cluster');
    host = undo.use(await openFreshDebian(name, [project]));
    undo.defer(() => removeFabric(fabric));
    await plugIn(name, { fabric, number: 1 });
    await host.shell('ip addr add 10.0.0.11/24 dev eth0');
    await must(run('ip', ['-n', fabric, 'addr', 'add', '10.0.0.1/24', 'dev', 'wire']));
    await must(run('ip', ['-n', fabric, 'link', 'set', 'lo', 'up']));
    await symlink(join(standIns, 'systemctl'), join(host.root, 'usr/local/bin/systemctl'));
    await symlink(join(standIns, 'mesos-agent'), join(host.root, 'usr/sbin/mesos-agent'));

    const log = join(dir, 'master.log');
    await atDesk(`bin/mesos-local-master --listen 10.0.0.1:5050 --work-dir ${dir}/master >${log} 2>&1 </dev/null &`);
    undo.defer(async () => void (await atDesk(`bin/factoryctl local down --dir ${cluster}`)));
    await atDesk(`bin/factoryctl local up --dir ${cluster} --mesos http://10.0.0.1:5050 --hypervisor sim`);
    // A local cluster has its executors from its own checkout; this one has them where clusters usually have them.
    const file = join(dir, 'cluster.json');
    const executor = { command: '/usr/lib/computefactory/bin/factory-executor' };
    const object = {
      apiVersion: apiVersionOf(Cluster),
      kind: Cluster.kind,
      metadata: { name: 'local' },
      spec: { executor },
    };
    await writeFile(file, JSON.stringify(object));
    await atDesk(`bin/factoryctl apply -f ${file}`);
    // It reads its Cluster once; the keeper starts it again.
    process.kill(recordedProcess(cluster, 'cluster-server')!.pid, 'SIGKILL');
  }, setUpMs);

  afterAll(() => undo.disposeAsync(), stepMs);

  test('the page has what is looked at', () => {
    for (const { step } of looks)
      expect(
        steps.filter((each) => 'command' in each && step.test(each.command)),
        String(step),
      ).toHaveLength(1);
  });

  for (const step of steps) {
    const title = `${step.where}: ${'file' in step ? step.file : step.command}`;
    test(title, { timeout: stepMs }, async ({ skip }) => {
      if (broken !== undefined) skip(`because of "${broken}"`);
      broken = title;
      const look = lookOf(step);
      await look?.before?.();
      const said = await take(step);
      await look?.after?.(said);
      broken = undefined;
    });
  }
});
