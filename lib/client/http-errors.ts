/** From what a server answered, or did not, to ApiError. */
import { ApiError, type ErrorCode, type ErrorDetails, httpStatusOf } from '#lib/std/errors.ts';

/** metav1.Status, as far as it is read. */
interface Status {
  readonly kind?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
  readonly details?: ErrorDetails;
}

/** The error in a body that may be a Status, or a proxy's page, or nothing. */
export function errorOfAnswer(request: string, statusCode: number, body: string, retryAfter?: string): ApiError {
  const status = parseStatus(body);
  const details = detailsOf(status, retryAfter);
  const message = status?.message ?? `${request} was answered with HTTP ${statusCode}: ${body.slice(0, 200)}`;
  return new ApiError(codeOf(status?.reason, statusCode), message, { details });
}

/** The error that an ERROR event of a watch carries. */
export function errorOfStatus(status: Status): ApiError {
  const message = status.message ?? 'The watch ended with an error that says nothing';
  return new ApiError(codeOf(status.reason, status.code ?? 500), message, { details: detailsOf(status) });
}

/** Reasons decide; without a known one the HTTP status does. */
function codeOf(reason: string | undefined, statusCode: number): ErrorCode {
  // Kubernetes has two reasons with status 410.
  if (reason === 'Gone') return 'Expired';
  if (reason !== undefined && Object.hasOwn(httpStatusOf, reason)) return reason as ErrorCode;
  if (statusCode === 409) return 'Conflict';
  const known = Object.entries(httpStatusOf).find(([, number]) => number === statusCode);
  if (known) return known[0] as ErrorCode;
  return statusCode >= 500 ? 'InternalError' : 'BadRequest';
}

function detailsOf(status: Status | undefined, retryAfter?: string): ErrorDetails {
  const seconds = Number(retryAfter);
  const fromHeader = retryAfter !== undefined && Number.isFinite(seconds) ? { retryAfterSeconds: seconds } : {};
  return { ...fromHeader, ...status?.details };
}

function parseStatus(body: string): Status | undefined {
  try {
    const value = JSON.parse(body) as Status | null;
    return value?.kind === 'Status' ? value : undefined;
  } catch {
    return undefined; // Not a Status but somebody's page: its beginning goes into the message.
  }
}
