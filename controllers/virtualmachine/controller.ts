/**
 * Prepares a VirtualMachine for its next attempt, and ends it after its last: while status.attempt is absent, size, image and addresses
 * are resolved and phase becomes Scheduling, which hands it to the cluster server; when an attempt was closed the run policy decides, and
 * accepted Start and Stop operations, which nobody else could carry out then;
 * on deletion the leases are released once no attempt is left. While status.attempt is there, this controller writes nothing.
 * Conditions: ConfigReady, ImageReady, VolumesReady, NetworkReady, Ready, Reconciling, Stalled.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Controller, done, type Phase, type Trigger, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { blockOf } from '#lib/api/addresses.ts';
import { conditionOf } from '#lib/api/conditions.ts';
import { Secret } from '#lib/api/core.ts';
import {
  Image,
  InstanceType,
  IPLease,
  Subnet,
  VirtualMachine,
  VMOperation,
  VMPool,
  Volume,
} from '#lib/api/generated/index.ts';
import { askedImageKey, keysOfImage } from '#lib/api/image-families.ts';
import { type Kind, type KubeObject, keyOf } from '#lib/api/meta.ts';
import { labels } from '#lib/api/names.ts';
import { secretNames } from '#lib/api/seeds.ts';
import type { Cache } from '#lib/client/cache.ts';
import { timestamp } from '#lib/std/clock.ts';
import { askedPower } from './asked-power.ts';
import { holdFinalizer } from './hold-finalizer.ts';
import { leaseAddresses } from './lease-addresses.ts';
import { hostnameKeys, nameGuest } from './name-guest.ts';
import { quarantineForeign } from './quarantine-foreign.ts';
import { awaitAttemptGone, releaseLeases, removeFinalizer } from './release.ts';
import { resolveConfig } from './resolve-config.ts';
import { resolveImage } from './resolve-image.ts';
import { resolveVolumes } from './resolve-volumes.ts';
import { judge } from './run-policy.ts';
import type { Scope } from './scope.ts';
import { summarize } from './status.ts';
import { recentlyTaken } from './taken.ts';
import { newsOf } from './tell-news.ts';

export function virtualMachineController(deps: Deps): Controller<VirtualMachine, Scope> {
  const machines = deps.cache(VirtualMachine, {
    // Only machines without an attempt wait for anything: an Image that becomes ready must not wake the running ones.
    image: (vm) => (isIdle(vm) ? [askedImageKey(vm) ?? ''] : []),
    siblings: (vm) => (vm.status?.image?.family ? (siblingsKey(vm) ?? []) : []),
    subnet: (vm) =>
      isIdle(vm) ? (vm.spec.networks ?? []).map(({ subnet }) => `${vm.metadata.namespace}/${subnet}`) : [],
    secret: (vm) => (isIdle(vm) ? secretNames(vm.spec).map((name) => `${vm.metadata.namespace}/${name}`) : []),
    volume: (vm) =>
      isIdle(vm) ? (vm.spec.volumes ?? []).map(({ volume }) => `${vm.metadata.namespace}/${volume}`) : [],
    instanceType: (vm) => (isIdle(vm) && vm.spec.instanceType ? [vm.spec.instanceType] : []),
    hostname: (vm) => hostnameKeys(vm),
    onSite: ({ status }) => (status?.networks ?? []).flatMap(({ segment, mac }) => (segment && mac ? [mac] : [])),
    addressless: (vm) =>
      isAddressless(vm) ? (vm.spec.networks ?? []).map(({ subnet }) => `${vm.metadata.namespace}/${subnet}`) : [],
  });
  const images = deps.cache(Image, { asked: keysOfImage });
  const instanceTypes = deps.cache(InstanceType);
  const subnets = deps.cache(Subnet);
  const secrets = deps.cache(Secret);
  const volumes = deps.cache(Volume);
  const leases = deps.cache(IPLease, {
    holder: ({ spec }) => (spec.holderUID ? [spec.holderUID] : []),
    static: ({ metadata, spec }) =>
      spec.static && spec.holderName ? [`${metadata.namespace}/${spec.holderName}`] : [],
    address: ({ metadata, spec }) => [`${metadata.namespace}/${spec.subnet}/${spec.ip}`],
    block: ({ metadata, spec }) => [`${metadata.namespace}/${spec.subnet}/${blockOf(spec.ip)}`],
    mac: ({ metadata, spec }) => (spec.mac ? [`${metadata.namespace}/${spec.subnet}/${spec.mac}`] : []),
  });
  const operations = deps.cache(VMOperation, { machine: ({ status }) => (status?.vmUID ? [status.vmUID] : []) });
  const news = newsOf(deps);
  const addresses = {
    ofSubnet: (namespace: string, subnet: string) => ({
      has: (ip: string) => leases.count('address', `${namespace}/${subnet}/${ip}`) > 0,
      inBlock: (block: string) => leases.count('block', `${namespace}/${subnet}/${block}`),
      withMac: (mac: string) => leases.by('mac', `${namespace}/${subnet}/${mac}`),
    }),
    onSiteWithMac: (mac: string) => machines.by('onSite', mac).map(({ metadata }) => metadata.uid),
    taken: recentlyTaken(deps.clock),
  };

  function load(vm: VirtualMachine, nowMs: number): Scope {
    const subnetOf = (name: string) => subnets.get(`${vm.metadata.namespace}/${name}`);
    const { family } = vm.spec.image;
    const found = images.by('asked', askedImageKey(vm) ?? '');
    return {
      vm,
      judgement: judge(vm, nowMs, deps.random.next(), askedPower(operations.by('machine', vm.metadata.uid))),
      image: family ? undefined : found[0],
      familyImages: family ? found : [],
      siblingImage: () =>
        (siblingsKey(vm) ?? []).flatMap((key) => machines.by('siblings', key))[0]?.status?.image?.name,
      instanceType: vm.spec.instanceType ? instanceTypes.get(vm.spec.instanceType) : undefined,
      subnets: (vm.spec.networks ?? []).map(({ subnet }) => subnetOf(subnet)),
      subnetOf,
      secretOf: (name) => secrets.get(`${vm.metadata.namespace}/${name}`),
      volumeOf: (name) => volumes.get(`${vm.metadata.namespace}/${name}`),
      leases: [...leases.by('holder', vm.metadata.uid), ...leases.by('static', keyOf(vm))],
      resolved: {},
      met: new Set(),
    };
  }

  return {
    name: 'virtualmachine',
    for: VirtualMachine,
    reads: [Image, InstanceType, Subnet, IPLease, VMOperation, Secret, Volume],
    writes: [VirtualMachine, IPLease],
    triggers: [
      {
        kind: VMOperation,
        map: (object) => [`${object.metadata.namespace}/${(object as VMOperation).spec.vm}`],
      },
      {
        kind: Image,
        map: (image) => keysOfImage(image as Image).flatMap((key) => machines.by('image', key).map(keyOf)),
      },
      { ...waking(Subnet, machines, 'subnet', keyOf), isNews: subnetsDiffer },
      { ...waking(Volume, machines, 'volume', keyOf), isNews: volumesDiffer },
      waking(Secret, machines, 'secret', keyOf),
      waking(InstanceType, machines, 'instanceType', ({ metadata }) => metadata.name),
      waking(
        IPLease,
        machines,
        'addressless',
        (lease) => `${lease.metadata.namespace}/${(lease as IPLease).spec.subnet}`,
      ),
    ],
    concurrency: 16,
    load: (vm, run) => load(vm, run.nowMs),
    phases: [
      news.tell,
      leaveAttemptAlone,
      tellPreemption(deps),
      holdFinalizer(deps),
      quarantineForeign(deps),
      obeyPolicy,
      resolveConfig,
      resolveImage,
      resolveVolumes,
      nameGuest((key) => machines.by('hostname', key), recentlyTaken(deps.clock)),
      leaseAddresses(deps, addresses),
      backOff,
    ],
    finalize: [news.forget, awaitAttemptGone, releaseLeases(deps), removeFinalizer(deps)],
    summarize,
  };
}

/** In what a machine takes from its subnet. Its counts change with every address, and would wake every machine that waits for a place. */
function subnetsDiffer(old: KubeObject, now: KubeObject): boolean {
  const taken = ({ metadata, spec, status }: Subnet) => [
    metadata.deletionTimestamp,
    spec,
    status?.vni,
    status?.gateway,
  ];
  return !isDeepStrictEqual(taken(old as Subnet), taken(now as Subnet));
}

/** Likewise: what is used of it changes all the time. */
function volumesDiffer(old: KubeObject, now: KubeObject): boolean {
  const taken = ({ metadata, spec, status }: Volume) => [
    metadata.deletionTimestamp,
    spec,
    status?.writer?.uid,
    status?.writer?.unreachable,
    status?.accessMode,
    status?.backend,
  ];
  return !isDeepStrictEqual(taken(old as Volume), taken(now as Volume));
}

const isIdle = (vm: VirtualMachine) => vm.status?.attempt === undefined && vm.metadata.deletionTimestamp === undefined;
/** Shared by the machines of one pool that were made of the same template and ask for the same family. */
function siblingsKey(vm: VirtualMachine): readonly string[] | undefined {
  const { ownerReferences = [], labels: own } = vm.metadata;
  const pool = ownerReferences.find(({ controller, kind }) => controller && kind === VMPool.kind);
  return pool && vm.spec.image.family ? [`${pool.uid}/${own?.[labels.revision]}/${askedImageKey(vm)}`] : undefined;
}

const isAddressless = (vm: VirtualMachine) => isIdle(vm) && conditionOf(vm, 'NetworkReady')?.status === 'False';

function waking(
  kind: Kind,
  machines: Cache<VirtualMachine>,
  index: string,
  value: (object: KubeObject) => string,
): Trigger {
  return { kind, map: (object) => machines.by(index, value(object)).map(keyOf) };
}

const leaveAttemptAlone: Phase<Scope> = ({ vm }) =>
  vm.status?.attempt ? wait('Running', 'The cluster server has it') : done;

/** Once for each end: what is judged now was not judged before. */
const tellPreemption =
  ({ events }: Deps): Phase<Scope> =>
  ({ vm: { status }, vm, judgement }) => {
    const isNews = judgement.restarts?.relaunch !== status?.restarts?.relaunch;
    const { class: by, reason = '', message = '' } = status?.lastTermination ?? {};
    if (isNews && by === 'Preempted') events.warning(vm, 'Preempted', `${reason}: ${message}`);
    return done;
  };

/** A machine that is to be off, or is over, needs nothing. */
const obeyPolicy: Phase<Scope> = ({ judgement: { decision } }) =>
  decision.want === 'Run' ? done : wait(decision.want, decision.reason);

const backOff: Phase<Scope> = ({ judgement: { decision } }, { nowMs }) =>
  decision.want === 'Run' && decision.notBeforeMs > nowMs
    ? wait('BackOff', `Launched again after ${timestamp(decision.notBeforeMs)}`, decision.notBeforeMs - nowMs)
    : done;
