import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { MachineService } from '#lib/api/host-endpoint.ts';
import { UsageError } from '#lib/std/main.ts';
import type { Session } from './session.ts';

const words: readonly string[] = [VirtualMachine.singular, VirtualMachine.plural, ...VirtualMachine.shortNames];

/** The one machine that a command line names: NAME, vm NAME or vm/NAME. */
export function machineNamed(positionals: readonly string[], verb: string): string {
  const [first = '', ...rest] = positionals.flatMap((word) => word.split('/'));
  const [name = '', ...more] = words.includes(first) && rest.length > 0 ? rest : [first, ...rest];
  if (name !== '' && more.length === 0) return name;
  throw new UsageError(`Name one machine: factoryctl ${verb} NAME. See "factoryctl ${verb} --help".`);
}

/** Path of what there is to see of a machine. */
export function servicePath(session: Session, name: string, service: MachineService): string {
  const { group, version, plural } = VirtualMachine;
  return `/apis/${group}/${version}/namespaces/${encodeURIComponent(session.namespace)}/${plural}/${encodeURIComponent(name)}/${service}`;
}
