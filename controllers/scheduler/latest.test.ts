import { describe, expect, test } from 'vitest';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { IndexedStore } from '#lib/client/indexed-store.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { latest } from './latest.ts';
import { oneView } from './one-view.ts';

function machine(resourceVersion: number, cluster?: string, uid = 'u1'): VirtualMachine {
  return {
    ...{ apiVersion: 'computefactory.io/v1alpha1', kind: 'VirtualMachine' },
    metadata: { name: 'a', namespace: 'team', uid, resourceVersion: String(resourceVersion), creationTimestamp: '' },
    spec: { image: { name: 'debian' } } as VirtualMachine['spec'],
    status: cluster === undefined ? {} : { attempt: { cluster } },
  };
}

const key = 'team/a';

function world() {
  const clock = new VirtualClock();
  const [waiting, ours] = [new IndexedStore(VirtualMachine), new IndexedStore(VirtualMachine)];
  const view = latest(oneView([waiting, ours]), clock, ({ status }) => status?.attempt?.cluster === 'lab');
  const version = () => view.get(key)?.metadata.resourceVersion;
  const comes = (store: IndexedStore<VirtualMachine>, vm: VirtualMachine) => {
    store.set(vm);
    view.heard(vm);
  };
  const leaves = (store: IndexedStore<VirtualMachine>, vm: VirtualMachine) => {
    store.delete(key);
    view.dropped(vm);
  };
  return { clock, waiting, ours, view, version, comes, leaves };
}

describe('latest()', () => {
  test('a machine that we took is seen all the time, whichever watch tells first', () => {
    const { waiting, ours, view, version, comes, leaves } = world();
    comes(waiting, machine(1));
    view.wrote(machine(2, 'lab'));
    expect(version()).toBe('2');
    leaves(waiting, machine(2));
    expect(view.get(key)).toEqual(machine(2, 'lab'));
    expect(view.byUid('u1')).toEqual(machine(2, 'lab'));
    expect(view.list()).toHaveLength(1);
    comes(ours, machine(2, 'lab'));
    comes(ours, machine(3, 'lab'));
    expect(version()).toBe('3');
    expect(view.list()).toHaveLength(1);
  });

  test('also when the answer to our write comes last', () => {
    const { waiting, view, version, comes, leaves } = world();
    comes(waiting, machine(1));
    leaves(waiting, machine(2));
    expect(version()).toBeUndefined();
    view.wrote(machine(2, 'lab'));
    expect(version()).toBe('2');
  });

  test('one that turns up nowhere is asked about after a while, and let go of', async () => {
    const { clock, ours, view, version, comes, leaves } = world();
    comes(ours, machine(5, 'lab'));
    leaves(ours, machine(6, 'lab'));
    expect(view.overdue()).toEqual([]);
    expect(version()).toBe('6');
    await clock.advance(60_000);
    expect(view.overdue()).toEqual([machine(6, 'lab')]);
    expect(version()).toBe('6');
    view.gone(machine(6, 'lab'));
    expect(view.overdue()).toEqual([]);
    expect(view.list()).toEqual([]);
  });

  test('one that is found where no watch tells of it yet is kept for another while; one that is not ours any more is not', async () => {
    const { clock, ours, view, version, comes, leaves } = world();
    comes(ours, machine(5, 'lab'));
    leaves(ours, machine(6, 'lab'));
    await clock.advance(60_000);
    view.wrote(machine(7, 'lab'));
    expect(version()).toBe('7');
    expect(view.overdue()).toEqual([]);
    await clock.advance(60_000);
    expect(view.overdue()).toEqual([machine(7, 'lab')]);
    view.wrote(machine(8));
    expect(version()).toBeUndefined();
    expect(view.isMoving).toBe(false);
  });

  test('what is not ours is lost sight of at once', () => {
    const { waiting, version, comes, leaves } = world();
    comes(waiting, machine(1));
    leaves(waiting, machine(2));
    expect(version()).toBeUndefined();
  });

  test('another machine under the same name does not make the first one forgotten', async () => {
    const { clock, waiting, ours, view, version, comes, leaves } = world();
    comes(ours, machine(5, 'lab'));
    leaves(ours, machine(5, 'lab'));
    comes(waiting, machine(7, undefined, 'u2'));
    expect(version()).toBe('7');
    expect(view.byUid('u1')).toEqual(machine(5, 'lab'));
    await clock.advance(60_000);
    expect(view.overdue()).toEqual([machine(5, 'lab')]);
    view.gone(machine(5, 'lab'));
    expect(version()).toBe('7');
  });
});
