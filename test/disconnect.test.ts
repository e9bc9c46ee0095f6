/**
 * spec.disconnect through the whole system: a host falls silent while its machine runs on, its pool makes another one, and the host answers
 * again. Imitated machines and virtual time, because every case is of minutes of silence; the machines of a host that is away run on also where
 * they are real (test/e2e/lab-faults.test.ts, executor/libvirt/driver.test.ts).
 */
import { expect, test } from 'vitest';
import { Host, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import { hostObjectName, labels } from '#lib/api/names.ts';
import { clusterName, tenants } from './chaos/world.ts';
import { type Lab, openLab } from './quiet-lab.ts';

const [namespace] = tenants;
const minute = 60_000;

/** A pool of one machine, which runs on h1; h2 would take one more. */
async function running(disconnect: VirtualMachine['spec']['disconnect']): Promise<Lab> {
  const lab = await openLab();
  const { api, clock } = lab.world;
  const template = { spec: { image: { name: 'debian' }, resources: { cores: 1, memory: '256Mi' } } };
  await api.create(VMPool, {
    ...{ apiVersion: 'computefactory.io/v1alpha1', kind: 'VMPool', metadata: { name: 'web', namespace } },
    spec: { replicas: 1, template: { spec: { ...template.spec, ...(disconnect && { disconnect }) } } } as never,
  });
  await clock.advance(minute);
  await api.patch(Host, { name: hostObjectName(clusterName, 'h2') }, { spec: { unschedulable: false } });
  expect(await told(lab)).toEqual(['web-0 Running on h1, on']);
  return lab;
}

/** Each machine in one line, with what it really does. */
async function told({ world }: Lab): Promise<readonly string[]> {
  const { items } = await world.api.list(VirtualMachine, { namespace });
  return items
    .map(({ metadata, status }) => {
      const real = world.hosts.map(({ host }) => host.at(metadata.uid)?.power).find((power) => power !== undefined);
      return `${metadata.name} ${status?.phase} on ${status?.attempt?.host}, ${real?.toLowerCase()}`;
    })
    .toSorted();
}

const silent = ({ world }: Lab) => world.hosts[0]!.killAgent();
const answers = ({ world }: Lab) => world.hosts[0]!.startAgent();

test.each([
  ['KeepOldest', 'web-0 Running on h1, on'],
  ['KeepReplacement', 'web-1 Running on h2, on'],
] as const)('%s: there are two while the host is away, and one when it is back', async (onReconnect, kept) => {
  using lab = await running({ onReconnect });
  const { clock, api } = lab.world;
  silent(lab);
  await clock.advance(4 * minute);
  expect(await told(lab)).toEqual(['web-0 Unreachable on h1, on']);
  await clock.advance(6 * minute);
  expect(await told(lab)).toEqual(['web-0 Unreachable on h1, on', 'web-1 Running on h2, on']);
  const { items } = await api.list(VirtualMachine, { namespace });
  const [lost, other] = items.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  expect(other!.metadata.labels?.[labels.replaces]).toBe(lost!.metadata.uid);
  answers(lab);
  await clock.advance(5 * minute);
  expect(await told(lab)).toEqual([kept]);
  // The machine that stayed was not touched.
  expect(lab.starts.get((kept.startsWith('web-0') ? lost! : other!).metadata.uid)).toBe(1);
  expect(lab.world.failures).toEqual([]);
});

test('lostAfter: sooner', async () => {
  using lab = await running({ lostAfter: '1m' });
  silent(lab);
  await lab.world.clock.advance(4 * minute);
  expect(await told(lab)).toEqual(['web-0 Unreachable on h1, on', 'web-1 Running on h2, on']);
});

test('replace: false: nobody stands in, however long it takes', async () => {
  using lab = await running({ replace: false });
  silent(lab);
  await lab.world.clock.advance(60 * minute);
  expect(await told(lab)).toEqual(['web-0 Unreachable on h1, on']);
  answers(lab);
  await lab.world.clock.advance(5 * minute);
  expect(await told(lab)).toEqual(['web-0 Running on h1, on']);
});
