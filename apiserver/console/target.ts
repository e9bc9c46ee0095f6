import { at, atPath, isObject } from '#apiserver/json/json.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import type { Pipeline } from '#apiserver/pipeline.ts';
import type { Registry } from '#apiserver/resources/registry.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import { readObject } from '#apiserver/storage/objects.ts';
import { Secret } from '#lib/api/core.ts';
import { Host } from '#lib/api/generated/host.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { type MachineService, machinePath, machineToken, type uploadService } from '#lib/api/host-endpoint.ts';
import type { Kind } from '#lib/api/meta.ts';
import { consoleSecretName, hostObjectName, systemNamespace } from '#lib/api/names.ts';
import { ApiError } from '#lib/std/errors.ts';

export type HostService = MachineService | typeof uploadService;

/** Where one of a machine's services is, or an Image's file is sent to, and what opens it. */
export interface HostTarget {
  readonly service: HostService;
  /** As the host has told it: https:// and no query. */
  readonly url: string;
  readonly token: string;
  /** SHA-256 of the host's certificate, lower-case hex. */
  readonly certificateSha256: string;
}

const doing: Readonly<Record<HostService, string>> = {
  console: 'open the console',
  vnc: 'open the screen',
  log: 'read the log',
  screenshot: 'take a screenshot',
  exec: 'run the command',
  upload: 'upload the file',
};

/** What cannot be done now, in the words of the service. */
export function unavailable(service: HostService, why: string, options?: { readonly cause: unknown }): ApiError {
  return new ApiError('ServiceUnavailable', `Cannot ${doing[service]}: ${why}`, options);
}

/** NotFound for a machine that is not there, ServiceUnavailable with the reason for one whose host cannot be reached now. */
export async function hostTarget(
  server: Pick<Pipeline, 'context' | 'registry'>,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  service: MachineService,
): Promise<HostTarget> {
  const machine = await read(server, VirtualMachine, namespace, name);
  const { attempt } = (machine as unknown as VirtualMachine).status ?? {};
  if (!attempt?.host || !attempt.cluster)
    throw unavailable(service, `virtual machine "${name}" is not running: status.attempt names no host yet`);
  const { uid } = machine.metadata;
  const asked = {
    service,
    path: machinePath(uid, service),
    tokenOf: (secret: string) => machineToken(secret, uid, service),
  };
  return await targetOn(server, { cluster: attempt.cluster, hostname: attempt.host }, asked);
}

export interface AskedOfHost {
  readonly service: HostService;
  /** Below the host's own URL. */
  readonly path: string;
  readonly tokenOf: (secret: string) => string;
}

/** ServiceUnavailable with the reason for a host that cannot be reached now. */
export async function targetOn(
  server: Pick<Pipeline, 'context' | 'registry'>,
  { cluster, hostname }: { readonly cluster: string; readonly hostname: string },
  { service, path, tokenOf }: AskedOfHost,
): Promise<HostTarget> {
  const fail = (why: string) => unavailable(service, why);
  const hostName = hostObjectName(cluster, hostname);
  const host = await readOr(
    () => read(server, Host, undefined, hostName),
    () => fail(`its host "${hostName}" is not known`),
  );
  const base = atPath(host, ['status', 'executor', 'consoleURL']);
  if (typeof base !== 'string') throw fail(`host "${hostName}" serves no consoles: its status names no consoleURL`);
  // Of two Clusters, one named like the beginning of the other, hosts may come out under one name.
  if (atPath(host, ['spec', 'cluster']) !== cluster) throw fail(`host "${hostName}" is not of cluster "${cluster}"`);
  const secretName = consoleSecretName(hostName);
  const secret = await readOr(
    () => read(server, Secret, systemNamespace, secretName),
    () => fail(`the secret ${systemNamespace}/${secretName} is missing`),
  );
  const textOf = (key: string) => {
    const value = valueIn(secret, key);
    if (value === undefined) throw fail(`the secret ${systemNamespace}/${secretName} has no key "${key}"`);
    return value;
  };
  return {
    service,
    url: `${base.replace(/\/$/, '')}${path}`,
    token: tokenOf(textOf('token')),
    certificateSha256: textOf('certificateSha256').toLowerCase().replaceAll(':', ''),
  };
}

function resourceOf(registry: Registry, kind: Kind): Resource {
  const resource = registry.find(kind.group, kind.version, kind.plural);
  if (!resource) throw new ApiError('NotFound', `the server does not serve ${kind.plural}`);
  return resource;
}

/** One object, as it is stored now. */
export function read(
  { context, registry }: Pick<Pipeline, 'context' | 'registry'>,
  kind: Kind,
  namespace: string | undefined,
  name: string,
): Promise<StoredObject> {
  return readObject(context.store, { resource: resourceOf(registry, kind), namespace, name });
}

/** The machine is there, so what is missing behind it is no fault of the request. */
async function readOr(look: () => Promise<StoredObject>, missing: () => ApiError): Promise<StoredObject> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof ApiError && error.code === 'NotFound') throw missing();
    throw error;
  }
}

function valueIn(secret: StoredObject, key: string): string | undefined {
  const data = at(secret, 'data');
  const value = isObject(data) ? at(data, key) : undefined;
  return typeof value === 'string' && value !== '' ? Buffer.from(value, 'base64').toString('utf8').trim() : undefined;
}
