/** Leases by client-node's typed calls, in the shape in which an election asks for them: client-node brings no election of its own. */
import { type ApiException, CoordinationV1Api, type KubeConfig, type V1Lease } from '@kubernetes/client-node';
import type { LeaseClient } from '#controllers/runtime/leader.ts';
import { errorOfAnswer } from '#lib/client/http-errors.ts';

export function leaseClient(config: KubeConfig): LeaseClient {
  const api = config.makeApiClient(CoordinationV1Api);
  const answerOf = <T>(call: Promise<V1Lease>) => call.then((lease) => lease as T, fail);
  return {
    get: (_kind, { name, namespace = '' }) => answerOf(api.readNamespacedLease({ name, namespace })),
    create: (_kind, { metadata, ...rest }) => {
      const namespace = metadata.namespace ?? '';
      return answerOf(api.createNamespacedLease({ namespace, body: bodyOf({ metadata, ...rest }) }));
    },
    update: (_kind, object) => {
      const { name, namespace = '' } = object.metadata;
      return answerOf(api.replaceNamespacedLease({ name, namespace, body: bodyOf(object) }));
    },
  };
}

/** This client writes times as it finds them: texts stay texts. */
function bodyOf(lease: object): V1Lease {
  return lease as V1Lease;
}

/** What has no code is no answer but a failure on the way. */
function fail(error: Partial<ApiException<string>> & Error): never {
  throw error.code === undefined ? error : errorOfAnswer('The lease', error.code, error.body ?? '');
}
