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
