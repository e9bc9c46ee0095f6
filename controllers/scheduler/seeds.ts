/**
 * Brings what of a seed stands in Secrets to the executor that waits for it: read when it is asked for, sealed for the worker that asked,
 * kept nowhere. A heartbeat that says that a machine waits is the question; as long as it is asked it is answered.
 */
import { Secret } from '#lib/api/core.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { type Heartbeat, type MachineReport, seedContext } from '#lib/api/messages.ts';
import { SeedSecretError, secretNames, seedSecrets } from '#lib/api/seeds.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import { seal } from '#lib/std/sealed-box.ts';
import type { World } from './world.ts';

const repeatMs = 3_000;

export class Seeds {
  readonly #world: World;
  /** What is to be told of the machine has changed. */
  readonly #onProblem: (uid: string) => void;
  readonly #sentMs = new Map<string, number>();

  constructor(world: World, onProblem: (uid: string) => void) {
    this.#world = world;
    this.#onProblem = onProblem;
  }

  heard(hostname: string, { machines, sealKey }: Pick<Heartbeat, 'machines' | 'sealKey'>): void {
    for (const report of machines) if (report.awaits === 'Secrets') void this.#answer(hostname, report, sealKey);
  }

  async #answer(hostname: string, report: MachineReport, sealKey: string | undefined): Promise<void> {
    const { machines, log } = this.#world;
    const vm = machines.byUid(report.uid);
    const { attempt, migration } = vm?.status ?? {};
    const isAlive = [attempt, migration].some((place) => place?.number === report.attempt && place.host === hostname);
    if (!vm || !isAlive || sealKey === undefined || !this.#isDue(`${report.taskId} ${sealKey}`)) return;
    try {
      const order = { type: 'seed', version: 1, uid: report.uid, attempt: report.attempt } as const;
      const secrets = JSON.stringify(await this.#read(vm));
      this.#tellProblem(report.uid, undefined);
      await this.#world.tell(hostname, { ...order, sealed: seal(secrets, sealKey, seedContext(order)) });
    } catch (error) {
      if (error instanceof SeedSecretError) this.#tellProblem(report.uid, error);
      else log.warn('Secrets of a seed not sent; it is tried again', { uid: report.uid, reason: messageOf(error) });
    }
  }

  /** Heartbeats may come in bursts, each with the same question. */
  #isDue(question: string): boolean {
    const nowMs = this.#world.clock.monotonic();
    for (const [known, sentMs] of this.#sentMs) {
      if (nowMs - sentMs < repeatMs) break;
      this.#sentMs.delete(known);
    }
    if (this.#sentMs.has(question)) return false;
    this.#sentMs.set(question, nowMs);
    return true;
  }

  async #read(vm: VirtualMachine) {
    const { namespace } = vm.metadata;
    const found = await Promise.all(
      secretNames(vm.spec).map(async (name) => [name, await this.#get({ namespace, name })] as const),
    );
    const secrets = new Map(found);
    return seedSecrets(vm.spec, (name) => secrets.get(name));
  }

  async #get(id: { readonly namespace: string | undefined; readonly name: string }): Promise<Secret | undefined> {
    try {
      return await this.#world.client.get(Secret, id);
    } catch (error) {
      if (isCode(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  #tellProblem(uid: string, problem: SeedSecretError | undefined): void {
    const { seedProblems } = this.#world;
    if (seedProblems.get(uid)?.message === problem?.message) return;
    if (problem) seedProblems.set(uid, problem);
    else seedProblems.delete(uid);
    this.#onProblem(uid);
  }
}
