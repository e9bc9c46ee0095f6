import type { ResourcePath } from '#apiserver/http/request-info.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';

export type MachinePath = ResourcePath & { readonly namespace: string; readonly name: string };

/** Of one virtual machine, or of something of it. */
export function isOfMachine(path: ResourcePath): path is MachinePath {
  const { group, plural, namespace, name } = path;
  return (
    group === VirtualMachine.group && plural === VirtualMachine.plural && namespace !== undefined && name !== undefined
  );
}
