/**
 * Bugs as people make them, planted into the source while it is loaded: the code itself has no switch for any of them. A patch that no
 * longer applies is an error, so that none is counted as found or missed by mistake.
 */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { join } from 'node:path';

export interface Plant {
  readonly file: string;
  readonly find: string;
  readonly put: string;
  /** Found it within two hours when it was last looked: where hack/chaos.ts --plants begins. */
  readonly seed: number;
}

export const plants: Readonly<Record<string, Plant>> = {
  acknowledgeBeforeStoring: {
    seed: 1,
    file: 'controllers/scheduler/machines.ts',
    find: '    if (waitMs === 0) await this.#store(stored, decision.status);',
    put: '    await this.#acknowledge(acks); if (waitMs === 0) await this.#store(stored, decision.status);',
  },
  trustTerminalStateAsProof: {
    seed: 1,
    file: 'controllers/scheduler/proof.ts',
    find: 'if (evidence.task?.termination?.domainAbsent === true)',
    put: 'if (evidence.task && isDead(evidence.task.state))',
  },
  relaunchOnSilence: {
    seed: 2,
    file: 'controllers/scheduler/proof.ts',
    find: '  return proofByInventory(uid, attempt, evidence);',
    put: `  if (evidence.task?.state === 'TASK_UNREACHABLE') return 'ConfirmedDead'; return proofByInventory(uid, attempt, evidence);`,
  },
  keepOffersOverFailover: {
    seed: 1,
    file: 'controllers/scheduler/offers.ts',
    find: '      world.ledger.clearOffers();',
    put: '',
  },
  inventoryOfBefore: {
    seed: 10,
    file: 'controllers/scheduler/proof.ts',
    find: `|| !isNewer(inventory, deadMs)) return undefined;
  if (executor.machines.get(uid) !== undefined && executor.machines.get(uid)!.attempt >= (attempt.number ?? 0))
    return undefined;`,
    put: ') return undefined;',
  },
  reuseTaskId: {
    seed: 1,
    file: 'controllers/scheduler/attempt.ts',
    find: 'return Math.max(...rows.map((row) => row?.number ?? 0)) + 1;',
    put: 'return rows.length > 0 ? 1 : 2;',
  },
  launchAfterConflict: {
    seed: 1,
    file: 'controllers/scheduler/placing.ts',
    find: '      return undefined;\n    } finally {',
    put: '      return { ...vm, status };\n    } finally {',
  },
  unansweredMeansNeverSent: {
    seed: 1,
    file: 'controllers/scheduler/launcher.ts',
    find: `await world.call({ type: 'ACCEPT', accept: { offer_ids, operations, filters } });`,
    put: `if (!(await world.call({ type: 'ACCEPT', accept: { offer_ids, operations, filters } }))) return 'NotSent';`,
  },
  killOnce: {
    seed: 8,
    file: 'controllers/scheduler/machines.ts',
    find: 'if (nowMs >= state.nextMs) {',
    put: 'if (state.failures === 0) {',
  },
  leaveDisks: {
    seed: 1,
    file: 'executor/machine/host.ts',
    find: '  await devices.removeDisks(uid);',
    put: '',
  },
  leaveDomain: {
    seed: 1,
    file: 'executor/machine/host.ts',
    find: '  await hypervisor.undefine(uid);',
    put: '',
  },
  orphansForEver: {
    seed: 2,
    file: 'controllers/scheduler/orphans.ts',
    find: 'if (tasks.length + domains.length > 0) await',
    put: 'if (tasks.length + domains.length < 0) await',
  },
  noReconciliation: {
    seed: 2,
    file: 'controllers/scheduler/reconciliation.ts',
    find: 'if (open.size > 0 && nowMs >= nextMs) await explicit();',
    put: 'open.clear();',
  },
  intentOverAnything: {
    seed: 2,
    file: 'controllers/scheduler/placing.ts',
    find: 'const stored = await this.#world.client.updateStatus(VirtualMachine, { ...vm, status });',
    put: `const stored = await this.#world.client.updateStatus(VirtualMachine, { ...vm, metadata: { ...vm.metadata, resourceVersion: '' }, status });`,
  },
  statusOverAnything: {
    seed: 11,
    file: 'controllers/scheduler/machines.ts',
    find: 'updateStatus(VirtualMachine, { ...vm, status })',
    put: `updateStatus(VirtualMachine, { ...vm, metadata: { ...vm.metadata, resourceVersion: '' }, status })`,
  },
  launchBeforeIntent: {
    seed: 1,
    file: 'controllers/scheduler/placing.ts',
    find: '      const stored = await this.#world.client.updateStatus(VirtualMachine, { ...vm, status });\n      this.#world.machines.wrote(stored);',
    put: `      const stored = { ...vm, status };
      void this.#world.client.updateStatus(VirtualMachine, stored).then((now) => this.#world.machines.wrote(now), () => undefined);`,
  },
  launchBeforeReconciled: {
    seed: 1,
    file: 'controllers/scheduler/reconciliation.ts',
    find: 'done = false;\n      rounds = 0;',
    put: 'done = true;\n      rounds = 0;',
  },
  killUnknownAtOnce: {
    seed: 1,
    file: 'controllers/scheduler/session.ts',
    find: '  // Of no living attempt and no import that goes on: there is nothing to store.',
    put: `  if (['TASK_STAGING', 'TASK_STARTING', 'TASK_RUNNING'].includes(status.state)) void world.call({ type: 'KILL', kill: { task_id: status.task_id } });
  // `,
  },
  neverAcknowledge: {
    seed: 1,
    file: 'controllers/scheduler/machines.ts',
    find: '    if (!decision.waits) await this.#acknowledge(acks);\n',
    put: '',
  },
  hoardOffers: {
    seed: 1,
    file: 'controllers/scheduler/offers.ts',
    find: 'await letGo(idleRefuseSeconds, () => true);',
    put: '',
  },
  subscribeWithoutLease: {
    seed: 1,
    file: 'controllers/runtime/leader.ts',
    find: 'const candidate = new Candidate(options);',
    put: `if (options.name.startsWith('cluster-server')) return await work(signal);\n  const candidate = new Candidate(options);`,
  },
  leadForEver: {
    seed: 2,
    file: 'controllers/runtime/leader.ts',
    find: 'if (leftMs <= 0) throw',
    put: 'if (leftMs <= -1e9) throw',
  },
  forgetLostJournal: {
    seed: 5,
    file: 'controllers/scheduler/machine.ts',
    find: "|| telling === 'Forgotten'",
    put: '',
  },
  freeBeforeGone: {
    seed: 1,
    file: 'controllers/virtualmachine/release.ts',
    find: 'const attempt = vm.status?.attempt;',
    put: 'const attempt: any = undefined;',
  },
  serveAnotherAgent: {
    seed: 4,
    file: 'executor/executor.ts',
    find: 'event.subscribed.agent_info.id?.value !== environment.agentId',
    put: 'event.subscribed.agent_info.id === null',
  },
  missDeletions: {
    seed: 1,
    file: 'lib/client/informer.ts',
    find: `if (event.type === 'DELETED') this.#drop(keyOf(event.object), false, event.object);`,
    put: `if (event.type === 'DELETED') return;`,
  },
  trustUnarmedFence: {
    seed: 22,
    file: 'controllers/scheduler/fence.ts',
    find: `  if (!fence?.armed) return undefined;
  const report = executor?.machines.get(uid);
  if (executor && !(report?.attempt === number && report?.fence?.armed)) return undefined;`,
    put: `  const report = executor?.machines.get(uid);
  if (!fence) return undefined;`,
  },
  fenceCountedFromTheStart: {
    seed: 1,
    file: 'controllers/scheduler/fence.ts',
    find: 'Math.max(executor?.heardMs ?? 0, listeningSinceMs)',
    put: 'listeningSinceMs',
  },
  forgetWithoutNote: {
    seed: 2,
    file: 'controllers/scheduler/machines.ts',
    find: 'if (!(await bury(this.#world, vm, attempt))) return false;',
    put: '',
  },
  freeForgottenAddress: {
    seed: 62,
    file: 'controllers/virtualmachine/release.ts',
    find: 'if (isForgotten(vm)) return',
    put: 'if (false as boolean) return',
  },
  resumeOnSilence: {
    seed: 1,
    file: 'executor/machine/migrate.ts',
    find: '  if (phase.sent !== undefined) return stay(state);\n  if (!domain ||',
    put: `  if (phase.sent !== undefined && now >= phase.deadline) return end(state, 'Nobody has said anything');
  if (phase.sent !== undefined) return stay(state);
  if (!domain ||`,
  },
  endWithoutProof: {
    seed: 1,
    file: 'controllers/scheduler/migration.ts',
    find: "if (own?.state === 'Failed' && !isAlive(destination.executor, moment.monotonicMs))",
    put: 'if (own && !isAlive(destination.executor, moment.monotonicMs))',
  },
  relaunchWhileMoving: {
    seed: 4,
    file: 'controllers/scheduler/migration.ts',
    find: "  if (isTaken || isHanded) return swap(vm, migration, isTaken ? 'TakenOver' : sourceEnd!, destination, moment);",
    put: "  if (isTaken) return swap(vm, migration, 'TakenOver', destination, moment);\n  if (sourceEnd) return over(vm, migration, sourceEnd, destination, moment);",
  },
  killTheAdopted: {
    seed: 1,
    file: 'executor/machine/looked.ts',
    find: "if (domain.power !== 'Off') return up(state, domain, now);",
    put: `if (domain.power !== 'Off') return stay(state, 'destroy');`,
  },
};

/** Throws if the bug cannot be planted: a run with it would end by that alone, and look as if somebody had noticed the bug. */
export function requirePlantable(name: string): void {
  const found = plants[name];
  if (!found) throw new Error(`There is no plant ${name}; there are ${Object.keys(plants).join(', ')}`);
  const source = readFileSync(join(import.meta.dirname, '../..', found.file), 'utf8');
  if (source.split(found.find).length !== 2)
    throw new Error(`The plant ${name} no longer applies to ${found.file}: its text has to be there once`);
}

/** From now on modules are loaded with this bug in them. Call before anything of the system is imported. */
export function plant(name: string): void {
  requirePlantable(name);
  const found = plants[name]!;
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context);
      if (!url.endsWith(`/${found.file}`)) return loaded;
      const source = String(loaded.source);
      return { ...loaded, source: source.replace(found.find, () => found.put) };
    },
  });
}
