/** What a pool needs to know of one machine, taken from objects once. Pure. */
import { isTrue } from '#lib/api/conditions.ts';
import type { Host, VirtualMachine } from '#lib/api/generated/index.ts';
import { lostFrom, unreachableSince } from '#lib/api/lost.ts';
import { annotations, hostObjectName, labels } from '#lib/api/names.ts';

export interface Facts {
  readonly vm: VirtualMachine;
  readonly name: string;
  /** -1 for a machine that was not numbered by a pool. */
  readonly ordinal: number;
  readonly createdMs: number;
  /** Being deleted. */
  readonly going: boolean;
  /** Runs no more and never will. */
  readonly ended: 'Succeeded' | 'Failed' | undefined;
  /** Has a live attempt on a host. */
  readonly placed: boolean;
  readonly ready: boolean;
  /** Was never up, in any attempt. */
  readonly neverUp: boolean;
  readonly unreachable: boolean;
  /** From then on it is lost, unless its host answers before; undefined if it does, or if it is not to be replaced. */
  readonly lostFromMs: number | undefined;
  /** uid of the machine that it stands in for. */
  readonly replaces: string | undefined;
  readonly outdated: boolean;
  readonly onCordonedHost: boolean;
  /** Machines of this pool on the same host. */
  readonly neighbours: number;
  /** Its host is drained: it waits for the pool's leave, is moved as it runs, or is being stopped. */
  readonly drain: 'Waiting' | 'Migrating' | 'Evicting' | undefined;
  /** The leave was given. */
  readonly granted: boolean;
  readonly protected: boolean;
  readonly deleteFirst: boolean;
  readonly deletionCost: number;
}

/** `hostOf` gives the Host object by its name, if there is one; `granted` the attempts by uid that were just given leave to go. */
export function factsOf(
  machines: readonly VirtualMachine[],
  revision: string,
  hostOf: (name: string) => Host | undefined,
  granted: ReadonlyMap<string, string> = new Map(),
): readonly Facts[] {
  const crowd = Map.groupBy(machines, placeOf);
  return machines.map((vm) => {
    const place = placeOf(vm);
    return {
      ...readOnce(vm, revision),
      onCordonedHost: place !== '' && isCordoned(hostOf(place)),
      neighbours: place === '' ? 0 : crowd.get(place)!.length,
      granted: isGranted(vm, granted),
    };
  });
}

function placeOf({ status }: VirtualMachine): string {
  const attempt = status?.attempt;
  return attempt?.cluster && attempt.host ? hostObjectName(attempt.cluster, attempt.host) : '';
}

const isCordoned = (host: Host | undefined) =>
  host !== undefined &&
  (host.spec.unschedulable || host.spec.drain !== undefined || host.metadata.deletionTimestamp !== undefined);

function isGranted({ metadata, status }: VirtualMachine, granted: ReadonlyMap<string, string>): boolean {
  const number = String(status?.attempt?.number);
  return metadata.annotations?.[annotations.drainGranted] === number || granted.get(metadata.uid) === number;
}

/** What one object says by itself. */
type OwnFacts = Omit<Facts, 'onCordonedHost' | 'neighbours' | 'granted'>;

/** An object never changes, it is followed by another: of thousands of machines few are new at each look. */
const known = new WeakMap<VirtualMachine, { readonly revision: string; readonly facts: OwnFacts }>();

function readOnce(vm: VirtualMachine, revision: string): OwnFacts {
  const before = known.get(vm);
  if (before?.revision === revision) return before.facts;
  const facts = factsOfOne(vm, revision);
  known.set(vm, { revision, facts });
  return facts;
}

function factsOfOne(vm: VirtualMachine, revision: string): OwnFacts {
  const { metadata, status } = vm;
  const notes = metadata.annotations ?? {};
  const phase = status?.phase;
  return {
    vm,
    name: metadata.name,
    ordinal: Number(metadata.labels?.[labels.ordinal] ?? -1),
    createdMs: Date.parse(metadata.creationTimestamp),
    going: metadata.deletionTimestamp !== undefined,
    ended: phase === 'Succeeded' || phase === 'Failed' ? phase : undefined,
    placed: status?.attempt !== undefined,
    ready: isTrue(vm, 'Ready'),
    neverUp: !isTrue(vm, 'Ready') && status?.phaseTransitions?.Running === undefined,
    unreachable: unreachableSince(vm) !== undefined,
    lostFromMs: lostFrom(vm),
    replaces: metadata.labels?.[labels.replaces],
    outdated: metadata.labels?.[labels.revision] !== revision,
    drain: status?.attempt?.drain?.state,
    protected: notes[annotations.scaleInProtection] === 'true',
    deleteFirst: notes[annotations.deleteFirst] === 'true',
    deletionCost: Number.parseInt(notes[annotations.deletionCost] ?? '0', 10) || 0,
  };
}
