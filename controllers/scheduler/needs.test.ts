import { describe, expect, test, vi } from 'vitest';
import type { HostFacts } from '#lib/api/messages.ts';
import { seededRandom } from '#lib/std/random.ts';
import { fc } from '#test/properties.ts';
import { isMetBy, lackOf, type Needs, needsOf, type Reach, reachOf, readReach, writtenReach } from './needs.ts';
import type { PlacementAsk } from './placement.ts';
import { ask, cluster, one } from './testing/cluster.ts';
import { machine } from './testing/machines.ts';

const volume = { name: 'd', volume: 'data', uid: 'u', type: 'SharedFilesystem', size: '1Gi' } as const;
const onVolumes = (...names: readonly string[]) => ({
  volumes: names.map((glusterVolume) => ({ ...volume, glusterVolume })),
});
/** Of machines with Volumes on these Gluster volumes. */
const need = (...names: readonly string[]): Needs => needsOf(machine('a', { status: onVolumes(...names) }), 'lab')!;
const allows = (...glusterVolumes: readonly string[]): Reach => ({ glusterVolumes });
const with1Core = (needs: Needs | undefined): PlacementAsk => ({ ...ask(1), needs });

describe('needsOf() and reachOf()', () => {
  test('a machine without volumes and networks of the site needs nothing', () => {
    expect(needsOf(machine('a'), 'lab')).toBeUndefined();
    expect(needsOf(machine('a', { status: { volumes: [], networks: [{ ip: '10.0.0.2' }] } }), 'lab')).toBeUndefined();
  });

  test('each Gluster volume, bridge and interface is needed once, whatever the order and the VLAN, as it is called in this Cluster', () => {
    const bridge = { bridge: 'lan', clusters: [{ cluster: 'other', bridge: 'br7' }] };
    const vlan = (number: number) => ({ segment: { parentNIC: 'eth1', vlan: number } });
    const status = { ...onVolumes('vm', 'backup', 'vm'), networks: [{ segment: bridge }, vlan(5), {}, vlan(6)] };
    const here = needsOf(machine('a', { status }), 'lab')!;
    const names = (needs: Needs) => needs.all.map(({ sort, name }) => `${sort} ${name}`);
    expect(names(here)).toEqual(['glusterVolumes backup', 'glusterVolumes vm', 'bridges lan', 'nics eth1']);
    expect(names(needsOf(machine('a', { status }), 'other')!)).toContain('bridges br7');
    const turned = { ...onVolumes('backup', 'vm'), networks: status.networks.toReversed() };
    expect(needsOf(machine('b', { status: turned }), 'lab')!.text).toBe(here.text);
  });

  test('what a host has told denies what is not in it; a list that is not told, or too long to be told whole, denies nothing', () => {
    const facts: HostFacts = { hypervisor: 'libvirt', kvm: true, cpuModel: '' };
    const told = (names: readonly string[]) => reachOf({ facts, volumes: { names, mounts: [], orders: [] } });
    expect(lackOf(need('a', 'vm'), told(['a']))).toEqual({ sort: 'glusterVolumes', name: 'vm' });
    expect(lackOf(need('a'), told(['a']))).toBeUndefined();
    for (const reach of [undefined, reachOf({ facts }), told(Array.from({ length: 257 }, (_, index) => `v${index}`))]) {
      expect(lackOf(need('vm'), reach)).toBeUndefined();
      expect(isMetBy(need('vm'), reach)).toBe(false);
    }
    const nics = needsOf(machine('a', { status: { networks: [{ segment: { parentNIC: 'eth0', vlan: 5 } }] } }), 'lab')!;
    const segments = { bridges: ['eth0'], nics: [] };
    expect(lackOf(nics, reachOf({ facts: { ...facts, segments } }))).toEqual({ sort: 'nics', name: 'eth0' });
  });

  test('the Host object holds what was told, and names that none could hold are left out', () => {
    const facts: HostFacts = { hypervisor: 'libvirt', kvm: true, cpuModel: '' };
    const segments = { bridges: ['lan', 'a-name-of-16-chars'], nics: [] };
    const reach = reachOf({ facts: { ...facts, segments }, volumes: { names: ['vm'], mounts: [], orders: [] } });
    const written = { glusterVolumes: ['vm'], segments: { bridges: ['lan'], nics: [] } };
    expect(writtenReach(reach)).toEqual(written);
    expect(readReach(written)).toEqual(reach);
    expect(writtenReach(reachOf({ facts }))).toEqual({});
  });
});

describe('placement', () => {
  test('leaves out hosts that are known not to have it, and counts them in words', () => {
    const { placement, add } = cluster();
    for (const name of ['h1', 'h2', 'h3']) add(name, 8.5, 65_536);
    for (const name of ['h1', 'h2']) placement.setReach(name, { ...allows('other'), bridges: [], nics: [] });
    expect(placement.choose(with1Core(need('vm')))).toBe('h3');
    placement.setReach('h3', { ...allows('vm'), bridges: [], nics: [] });
    const networks = [{ segment: { bridge: 'lan' } }, { segment: { parentNIC: 'eth1', vlan: 5 } }];
    const needs = needsOf(machine('a', { status: { ...onVolumes('vm'), networks } }), 'lab')!;
    expect(placement.choose(with1Core(needs))).toBeUndefined();
    expect(placement.explain(with1Core(needs))).toEqual({
      reason: 'NoMatchingHost',
      message:
        '3 hosts: 2 that may not use the Gluster volume vm (add it to gluster.volumes in their configuration), ' +
        '1 that let no guests onto bridge lan (add it to segments.bridges in their configuration)',
    });
    placement.setReach('h3', { ...allows('vm'), bridges: ['lan'], nics: [] });
    expect(placement.explain(with1Core(needs)).message).toContain(
      '1 that let no guests onto interface eth1 (add it to segments.nics in their configuration)',
    );
  });

  test('a host of which nothing is known is taken where no other has room, however much another is wished for', () => {
    const { ledger, placement, add } = cluster();
    add('unknown', 1.5, 65_536, { labels: { rack: 'r1' } });
    add('sure', 2.5, 65_536);
    placement.setReach('sure', allows('vm'));
    const wish = { preferredHosts: [{ weight: 100, matchLabels: { rack: 'r1' } }] };
    const wishing = { ...one(wish), needs: need('vm') };
    expect(placement.choose(one(wish))).toBe('unknown');
    expect(placement.choose(wishing)).toBe('sure');
    ledger.occupy('vm-1', 'sure', { cpu: 1500, mem: 1000 });
    expect(placement.choose(wishing)).toBe('unknown');
  });

  test('an even spread that is only wished for does not lead to a host of which nothing is known', () => {
    const { ledger, placement, add } = cluster();
    add('unknown', 8.5, 65_536);
    add('sure', 8.5, 65_536);
    placement.setReach('sure', allows('vm'));
    for (const key of ['host', 'rack']) {
      const asked = one({ spread: [{ key, maxSkew: 1, whenUnsatisfiable: 'ScheduleAnyway' }] });
      ledger.occupy(`vm-${key}-1`, 'sure', asked.room, asked.member);
      ledger.occupy(`vm-${key}-2`, 'sure', asked.room, asked.member);
      expect(placement.choose({ ...asked, needs: need('vm') })).toBe('sure');
    }
  });

  test('while as many start as may at once where it is sure, the machine waits for one of them to be up', () => {
    const { ledger, placement, add } = cluster({ startingMax: 1 });
    add('unknown', 8.5, 65_536);
    add('sure', 8.5, 65_536);
    placement.setReach('sure', allows('vm'));
    const asked = with1Core(need('vm'));
    ledger.occupy('vm-1', 'sure', asked.room, undefined, 'Starting');
    expect(placement.choose(asked)).toBeUndefined();
    expect(placement.explain(asked).reason).toBe('LaunchLimit');
    expect(placement.choose(ask(8))).toBe('unknown');
    expect(placement.choose({ ...ask(8), needs: need('vm') })).toBe('unknown');
    ledger.occupy('vm-1', 'sure', asked.room);
    expect(placement.choose(asked)).toBe('sure');
  });

  test('what a host tells anew counts at once, also that nobody speaks for it any more', () => {
    const { placement, add } = cluster();
    add('h', 8.5, 65_536);
    const asked = with1Core(need('vm'));
    const refused = () => [placement.choose(asked), placement.explain(asked).message];
    placement.setReach('h', allows());
    expect(refused()).toEqual([undefined, expect.stringContaining('1 host: 1 that may not use the Gluster volume vm')]);
    expect(placement.fitsByTheBooks(asked, 'h')).toBe(false);
    placement.setReach('h', allows('vm'));
    expect(placement.choose(asked)).toBe('h');
    expect(placement.explain(asked).message).not.toContain('may not use');
    expect(placement.fitsByTheBooks(asked, 'h')).toBe(true);
    placement.setReach('h', allows('other'));
    expect(refused()).toEqual([undefined, expect.stringContaining('1 that may not use')]);
    placement.setReach('h', undefined);
    expect(placement.choose(asked)).toBe('h');
  });

  test('machines that need different things are of different classes, others of the one they were of', () => {
    const { placement } = cluster();
    expect(placement.classOf(with1Core(undefined))).toBe(placement.classOf(ask(1)));
    expect(placement.classOf(with1Core(need('vm')))).toBe(placement.classOf(with1Core(need('vm', 'vm'))));
    const kinds = [
      ask(1),
      with1Core(need('vm')),
      with1Core(need('backup')),
      one({}),
      { ...one({}), needs: need('vm') },
    ];
    expect(new Set(kinds.map((each) => placement.classOf(each))).size).toBe(kinds.length);
  });

  const step = fc.record({
    host: fc.nat(5),
    reach: fc.constantFrom(undefined, {}, allows(), allows('a'), allows('a', 'b')),
    needs: fc.constantFrom(undefined, need('a'), need('a', 'b')),
    cores: fc.integer({ min: 1, max: 3 }),
  });

  test('no host is chosen that lacks something, none of which nothing is known while a sure one has room, and none is overlooked', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const { ledger, placement, add } = cluster();
        for (let index = 0; index < 6; index++) add(`h${index}`, 4.5, 65_536);
        const reaches = new Map<string, Reach | undefined>();
        for (const [index, { host, reach, needs, cores }] of steps.entries()) {
          reaches.set(`h${host}`, reach);
          placement.setReach(`h${host}`, reach);
          const asked = { ...ask(cores), needs };
          const roomy = ledger
            .views()
            .flatMap(({ host: { hostname }, free }) => (free.cpu >= cores * 1000 ? hostname : []));
          const possible = roomy.filter((name) => !needs || !lackOf(needs, reaches.get(name)));
          const sure = possible.filter((name) => needs && isMetBy(needs, reaches.get(name)));
          const chosen = placement.choose(asked);
          expect(sure.length > 0 ? sure : possible.length > 0 ? possible : [undefined]).toContain(chosen);
          if (chosen !== undefined) ledger.occupy(`vm-${index}`, chosen, asked.room);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('a machine costs as many looks at hosts among many as among few', () => {
    const looks = (hosts: number) => {
      const { ledger, placement, add } = cluster();
      for (let index = 0; index < hosts; index++) {
        add(`h${index}`, 4.5, 65_536);
        if (index % 3 > 0) placement.setReach(`h${index}`, allows(...(index % 3 === 1 ? ['vm'] : [])));
      }
      placement.choose(with1Core(need('vm')));
      const [one, all] = [vi.spyOn(ledger, 'view'), vi.spyOn(ledger, 'views')];
      for (let index = 0; index < 60; index++) {
        // One host is changed at a time; the rest is as it was.
        placement.setReach(`h${index}`, allows(...(index % 2 === 0 ? ['vm'] : [])));
        const asked = with1Core(need('vm'));
        ledger.occupy(`vm-${index}`, placement.choose(asked)!, asked.room);
      }
      expect(all).not.toHaveBeenCalled();
      return one.mock.calls.length;
    };
    expect(looks(2000)).toBe(looks(60));
  });

  test('machines that need nothing go where they would have gone, whatever hosts tell meanwhile', () => {
    const places = (telling: boolean) => {
      const random = seededRandom(5);
      const { ledger, placement, add } = cluster();
      for (let index = 0; index < 20; index++) add(`h${index}`, 8.5, 65_536);
      return Array.from({ length: 120 }, (_, index) => {
        const host = `h${Math.floor(random.next() * 20)}`;
        if (telling) {
          placement.setReach(host, allows(...(index % 2 === 0 ? ['vm'] : [])));
          placement.choose(with1Core(need('vm')));
        }
        const asked = ask(1 + Math.floor(random.next() * 3));
        const chosen = placement.choose(asked);
        if (chosen !== undefined) ledger.occupy(`vm-${index}`, chosen, asked.room);
        if (index % 3 === 0) ledger.release(`vm-${index - 3}`);
        return chosen;
      });
    };
    expect(places(true)).toEqual(places(false));
  });
});
