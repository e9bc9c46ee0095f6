/**
 * Holds a controller to what it declares: its caches and its client refuse kinds that `for`, `reads` and `writes` do not name. So the
 * declaration is documentation that cannot go stale.
 */
import { Namespace } from '#lib/api/core.ts';
import type { Kind } from '#lib/api/meta.ts';
import type { Client } from '#lib/client/client.ts';
import { kindId } from '#lib/client/kind-id.ts';
import type { AnyController, ControllerFactory, Deps } from './deps.ts';

export class AccessError extends Error {
  constructor(controller: string, verb: 'read' | 'write', kind: Kind) {
    super(`Controller ${controller} may not ${verb} ${kind.kind}: name it in its ${verb}s`);
    this.name = 'AccessError';
  }
}

/** A controller that works on whatever the server serves declares just that. */
export type Declared = readonly Kind[] | 'every kind';

function has(declared: Declared, kind: Kind): boolean {
  return declared === 'every kind' || declared.some((other) => kindId(other) === kindId(kind));
}

/** Makes the controller with dependencies that hold it to its declaration. Throws AccessError for a cache it did not declare. */
export function declared(factory: ControllerFactory, deps: Deps): AnyController {
  const cached: Kind[] = [];
  let controller: AnyController | undefined;
  const own = (): AnyController => {
    if (!controller)
      throw new Error('Cannot use the client before the controller is made: use it in load or in a phase');
    return controller;
  };
  const cache: Deps['cache'] = (kind, indexes) => {
    // Informers start once every controller is made; one that came later would never be started.
    if (controller) throw new Error(`Cannot open the cache of ${kind.kind} now: do it while the controller is made`);
    cached.push(kind);
    return deps.cache(kind, indexes);
  };
  const made = factory({ ...deps, cache, client: guardedClient(deps.client, own) });
  for (const kind of cached) checkRead(made, kind);
  controller = made;
  return made;
}

function checkRead(controller: AnyController, kind: Kind): void {
  const { for: own, reads, writes } = controller;
  if (![[own], reads, writes].some((declared) => has(declared, kind)))
    throw new AccessError(controller.name, 'read', kind);
}

function checkWrite(controller: AnyController, kind: Kind): void {
  if (!has(controller.writes, kind)) throw new AccessError(controller.name, 'write', kind);
}

function checkStatus(controller: AnyController, kind: Kind): void {
  if (![[controller.for], controller.writes].some((declared) => has(declared, kind)))
    throw new AccessError(controller.name, 'write', kind);
}

function guardedClient(client: Client, own: () => AnyController): Client {
  return {
    discover: (options) => client.discover(options),
    async get(kind, at, options) {
      checkRead(own(), kind);
      return client.get(kind, at, options);
    },
    async list(kind, options) {
      checkRead(own(), kind);
      return client.list(kind, options);
    },
    async create(kind, object, options) {
      checkWrite(own(), kind);
      return client.create(kind, object, options);
    },
    async update(kind, object, options) {
      checkWrite(own(), kind);
      return client.update(kind, object, options);
    },
    async patch(kind, at, patch, options) {
      checkWrite(own(), kind);
      return client.patch(kind, at, patch, options);
    },
    async updateStatus(kind, object, options) {
      checkStatus(own(), kind);
      return client.updateStatus(kind, object, options);
    },
    async patchStatus(kind, at, patch, options) {
      checkStatus(own(), kind);
      return client.patchStatus(kind, at, patch, options);
    },
    async finalize(namespace, options) {
      checkWrite(own(), Namespace);
      return client.finalize(namespace, options);
    },
    async delete(kind, at, options) {
      checkWrite(own(), kind);
      return client.delete(kind, at, options);
    },
    watch(kind, options) {
      checkRead(own(), kind);
      return client.watch(kind, options);
    },
  };
}
