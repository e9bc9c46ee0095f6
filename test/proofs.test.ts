/** The proofs must fail for controllers that deserve it. */
import { describe, expect, it } from 'vitest';
import { type Controller, done, type Phase } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { ConfigMap } from '#lib/api/core.ts';
import { InstanceType } from '#lib/api/generated/index.ts';
import { settles, survivesEveryFailure } from './proofs.ts';
import { story, type World } from './story.ts';

async function worldWith(phaseOf: (deps: Deps) => Phase<InstanceType>): Promise<World> {
  const world = story([
    (deps: Deps): Controller<InstanceType, InstanceType> => ({
      name: 'test',
      for: InstanceType,
      reads: [],
      writes: [ConfigMap],
      triggers: [],
      load: (object) => object,
      phases: [phaseOf(deps)],
      summarize: () => undefined,
    }),
  ]);
  await world.api.create(InstanceType, {
    apiVersion: 'computefactory.io/v1alpha1',
    kind: 'InstanceType',
    metadata: { name: 'small' },
    spec: { cores: 1, memory: '1Gi' },
  });
  return world;
}

const draft = (metadata: { name: string } | { generateName: string }, data: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace: 'default', ...metadata },
  data,
});

/** Makes one map under a name that follows from the object: a repeat finds it. */
const careful = (deps: Deps): Phase<InstanceType> => {
  const maps = deps.cache(ConfigMap);
  return async ({ metadata }) => {
    if (!maps.get(`default/${metadata.name}`)) await deps.client.create(ConfigMap, draft({ name: metadata.name }));
    return done;
  };
};

/** Makes one map under a random name, remembering in memory that it did. */
const careless = (deps: Deps): Phase<InstanceType> => {
  let made = false;
  return async () => {
    if (!made) await deps.client.create(ConfigMap, draft({ generateName: 'x-' }));
    made = true;
    return done;
  };
};

const restless = (deps: Deps): Phase<InstanceType> => {
  const maps = deps.cache(ConfigMap);
  return async () => {
    const count = Number(maps.get('default/count')?.data?.count ?? 0);
    const data = { count: String(count + 1) };
    if (count === 0) await deps.client.create(ConfigMap, draft({ name: 'count' }, data));
    else await deps.client.patch(ConfigMap, { name: 'count', namespace: 'default' }, { data });
    return done;
  };
};

/** Writes what is already there: the store does not change, but the server is asked again and again. */
const nagging = (deps: Deps): Phase<InstanceType> => {
  const make = careful(deps);
  return async (scope, run) => {
    await make(scope, run);
    await deps.client.patch(ConfigMap, { name: 'small', namespace: 'default' }, { data: {} });
    return done;
  };
};

describe('settles()', () => {
  it('passes a controller that comes to rest', async () => {
    const world = await worldWith(careful);
    await settles(world);
    expect(world.calls.writes).toBe(1);
  });

  it('fails one that never does, and one that writes what is there', async () => {
    await expect(settles(await worldWith(restless))).rejects.toThrow(/Did not settle/);
    await expect(settles(await worldWith(nagging))).rejects.toThrow(/writes made although nothing had changed/);
  });
});

describe('survivesEveryFailure()', () => {
  it('passes a controller whose repeats find what was done, and fails one whose do not', async () => {
    expect(await survivesEveryFailure(() => worldWith(careful))).toBe(2);
    await expect(survivesEveryFailure(() => worldWith(careless))).rejects.toThrow(/was lost after/);
  });
});

it('a story gives objects the defaults of crds/', async () => {
  const world = await worldWith(careful);
  const { VMPool } = await import('#lib/api/generated/index.ts');
  const template = { spec: { image: { name: 'debian' } } };
  const metadata = { name: 'web', namespace: 'default' };
  const pool = { apiVersion: 'computefactory.io/v1alpha1', kind: 'VMPool', metadata, spec: { template } };
  const made = await world.api.create(VMPool, pool as never);
  expect(made.spec.template).toMatchObject({ spec: { image: { name: 'debian' }, runPolicy: 'Always' } });
});
