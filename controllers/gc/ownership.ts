/** All objects as last heard of, by uid, and who depends on whom: the graph that Kubernetes' garbage collector keeps. */
import type { Kind, KubeObject } from '#lib/api/meta.ts';

export interface Node {
  readonly kind: Kind;
  /** Its metadata; there is no more. */
  readonly object: KubeObject;
}

/** Read side of the graph. */
export interface Owners {
  find(uid: string): Node | undefined;
  dependentsOf(uid: string): readonly Node[];
}

export class Ownership implements Owners {
  readonly #nodes = new Map<string, Node>();
  /** Owner's uid -> dependents by uid. An owner need not be known. */
  readonly #dependents = new Map<string, Map<string, Node>>();

  find(uid: string): Node | undefined {
    return this.#nodes.get(uid);
  }

  uids(): Iterable<string> {
    return this.#nodes.keys();
  }

  dependentsOf(uid: string): readonly Node[] {
    return [...(this.#dependents.get(uid)?.values() ?? [])];
  }

  set(node: Node): void {
    const { uid, ownerReferences = [] } = node.object.metadata;
    this.delete(uid);
    this.#nodes.set(uid, node);
    for (const owner of ownerReferences) {
      const dependents = this.#dependents.get(owner.uid) ?? new Map<string, Node>();
      this.#dependents.set(owner.uid, dependents.set(uid, node));
    }
  }

  delete(uid: string): void {
    const { ownerReferences = [] } = this.#nodes.get(uid)?.object.metadata ?? {};
    this.#nodes.delete(uid);
    for (const owner of ownerReferences) {
      const dependents = this.#dependents.get(owner.uid);
      dependents?.delete(uid);
      if (dependents?.size === 0) this.#dependents.delete(owner.uid);
    }
  }
}
