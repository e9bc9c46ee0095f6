/**
 * Answers cut down to what a recorded Kubernetes API server says: every key that was never seen in an answer of that shape is taken out, so
 * that nobody can lean on it. The recordings are those of the conformance test.
 */
import { readRecordings } from '#apiserver/testing/recordings.ts';

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** In the API reference, and in no recording: nothing there has labels of its own, an owner or an annotation everywhere. */
const referenced = ['labels', 'annotations', 'ownerReferences', 'finalizers', 'generateName', 'managedFields'];

interface Shapes {
  readonly status: ReadonlySet<string>;
  readonly details: ReadonlySet<string>;
  readonly listMetadata: ReadonlySet<string>;
  readonly metadata: ReadonlySet<string>;
  readonly event: ReadonlySet<string>;
}

function recordedShapes(): Shapes {
  const shapes = {
    status: new Set<string>(),
    details: new Set<string>(),
    listMetadata: new Set<string>(),
    metadata: new Set(referenced),
    event: new Set<string>(),
  };
  const note = (keys: Set<string>, value: unknown) => {
    if (isObject(value)) for (const key of Object.keys(value)) keys.add(key);
  };
  const learn = (body: unknown): void => {
    if (Array.isArray(body)) for (const item of body) learn(item);
    if (!isObject(body)) return;
    if (body.kind === 'Status') {
      note(shapes.status, body);
      note(shapes.details, body.details);
    } else if (isObject(body.object) && typeof body.type === 'string') {
      note(shapes.event, body);
      learn(body.object);
    } else if (Array.isArray(body.items)) {
      note(shapes.listMetadata, body.metadata);
      learn(body.items);
    } else note(shapes.metadata, body.metadata);
  };
  for (const { response } of readRecordings()) {
    const lines =
      typeof response.body === 'string' ? response.body.split('\n').filter((line) => line.startsWith('{')) : [];
    learn(lines.length > 0 ? lines.map((line) => JSON.parse(line) as unknown) : response.body);
  }
  return shapes;
}

const shapes = recordedShapes();

/** Notes what it takes out in `extensions`. `bare`: items of this list come without kind and apiVersion, as Kubernetes' own do. */
export function plainAnswer(body: unknown, extensions: Set<string>, bare = false): unknown {
  if (!isObject(body)) return body;
  const cut = (value: unknown, keys: ReadonlySet<string>, where: string): unknown => {
    if (!isObject(value)) return value;
    const extra = Object.keys(value).filter((key) => !keys.has(key));
    for (const key of extra) extensions.add(`${where}.${key}`);
    return Object.fromEntries(Object.entries(value).filter(([key]) => keys.has(key)));
  };
  if (body.kind === 'Status') {
    const status = cut(body, shapes.status, 'Status') as Json;
    return status.details === undefined
      ? status
      : { ...status, details: cut(status.details, shapes.details, 'details') };
  }
  if (typeof body.type === 'string' && isObject(body.object) && !('metadata' in body))
    return { ...(cut(body, shapes.event, 'event') as Json), object: plainAnswer(body.object, extensions) };
  if (Array.isArray(body.items)) {
    const items = body.items.map((item) => plainAnswer(item, extensions)) as Json[];
    const metadata = cut(body.metadata, shapes.listMetadata, 'ListMeta');
    return { ...body, metadata, items: bare ? items.map(({ kind: _, apiVersion: __, ...item }) => item) : items };
  }
  return isObject(body.metadata) ? { ...body, metadata: cut(body.metadata, shapes.metadata, 'ObjectMeta') } : body;
}
