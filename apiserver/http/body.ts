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
export function readBody(request: HttpRequest, signal: AbortSignal, limit = maxBodyBytes): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let size = 0;
  const refuse = (error: unknown) => {
    request.off('data', take).pause();
    reject(error);
  };
  const take = (chunk: Buffer) => {
    size += chunk.length;
    chunks.push(chunk);
    if (signal.aborted) refuse(signal.reason);
    else if (size > limit) refuse(tooLarge(limit));
  };
  const endedEarly = (cause?: unknown) =>
    refuse(new ApiError('BadRequest', 'the body of the request ended too early', { cause }));
  if (Number(request.headers['content-length']) > limit) reject(tooLarge(limit));
  else if (request.destroyed) endedEarly();
  else
    request
      .on('data', take)
      .once('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)))
      .once('error', endedEarly)
      .once('close', () => {
        if (!request.readableEnded) endedEarly();
      });
  return promise;
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
