/** Continue tokens of paged lists, in Kubernetes' own form so that its tools can read them. */
import { badRequest } from '#apiserver/http/status.ts';

export interface ContinueToken {
  /** Revision of the first page; -1n to go on at the newest one. */
  readonly rev: bigint;
  /** Key of the last object of the page before, relative to the prefix of the list. */
  readonly after: string;
}

/** A zero byte behind the key: the first key that may come next. */
const end = '\u0000';

export function writeContinue({ rev, after }: ContinueToken): string {
  // Written by hand: a revision does not fit into a Number.
  const json = `{"v":"meta.k8s.io/v1","rv":${rev},"start":${JSON.stringify(`/${after}${end}`)}}`;
  return Buffer.from(json).toString('base64url');
}

/** BadRequest for anything that writeContinue did not write. */
export function readContinue(token: string): ContinueToken {
  const text = Buffer.from(token, 'base64url').toString('utf8');
  const match = /^\{"v":"meta\.k8s\.io\/v1","rv":(-?\d{1,19}),"start":("(?:[^"\\]|\\.)*")\}$/.exec(text);
  const start = match && textOf(match[2]!);
  if (!match || typeof start !== 'string') throw badRequest('invalid continue token: continue key is not valid');
  return { rev: BigInt(match[1]!), after: start.replace(/^\//, '').replace(/\0$/, '') };
}

function textOf(json: string): string | undefined {
  try {
    return JSON.parse(json) as string;
  } catch {
    // A backslash before what JSON does not know.
    return undefined;
  }
}
