/**
 * Client-side apply as kubectl does it, over the same annotation, so that both can be used on one object: what this file set last
 * time and does not set now is removed, what others set is left alone.
 */
import { ApiError, isCode } from '#lib/std/errors.ts';
import { type Document, type Manifest, readManifests } from '../manifests.ts';
import { type ApiResource, discover, displayName, pathOf, resolveKind } from '../resources.ts';
import { connect, type Session } from '../session.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, type Verb } from '../verb.ts';

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';
const manager = 'fieldManager=factoryctl';
/** Another writer may be faster; each try reads anew. */
const triesMax = 5;

export const apply: Verb = {
  name: 'apply',
  summary: 'Make objects as files say, new or changed',
  help: `Usage: factoryctl apply -f FILE|FOLDER|- [flags]

Examples:
  factoryctl apply -f manifests/samples
  factoryctl apply -f render.yaml --dry-run

Flags:
  -f, --filename SOURCE  File, folder, or - for standard input; may be repeated
      --dry-run          Ask the server what would happen; change nothing
${connectionHelp}

One bad object does not stop the others; the exit code is 1 if any was refused.`,
  async run(args, out) {
    const { values } = parseFlags('apply', args, {
      ...connectionFlags,
      filename: { type: 'string', short: 'f', multiple: true },
      'dry-run': { type: 'boolean' },
    });
    const documents = readManifests(values.filename ?? []);
    const session = connect(values);
    const resources = await discover(session);
    let refused = 0;
    for (const document of documents) {
      try {
        const { resource, verdict } = await applyOne(session, resources, document, values['dry-run'] === true);
        out.line(
          `${displayName(resource, document.manifest.metadata.name)} ${verdict}${values['dry-run'] ? ' (server dry run)' : ''}`,
        );
      } catch (error) {
        if (!(error instanceof ApiError) || error.code === 'ServiceUnavailable') throw error;
        refused += 1;
        out.error(`${document.place}: ${error.message}`);
      }
    }
    return refused === 0 ? exit.ok : exit.failed;
  },
};

type Verdict = 'created' | 'configured' | 'unchanged';

async function applyOne(
  session: Session,
  resources: readonly ApiResource[],
  { manifest }: Document,
  dryRun: boolean,
): Promise<{ resource: ApiResource; verdict: Verdict }> {
  const resource = resolveKind(resources, manifest.apiVersion, manifest.kind);
  if (!resource)
    throw new ApiError(
      'NotFound',
      `The server has no kind ${manifest.kind} in ${manifest.apiVersion}. See "factoryctl version" for what it is.`,
    );
  const namespace = manifest.metadata.namespace ?? session.namespace;
  const path = pathOf(resource, namespace, manifest.metadata.name);
  const query = `${manager}&fieldValidation=Strict${dryRun ? '&dryRun=All' : ''}`;
  for (let tried = 1; ; tried += 1) {
    try {
      return { resource, verdict: await applyOnce(session, resource, namespace, path, query, manifest) };
    } catch (error) {
      // Made, changed or removed by someone else between our look and our write.
      if (!isCode(error, 'AlreadyExists', 'Conflict') || tried >= triesMax) throw error;
    }
  }
}

async function applyOnce(
  session: Session,
  resource: ApiResource,
  namespace: string,
  path: string,
  query: string,
  manifest: Manifest,
): Promise<Verdict> {
  const wanted = annotate(
    resource.namespaced ? { ...manifest, metadata: { ...manifest.metadata, namespace } } : manifest,
  );
  const live = await session.request<Manifest>('GET', path).catch((error) => {
    if (isCode(error, 'NotFound')) return undefined;
    throw error;
  });
  if (!live) {
    await session.request('POST', `${pathOf(resource, namespace)}?${query}`, { body: wanted });
    return 'created';
  }
  const patch = threeWayPatch(previousOf(live), wanted, live);
  if (Object.keys(patch).length === 0) return 'unchanged';
  const after = await session.request<Manifest>('PATCH', `${path}?${query}`, {
    body: patch,
    contentType: 'application/merge-patch+json',
  });
  // Not by resourceVersion alone: that of a dry run never changes.
  return sameJson(after, live) ? 'unchanged' : 'configured';
}

/** The object with what was asked for written into it, as kubectl does: JSON of the manifest and a line feed. */
function annotate(manifest: Manifest): Manifest {
  const { [lastApplied]: _, ...annotations } = manifest.metadata.annotations ?? {};
  const plain = { ...manifest, metadata: { ...manifest.metadata, annotations } };
  return {
    ...plain,
    metadata: { ...plain.metadata, annotations: { ...annotations, [lastApplied]: `${JSON.stringify(plain)}\n` } },
  };
}

function previousOf(live: Manifest): object {
  const text = live.metadata.annotations?.[lastApplied];
  return text === undefined ? {} : (JSON.parse(text) as object);
}

type Json = { readonly [key: string]: unknown };

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The merge patch that brings `live` to `wanted`: fields of `wanted` that differ, and null for what `previous` had and `wanted` has
 * not. Lists are taken as a whole. Empty if nothing is to do.
 */
export function threeWayPatch(previous: unknown, wanted: Json, live: unknown): Json {
  const old = isObject(previous) ? previous : {};
  const now = isObject(live) ? live : {};
  const patch: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(wanted)) {
    if (isObject(value) && isObject(now[key])) {
      const inner = threeWayPatch(old[key], value, now[key]);
      if (Object.keys(inner).length > 0) patch[key] = inner;
    } else if (!sameJson(value, now[key])) patch[key] = value;
  }
  for (const key of Object.keys(old)) {
    if (!Object.hasOwn(wanted, key) && Object.hasOwn(now, key)) patch[key] = null;
  }
  return patch;
}

function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, index) => sameJson(item, b[index]));
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key]))
  );
}
