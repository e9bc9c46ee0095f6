/** Restarts of machines, and moves of them to another host as they run, that somebody asks for: by an object, as users do it. */
import { isTrue } from '#lib/api/conditions.ts';
import { VirtualMachine, VMOperation } from '#lib/api/generated/index.ts';
import type { Client } from '#lib/client/client.ts';
import type { Random } from '#lib/std/random.ts';
import { namespace } from '../faults/churn.ts';

/** The pool of which every host has a machine has no host for one of them to go to. */
const oneOnEachHost = /^kept-\d+$/;
const finished = ['Completed', 'Failed', 'Superseded'];
/** Of those that move: so many are given up on the way, or before. */
const hastyShare = 0.2;

export class Operations {
  readonly #client: Client;
  readonly #random: Random;
  readonly #disturb: (uid: string) => void;
  /** Name of each that was asked for: its last phase, with the reason if it failed. */
  readonly #moves = new Map<string, string>();
  /** Restarts that were asked for. */
  restarts = 0;

  constructor(client: Client, random: Random, disturb: (uid: string) => void) {
    this.#client = client;
    this.#random = random;
    this.#disturb = disturb;
  }

  /** Of any machine that is ready. */
  async restart(): Promise<void> {
    const machine = await this.#any(() => true);
    if (!machine) return;
    this.#disturb(machine.metadata.uid);
    await this.#ask(`restart-${this.restarts++}`, machine, 'Restart', '1m');
  }

  /** Of any machine that is ready and has not to be where it is. Nothing may happen to its guest. */
  async migrate(): Promise<void> {
    const machine = await this.#any(({ metadata }) => !oneOnEachHost.test(metadata.name));
    if (!machine) return;
    const name = `migrate-${this.#moves.size}`;
    this.#moves.set(name, 'asked');
    await this.#ask(name, machine, 'Migrate', this.#random.next() < hastyShare ? '4s' : '1m');
  }

  async unfinished(): Promise<readonly string[]> {
    const { items } = await this.#client.list(VMOperation, { namespace });
    for (const { metadata, status } of items)
      if (this.#moves.has(metadata.name))
        this.#moves.set(metadata.name, status?.phase === 'Failed' ? `Failed: ${status.message}` : `${status?.phase}`);
    return items
      .filter(({ status }) => !finished.includes(status?.phase ?? 'Pending'))
      .map(({ metadata, spec, status }) => `${metadata.name} of ${spec.vm} is ${status?.phase}: ${status?.message}`);
  }

  /** How the moves ended, as was seen last: counts, then why some failed. */
  movesReport(): readonly string[] {
    const ends = [...this.#moves.values()];
    const phases = [...Map.groupBy(ends, (end) => end.split(':')[0]!)].map(([phase, its]) => `${phase} ${its.length}`);
    const why = Map.groupBy(
      ends.filter((end) => end.startsWith('Failed')),
      (end) => end.replaceAll(/\b(\w+-)+\d+\b|[0-9a-f-]{36}/g, '*'),
    );
    return [
      `moved as they ran: asked ${ends.length}, ${phases.toSorted().join(', ')}`,
      ...[...why].map(([message, its]) => `  ${its.length} times ${message}`),
    ];
  }

  async #any(isMeant: (vm: VirtualMachine) => boolean): Promise<VirtualMachine | undefined> {
    const { items } = await this.#client.list(VirtualMachine, { namespace });
    const ready = items.filter((vm) => isTrue(vm, 'Ready') && vm.metadata.deletionTimestamp === undefined);
    const meant = ready.filter(isMeant);
    return meant[Math.floor(this.#random.next() * meant.length)];
  }

  async #ask(name: string, { metadata }: VirtualMachine, type: 'Restart' | 'Migrate', timeout: string): Promise<void> {
    await this.#client.create(VMOperation, {
      apiVersion: `${VMOperation.group}/${VMOperation.version}`,
      kind: VMOperation.kind,
      metadata: { name, namespace },
      spec: { vm: metadata.name, type, timeout } as never,
    });
  }
}
