import { Image, Subnet } from '#lib/api/generated/index.ts';
import type { Client } from '#lib/client/client.ts';

/** What the machines name: usually it is there before them. */
export async function createReferences(client: Client): Promise<void> {
  const apiVersion = 'computefactory.io/v1alpha1';
  const source = { file: { path: 'blender.img' } };
  const image = { apiVersion, kind: 'Image', metadata: { name: 'blender', namespace: 'default' }, spec: { source } };
  const subnet = { metadata: { name: 'studio', namespace: 'default' }, spec: { cidr: '10.0.0.0/16' } };
  await client.create(Image, image);
  await client.create(Subnet, { apiVersion, kind: 'Subnet', ...subnet });
}

/** A VirtualMachine of 1 KiB, as most figures use it. */
export function machine(name: string) {
  return {
    apiVersion: 'computefactory.io/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { name, namespace: 'default' },
    spec: {
      resources: { cores: 4, memory: '8Gi' },
      image: { name: 'blender' },
      networks: [{ subnet: 'studio' }],
      userData: 'x'.repeat(600),
    },
  } as const;
}

/** The same as the API server stores it, for figures that need many objects quickly and write them straight into etcd. */
export function storedMachine(name: string, note = ''): string {
  const object = machine(name);
  const metadata = {
    ...object.metadata,
    uid: crypto.randomUUID(),
    creationTimestamp: '2026-01-01T00:00:00Z',
    generation: 1,
    annotations: { note },
  };
  return JSON.stringify({ ...object, metadata });
}

export function machineKey(name: string): string {
  return `/registry/computefactory.io/virtualmachines/default/${name}`;
}
