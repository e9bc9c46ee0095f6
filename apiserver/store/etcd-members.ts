/**
 * Which member of etcd to ask, and how often: etcd3 must neither retry nor stop calling by itself, since it repeats writes without looking at
 * what became of the first. It picks members by chance; one that did not answer is left out for a moment, unless none would be left.
 */
import type { IOptions } from 'etcd3';
import type { Clock } from '#lib/std/clock.ts';
import { failureOf } from './etcd-errors.ts';

type FaultHandling = NonNullable<IOptions['faultHandling']>;
type Policy = NonNullable<FaultHandling['global']>;

const leftOutMs = 1_000;
const neverAborted = new AbortController().signal;
const nothing = {
  onSuccess: () => ({ dispose() {} }),
  onFailure: () => ({ dispose() {} }),
  _altReturn: undefined as never,
};

/**
 * Begins a call without the stack that gRPC notes down for every call, lest it fail: that took a fifth of the time of a call, and our own
 * errors say what was being done.
 */
function withoutStack<T>(call: () => T): T {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return call();
  } finally {
    Error.stackTraceLimit = limit;
  }
}

export function faultHandling(memberCount: number, clock: Clock): FaultHandling {
  const downUntilMs = new Map<string, number>();
  const isDown = (member: string) => (downUntilMs.get(member) ?? 0) > clock.monotonic();
  const someAreUp = () => [...downUntilMs.keys()].filter(isDown).length < memberCount;
  return {
    global: { ...nothing, execute: async (call) => call({ signal: neverAborted }) },
    host: (member): Policy => ({
      ...nothing,
      async execute(call) {
        if (isDown(member) && someAreUp()) throw new Error(`${member} did not answer a moment ago`);
        try {
          const answer = await withoutStack(() => call({ signal: neverAborted }));
          downUntilMs.delete(member);
          return answer;
        } catch (error) {
          if (failureOf(error) === 'unreached') downUntilMs.set(member, clock.monotonic() + leftOutMs);
          throw error;
        }
      },
    }),
  };
}
