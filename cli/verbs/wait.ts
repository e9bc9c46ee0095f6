import { parseDuration } from '#lib/api/duration.ts';
import { systemClock } from '#lib/std/clock.ts';
import { isCode } from '#lib/std/errors.ts';
import { UsageError } from '#lib/std/main.ts';
import { discover, displayName, pathOf, resolveTargets, whyCommand } from '../resources.ts';
import { connect } from '../session.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, type Verb } from '../verb.ts';

const lookEveryMs = 300;

export const wait: Verb = {
  name: 'wait',
  summary: 'Wait until objects are as asked',
  help: `Usage: factoryctl wait KIND NAME…|KIND/NAME… --for=WHAT [flags]

Examples:
  factoryctl wait cf/render --for=condition=Ready --timeout=10m
  factoryctl wait vm/render-local-48c-0 --for=jsonpath=.status.phase=Running
  factoryctl wait cf/render --for=delete

Flags:
      --for WHAT       condition=TYPE[=STATUS], jsonpath=.PATH=VALUE, or delete
      --timeout TIME   Give up after this (5m)
${connectionHelp}

Exit codes: 0 as asked, 1 no such object, 3 not in time.`,
  async run(args, out) {
    const { values, positionals } = parseFlags('wait', args, {
      ...connectionFlags,
      for: { type: 'string' },
      timeout: { type: 'string', default: '5m' },
    });
    const holds = readGoal(values.for);
    const deadline = systemClock.monotonic() + readTimeout(values.timeout);
    const session = connect(values);
    for (const { resource, name } of resolveTargets(await discover(session), positionals, 'wait')) {
      for (;;) {
        const object = await session
          .request<Waited>('GET', pathOf(resource, session.namespace, name))
          .catch((error) => {
            if (isCode(error, 'NotFound')) return undefined;
            throw error;
          });
        if (holds(object)) break;
        if (!object) {
          out.error(
            `There is no ${displayName(resource, name)}${resource.namespaced ? ` in namespace ${session.namespace}` : ''}.`,
          );
          return exit.failed;
        }
        if (systemClock.monotonic() > deadline) {
          out.error(
            `${displayName(resource, name)}: ${values.for} did not come in ${values.timeout}. See "${whyCommand(resource, session.namespace, name)}".`,
          );
          return exit.timeout;
        }
        await systemClock.sleep(lookEveryMs);
      }
      out.line(`${displayName(resource, name)} ${values.for === 'delete' ? 'deleted' : 'condition met'}`);
    }
    return exit.ok;
  },
};

interface Waited {
  readonly metadata: { readonly generation?: number };
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly observedGeneration?: number;
    }[];
  };
}

export function readTimeout(text: string): number {
  try {
    return parseDuration(text);
  } catch (error) {
    throw new UsageError(`--timeout: ${(error as Error).message}.`);
  }
}

/** A condition that was decided on an older spec does not count: it speaks of what was asked before. */
export function readGoal(text: string | undefined): (object: Waited | undefined) => boolean {
  const [kind, ...rest] = (text ?? '').split('=');
  if (kind === 'delete' && rest.length === 0) return (object) => object === undefined;
  if (kind === 'condition' && rest[0]) {
    const [type, status = 'True'] = rest;
    return (object) =>
      object?.status?.conditions?.some(
        (condition) =>
          condition.type.toLowerCase() === type!.toLowerCase() &&
          condition.status.toLowerCase() === status.toLowerCase() &&
          (condition.observedGeneration ?? 0) >=
            (condition.observedGeneration === undefined ? 0 : (object.metadata.generation ?? 0)),
      ) === true;
  }
  if (kind === 'jsonpath' && rest[0]) {
    const path = rest[0]
      .replace(/^\{|\}$/g, '')
      .split('.')
      .filter((part) => part !== '');
    const wanted = rest.slice(1).join('=');
    return (object) => {
      const value = path.reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], object);
      return wanted === '' ? value !== undefined : value !== undefined && String(value) === wanted;
    };
  }
  throw new UsageError('--for takes condition=TYPE, jsonpath=.PATH=VALUE or delete. See "factoryctl wait --help".');
}
