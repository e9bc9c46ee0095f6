/** Kubernetes' metav1.Status: how everything that went wrong is said. */
import type { JsonObject } from '#apiserver/json/json.ts';
import { qualifiedKind, qualifiedName, type Resource } from '#apiserver/resources/resource.ts';
import { ApiError, type Cause, type ErrorDetails, httpStatusOf } from '#lib/std/errors.ts';

/** A list that was cut off by compaction: the token lets the client go on, without the promise of one snapshot. */
export class ExpiredContinueError extends ApiError {
  readonly continueToken: string;

  constructor(message: string, continueToken: string) {
    super('Expired', message);
    this.continueToken = continueToken;
  }
}

export function statusOf(error: ApiError): JsonObject {
  const details = detailsOf(error.details);
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: error instanceof ExpiredContinueError ? { continue: error.continueToken } : {},
    status: 'Failure',
    message: error.message,
    ...(error.code === 'Unknown' ? {} : { reason: error.code }),
    ...(details ? { details } : {}),
    code: httpStatusOf[error.code],
  };
}

function detailsOf(details: ErrorDetails): JsonObject | undefined {
  if (Object.keys(details).length === 0) return undefined;
  const { causes, ...rest } = details;
  const named = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== '' && value !== undefined));
  const shown = causes?.map(({ field, ...cause }) => (field === '' ? cause : { ...cause, field }));
  return { ...named, ...(shown ? { causes: shown } : {}) } as JsonObject;
}

/** Any error as one that can be told: what is no ApiError is our own fault and says no more than that. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError('InternalError', 'Internal error: the server failed to handle this request; its log says why', {
    cause: error,
  });
}

export function notFound(resource: Pick<Resource, 'group' | 'plural'>, name: string): ApiError {
  return new ApiError('NotFound', `${qualifiedName(resource)} "${name}" not found`, {
    details: { name, group: resource.group, kind: resource.plural },
  });
}

export function alreadyExists(resource: Resource, name: string): ApiError {
  return new ApiError('AlreadyExists', `${qualifiedName(resource)} "${name}" already exists`, {
    details: { name, group: resource.group, kind: resource.plural },
  });
}

export function conflict(resource: Pick<Resource, 'group' | 'plural'>, name: string, why: string): ApiError {
  return new ApiError('Conflict', `Operation cannot be fulfilled on ${qualifiedName(resource)} "${name}": ${why}`, {
    details: { name, group: resource.group, kind: resource.plural },
  });
}

export const modified = 'the object has been modified; please apply your changes to the latest version and try again';

/** An answer is there to be read: it does not give back megabytes of what was wrong. */
const maxCauses = 100;
const maxCauseLength = 2_000;

function brief(text: string): string {
  if (text.length <= maxCauseLength) return text;
  return `${text.slice(0, maxCauseLength / 2)}…${text.slice(-maxCauseLength / 2)}`;
}

/** 422 with every cause, in the form of field.ErrorList. */
export function invalidObject(
  resource: Pick<Resource, 'group' | 'kind'>,
  name: string,
  causes: readonly Cause[],
): ApiError {
  const shown = causes.slice(0, maxCauses).map((cause) => ({ ...cause, message: brief(cause.message) }));
  return new ApiError('Invalid', `${qualifiedKind(resource)} "${name}" is invalid: ${sentence(shown)}`, {
    details: { name, group: resource.group, kind: resource.kind, causes: shown },
  });
}

/** 422 for a query or body option, for example of CreateOptions. */
export function invalidOption(kind: string, cause: Cause): ApiError {
  return invalidObject({ group: 'meta.k8s.io', kind }, '', [cause]);
}

function sentence(causes: readonly Cause[]): string {
  const parts = causes.map((cause) => `${cause.field}: ${cause.message}`);
  return parts.length === 1 ? parts[0]! : `[${parts.join(', ')}]`;
}

export function forbiddenObject(resource: Resource, name: string, why: string, causes?: readonly Cause[]): ApiError {
  return new ApiError('Forbidden', `${qualifiedName(resource)} "${name}" is forbidden: ${why}`, {
    details: { name, group: resource.group, kind: resource.plural, ...(causes ? { causes } : {}) },
  });
}

export function badRequest(message: string, cause?: unknown): ApiError {
  return new ApiError('BadRequest', message, { cause });
}
