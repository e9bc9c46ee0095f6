/** Restarts that somebody asks for, by an object as users do it. */
import { isTrue } from '#lib/api/conditions.ts';
import { VirtualMachine, VMOperation } from '#lib/api/generated/index.ts';
import type { Client } from '#lib/client/client.ts';
import type { Random } from '#lib/std/random.ts';
import { namespace } from '../faults/churn.ts';

const finished = ['Completed', 'Failed', 'Superseded'];

export class Restarts {
  readonly #client: Client;
  readonly #random: Random;
  readonly #disturb: (uid: string) => void;
  asked = 0;

  constructor(client: Client, random: Random, disturb: (uid: string) => void) {
    this.#client = client;
    this.#random = random;
    this.#disturb = disturb;
  }

  /** Of any machine that is ready. */
  async ask(): Promise<void> {
    const { items } = await this.#client.list(VirtualMachine, { namespace });
    const ready = items.filter((vm) => isTrue(vm, 'Ready') && vm.metadata.deletionTimestamp === undefined);
    const machine = ready[Math.floor(this.#random.next() * ready.length)];
    if (!machine) return;
    this.#disturb(machine.metadata.uid);
    await this.#client.create(VMOperation, {
      apiVersion: `${VMOperation.group}/${VMOperation.version}`,
      kind: VMOperation.kind,
      metadata: { name: `restart-${this.asked++}`, namespace },
      spec: { vm: machine.metadata.name, type: 'Restart', timeout: '1m' } as never,
    });
  }

  async unfinished(): Promise<readonly string[]> {
    const { items } = await this.#client.list(VMOperation, { namespace });
    return items
      .filter(({ status }) => !finished.includes(status?.phase ?? 'Pending'))
      .map(({ metadata, spec, status }) => `${metadata.name} of ${spec.vm} is ${status?.phase}: ${status?.message}`);
  }
}
