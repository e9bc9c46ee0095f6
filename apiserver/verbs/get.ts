import type { Answer, Call } from '#apiserver/http/call.ts';
import { readObject } from '#apiserver/storage/objects.ts';
import { requireNotOlder } from './list.ts';
import { parseRevision } from './revision.ts';
import type { ServerContext } from './server-context.ts';

/**
 * One object, never a stale one. resourceVersion in the query allows an older answer, which the newest satisfies; Timeout if the store
 * has yet to reach it.
 */
export async function get(context: ServerContext, call: Call): Promise<Answer> {
  const { resource, path } = call;
  const key = { resource, namespace: path.namespace, name: path.name ?? '' };
  const wanted = parseRevision(call.query.get('resourceVersion'));
  if (wanted) requireNotOlder(await context.store.currentRev(), wanted);
  return { status: 200, body: await readObject(context.store, key) };
}
