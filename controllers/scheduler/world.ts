/** Everything that the parts of the cluster server share. One event loop, no locks: whatever is decided without `await` is atomic. */
import type { Cluster } from '#lib/api/generated/cluster.ts';
import type { Host } from '#lib/api/generated/host.ts';
import type { Image } from '#lib/api/generated/image.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { VMOperation } from '#lib/api/generated/vmoperation.ts';
import type { VMRestore } from '#lib/api/generated/vmrestore.ts';
import type { VMSnapshot } from '#lib/api/generated/vmsnapshot.ts';
import type { Volume } from '#lib/api/generated/volume.ts';
import type { SchedulerMessage } from '#lib/api/messages.ts';
import type { SeedSecretError } from '#lib/api/seeds.ts';
import type { Client } from '#lib/client/client.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import type { FrameworkCall } from '#mesos/scheduler.ts';
import type { ExecutorInfo } from '#mesos/types.ts';
import type { AgentBook } from './agents.ts';
import type { Breakers } from './breakers.ts';
import type { ExecutorBook } from './executor-book.ts';
import type { Latest } from './latest.ts';
import type { Ledger } from './ledger.ts';
import type { Overlays } from './overlays.ts';
import type { Placement } from './placement.ts';
import type { Suspects } from './suspects.ts';
import type { TaskBook } from './task-book.ts';
import type { Windows } from './windows.ts';

export interface World {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Name of our Cluster. */
  readonly cluster: string;
  /** uid of the namespace cf-system. */
  readonly installation: string;
  readonly executor: ExecutorInfo;
  /** Monotonic: since when heartbeats could be heard. */
  readonly startedMs: number;
  /** False once another one may lead. */
  readonly isLeading: () => boolean;
  readonly clusters: Latest<Cluster>;
  readonly machines: Latest<VirtualMachine>;
  readonly hosts: Latest<Host>;
  readonly images: Latest<Image>;
  readonly volumes: Latest<Volume>;
  readonly operations: Latest<VMOperation>;
  readonly snapshots: Latest<VMSnapshot>;
  readonly restores: Latest<VMRestore>;
  readonly tasks: TaskBook;
  /** Ids of living tasks that were launched more than once. */
  readonly sentAgain: Set<string>;
  readonly executors: ExecutorBook;
  readonly agents: AgentBook;
  readonly ledger: Ledger;
  readonly placement: Placement;
  readonly suspects: Suspects;
  readonly breakers: Breakers;
  readonly windows: Windows;
  readonly overlays: Overlays;
  /** uid -> why the secrets of a machine's seed cannot be sent to its host. */
  readonly seedProblems: Map<string, SeedSecretError>;
  /** False: no session, or it broke meanwhile. Never throws: a call that Mesos finds wrong is logged. */
  call(call: FrameworkCall): Promise<boolean>;
  /** A framework message to the executor of a host: best effort. */
  tell(hostname: string, message: SchedulerMessage): Promise<boolean>;
}
