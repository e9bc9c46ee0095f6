import type { Answer, Call } from '#apiserver/http/call.ts';
import { readObject } from '#apiserver/storage/objects.ts';
import type { ServerContext } from './server-context.ts';

/** One object, never a stale one. resourceVersion in the query allows an older answer; the newest satisfies it. */
export async function get(context: ServerContext, call: Call): Promise<Answer> {
  const { resource, path } = call;
  const key = { resource, namespace: path.namespace, name: path.name ?? '' };
  return { status: 200, body: await readObject(context.store, key) };
}
