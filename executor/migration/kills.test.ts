/**
 * A machine moves between two hosts of which either worker is killed, at each of its steps, and each word between them is lost: it is always one
 * machine, at one place, and at the other nothing of it stays.
 */
import { expect, test } from 'vitest';
import { seededRandom } from '#lib/std/random.ts';
import { atEach, begun, other, settled, until } from '../testing/moving-story.ts';
import type { Moment, OnMoment, TwoHosts } from '../testing/two-hosts.ts';

test('nothing happens: it moves', async () => {
  await using world = await begun();
  expect(await settled(world)).toBe('destination');
  expect(world.moments.map(({ host, what }) => `${host} ${what}`)).toMatchInlineSnapshot(`
    [
      "destination before journal of Provisioning",
      "destination after journal of Provisioning",
      "destination before devices.makeDisks",
      "destination after devices.makeDisks",
      "destination before devices.attachNetworks",
      "destination after devices.attachNetworks",
      "destination before journal of Receiving",
      "destination after journal of Receiving",
      "source before journal of Migrating",
      "source after journal of Migrating",
      "source request describe",
      "destination before devices.makeDisks",
      "destination after devices.makeDisks",
      "destination before devices.attachNetworks",
      "destination after devices.attachNetworks",
      "destination before moves.describe",
      "destination after moves.describe",
      "destination before journal of Receiving",
      "destination after journal of Receiving",
      "source answer describe",
      "source before moves.begin",
      "source after moves.begin",
      "source request prepare",
      "destination before journal of Receiving",
      "destination after journal of Receiving",
      "destination before devices.makeDisks",
      "destination after devices.makeDisks",
      "destination before devices.attachNetworks",
      "destination after devices.attachNetworks",
      "destination before moves.receive",
      "destination after moves.receive",
      "destination before journal of Receiving",
      "destination after journal of Receiving",
      "source answer prepare",
      "source before moves.send",
      "source after moves.send",
      "source before journal of Migrating",
      "source after journal of Migrating",
      "source request finish",
      "source before journal of Migrating",
      "source after journal of Migrating",
      "destination before journal of Taking",
      "destination after journal of Taking",
      "destination before moves.take",
      "destination after moves.take",
      "destination before journal of Taking",
      "destination after journal of Taking",
      "destination before journal of Running",
      "destination after journal of Running",
      "source answer finish",
      "source before journal of Removing",
      "source after journal of Removing",
      "source before moves.end",
      "source after moves.end",
      "source before journal of Removing",
      "source after journal of Removing",
      "source before journal of Removing",
      "source after journal of Removing",
      "source before moves.refuse",
      "source after moves.refuse",
      "source before hypervisor.destroy",
      "source after hypervisor.destroy",
      "source before devices.detachNetworks",
      "source after devices.detachNetworks",
      "source before devices.removeDisks",
      "source after devices.removeDisks",
      "source before hypervisor.undefine",
      "source after hypervisor.undefine",
      "source before journal of Removing",
      "source after journal of Removing",
      "source before journal of Gone",
      "source after journal of Gone",
    ]
  `);
});

test('either worker is killed at any of its steps', async () => {
  const outcomes = await atEach((_, __, worker) => worker.kill(), settled);
  expect(new Set(outcomes)).toEqual(new Set(['source', 'destination']));
}, 120_000);

test('a worker is killed while the other is at any of its steps', async () => {
  const outcomes = await atEach((world, { host }) => world.worker(other[host]).kill(), settled);
  expect(new Set(outcomes)).toEqual(new Set(['source', 'destination']));
}, 120_000);

test('both workers are killed at once at any of their steps', async () => {
  const kill = (world: TwoHosts) => {
    for (const host of ['source', 'destination'] as const) world.worker(host).kill();
  };
  expect(new Set(await atEach(kill, settled))).toEqual(new Set(['source', 'destination']));
}, 120_000);

test('any word between the hosts is lost, and any answer', async () => {
  const isWord = ({ what }: Moment) => what.startsWith('request ') || what.startsWith('answer ');
  const lose = () => {
    throw new Error('Connection reset by peer');
  };
  const outcomes = await atEach(lose, settled, isWord);
  // Before all was sent the guest stays; from then on it is only asked again.
  expect(outcomes).toEqual(['source', 'source', 'source', 'source', 'destination', 'destination']);
}, 120_000);

test('any step of a hypervisor, or of a host, fails', async () => {
  const isDone = ({ what }: Moment) => /^before (moves|devices|hypervisor)/.test(what);
  const fail = () => {
    throw new Error('libvirt: Cannot recv data: Connection reset by peer');
  };
  expect(new Set(await atEach(fail, settled, isDone))).toEqual(new Set(['source', 'destination']));
}, 120_000);

test('while the destination cannot be asked the guest stands, for hours, over workers that are killed', async () => {
  await using world = await begun((each, { what }) => {
    if (what === 'request finish' || what === 'request outcome') {
      each.isSilent = true;
      throw new Error('No route to host');
    }
  });
  const stands = () => world.worker('source').report(world.uid)?.migration?.state === 'Undecided';
  await until(world, stands);
  for (let hours = 0; hours < 3; hours++) {
    await world.clock.advance(3_600_000);
    await world.pass(200);
    expect([stands(), world.lives, world.domain('source')?.power]).toEqual([true, [], 'Paused']);
    world.worker('source').kill();
    await world.pass(2_000);
  }
  // Its deadline has passed there, so it was refused; the word of that comes from the cluster server.
  world.onMoment = () => undefined;
  world.isSilent = false;
  expect(await settled(world)).toBe('source');
});

test('a worker that is asked to end leaves the guest where it is', async () => {
  const stop: OnMoment = (_, __, worker) => void worker.stop();
  await atEach(stop, settled, ({ what }) => what.startsWith('before'));
}, 120_000);

test('workers are killed again and again, at random', async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = seededRandom(seed);
    let kills = 0;
    await using world = await begun((each, { host }) => {
      if (kills >= 6 || random.next() > 0.06) return;
      kills += 1;
      each.worker(random.next() < 0.5 ? host : other[host]).kill();
    });
    await settled(world).catch((cause: unknown) => {
      throw new Error(`seed ${seed}`, { cause });
    });
  }
}, 120_000);
