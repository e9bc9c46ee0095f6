import { isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { type Parsed, parseJson } from '#apiserver/json/strict.ts';
import { parseYaml } from '#apiserver/json/yaml.ts';
import { decodeProtobuf, protobufType } from '#apiserver/protobuf/body.ts';
import { ApiError } from '#lib/std/errors.ts';
import { mediaType, objectTypes } from './negotiate.ts';
import type { HttpRequest } from './transport.ts';

/** Kubernetes' own limit for request bodies (apiserver, MaxRequestBodyBytes). */
export const maxBodyBytes = 3 * 1024 * 1024;

/**
 * The whole body. RequestEntityTooLarge beyond the limit; BadRequest if the client stopped in the middle. The stream is not destroyed then:
 * with it would go the connection, and the client would never hear why.
 */
export async function readBody(request: HttpRequest, signal: AbortSignal, limit = maxBodyBytes): Promise<Buffer> {
  if (Number(request.headers['content-length']) > limit) throw tooLarge(limit);
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      signal.throwIfAborted();
      size += (chunk as Buffer).length;
      if (size > limit) throw tooLarge(limit);
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError('BadRequest', 'the body of the request ended too early', { cause: error });
  }
  return Buffer.concat(chunks);
}

function tooLarge(limit: number): ApiError {
  return new ApiError('RequestEntityTooLarge', `Request entity too large: limit is ${limit} bytes`);
}

/** The body as JSON, whatever it was written in; no type means JSON, as kubectl scale sends it. UnsupportedMediaType for anything else. */
export function decodeBody(bytes: Buffer, contentType: string | undefined, kind: string): Parsed {
  const what = `the object provided is unrecognized (must be of type ${kind}): couldn't get version/kind`;
  switch (mediaType(contentType)) {
    case '':
    case 'application/json':
      return parseJson(bytes.toString('utf8'), what);
    case 'application/yaml':
      return parseYaml(bytes.toString('utf8'), what);
    case protobufType:
      return { value: decodeProtobuf(bytes), duplicates: [] };
    default:
      throw new ApiError(
        'UnsupportedMediaType',
        `the body of the request was in an unknown format - accepted media types include: ${objectTypes}`,
      );
  }
}

/** The object in a body. BadRequest for any other JSON. */
export function objectIn(value: Json, kind: string): JsonObject {
  if (isObject(value)) return value;
  throw new ApiError(
    'BadRequest',
    `the object provided is unrecognized (must be of type ${kind}): it is not an object`,
  );
}
