/** Who we are to a master or an agent: an Authorization header that may be renewed when it is refused. */
import { readFile } from 'node:fs/promises';

export interface Authentication {
  /** The header to send now. */
  header(): Promise<string>;
  /** `refused` was answered with 401. True if there is another one to try: it is read anew, once for all that were refused together. */
  renewed(refused: string): Promise<boolean>;
}

/** Gives a secret: at first, and whenever the one before was refused. Where it cannot be had, it throws. */
export type Secret = () => string | Promise<string>;

/** HTTP Basic, which Mesos itself has (`--credentials`). */
export function basic(principal: string, secret: Secret): Authentication {
  return renewable(async () => `Basic ${Buffer.from(`${principal}:${await secret()}`).toString('base64')}`);
}

/** A token, for executors and for masters with an authenticator of their own. */
export function bearer(token: Secret): Authentication {
  return renewable(async () => `Bearer ${await token()}`);
}

/** What a file holds, without white space around it. Whoever renews the secret replaces the file. */
export function secretFile(path: string): Secret {
  return async () => (await readFile(path, 'utf8')).trim();
}

function renewable(read: () => Promise<string>): Authentication {
  let current: Promise<string> | undefined;
  const reading = () => {
    const next = read();
    // What could not be read is tried again by the next call.
    next.catch(() => {
      if (current === next) current = undefined;
    });
    return next;
  };
  return {
    async header() {
      current ??= reading();
      return await current;
    },
    async renewed(refused) {
      if ((await current) === refused) current = reading();
      return (await this.header()) !== refused;
    },
  };
}
