import { at, atPath, isObject } from '#apiserver/json/json.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import type { Registry } from '#apiserver/resources/registry.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import { readObject } from '#apiserver/storage/objects.ts';
import type { ServerContext } from '#apiserver/verbs/server-context.ts';
import { Secret } from '#lib/api/core.ts';
import { Host } from '#lib/api/generated/host.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { Kind } from '#lib/api/meta.ts';
import { consoleSecretName, hostObjectName, systemNamespace } from '#lib/api/names.ts';
import { ApiError } from '#lib/std/errors.ts';

/** Where the console of a machine is, and what opens it. */
export interface ConsoleTarget {
  /** wss:// */
  readonly url: string;
  readonly token: string;
  /** SHA-256 of the host's certificate, lower-case hex. */
  readonly certificateSha256: string;
}

/** NotFound for a machine that is not there, ServiceUnavailable with the reason for one whose console cannot be reached now. */
export async function consoleTarget(
  context: ServerContext,
  registry: Registry,
  namespace: string,
  name: string,
): Promise<ConsoleTarget> {
  const machine = await read(context, registry, VirtualMachine, namespace, name);
  const { attempt } = (machine as unknown as VirtualMachine).status ?? {};
  if (!attempt?.host || !attempt.cluster)
    throw unavailable(`virtual machine "${name}" is not running: its console opens once status.attempt names a host`);
  const hostName = hostObjectName(attempt.cluster, attempt.host);
  const host = await readOr(context, registry, Host, undefined, hostName, `its host "${hostName}" is not known`);
  const base = atPath(host, ['status', 'executor', 'consoleURL']);
  if (typeof base !== 'string')
    throw unavailable(`host "${hostName}" serves no consoles: its status names no consoleURL`);
  // Of two Clusters, one named like the beginning of the other, hosts may come out under one name.
  if (atPath(host, ['spec', 'cluster']) !== attempt.cluster)
    throw unavailable(`host "${hostName}" is not of cluster "${attempt.cluster}"`);
  const secretName = consoleSecretName(hostName);
  const missing = `the secret ${systemNamespace}/${secretName} is missing`;
  const secret = await readOr(context, registry, Secret, systemNamespace, secretName, missing);
  return {
    url: `${base.replace(/\/$/, '')}/machines/${machine.metadata.uid}/console`,
    token: valueIn(secret, 'token'),
    certificateSha256: valueIn(secret, 'certificateSha256').toLowerCase().replaceAll(':', ''),
  };
}

function unavailable(why: string): ApiError {
  return new ApiError('ServiceUnavailable', `Cannot open the console: ${why}`);
}

function resourceOf(registry: Registry, kind: Kind): Resource {
  const resource = registry.find(kind.group, kind.version, kind.plural);
  if (!resource) throw new ApiError('NotFound', `the server does not serve ${kind.plural}`);
  return resource;
}

function read(
  context: ServerContext,
  registry: Registry,
  kind: Kind,
  namespace: string | undefined,
  name: string,
): Promise<StoredObject> {
  return readObject(context.store, { resource: resourceOf(registry, kind), namespace, name });
}

/** The machine is there, so what is missing behind it is no fault of the request. */
async function readOr(
  context: ServerContext,
  registry: Registry,
  kind: Kind,
  namespace: string | undefined,
  name: string,
  why: string,
): Promise<StoredObject> {
  try {
    return await read(context, registry, kind, namespace, name);
  } catch (error) {
    if (error instanceof ApiError && error.code === 'NotFound') throw unavailable(why);
    throw error;
  }
}

function valueIn(secret: StoredObject, key: string): string {
  const data = at(secret, 'data');
  const value = isObject(data) ? at(data, key) : undefined;
  if (typeof value !== 'string' || value === '')
    throw unavailable(`the secret ${systemNamespace}/${secret.metadata.name} has no key "${key}"`);
  return Buffer.from(value, 'base64').toString('utf8').trim();
}
