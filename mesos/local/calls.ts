/** Reading calls as Mesos does: required fields of the protobuf messages, UUIDs, ids. Unknown fields are ignored everywhere. */
import type { ApiName } from '#mesos/schema/apis.ts';
import { read } from '#mesos/schema/codec.ts';
import { HttpError } from './http.ts';

type Json = { readonly [key: string]: unknown };

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The call as an object with a known type, or HttpError 400 in Mesos' words. */
export function typedCall(body: unknown, known: readonly string[], api: string): Json & { readonly type: string } {
  if (!isObject(body)) throw new HttpError(400, 'Failed to convert JSON into Call protobuf: Expecting a JSON object');
  // An enum word that the reader does not know is the same as none (proto2).
  if (typeof body.type !== 'string' || !known.includes(body.type)) {
    throw new HttpError(400, `Failed to validate ${api}: Expecting 'type' to be present`);
  }
  return body as Json & { readonly type: string };
}

/** Expands `a.b[].c` over lists and gives the concrete paths whose parent is there and that are missing themselves. */
function missing(body: unknown, path: readonly string[], at = ''): string[] {
  const [head, ...rest] = path;
  if (head === undefined || !isObject(body)) return [];
  const isList = head.endsWith('[]');
  const name = isList ? head.slice(0, -2) : head;
  const here = at === '' ? name : `${at}.${name}`;
  const value = body[name] ?? undefined;
  if (isList) {
    if (!Array.isArray(value)) return [];
    return value.flatMap((item, index) => missing(item, rest, `${here}[${index}]`));
  }
  if (value === undefined) return rest.length === 0 ? [here] : [];
  return missing(value, rest, here);
}

/** Throws the answer that Mesos gives when fields marked `required` in the .proto are missing below parents that are present. */
export function requireFields(body: Json, paths: readonly string[]): void {
  const absent = paths.flatMap((path) => missing(body, path.split('.')));
  if (absent.length === 0) return;
  throw new HttpError(400, `Failed to convert JSON into Call protobuf: Missing required fields: ${absent.join(', ')}`);
}

/** A call with numbers where they were written as text, and without nulls, in place. HttpError 400 for what is no message. */
export function converted<T extends object>(api: ApiName, call: T): T {
  try {
    read(api, call);
    return call;
  } catch (error) {
    throw new HttpError(400, `Failed to convert JSON into Call protobuf: ${(error as Error).message}`);
  }
}

/** Throws the answer that Mesos gives to a field of another JSON kind than the protobuf message has. */
export function refuseWrongKind(body: Json, field: string, wanted: 'string' | 'object'): void {
  const value = body[field] ?? undefined;
  const kind = Array.isArray(value) ? 'array' : typeof value;
  if (value === undefined || kind === wanted) return;
  throw new HttpError(
    400,
    `Failed to convert JSON into Call protobuf: Not expecting a JSON ${kind} for field '${field}'`,
  );
}

/** The 16 bytes of a `uuid` field; HttpError 400 unless it is base64 of an RFC 4122 UUID of version 1 to 5, any variant. */
export function checkUuid(text: unknown, api: string): void {
  refuseWrongKind({ uuid: text }, 'uuid', 'string');
  const value = String(text);
  const bad = /[^A-Za-z0-9+/=]/.exec(value);
  if (bad) {
    throw new HttpError(
      400,
      `Failed to convert JSON into Call protobuf: Failed to base64 decode bytes field 'uuid': Invalid character '${bad[0]}'`,
    );
  }
  const bytes = Buffer.from(value, 'base64');
  const version = (bytes[6] ?? 0) >> 4;
  if (bytes.length !== 16 || version < 1 || version > 5) {
    throw new HttpError(400, `Failed to validate ${api}: Not a valid UUID`);
  }
}

/** Base64 of the bytes of a textual UUID, as TaskStatus carries it. */
export function uuidBytes(uuid: string): string {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex').toString('base64');
}

/** Why an id is refused, or undefined (src/common/validation.cpp): ids become directory names. */
export function idProblem(id: string): string | undefined {
  if (id === '') return 'ID must not be empty';
  if (Buffer.byteLength(id) > 255) return 'ID must not be greater than 255 characters';
  if (id === '.' || id === '..') return `'${id}' is disallowed`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused.
  if (/[\u0000-\u001f\u007f/\\]/.test(id)) return `'${id}' contains invalid characters`;
  return undefined;
}
