/** What the rows are about: a built-in kind and kinds of our own, as small as they can be. */
import type { Manifest } from './row.ts';

export function map(name: string, data: object, metadata: object = {}): Manifest {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata }, data };
}

export function pool(name: string, replicas: number, metadata: object = {}, more: object = {}): Manifest {
  const template = { spec: { resources: { cores: 1, memory: '128Mi' }, image: { name: 'tiny' } } };
  const apiVersion = 'computefactory.io/v1alpha1';
  return { apiVersion, kind: 'VMPool', metadata: { name, ...metadata }, spec: { replicas, template }, ...more };
}

export function account(name: string, more: object = {}): Manifest {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name }, ...more };
}

export function condition(type: string, status: 'True' | 'False'): object {
  return { type, status, reason: 'Told', message: 'by a test', lastTransitionTime: '2026-01-01T00:00:00Z' };
}
