/** Which Cluster an object is bound to. Pure. */
import { atPath, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { objectsIn } from '#apiserver/json/members.ts';

type Test = (object: JsonObject, cluster: string) => boolean;

const wantedCluster = (machine: JsonObject) => atPath(machine, ['spec', 'placement', 'cluster']);

const attemptOf = (machine: JsonObject) => atPath(machine, ['status', 'attempt']);

/** The machine has its live attempt there; or has none, and its spec wants it there. */
export const isMachineOf: Test = (machine, cluster) => {
  const attempt = attemptOf(machine);
  return attempt === undefined ? wantedCluster(machine) === cluster : atPath(attempt, ['cluster']) === cluster;
};

/** It has no attempt, waits for one, and its spec leaves open where: any Cluster may take it. */
export function isOpenMachine(machine: JsonObject): boolean {
  const isWaiting = atPath(machine, ['status', 'phase']) === 'Scheduling';
  return isWaiting && attemptOf(machine) === undefined && wantedCluster(machine) === undefined;
}

/** Likewise, or its spec says that it is to run there once its attempt elsewhere has ended. */
export const isMachineFor: Test = (machine, cluster) =>
  wantedCluster(machine) === cluster || isMachineOf(machine, cluster);

export const isHostOf: Test = (host, cluster) => atPath(host, ['spec', 'cluster']) === cluster;

export const isOperationFor: Test = (operation, cluster) => atPath(operation, ['status', 'cluster']) === cluster;

export const isVolumeOf: Test = (volume, cluster) => atPath(volume, ['spec', 'cluster']) === cluster;

/** The status of a Volume as far as it is not what hosts tell. */
export function besidesHosts(volume: JsonObject): Json {
  const { backend: _b, health: _h, used: _u, ...rest } = statusOf(volume);
  return rest;
}

/** The status of a VMSnapshot or a VMRestore as far as it is not what a host tells: new machines are made of some of that. */
export function besidesReport(object: JsonObject): Json {
  const {
    phase: _p,
    message: _m,
    finishedAt: _f,
    consistencyAchieved: _c,
    indications: _i,
    ...rest
  } = statusOf(object);
  const { disks: _d, notKept: _n, size: _s, removal: _r, ...own } = rest;
  return own;
}

/** The Image has a row for the Cluster. */
export const isImageOf: Test = (image, cluster) => rowsOf(image).some(({ name }) => name === cluster);

/** The status of an Image as far as it is not the Cluster's own row. */
export function besidesRow(image: JsonObject, cluster: string): Json {
  const status = atPath(image, ['status']);
  return { ...(isObject(status) ? status : {}), clusters: rowsOf(image).filter(({ name }) => name !== cluster) };
}

const statusOf = (object: JsonObject) => (atPath(object, ['status']) ?? {}) as JsonObject;

function rowsOf(image: JsonObject): JsonObject[] {
  const status = atPath(image, ['status']);
  return isObject(status) ? objectsIn(status, 'clusters') : [];
}
