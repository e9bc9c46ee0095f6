import { type Access, createAccess } from '#apiserver/auth/access.ts';
import { Policy } from '#apiserver/rbac/policy.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';

/** For tests below the level of requests: everybody may do everything. */
export function openAccess(): Access {
  const allow = () => ({ verdict: 'allow', reason: 'test' }) as const;
  return createAccess({
    tokens: [],
    audiences: [],
    authorizers: [allow],
    policy: new Policy(),
    clock: systemClock,
    log: silentLog,
  });
}
