/** Proofs that every controller has to pass, whatever it does. For worlds as test/story.ts makes them. */
import { expect } from 'vitest';
import { coreKinds, Event } from '#lib/api/core.ts';
import { factoryKinds } from '#lib/api/generated/index.ts';
import { keyOf } from '#lib/api/meta.ts';
import { kindId } from '#lib/client/kind-id.ts';
import type { Failure } from './counted-client.ts';
import type { World } from './story.ts';

/** More rounds than any story needs: beyond it controllers fight each other, or themselves. */
const roundLimit = 60;

/**
 * Reconciles everything until nothing changes and nothing asks to be tried again, then once more and demands that not one write
 * is made. Time stands still: waits that name a time are left waiting.
 */
export async function settles(world: World): Promise<void> {
  for (let round = 1; ; round++) {
    const before = world.api.store.revision;
    const results = await world.reconcileAll();
    if (world.api.store.revision === before && results.every((result) => result.next !== 'retry')) break;
    if (round === roundLimit)
      throw new Error(`Did not settle in ${roundLimit} rounds; what failed: ${JSON.stringify(results)}`);
  }
  const { writes } = world.calls;
  await world.reconcileAll();
  expect(world.calls.writes - writes, 'writes made although nothing had changed').toBe(0);
}

/** Every object but events, without what differs from run to run: uids, times, revisions and generations. */
export function snapshot(world: World): Record<string, unknown> {
  const kinds = [...coreKinds, ...factoryKinds].filter((kind) => kindId(kind) !== kindId(Event));
  const entries = kinds.flatMap((kind) =>
    world.api.store.list(kindId(kind)).map((object) => [`${kind.kind} ${keyOf(object)}`, comparable(object)] as const),
  );
  return Object.fromEntries(entries);
}

function comparable(object: object): unknown {
  const text = JSON.stringify(object, (key, value) =>
    key === 'resourceVersion' || key === 'generation' || key === 'observedGeneration' ? undefined : value,
  );
  return JSON.parse(
    text
      .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<uid>')
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, '<time>'),
  );
}

/**
 * Plays the story once as it should go, then once for every call that the controllers made and for both ways a call can be lost
 * (before it reached the server, and after), and demands the same end each time. `makeWorld` sets the scene; `play` goes on from there and
 * is `settles` unless told. Both must be repeatable. Gives the number of failures that were survived.
 */
export async function survivesEveryFailure(
  makeWorld: () => World | Promise<World>,
  play: (world: World) => Promise<void> = settles,
): Promise<number> {
  const undisturbed = await makeWorld();
  const firstCall = undisturbed.calls.total + 1;
  await play(undisturbed);
  const expected = snapshot(undisturbed);
  let survived = 0;
  for (let call = firstCall; call <= undisturbed.calls.total; call++)
    for (const how of ['before', 'after'] satisfies Failure[]) {
      const world = await makeWorld();
      world.calls.fail(call, how);
      await play(world);
      expect(snapshot(world), `after call ${call} was lost ${how} it reached the server`).toEqual(expected);
      survived += 1;
    }
  return survived;
}
