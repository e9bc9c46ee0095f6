/** The subresource upload of Images: which host takes the file, and what it is told. */
import type { ResourcePath } from '#apiserver/http/request-info.ts';
import { badRequest } from '#apiserver/http/status.ts';
import type { Pipeline } from '#apiserver/pipeline.ts';
import { Image } from '#lib/api/generated/image.ts';
import { uploadPath, uploadService, uploadToken } from '#lib/api/host-endpoint.ts';
import { parseBytes } from '#lib/api/quantity.ts';
import { ApiError } from '#lib/std/errors.ts';
import { type HostTarget, read, targetOn, unavailable } from './target.ts';

export type ImagePath = ResourcePath & { readonly namespace: string; readonly name: string };

/** Of the file of one Image. */
export function isOfUpload(path: ResourcePath): path is ImagePath {
  const { group, plural, namespace, name, subresource } = path;
  const isImage = group === Image.group && plural === Image.plural && namespace !== undefined && name !== undefined;
  return isImage && subresource === uploadService;
}

export interface UploadTarget {
  readonly host: HostTarget;
  /** Bytes: spec.limits.maxVirtualSize. */
  readonly maxVirtualSize: number;
}

/**
 * The host that takes the file in one Cluster, which need not be named if there is one. NotFound for an image that is not there, BadRequest for
 * one that is not uploaded, Conflict for one that needs no file any more, ServiceUnavailable if no host takes it now.
 */
export async function uploadTarget(
  server: Pick<Pipeline, 'context' | 'registry'>,
  { namespace, name }: ImagePath,
  cluster: string | null,
): Promise<UploadTarget> {
  const image = (await read(server, Image, namespace, name)) as unknown as Image;
  const { metadata, spec } = image;
  if (!spec.source.upload)
    throw badRequest(`image "${name}" is not uploaded: its spec.source is ${Object.keys(spec.source).join()}`);
  if (metadata.deletionTimestamp) throw new ApiError('Conflict', `image "${name}" is being deleted`);
  const { name: to, host } = waitingRow(image, cluster);
  if (!host) throw unavailable(uploadService, `no host of cluster "${to}" takes the file of image "${name}" yet`);
  const { uid } = metadata;
  const asked = {
    service: uploadService,
    path: uploadPath(uid),
    tokenOf: (secret: string) => uploadToken(secret, uid),
  } as const;
  const target = await targetOn(server, { cluster: to, hostname: host }, asked);
  return { host: target, maxVirtualSize: parseBytes(spec.limits.maxVirtualSize) };
}

type Row = NonNullable<NonNullable<Image['status']>['clusters']>[number];

function waitingRow({ metadata: { name }, status }: Image, cluster: string | null): Row {
  const rows = status?.clusters ?? [];
  const names = rows.map((each) => each.name).join(', ');
  if (rows.length === 0) throw unavailable(uploadService, `image "${name}" has no cluster to be uploaded to yet`);
  if (cluster === null && rows.length > 1)
    throw badRequest(`Say to which cluster the file of image "${name}" is uploaded by ?cluster=NAME: ${names}`);
  const row = cluster === null ? rows[0] : rows.find((each) => each.name === cluster);
  if (!row) throw badRequest(`There is no cluster "${cluster}" to upload image "${name}" to: there is ${names}`);
  if (row.phase !== 'WaitingForUpload') throw new ApiError('Conflict', notWaiting(name, row));
  return row;
}

function notWaiting(image: string, { name, phase = 'Pending', message = 'no details' }: Row): string {
  switch (phase) {
    case 'Ready':
      return `image "${image}" is Ready in cluster "${name}": its bytes never change. New bytes are a new Image`;
    case 'Failed':
    case 'Lost':
      return `image "${image}" is ${phase} in cluster "${name}": ${message}. Set its annotation computefactory.io/restarted-at, and upload it again then`;
    default:
      return `image "${image}" was uploaded to cluster "${name}" and is being imported (${phase})`;
  }
}

/** What the client says of the file, looked at. */
export interface Announced {
  readonly offset: number;
  readonly size: number;
  readonly sha256: string;
}

export function readAnnounced(query: URLSearchParams): Announced {
  const numberOf = (name: string): number => {
    const text = query.get(name) ?? '';
    const value = Number(text);
    if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(value)) return value;
    throw badRequest(`${name} must be a number of bytes, not "${text}": ?offset=N&size=N&sha256=HEX`);
  };
  const [offset, size] = [numberOf('offset'), numberOf('size')];
  const sha256 = query.get('sha256') ?? '';
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw badRequest('sha256 must be that of the whole file, 64 hex digits');
  if (size === 0) throw badRequest('The file is empty');
  if (offset > size) throw badRequest(`The file has ${size} bytes: nothing begins at ${offset}`);
  return { offset, size, sha256 };
}
