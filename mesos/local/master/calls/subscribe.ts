/** SUBSCRIBE and UPDATE_FRAMEWORK: who may be a framework, and what may change about it. */
import type { FrameworkInfo, OfferConstraints, SchedulerCall, SchedulerEvent } from '#mesos/types.ts';
import { HttpError, type RecordStream } from '../../http.ts';
import { announce, connectFramework } from '../frameworks.ts';
import { constraintsOf } from '../offer-constraints.ts';
import { type Framework, type Master, newFramework, rolesOf, type SchedulerSession } from '../state.ts';

type Subscribe = SchedulerCall & { type: 'SUBSCRIBE' };
type InfoWithRole = FrameworkInfo & { readonly role?: string };

/** Why a role name is refused, or undefined (src/common/roles.cpp). */
export function roleProblem(role: string): string | undefined {
  if (role === '*') return undefined;
  if (role === '') return 'Empty role name is invalid';
  if (role.startsWith('/') || role.endsWith('/')) return `Role '${role}' cannot start or end with a slash`;
  for (const component of role.split('/')) {
    if (component === '') return `Role '${role}' cannot contain two adjacent slashes`;
    if (['.', '..', '*'].includes(component)) return `Role component '${component}' is invalid`;
    if (component.startsWith('-')) return `Role component '${component}' is invalid because it begins with a dash`;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: Mesos refuses the backspace by name.
    if (/[\u0008\s]/.test(component)) {
      return `Role component '${component}' is invalid because it contains backspace or whitespace`;
    }
  }
  return undefined;
}

function rolesProblem(info: InfoWithRole): string | undefined {
  const multiRole = info.capabilities?.some((capability) => capability.type === 'MULTI_ROLE') ?? false;
  if (multiRole && info.role !== undefined) {
    return `'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable`;
  }
  if (!multiRole && (info.roles ?? []).length > 0) {
    return `'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable`;
  }
  const roles = rolesOf(info);
  const twice = roles.find((role, index) => roles.indexOf(role) !== index);
  if (twice !== undefined) return `'FrameworkInfo.roles' contains duplicate items: ${twice}`;
  const problem = roles.map(roleProblem).find((text) => text !== undefined);
  if (problem === undefined) return undefined;
  return multiRole ? `'FrameworkInfo.roles' contains invalid role: ${problem}` : problem;
}

function subscribeProblem(master: Master, call: Subscribe): string | undefined {
  const { framework_info: info, suppressed_roles: suppressed = [] } = call.subscribe;
  const problem = rolesProblem(info);
  if (problem !== undefined) return problem;
  const roles = rolesOf(info);
  const constrained = constraintsProblem(call.subscribe.offer_constraints, roles);
  if (constrained !== undefined) return constrained;
  const stray = suppressed.find((role) => !roles.includes(role));
  if (stray !== undefined) return `Suppressed role '${stray}' is not contained in the list of roles`;
  if (info.id !== undefined && master.completed.has(info.id.value)) return 'Framework has been removed';
  const known = info.id === undefined ? undefined : master.frameworks.get(info.id.value);
  if (known && !known.recovered && known.info.principal !== info.principal) {
    return `Changing framework's principal is not allowed.`;
  }
  return undefined;
}

function constraintsProblem(constraints: OfferConstraints | undefined, roles: readonly string[]): string | undefined {
  try {
    const stray = [...constraintsOf(constraints ?? {}).keys()].find((role) => !roles.includes(role));
    if (stray === undefined) return undefined;
    return `Offer constraints specify \`role_constraints\` for a role '${stray}', which is not contained in the list of roles`;
  } catch (error) {
    return `Offer constraints are not valid: ${(error as Error).message}`;
  }
}

/** What a framework may not change keeps its first value, without a word. */
function preserved(framework: Framework, info: FrameworkInfo): FrameworkInfo {
  const { user, checkpoint, principal } = framework.info;
  return {
    ...info,
    user,
    ...(checkpoint !== undefined && { checkpoint }),
    ...(principal !== undefined && { principal }),
  };
}

function withDefaults(info: FrameworkInfo, id: string): FrameworkInfo {
  return { failover_timeout: 0, checkpoint: false, ...info, id: { value: id } };
}

/**
 * Subscribes the scheduler at the other end of `stream`. What is refused here is refused with an ERROR event on the stream, as
 * recorded; returns undefined then. An id that this master never issued is accepted as it is.
 */
export function subscribe(
  master: Master,
  call: Subscribe,
  stream: RecordStream<SchedulerEvent>,
  streamId: string,
): { framework: Framework; session: SchedulerSession } | undefined {
  const problem = subscribeProblem(master, call);
  if (problem !== undefined) {
    stream.send({ type: 'ERROR', error: { message: problem } });
    stream.end();
    return undefined;
  }
  const session: SchedulerSession = { streamId, stream, heartbeat: { [Symbol.dispose]() {} } };
  const framework = admit(master, call);
  const wasConnected = framework.session !== undefined;
  connectFramework(master, framework, session);
  master.options.log.info('Framework subscribed', { framework: framework.id, name: framework.info.name });
  // After a failover of a connected scheduler Mesos waits for the next interval: nobody new came.
  if (!wasConnected) master.allocator.request();
  return { framework, session };
}

function admit(master: Master, call: Subscribe): Framework {
  const { framework_info: info, suppressed_roles: suppressed = [] } = call.subscribe;
  const now = master.options.clock.now();
  const id = info.id?.value || `${master.id}-${String(master.nextFramework++).padStart(4, '0')}`;
  const known = master.frameworks.get(id);
  const framework = known ?? newFramework(id, withDefaults(info, id), now);
  if (known !== undefined) {
    if (!known.recovered) known.reregisteredAt = now;
    applyInfo(known, withDefaults(preserved(known, info), id), suppressed);
  }
  framework.suppressed = new Set(suppressed);
  framework.constraints = constraintsOf(call.subscribe.offer_constraints ?? {});
  master.frameworks.set(id, framework);
  announce(master, known === undefined ? 'FRAMEWORK_ADDED' : 'FRAMEWORK_UPDATED', framework);
  return framework;
}

function applyInfo(framework: Framework, info: FrameworkInfo, suppressed: readonly string[]): void {
  framework.info = info;
  framework.capabilities = new Set((info.capabilities ?? []).map((capability) => capability.type));
  framework.roles = rolesOf(info);
  framework.suppressed = new Set(suppressed);
}

/** UPDATE_FRAMEWORK: unlike a SUBSCRIBE it refuses a change that is not allowed, with HttpError 400. */
export function updateFramework(
  master: Master,
  framework: Framework,
  info: FrameworkInfo,
  suppressed: readonly string[] = [],
  constraints: OfferConstraints = {},
): void {
  const prefix = 'FrameworkInfo update is not valid: ';
  for (const field of ['principal', 'user', 'checkpoint'] as const) {
    const [from, to] = [framework.info[field] ?? false, info[field] ?? false];
    if (from !== to) {
      throw new HttpError(
        400,
        `${prefix}Updating 'FrameworkInfo.${field}' is unsupported; attempted to update from '${from}' to '${to}'`,
      );
    }
  }
  const problem = rolesProblem(info) ?? constraintsProblem(constraints, rolesOf(info));
  if (problem !== undefined) throw new HttpError(400, `${prefix}${problem}`);
  applyInfo(framework, withDefaults(info, framework.id), suppressed);
  framework.constraints = constraintsOf(constraints);
  announce(master, 'FRAMEWORK_UPDATED', framework);
  master.allocator.request();
}
