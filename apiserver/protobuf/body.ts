/** Kubernetes objects as protobuf: four magic bytes, and runtime.Unknown around the message of the kind. */
import { at, isObject, type JsonObject } from '#apiserver/json/json.ts';
import { requireShallow } from '#apiserver/json/strict.ts';
import { ApiError } from '#lib/std/errors.ts';
import { decodeMessage } from './decode.ts';
import { encodeMessage } from './encode.ts';
import { messageOf } from './tables.ts';

export const protobufType = 'application/vnd.kubernetes.protobuf';

const magic = Buffer.from('k8s\0');

/** The object in a protobuf body. BadRequest for bytes that are none, and for a kind that does not come this way: custom resources do not. */
export function decodeProtobuf(bytes: Buffer): JsonObject {
  if (!bytes.subarray(0, magic.length).equals(magic))
    throw refuse('provided data does not appear to be a protobuf message: it does not begin with "k8s\\0"');
  const unknown = decoded('Unknown', bytes.subarray(magic.length));
  const typeMeta = at(unknown, 'typeMeta') ?? {};
  const { apiVersion = '', kind = '' } = isObject(typeMeta) ? typeMeta : {};
  const message = messageOf(String(apiVersion), String(kind));
  if (message === undefined)
    throw refuse(`the kind "${kind}" of "${apiVersion}" is not known as protobuf: send it as application/json`);
  const object = decoded(message, Buffer.from(String(unknown.raw ?? ''), 'base64'));
  requireShallow(object);
  return { apiVersion, kind, ...object };
}

function decoded(message: string, bytes: Uint8Array): JsonObject {
  try {
    return decodeMessage(message, bytes);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw refuse(`the ${message} cannot be read: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

function refuse(why: string, cause?: unknown): ApiError {
  return new ApiError('BadRequest', `the body of the request is no protobuf that is read here: ${why}`, { cause });
}

/** The body that a Go client would send for this object. TypeError for one that is not of its kind. */
export function encodeProtobuf(object: JsonObject): Buffer {
  const { apiVersion = '', kind = '' } = object;
  const message = messageOf(String(apiVersion), String(kind));
  if (message === undefined) throw new TypeError(`There is no protobuf message for ${kind} of ${apiVersion}`);
  const raw = encodeMessage(message, object).toString('base64');
  return Buffer.concat([magic, encodeMessage('Unknown', { typeMeta: { apiVersion, kind }, raw })]);
}
