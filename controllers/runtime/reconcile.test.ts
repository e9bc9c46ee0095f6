import { beforeEach, describe, expect, it } from 'vitest';
import { withCondition } from '#lib/api/conditions.ts';
import { ConfigMap } from '#lib/api/core.ts';
import { VMOperation } from '#lib/api/generated/index.ts';
import { TerminalError } from '#lib/std/errors.ts';
import { settles } from '#test/proofs.ts';
import { story, type World } from '#test/story.ts';
import { type Controller, done, type Ending, type Phase, wait } from './controller.ts';
import type { Deps } from './deps.ts';

type Scope = { readonly operation: VMOperation };

interface Plan {
  phases: Phase<Scope>[];
  finalize?: Phase<Scope>[];
  summarize: (scope: Scope, ending: Ending) => VMOperation['status'];
  reads?: Controller['reads'];
}

const key = 'default/a';
const at = { name: 'a', namespace: 'default' };

function worldOf(plan: Plan, onDeps?: (deps: Deps) => void): World {
  return story([
    (deps: Deps): Controller<VMOperation, Scope> => {
      onDeps?.(deps);
      return {
        name: 'test',
        for: VMOperation,
        reads: plan.reads ?? [],
        writes: [],
        triggers: [],
        load: (operation) => ({ operation }),
        phases: plan.phases,
        ...(plan.finalize && { finalize: plan.finalize }),
        summarize: (scope, ending) => plan.summarize(scope, ending),
      };
    },
  ]);
}

async function withOperation(world: World, finalizers: readonly string[] = []): Promise<World> {
  await world.api.create(VMOperation, {
    apiVersion: 'computefactory.io/v1alpha1',
    kind: 'VMOperation',
    metadata: { ...at, finalizers },
    spec: { vm: 'web-0', type: 'Stop' },
  });
  return world;
}

const statusOf = async (world: World) => (await world.api.get(VMOperation, at)).status;

describe('reconcile()', () => {
  let ran: string[] = [];
  const phase =
    (name: string, outcome = done): Phase<Scope> =>
    () => {
      ran.push(name);
      return outcome;
    };
  beforeEach(() => {
    ran = [];
  });

  it('runs phases until the first wait, and summarizes what they ended with', async () => {
    const phases = [phase('one'), phase('two', wait('Why', 'because', 500)), phase('three')];
    const summarize: Plan['summarize'] = (_scope, ending) => ({ message: 'reason' in ending ? ending.reason : 'none' });
    const world = await withOperation(worldOf({ phases, summarize }));
    expect(await world.reconcile('test', key)).toEqual({ next: 'again', afterMs: 500 });
    expect(ran).toEqual(['one', 'two']);
    expect(await statusOf(world)).toEqual({ message: 'Why', observedGeneration: 1 });
  });

  it('writes the status once, and not again while it stays the same', async () => {
    const world = await withOperation(worldOf({ phases: [], summarize: () => ({ phase: 'Pending' }) }));
    await world.reconcile('test', key);
    expect(world.calls.writes).toBe(1);
    await settles(world);
    expect(world.calls.writes).toBe(1);
  });

  it('sets observedGeneration and lastTransitionTime, and leaves conditions of others as they are', async () => {
    const foreign = {
      type: 'Foreign',
      status: 'True',
      reason: 'R',
      message: 'm',
      lastTransitionTime: '2020-01-01T00:00:00Z',
      observedGeneration: 7,
    } as const;
    let message = 'first';
    const summarize: Plan['summarize'] = ({ operation }) => {
      const draft = { type: 'Ready', status: 'True', reason: 'R', message } as const;
      return { conditions: withCondition(operation.status?.conditions ?? [], draft, 99, 0) };
    };
    const world = await withOperation(worldOf({ phases: [], summarize }));
    await world.api.patchStatus(VMOperation, at, { status: { conditions: [foreign] } });
    await world.reconcile('test', key);
    message = 'second';
    await world.clock.advance(60_000);
    await world.reconcile('test', key);
    const ready = { type: 'Ready', status: 'True', reason: 'R', message: 'second', observedGeneration: 1 };
    expect((await statusOf(world))?.conditions).toEqual([
      foreign,
      { ...ready, lastTransitionTime: '2026-01-01T00:00:00Z' },
    ]);
  });

  it('tries again after an error, which is summarized too; not after a TerminalError', async () => {
    let thrown: unknown = new Error('broken');
    const phases = [
      () => {
        throw thrown;
      },
    ];
    const summarize: Plan['summarize'] = (_scope, ending) => ({
      message: 'error' in ending ? String((ending.error as Error).message) : 'fine',
    });
    const world = await withOperation(worldOf({ phases, summarize }));
    expect(await world.reconcile('test', key)).toEqual({ next: 'retry' });
    expect(await statusOf(world)).toMatchObject({ message: 'broken' });
    thrown = new TerminalError('Never', 'hopeless');
    expect(await world.reconcile('test', key)).toEqual({ next: 'rest' });
    expect(await statusOf(world)).toMatchObject({ message: 'hopeless' });
  });

  it('does not overwrite a status that somebody else wrote meanwhile', async () => {
    let world: World;
    const interfere: Phase<Scope> = async () => {
      await world.api.patchStatus(VMOperation, at, { status: { phase: 'InProgress' } });
      return done;
    };
    world = await withOperation(worldOf({ phases: [interfere], summarize: () => ({ phase: 'Failed' }) }));
    expect(await world.reconcile('test', key)).toEqual({ next: 'retry' });
    expect(await statusOf(world)).toEqual({ phase: 'InProgress' });
  });

  it('finalizes what is being deleted instead, and is content when the object went with it', async () => {
    let world: World;
    const release: Phase<Scope> = async () => {
      await world.api.patch(VMOperation, at, { metadata: { finalizers: null } });
      return done;
    };
    const summarize = () => ({ phase: 'Completed' }) as const;
    world = await withOperation(worldOf({ phases: [phase('live')], finalize: [release], summarize }), ['x.io/held']);
    await world.api.delete(VMOperation, at);
    expect(await world.reconcile('test', key)).toEqual({ next: 'rest' });
    expect(ran).toEqual([]);
    await expect(world.api.get(VMOperation, at)).rejects.toMatchObject({ code: 'NotFound' });
  });
});

describe('declared access', () => {
  it('refuses the cache of a kind that is not declared', () => {
    const plan: Plan = { phases: [], summarize: () => undefined };
    expect(() => worldOf(plan, (deps) => deps.cache(ConfigMap))).toThrow(/may not read ConfigMap/);
    expect(() => worldOf({ ...plan, reads: [ConfigMap] }, (deps) => deps.cache(ConfigMap))).not.toThrow();
  });

  it('refuses reads and writes that are not declared, and allows its own status', async () => {
    let deps!: Deps;
    const attempts: Phase<Scope>[] = [
      async () => {
        await expect(deps.client.list(ConfigMap)).rejects.toThrow(/may not read ConfigMap/);
        await expect(deps.client.delete(VMOperation, at)).rejects.toThrow(/may not write VMOperation/);
        await deps.client.patchStatus(VMOperation, at, { status: { message: 'mine' } });
        return done;
      },
    ];
    const world = await withOperation(
      worldOf({ phases: attempts, summarize: () => undefined }, (given) => {
        deps = given;
      }),
    );
    expect(await world.reconcile('test', key)).toEqual({ next: 'rest' });
    expect(await statusOf(world)).toEqual({ message: 'mine' });
  });
});
