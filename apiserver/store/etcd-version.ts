import { ApiError } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { EtcdEndpoint } from './etcd-grpc.ts';

/**
 * True if every member is new enough: etcd#15220 and #17507 are fixed in 3.4.31 and 3.5.13. A silent member counts as old. Rejects with
 * ServiceUnavailable if none answers.
 */
export async function progressIsReliable(
  endpoints: readonly EtcdEndpoint[],
  timeoutMs: number,
  log: Log,
): Promise<boolean> {
  const answers = await Promise.allSettled(endpoints.map((endpoint) => endpoint.status(timeoutMs)));
  const versions = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value.version] : []));
  if (versions.length === 0) {
    const cause = answers.find((answer) => answer.status === 'rejected')?.reason;
    const message = `Cannot open the store: no etcd answers at ${endpoints.map(({ address }) => address).join(', ')}`;
    throw new ApiError('ServiceUnavailable', message, { cause });
  }
  const reliable = versions.length === endpoints.length && versions.every(hasReliableProgress);
  if (!reliable)
    log.info('This etcd cannot prove that a watch has caught up: writing marks for that', {
      versions,
      fixedIn: '3.4.31 and 3.5.13',
    });
  return reliable;
}

export function hasReliableProgress(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.\-+]/).map(Number);
  if (major !== 3 || minor > 5) return major >= 3;
  return minor === 5 ? patch >= 13 : minor === 4 && patch >= 31;
}
