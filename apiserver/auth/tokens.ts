import { hash, timingSafeEqual } from 'node:crypto';
import type { Identity } from './authenticate.ts';
import { authenticatedGroup, type User } from './user.ts';

/**
 * Reads Kubernetes' static token file: lines of `token,user,uid` with optional groups in quotes: `token,user,uid,"group1,group2"`.
 * Throws for a line that is not so, naming the line, never the token.
 */
export function readTokens(csv: string): (token: string) => Identity | undefined {
  const entries = csv
    .split('\n')
    .map((line, index) => ({ line: line.trim(), number: index + 1 }))
    .filter(({ line }) => line !== '' && !line.startsWith('#'))
    .map(({ line, number }) => readLine(line, number));
  return (token) => {
    const user = find(entries, token);
    return user && { user };
  };
}

interface Entry {
  readonly digest: Buffer;
  readonly user: User;
}

function readLine(line: string, number: number): Entry {
  const fields = [...line.matchAll(/(?:^|,)(?:"([^"]*)"|([^,]*))/g)].map((match) => match[1] ?? match[2] ?? '');
  const [token, name, uid, groups = ''] = fields;
  if (!token || !name || uid === undefined)
    throw new Error(`Cannot read line ${number} of the token file: write token,user,uid,"group1,group2"`);
  const listed = groups.split(',').filter((group) => group !== '');
  return { digest: digestOf(token), user: { name, uid, groups: [...listed, authenticatedGroup] } };
}

function digestOf(token: string): Buffer {
  return hash('sha256', token, 'buffer');
}

/** Compares with every entry in constant time, so that the time of an answer says nothing about a token. */
function find(entries: readonly Entry[], token: string): User | undefined {
  const digest = digestOf(token);
  let found: User | undefined;
  for (const entry of entries) if (timingSafeEqual(entry.digest, digest)) found = entry.user;
  return found;
}
