/** Tells users by events what befell a machine on its host, which its cluster server writes into its status. */
import { done, type Phase } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { conditionOf } from '#lib/api/conditions.ts';
import type { VirtualMachine } from '#lib/api/generated/index.ts';
import type { Scope } from './scope.ts';

type Status = NonNullable<VirtualMachine['status']>;

export interface News {
  readonly tell: Phase<Scope>;
  /** The machine is going. */
  readonly forget: Phase<Scope>;
}

/** Each once, as long as this process lives: what a machine says when it is seen first was told by whoever saw it before. */
export function newsOf({ events }: Pick<Deps, 'events'>): News {
  const seen = new Map<string, Status>();
  return {
    tell({ vm }) {
      const { uid } = vm.metadata;
      const { status = {} } = vm;
      const before = seen.get(uid);
      seen.set(uid, status);
      if (!before) return done;
      const { pausedReason, attempt, lastTermination: end } = status;
      if (pausedReason && !before.pausedReason)
        events.warning(vm, pausedReason, `${conditionOf(vm, 'Ready')?.message ?? 'Paused'}. Host: ${attempt?.host}`);
      if (end?.class === 'Guest' && end.time !== before.lastTermination?.time)
        events[end.reason === 'GuestShutdown' ? 'normal' : 'warning'](
          vm,
          end.reason ?? 'GuestCrashed',
          end.message ?? '',
        );
      tellMoves(events, vm, before);
      return done;
    },
    forget({ vm }) {
      seen.delete(vm.metadata.uid);
      return done;
    },
  };
}

function tellMoves(events: Deps['events'], vm: VirtualMachine, before: Status): void {
  const { attempt, migration, lastMigration: last } = vm.status ?? {};
  if (migration && migration.id !== before.migration?.id)
    events.normal(vm, 'Migrating', `Moves from host ${attempt?.host} to host ${migration.host} as it runs`);
  if (!last || last.id === before.lastMigration?.id) return;
  if (last.outcome === 'Completed')
    events.normal(vm, 'Migrated', `Moved from host ${last.fromHost} to host ${last.host} as it ran`);
  else events.warning(vm, 'MigrationFailed', `Not moved to host ${last.host}: ${last.message}`);
}
