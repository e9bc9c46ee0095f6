/** The registry and the caches as the definitions in the store say. Every replica follows for itself. */
import type { Json } from '#apiserver/json/json.ts';
import { isDeleting, type StoredObject } from '#apiserver/json/object.ts';
import { asCrd, isTrue, type StoredCrd } from '#apiserver/resources/crd.ts';
import { resourcesOf } from '#apiserver/resources/custom.ts';
import type { Registry } from '#apiserver/resources/registry.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import type { ServerContext } from '#apiserver/verbs/server-context.ts';
import type { Log } from '#lib/std/log.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { definitionKind, isWellFormed } from './kind.ts';

export interface Follower {
  /** Takes over what the cache of definitions shows now. Cheap if that is nothing new; does nothing while the cache is not loaded. */
  sync(): void;
  /** Takes over everything written before this call; false if it cannot be had within the time: then it has what could be had. */
  catchUp(timeoutMs: number): Promise<boolean>;
}

/** What was made of a definition, and of which state of it. */
interface Followed {
  readonly object: StoredObject;
  readonly terminating: boolean;
  readonly resources: readonly Resource[];
}

export function createFollower(context: ServerContext, registry: Registry, log: Log): Follower {
  const followed = new Map<string, Followed>();
  const cache = context.caches.of(definitionKind);
  const sync = () => {
    if (cache.rev === undefined) return;
    const objects = cache.list().entries.map(({ object }) => object);
    const names = new Set(objects.map(({ metadata }) => metadata.name));
    for (const name of followed.keys()) if (!names.has(name)) followed.delete(name);
    const resources = objects.flatMap((object) => follow(object, followed, log));
    const before = registry.revision;
    registry.define(resources);
    if (registry.revision !== before) context.caches.follow(registry.stored());
  };
  return {
    sync,
    async catchUp(timeoutMs) {
      const current = await cache.waitFor(await context.store.currentRev(), timeoutMs);
      sync();
      return current;
    },
  };
}

/** The same resources as last time, unless the definition says something else now: then clients must notice. */
function follow(object: StoredObject, followed: Map<string, Followed>, log: Log): readonly Resource[] {
  const { name } = object.metadata;
  const known = followed.get(name);
  if (known?.object === object) return known.resources;
  const fresh = followAnew(object, known, log);
  followed.set(name, fresh);
  return fresh.resources;
}

function followAnew(object: StoredObject, known: Followed | undefined, log: Log): Followed {
  const terminating = isDeleting(object);
  if (!known || !definesTheSame(asCrd(known.object), asCrd(object)))
    return { object, terminating, resources: serve(object, terminating, log) };
  if (terminating === known.terminating) return { ...known, object };
  // Made from those that are there, so that watches go on and see the objects go.
  return { object, terminating, resources: known.resources.map((resource) => ({ ...resource, terminating })) };
}

function definesTheSame(one: StoredCrd, other: StoredCrd): boolean {
  const same = (a: unknown, b: unknown) => sameJson(a as Json | undefined, b as Json | undefined);
  return (
    one.metadata.uid === other.metadata.uid &&
    isTrue(one.status, 'Established') === isTrue(other.status, 'Established') &&
    same(one.status?.acceptedNames, other.status?.acceptedNames) &&
    same(one.spec, other.spec)
  );
}

function serve(object: StoredObject, terminating: boolean, log: Log): Resource[] {
  const { name } = object.metadata;
  if (!isWellFormed(object)) {
    // Written past the rules, straight into the store. It must not take the other kinds with it.
    log.error('A stored CustomResourceDefinition is damaged, ignoring it', { name });
    return [];
  }
  const crd = asCrd(object);
  const names = crd.status?.acceptedNames;
  if (!names || !isTrue(crd.status, 'Established')) return [];
  try {
    return resourcesOf(crd, { names, terminating });
  } catch (error) {
    log.error('Cannot serve a CustomResourceDefinition', { name, error });
    return [];
  }
}
