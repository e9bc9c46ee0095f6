import { systemClock } from '#lib/std/clock.ts';
import { isCode } from '#lib/std/errors.ts';
import { UsageError } from '#lib/std/main.ts';
import { readManifests } from '../manifests.ts';
import type { Output } from '../output.ts';
import { discover, displayName, pathOf, resolveKind, resolveTargets, type Target, whyCommand } from '../resources.ts';
import { connect, type Session } from '../session.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, type Verb } from '../verb.ts';
import { readTimeout } from './wait.ts';

const cascades = { background: 'Background', foreground: 'Foreground', orphan: 'Orphan' } as const;
const lookEveryMs = 500;

export const remove: Verb = {
  name: 'delete',
  summary: 'Remove objects and wait until they are gone',
  help: `Usage: factoryctl delete KIND NAME…|KIND/NAME… [flags]
       factoryctl delete -f FILE|FOLDER|- [flags]

Examples:
  factoryctl delete cf render -n studio-a
  factoryctl delete -f manifests/samples

Flags:
  -f, --filename SOURCE  Objects named in these files, last one first
      --cascade HOW      background (default), foreground or orphan
      --no-wait          Do not wait until they are gone
      --timeout TIME     Give up waiting after this (5m)
      --ignore-not-found Success also if there is no such object
${connectionHelp}

Exit codes: 0 gone, 1 refused, 3 still there when the time was up.`,
  async run(args, out) {
    const { values, positionals } = parseFlags('delete', args, {
      ...connectionFlags,
      filename: { type: 'string', short: 'f', multiple: true },
      cascade: { type: 'string', default: 'background' },
      'no-wait': { type: 'boolean' },
      timeout: { type: 'string', default: '5m' },
      'ignore-not-found': { type: 'boolean' },
    });
    const propagationPolicy = cascades[values.cascade as keyof typeof cascades];
    if (!propagationPolicy)
      throw new UsageError(`--cascade takes background, foreground or orphan, not "${values.cascade}".`);
    const timeoutMs = readTimeout(values.timeout);
    const session = connect(values);
    const targets = await targetsOf(session, values.filename, positionals);
    const gone: Doomed[] = [];
    for (const target of targets) {
      const path = pathOf(target.resource, target.namespace, target.name);
      try {
        const answer = await session.request<Answer>('DELETE', path, {
          body: { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy },
        });
        out.line(`${displayName(target.resource, target.name)} deleted`);
        gone.push({ ...target, path, uid: answer.metadata?.uid ?? answer.details?.uid });
      } catch (error) {
        if (!isCode(error, 'NotFound') || !(values['ignore-not-found'] || values.filename)) throw error;
      }
    }
    return values['no-wait'] ? exit.ok : await waitUntilGone(session, gone, timeoutMs, out);
  },
};

interface Answer {
  readonly metadata?: { readonly uid?: string };
  readonly details?: { readonly uid?: string };
}

interface Named extends Target {
  readonly namespace: string;
}

interface Doomed extends Named {
  readonly path: string;
  readonly uid: string | undefined;
}

async function targetsOf(
  session: Session,
  files: readonly string[] | undefined,
  words: readonly string[],
): Promise<readonly Named[]> {
  const resources = await discover(session);
  if (!files)
    return resolveTargets(resources, words, 'delete').map((target) => ({ ...target, namespace: session.namespace }));
  return [...readManifests(files)].reverse().flatMap(({ manifest: { apiVersion, kind, metadata } }) => {
    const resource = resolveKind(resources, apiVersion, kind);
    return resource ? [{ resource, name: metadata.name, namespace: metadata.namespace ?? session.namespace }] : [];
  });
}

interface Waiting {
  readonly metadata: { readonly uid: string; readonly finalizers?: readonly string[] };
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message: string }[];
  };
}

/** An object of the same name with another uid is a new one: ours is gone. */
async function waitUntilGone(
  session: Session,
  doomed: readonly Doomed[],
  timeoutMs: number,
  out: Output,
): Promise<number> {
  const deadline = systemClock.monotonic() + timeoutMs;
  for (const target of doomed) {
    let said = '';
    for (;;) {
      const left = await session.request<Waiting>('GET', target.path).catch((error) => {
        if (isCode(error, 'NotFound')) return undefined;
        throw error;
      });
      if (!left || (target.uid !== undefined && left.metadata.uid !== target.uid)) break;
      const name = displayName(target.resource, target.name);
      const blocker = left.status?.conditions?.find(
        ({ type, status }) => type === 'DeletionBlocked' && status === 'True',
      )?.message;
      const waits = blocker ?? `its finalizers ${left.metadata.finalizers?.join(', ') ?? '(none)'}`;
      if (systemClock.monotonic() > deadline) {
        out.error(
          `${name} is still there after ${timeoutMs / 1000} s; it waits for ${waits}. See "${whyCommand(target.resource, target.namespace, target.name)}".`,
        );
        return exit.timeout;
      }
      if (said !== waits) out.progress(`Waiting for ${name}: ${waits}`);
      said = waits;
      await systemClock.sleep(lookEveryMs);
    }
  }
  return exit.ok;
}
