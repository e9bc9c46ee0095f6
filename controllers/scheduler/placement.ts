/** Where a machine goes, or why nowhere: pure, over the ledger. */
import { type CountedRule, type HostFacts, hostValue, type Rules, readRules } from '#lib/api/placement-rules.ts';
import { Candidates, type Part } from './candidates.ts';
import { Changes } from './changes.ts';
import { type Judged, judge } from './judge.ts';
import type { HostView, Ledger, Readiness } from './ledger.ts';
import { lackOf, type Need, type Needs, type Reach, refusalFor } from './needs.ts';
import { guestSizeOf } from './overhead.ts';
import { Reaches } from './reaches.ts';
import type { Room } from './room.ts';
import type { Member } from './tallies.ts';

export interface PlacementAsk {
  readonly room: Room;
  /** Whose rules and company count; undefined: no rules, and no machine's rule is about it. */
  readonly member?: Member | undefined;
  /** What its host must be able to carry beside it; undefined: nothing. */
  readonly needs?: Needs | undefined;
  /** Hosts that come into question at all, of one that runs and is to be moved; undefined: every one. */
  readonly suits?: ((hostname: string) => boolean) | undefined;
}

/** `reason` is one of condition Scheduled's words. */
export interface Refusal {
  readonly reason:
    | 'NoOffers'
    | 'LaunchLimit'
    | 'LaunchBackoff'
    | 'GangIncomplete'
    | 'InsufficientCores'
    | 'InsufficientMemory'
    | 'NoMatchingHost'
    | 'HostNotInventoried';
  readonly message: string;
}

/** Sets of rules remembered at once. More than people use; a bound against a flood of generated ones. */
const maxCandidates = 256;
/** Changes kept for those that are behind: for those further behind, reading all hosts anew is cheaper. */
const changesPerHost = 2;

const noRules = readRules(undefined);

/** An ask with the rules that count for it now: its own, and those of others that keep it away. */
interface Question {
  readonly room: Room;
  /** The first need that the host is known not to meet. */
  readonly lackOn: (hostname: string) => Need | undefined;
  readonly rules: Rules;
  readonly judged: readonly Judged[];
  readonly candidates: Candidates;
  readonly suits: ((hostname: string) => boolean) | undefined;
}

export class Placement {
  readonly #ledger: Ledger;
  readonly #changes = new Changes();
  readonly #reaches = new Reaches();
  /** The one that was used last is the last. */
  readonly #candidates = new Map<string, Candidates>();
  readonly #refusals = new Map<string, Refusal>();
  #refusalsVersion = -1;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** To be called with every host that the ledger says has changed. */
  hostChanged(hostname: string): void {
    this.#changes.add(hostname, changesPerHost * this.#ledger.size + 1000);
  }

  /** What the host has told that machines on it may use; undefined: nobody speaks for it now. */
  setReach(hostname: string, reach: Reach | undefined): void {
    if (this.#reaches.set(hostname, reach)) this.#refusals.clear();
  }

  /** Asks that read the same get the same answer, so it is worked out once. */
  classOf({ room, member, needs }: PlacementAsk): string {
    const size = `${room.cpu}/${room.mem}${needs ? `/${needs.text}` : ''}`;
    if (!member) return size;
    const against = this.#ledger.tallies.against(member);
    if (member.rules.counted.length + against.length === 0) return `${size}/${member.rules.text}`;
    return JSON.stringify([size, member.rules.text, member.namespace, member.group, against]);
  }

  /** The host, or undefined if there is none now. Takes nothing: occupy it in the ledger before asking for the next. */
  choose(ask: PlacementAsk): string | undefined {
    const question = this.#question(ask);
    const [sure = [], unsure] = question.candidates.tiers();
    const found = bestOf(question, sure);
    if (found || !unsure || isSureSoon(question)) return found?.host.hostname;
    return bestOf(question, unsure)?.host.hostname;
  }

  /** True if it could go there, were all that is free by the books on offer now. */
  fitsByTheBooks(ask: PlacementAsk, hostname: string): boolean {
    const view = this.#ledger.view(hostname);
    const cause = view && causeAgainst(view, this.#question(ask));
    return view !== undefined && (cause === undefined || cause === 'Offer' || cause === 'Busy');
  }

  /** Why there is no host, counted over all of them. */
  explain(ask: PlacementAsk): Refusal {
    if (ask.suits) return countRefusals(this.#ledger.views(), this.#question(ask));
    if (this.#refusalsVersion !== this.#ledger.version) {
      this.#refusals.clear();
      this.#refusalsVersion = this.#ledger.version;
    }
    const key = this.classOf(ask);
    const known = this.#refusals.get(key) ?? countRefusals(this.#ledger.views(), this.#question(ask));
    this.#refusals.set(key, known);
    return known;
  }

  #question({ room, member, needs, suits }: PlacementAsk): Question {
    const { tallies } = this.#ledger;
    const rules = member?.rules ?? noRules;
    const counted = member ? [...rules.counted, ...tallies.against(member)] : [];
    const candidates = this.#candidatesFor(rules, [...new Set(counted.map(({ key }) => key))].sort(), needs);
    const judged = member ? counted.map((rule) => judge(rule, member, tallies, candidates)) : [];
    const lackOn = (hostname: string) => needs && lackOf(needs, this.#reaches.get(hostname));
    return { room, lackOn, rules, judged, candidates, suits };
  }

  #candidatesFor(rules: Rules, keys: readonly string[], needs: Needs | undefined): Candidates {
    const id = `${JSON.stringify(keys)} ${rules.text}${needs ? ` ${needs.text}` : ''}`;
    const known = this.#candidates.get(id);
    const changed = known && this.#changedSince(known, needs);
    const candidates = changed ? known : new Candidates({ rules, keys, needs, reaches: this.#reaches });
    if (changed) for (const hostname of changed) candidates.set(hostname, this.#ledger.view(hostname));
    else for (const view of this.#ledger.views()) candidates.set(view.host.hostname, view);
    candidates.upTo = this.#changes.end;
    candidates.reachesUpTo = this.#reaches.end;
    this.#candidates.delete(id);
    if (this.#candidates.size >= maxCandidates) this.#candidates.delete(this.#candidates.keys().next().value!);
    this.#candidates.set(id, candidates);
    return candidates;
  }

  /** Some of them more than once; undefined: look at all. What hosts have told matters only to those that need something of it. */
  #changedSince({ upTo, reachesUpTo }: Candidates, needs: Needs | undefined): readonly string[] | undefined {
    const hosts = this.#changes.since(upTo);
    const reaches = needs ? this.#reaches.since(reachesUpTo) : [];
    return hosts && reaches && [...hosts, ...reaches];
  }
}

const without = (judged: readonly Judged[], some: readonly Judged[]) => judged.filter((one) => !some.includes(one));

function bestOf(question: Question, parts: readonly Part[]): HostView | undefined {
  const { judged } = question;
  const wished = judged.filter(({ isHost, isSoft }) => isHost && isSoft);
  const best = bestIn(question, parts, judged);
  return best ?? (wished.length > 0 ? bestIn(question, parts, without(judged, wished)) : undefined);
}

function isSureSoon({ room, judged, candidates, suits }: Question): boolean {
  const accept = ({ host }: HostView) => (suits?.(host.hostname) ?? true) && ruleBrokenBy(host, judged) === undefined;
  return candidates.isSureSoon(room, accept);
}

/** Parts with fewer machines of the same kind first, where a spread is asked for; then those that are wished for; in each the best fit. */
function bestIn({ room, suits }: Question, parts: readonly Part[], judged: readonly Judged[]): HostView | undefined {
  const ofHosts = judged.filter(({ isHost }) => isHost);
  const accept =
    ofHosts.length === 0 && !suits
      ? undefined
      : ({ host }: HostView) =>
          (suits?.(host.hostname) ?? true) && ofHosts.every(({ allows }) => allows(host.hostname));
  for (const { index } of openParts(parts, without(judged, ofHosts))) {
    const found = index.bestFit(room, accept);
    if (found) return found;
  }
  return undefined;
}

function* openParts(parts: readonly Part[], judged: readonly Judged[]): Iterable<Part> {
  if (judged.length === 0) return yield* parts;
  const open: { readonly part: Part; readonly load: number }[] = [];
  for (const part of parts)
    if (judged.every(({ key, isSoft, allows }) => isSoft || allows(part.values.get(key))))
      open.push({ part, load: judged.reduce((sum, { key, load }) => sum + load(part.values.get(key)), 0) });
  // The first mostly has room, so that sorting them all would be for nothing.
  while (open.length > 0) {
    const least = open.reduce((best, { load }, index) => (load < open[best]!.load ? index : best), 0);
    yield open[least]!.part;
    open.splice(least, 1);
  }
}

type Cause =
  | Exclude<Readiness, 'Ready'>
  | CountedRule['type']
  | 'Selector'
  | 'Unsuited'
  | 'Taint'
  | 'Cores'
  | 'Memory'
  | 'Busy'
  | 'Offer';

function ruleBrokenBy(host: HostFacts, judged: readonly Judged[]): Judged | undefined {
  return judged.find(({ key, isSoft, allows }) => !isSoft && !allows(hostValue(host, key)));
}

/** The first thing that stands against a host, in this order, or undefined. */
function causeAgainst(
  { host, free, offered, isBusy }: HostView,
  { room, lackOn, rules, judged, suits }: Question,
): Cause | Need | undefined {
  if (!rules.allows(host)) return rules.tolerates(host) ? 'Selector' : 'Taint';
  const lack = lackOn(host.hostname);
  if (lack) return lack;
  if (host.readiness !== 'Ready') return host.readiness;
  if (suits && !suits(host.hostname)) return 'Unsuited';
  const broken = ruleBrokenBy(host, judged);
  if (broken) return broken.rule.type;
  if (free.cpu < room.cpu) return 'Cores';
  if (free.mem < room.mem) return 'Memory';
  if (isBusy) return 'Busy';
  return offered === undefined || offered.cpu < room.cpu || offered.mem < room.mem ? 'Offer' : undefined;
}

/** "5 hosts: 3 short of cores (largest free 8), 2 cordoned". */
function countRefusals(views: readonly HostView[], question: Question): Refusal {
  const { problems } = question.rules;
  if (problems.length > 0) return { reason: 'NoMatchingHost', message: `spec.placement: ${problems.join('; ')}` };
  const counts = new Map<Cause | Need, number>();
  let largestCores = 0;
  let largestMiB = 0;
  for (const view of views) {
    const cause = causeAgainst(view, question);
    if (cause === undefined) continue;
    counts.set(cause, (counts.get(cause) ?? 0) + 1);
    const guest = guestSizeOf(view.free);
    if (cause === 'Cores') largestCores = Math.max(largestCores, guest.cores);
    if (cause === 'Memory') largestMiB = Math.max(largestMiB, guest.memoryMiB);
  }
  const texts: Readonly<Record<Cause, string>> = {
    Offer: 'with room that Mesos has not offered yet',
    Busy: 'where as many machines start as may at once',
    Memory: `short of memory (largest free ${largestMiB} MiB)`,
    Cores: `short of cores (largest free ${largestCores})`,
    Limit: 'with as many machines as its rules allow',
    Even: 'where it would make the spread uneven',
    Together: 'away from the machines that it has to be with',
    NotInventoried: 'not inventoried',
    Suspect: 'suspect',
    StorageDown: 'whose images cannot be used',
    Unreachable: 'unreachable',
    Maintenance: 'soon to be in maintenance',
    Draining: 'draining',
    Cordoned: 'cordoned',
    Unsuited: 'that cannot take it over as it runs',
    Taint: 'with a taint that it does not tolerate',
    Selector: 'without the labels asked for',
  };
  const order = Object.keys(texts) as Cause[];
  const needs = [...counts.keys()].filter((cause) => typeof cause !== 'string');
  const parts = [
    ...order.filter((cause) => counts.has(cause)).map((cause) => `${counts.get(cause)} ${texts[cause]}`),
    ...needs.map((need) => `${counts.get(need)} ${refusalFor(need)}`),
  ];
  const noun = views.length === 1 ? 'host' : 'hosts';
  const message = views.length === 0 ? 'the cluster has no hosts' : `${views.length} ${noun}: ${parts.join(', ')}`;
  return { reason: reasonOf(order.find((cause) => counts.has(cause))), message };
}

function reasonOf(cause: Cause | undefined): Refusal['reason'] {
  if (cause === 'Busy') return 'LaunchLimit';
  if (cause === 'Memory') return 'InsufficientMemory';
  if (cause === 'Cores') return 'InsufficientCores';
  if (cause === 'NotInventoried') return 'HostNotInventoried';
  return cause === 'Offer' ? 'NoOffers' : 'NoMatchingHost';
}
