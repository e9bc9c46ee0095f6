import { expect, test } from 'vitest';
import { conditionOf } from '#lib/api/conditions.ts';
import { Host } from '#lib/api/generated/host.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { FakeHost } from './testing/fake-mesos.ts';
import { open, running, type Story, story, until } from './testing/story.ts';

const volume = { name: 'd', volume: 'data', uid: 'u', type: 'SharedFilesystem', size: '1Gi' } as const;
const onVolume = (glusterVolume: string) => ({ volumes: [{ ...volume, glusterVolume }] });
const onBridge = (bridge: string) => ({
  networks: [{ subnet: 'site', ip: '10.0.0.2', mac: '02:cf:00:00:00:01', used: true, segment: { bridge } }],
});
const mayUse = (...names: readonly string[]) => ({ names, mounts: [], orders: [] });

/** A host whose executor speaks: a machine runs there. */
async function scene(configuration: Pick<FakeHost, 'volumes' | 'segments'>) {
  const lab = await story();
  const host = Object.assign(lab.mesos.addHost('h1', 8, 65_536), configuration);
  await lab.want('a', 1);
  const server = lab.serve();
  await running(lab, 'a');
  return { lab, host, server };
}

const scheduled = async (lab: Story, name: string) => conditionOf(await lab.machine(name), 'Scheduled');

test('a machine waits while no host may use its Gluster volume, and is placed when a host’s configuration is changed', async () => {
  const { lab, host } = await scene({ volumes: mayUse('other') });
  await lab.want('b', 1, undefined, onVolume('vm'));
  await until(async () =>
    expect(await scheduled(lab, 'b')).toMatchObject({
      ...{ status: 'False', reason: 'NoMatchingHost' },
      message:
        'lab: 1 host: 1 that may not use the Gluster volume vm (add it to gluster.volumes in their configuration)',
    }),
  );
  host.volumes = mayUse('other', 'vm');
  lab.mesos.restartWorker(host);
  expect((await running(lab, 'b')).status?.attempt?.host).toBe('h1');
}, 20_000);

test('the same with a bridge of the site; hosts say in their objects what they let guests onto', async () => {
  const { lab, host } = await scene({ segments: { bridges: ['dmz'], nics: [] } });
  const facts = async () => (await lab.api.get(Host, { name: 'lab-h1' })).status?.facts;
  await until(async () => expect(await facts()).toMatchObject({ segments: { bridges: ['dmz'], nics: [] } }));
  await lab.want('b', 1, undefined, onBridge('lan'));
  await until(async () =>
    expect((await scheduled(lab, 'b'))?.message).toBe(
      'lab: 1 host: 1 that let no guests onto bridge lan (add it to segments.bridges in their configuration)',
    ),
  );
  host.segments = { bridges: ['dmz', 'lan'], nics: [] };
  lab.mesos.restartWorker(host);
  expect((await running(lab, 'b')).status?.attempt?.host).toBe('h1');
  await until(async () => expect(await facts()).toMatchObject({ segments: { bridges: ['dmz', 'lan'] } }));
}, 20_000);

test('a host whose executor does not tell is tried, and one that has the volume is taken before it', async () => {
  const { lab } = await scene({});
  await lab.want('b', 1, undefined, onVolume('vm'));
  expect((await running(lab, 'b')).status?.attempt?.host).toBe('h1');
  const other = Object.assign(lab.mesos.addHost('h2', 64, 65_536), { volumes: mayUse('vm') });
  await lab.want('c', 8);
  expect((await running(lab, 'c')).status?.attempt?.host).toBe(other.hostname);
  // The fewest free cores that suffice are on the other host.
  await lab.want('d', 1, undefined, onVolume('vm'));
  expect((await running(lab, 'd')).status?.attempt?.host).toBe(other.hostname);
}, 20_000);

test('the word of an executor that has ended holds no longer: the machine is tried there, and brings it back', async () => {
  const { lab, host } = await scene({ volumes: mayUse('other') });
  await lab.want('b', 1, undefined, onVolume('vm'));
  await until(async () => expect(await scheduled(lab, 'b')).toMatchObject({ reason: 'NoMatchingHost' }));
  await lab.api.delete(VirtualMachine, { name: 'a', namespace: 'default' });
  await until(async () => expect((await lab.machine('a')).status?.attempt).toBeUndefined());
  host.volumes = mayUse('vm');
  lab.mesos.loseExecutor(host);
  expect((await running(lab, 'b')).status?.attempt?.host).toBe('h1');
}, 20_000);

test('a restarted cluster server goes by what the Host says until the executor could be heard', async () => {
  const { lab, server } = await scene({ volumes: mayUse('other') });
  const facts = async () => (await lab.api.get(Host, { name: 'lab-h1' })).status?.facts;
  await until(async () => expect(await facts()).toMatchObject({ glusterVolumes: ['other'] }));
  await lab.api.delete(VirtualMachine, { name: 'a', namespace: 'default' });
  await until(async () => expect((await lab.machine('a')).status?.attempt).toBeUndefined());
  open.splice(open.indexOf(server), 1);
  await server[Symbol.asyncDispose]();
  await lab.want('b', 1, undefined, onVolume('vm'));
  lab.serve();
  await until(async () => expect(await scheduled(lab, 'b')).toMatchObject({ reason: 'NoMatchingHost' }));
}, 20_000);
