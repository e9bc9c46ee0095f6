/** How a host is shared between its own services and machines. */
import { type Amounts, amounts, type Name } from './amounts.ts';

type Shares = Readonly<Record<Name, number>>;

/** All times in milliseconds; all shares between 0 and 1. */
export interface Policy {
  /** Between two looks at the host. */
  readonly sampleMs: number;
  /** Between two changes in Mesos, whatever they are. */
  readonly changeMs: number;
  /** What Mesos has of the host is read this often, if nothing is to be changed. */
  readonly lookMs: number;
  /** A need that has passed is forgotten by half in this time. One that rises is believed at once. */
  readonly forgetMs: number;
  /** Half-life of the average that tells whether services are short now. */
  readonly nowMs: number;
  /** Machines are given more only after the host was watched for so long. */
  readonly watchMs: number;
  /** Kept free beyond what services need: a share of their need, and one of the host. */
  readonly headRoom: { readonly ofNeed: Shares; readonly ofHost: Shares };
  /** Less than this share of the host is not worth a change. Taking back is: a step of `takeStep` is enough. */
  readonly giveStep: number;
  readonly takeStep: number;
  /** Services have been short for so long, and machines hold what they need: nothing new starts. */
  readonly closeAfterMs: number;
  /** The same, and machines have to leave. */
  readonly evictAfterMs: number;
  /** What then happens: Mesos drains the agent, or nothing. */
  readonly evict: 'Drain' | 'Never';
  /** Machines that have to leave have so long to stop. */
  readonly graceMs: number;
}

const shares = (cpus: number, mem: number, disk: number): Shares => ({ cpus, mem, disk });

export const defaultPolicy: Policy = {
  sampleMs: 10_000,
  changeMs: 60_000,
  lookMs: 300_000,
  forgetMs: 600_000,
  nowMs: 30_000,
  watchMs: 600_000,
  headRoom: { ofNeed: shares(0.2, 0.1, 0), ofHost: shares(0.15, 0.05, 0.1) },
  giveStep: 0.03,
  takeStep: 0.01,
  closeAfterMs: 120_000,
  evictAfterMs: 600_000,
  evict: 'Drain',
  graceMs: 300_000,
};

/** What is kept free for services that need `need`, on a host of this size. */
export function headRoom(need: Amounts, capacity: Amounts, { headRoom: { ofNeed, ofHost } }: Policy): Amounts {
  return amounts((name) => Math.ceil(ofNeed[name] * need[name] + ofHost[name] * capacity[name]));
}
