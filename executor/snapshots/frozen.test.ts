import { expect, test } from 'vitest';
import { silentLog } from '#lib/std/log.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { MachineError } from '../hypervisor.ts';
import { Freezes } from './freezes.ts';
import { FrozenGuests } from './frozen.ts';

/** A guest with one file system. */
function openWorld() {
  const journalled = new Set<string>();
  const clock = new VirtualClock();
  const guest = { isFrozen: false, power: 'On' as 'On' | 'Off', answers: true, asked: [] as string[] };
  const deps = {
    journal: {
      freezes: (uid: string) => void journalled.add(uid),
      hasThawed: (uid: string) => void journalled.delete(uid),
      frozen: () => [...journalled],
    },
    hypervisor: {
      get: async (uid: string) => ({ uid, attempt: 1, power: guest.power }),
      async agent(_uid: string, { execute }: { readonly execute: string }) {
        guest.asked.push(execute);
        if (!guest.answers) throw new MachineError('The guest agent did not answer in time');
        if (execute === 'guest-ping') return {};
        const before = guest.isFrozen;
        guest.isFrozen = execute === 'guest-fsfreeze-freeze';
        return before === guest.isFrozen ? 0 : 1;
      },
    },
    freezes: new Freezes(clock),
    clock,
    log: silentLog,
  };
  return { ...deps, guest, journalled, open: () => new FrozenGuests(deps) };
}

test('a guest is journalled before it is frozen, and thawed by its own timer if nobody does', async () => {
  const world = openWorld();
  const { guest, clock, journalled } = world;
  await using guests = world.open();
  const agent = world.hypervisor.agent;
  world.hypervisor.agent = async (uid, command) => {
    if (command.execute === 'guest-fsfreeze-freeze') expect([...journalled]).toEqual(['a']);
    return await agent(uid, command);
  };
  expect(await guests.freeze('a')).toBe('Frozen');
  await clock.advance(9_900);
  expect(guest.isFrozen).toBe(true);
  await clock.advance(200);
  expect([guest.isFrozen, ...journalled]).toEqual([false]);
  // Who thaws then learns that it had not stayed frozen.
  expect(await guests.thaw('a')).toBe(false);
});

test('the next worker thaws at once what its predecessor left, again and again until the guest hears', async () => {
  const world = openWorld();
  const { guest, clock, journalled } = world;
  journalled.add('a');
  Object.assign(guest, { isFrozen: true, answers: false });
  await using _ = world.open();
  await clock.advance(60_000);
  expect(guest.asked.length).toBeGreaterThan(4);
  expect([...journalled]).toEqual(['a']);
  guest.answers = true;
  await clock.advance(15_000);
  expect([guest.isFrozen, ...journalled]).toEqual([false]);
});

test('a machine that went off is not asked for ever; one without an agent is not frozen', async () => {
  const world = openWorld();
  const { guest, clock, journalled } = world;
  journalled.add('a');
  Object.assign(guest, { isFrozen: true, answers: false });
  await using guests = world.open();
  await clock.advance(20_000);
  guest.power = 'Off';
  await clock.advance(20_000);
  expect([...journalled]).toEqual([]);
  guest.power = 'On';
  expect(await guests.freeze('a')).toBe('NoGuestAgent');
  expect([...journalled]).toEqual([]);
});

test('whoever asks the guest something meanwhile sees that it is frozen, or was; not for ever', async () => {
  const world = openWorld();
  const { guest, clock, freezes } = world;
  await using guests = world.open();
  using before = freezes.watch('a');
  using other = freezes.watch('b');
  expect(before).toMatchObject({ isFrozen: false, wasFrozen: false });
  await guests.freeze('a');
  expect(before).toMatchObject({ isFrozen: true, wasFrozen: true });
  await guests.thaw('a');
  expect(before).toMatchObject({ isFrozen: false, wasFrozen: true });
  expect(other).toMatchObject({ isFrozen: false, wasFrozen: false });
  using after = freezes.watch('a');
  expect(after).toMatchObject({ isFrozen: false, wasFrozen: false });
  // Its agent dies while it is frozen.
  await guests.freeze('a');
  guest.answers = false;
  await clock.advance(59_900);
  expect(freezes.watch('a')).toMatchObject({ isFrozen: true });
  await clock.advance(200);
  expect(freezes.watch('a')).toMatchObject({ isFrozen: false, wasFrozen: false });
});

test('what a killed worker left frozen is so to the next one, until it has thawed', async () => {
  const world = openWorld();
  const { guest, clock, freezes, journalled } = world;
  journalled.add('a');
  Object.assign(guest, { isFrozen: true, answers: false });
  await using _ = world.open();
  await clock.advance(10_000);
  expect(freezes.watch('a')).toMatchObject({ isFrozen: true });
  guest.answers = true;
  await clock.advance(15_000);
  expect(freezes.watch('a')).toMatchObject({ isFrozen: false });
});
