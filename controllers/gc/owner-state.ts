/**
 * Whether the owner that a reference names is there. A cache that does not know it proves nothing (it may be behind, or the owner may be
 * younger than its list), so absence is asked of the server, and only an answer about that very object counts.
 */
import { type Kind, type KubeObject, keyOf, type OwnerReference } from '#lib/api/meta.ts';
import type { Client } from '#lib/client/client.ts';
import { ApiError } from '#lib/std/errors.ts';
import type { Events } from '../runtime/deps.ts';
import { isGoingInForeground, type OwnerState } from './graph.ts';
import type { Node, Owners } from './ownership.ts';

export interface OwnerStateDeps {
  readonly client: Client;
  readonly owners: Owners;
  readonly events: Events;
  /** The kind that the server serves under this name, in any of its versions. */
  readonly resolve: (apiVersion: string, kind: string) => Kind | undefined;
}

/** Dependents of one owner ask about it one after the other; what has been absent once stays so, since uids do not come again. */
const rememberedAbsences = 500;

export class OwnerStates {
  readonly #deps: OwnerStateDeps;
  readonly #absent = new Set<string>();

  constructor(deps: OwnerStateDeps) {
    this.#deps = deps;
  }

  async of({ object }: Node, reference: OwnerReference, signal: AbortSignal): Promise<OwnerState> {
    const { namespace } = object.metadata;
    const cached = this.#deps.owners.find(reference.uid);
    if (cached && isMeant(cached, reference, namespace)) return stateOf(cached.object);
    const kind = this.#deps.resolve(reference.apiVersion, reference.kind);
    if (!kind) return 'unknown';
    if (kind.namespaced && namespace === undefined) {
      this.#tell(
        object,
        `${describe(reference)} is in a namespace, and an object of the whole cluster cannot be owned there`,
      );
      return 'unknown';
    }
    const state = await this.#ask(kind, reference, namespace, signal);
    if (state === 'absent' && cached)
      this.#tell(
        object,
        `${describe(reference)} is not that object: its uid belongs to ${cached.kind.kind} ${keyOf(cached.object)}`,
      );
    return state;
  }

  async #ask(
    kind: Kind,
    reference: OwnerReference,
    namespace: string | undefined,
    signal: AbortSignal,
  ): Promise<OwnerState> {
    const { uid, name } = reference;
    const at = kind.namespaced ? { name, namespace } : { name };
    const key = [reference.apiVersion, reference.kind, at.namespace, name, uid].join('/');
    if (this.#absent.has(key)) return 'absent';
    try {
      const found = await this.#deps.client.get({ ...kind, metadataOnly: true }, at, { signal });
      if (found.metadata.uid === uid) return stateOf(found);
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'NotFound') throw error;
      // A path that is not served, as after its definition was deleted, says nothing of the object.
      if (error.details.name !== name) return 'unknown';
    }
    this.#remember(key);
    return 'absent';
  }

  #remember(key: string): void {
    this.#absent.add(key);
    if (this.#absent.size > rememberedAbsences) this.#absent.delete(this.#absent.values().next().value!);
  }

  #tell(object: KubeObject, message: string): void {
    this.#deps.events.warning(object, 'OwnerRefInvalidNamespace', message);
  }
}

/** The uid decides, but only under the name that it is given. */
function isMeant({ kind, object }: Node, reference: OwnerReference, namespace: string | undefined): boolean {
  const group = reference.apiVersion.includes('/') ? reference.apiVersion.split('/')[0] : '';
  return (
    kind.kind === reference.kind &&
    kind.group === group &&
    object.metadata.name === reference.name &&
    (!kind.namespaced || object.metadata.namespace === namespace)
  );
}

function stateOf(owner: KubeObject): OwnerState {
  return isGoingInForeground(owner) ? 'waiting' : 'present';
}

function describe({ apiVersion, kind, name, uid }: OwnerReference): string {
  return `The owner ${apiVersion} ${kind} "${name}" (${uid})`;
}
