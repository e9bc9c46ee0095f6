/** Clients that bring etcd into need: one that fills it, one that reads lists page by page while their revisions are compacted. */
import { expect } from 'vitest';
import type { Answer, ApiBody, Replicas } from './replicas.ts';
import { maps } from './watcher.ts';

/** Changes one large object until that is refused with 5xx, and returns the refusal. */
export async function fill(replicas: Replicas): Promise<Answer> {
  let resourceVersion: string | undefined;
  for (let i = 0; i < 1_000; i++) {
    const metadata = { name: 'big', ...(resourceVersion === undefined ? {} : { resourceVersion }) };
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { value: String(i).padEnd(200_000, '.') } };
    const answer = await (resourceVersion === undefined
      ? replicas.call(0, 'POST', maps, body)
      : replicas.call(0, 'PUT', `${maps}/big`, body));
    if (answer.status === 500) return answer;
    // Too late: whether it was written nobody knows.
    const known = answer.status < 300 ? answer : await replicas.call(0, 'GET', `${maps}/big`);
    resourceVersion = known.body.metadata?.resourceVersion;
  }
  throw new Error('etcd did not run full');
}

/**
 * One list in pages of five, each from the other server; all of one revision, in order, nothing twice. When the revision is gone, the rest
 * by the token in the 410. Returns the number of pages, 0 when etcd does not answer.
 */
export async function turnPages(replicas: Replicas, first: number): Promise<number> {
  const names: string[] = [];
  let pinned: string | undefined;
  let token: string | undefined;
  for (let pages = 0; ; pages++) {
    const query = new URLSearchParams({ limit: '5', ...(token === undefined ? {} : { continue: token }) });
    const { status, body } = await replicas.call((first + pages) % replicas.count, 'GET', `${maps}?${query}`);
    if (status >= 500) return 0;
    token = body.metadata.continue;
    if (status === 410) {
      expect(token).toBeDefined();
      pinned = undefined;
      continue;
    }
    expect(body.metadata.resourceVersion).toBe(pinned ?? body.metadata.resourceVersion);
    pinned = body.metadata.resourceVersion;
    names.push(...namesOf(body));
    if (token !== undefined) continue;
    expect(names).toEqual([...new Set(names)].sort());
    return pages + 1;
  }
}

function namesOf(body: ApiBody): string[] {
  return body.items!.map(({ metadata }) => metadata.name!);
}
