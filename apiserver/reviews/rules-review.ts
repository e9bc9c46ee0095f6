import { clusterServerOf } from '#apiserver/cluster-server/identity.ts';
import type { Answer, Call } from '#apiserver/http/call.ts';
import { badRequest } from '#apiserver/http/status.ts';
import type { JsonObject } from '#apiserver/json/json.ts';
import { textIn } from '#apiserver/json/members.ts';
import type { ServerContext } from '#apiserver/verbs/server-context.ts';
import { answered, readReview, specOf } from './review.ts';

/** What the roles give the user at the scope of the cluster and in one namespace: `kubectl auth can-i --list`. */
export async function reviewOwnRules({ access }: ServerContext, call: Call): Promise<Answer> {
  const review = await readReview(call);
  const namespace = textIn(specOf(review), 'namespace');
  if (namespace === '') throw badRequest('no namespace on request');
  const { rules, problems } = access.policy.resolve(call.user, namespace);
  const resourceRules: JsonObject[] = [];
  const nonResourceRules: JsonObject[] = [];
  for (const { verbs, apiGroups, resources, resourceNames, nonResourceURLs } of rules) {
    const shared = { verbs: [...verbs] };
    if (resources) resourceRules.push({ ...shared, ...lists({ apiGroups, resources, resourceNames }) });
    if (nonResourceURLs) nonResourceRules.push({ ...shared, ...lists({ nonResourceURLs }) });
  }
  const confined = clusterServerOf(call.user) !== undefined;
  const notes = confined ? [...problems, 'a cluster server has these only on what is bound to its Cluster'] : problems;
  const evaluationError = notes.length === 0 ? {} : { evaluationError: notes.join(', ') };
  return answered(review, { resourceRules, nonResourceRules, incomplete: confined, ...evaluationError });
}

function lists(named: Readonly<Record<string, readonly string[] | undefined>>): JsonObject {
  return Object.fromEntries(Object.entries(named).flatMap(([name, list]) => (list ? [[name, [...list]]] : [])));
}
