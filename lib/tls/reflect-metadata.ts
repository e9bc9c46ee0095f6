/**
 * The part of the Reflect.metadata proposal that @peculiar/x509's dependency container asks for when it is loaded: a table of values
 * per class. Imported for its effect, before the package. Does nothing where somebody has already installed the whole of it.
 */
type Table = Map<unknown, unknown>;
type Target = object;

const tables = new WeakMap<Target, Table>();

function tableOf(target: Target): Table {
  const known = tables.get(target);
  if (known) return known;
  const fresh: Table = new Map();
  tables.set(target, fresh);
  return fresh;
}

function getOwnMetadata(key: unknown, target: Target): unknown {
  return tables.get(target)?.get(key);
}

/** Looks at the class and then at the classes it extends. */
function getMetadata(key: unknown, target: Target): unknown {
  for (let at: Target | null = target; at; at = Object.getPrototypeOf(at) as Target | null)
    if (tables.get(at)?.has(key)) return getOwnMetadata(key, at);
  return undefined;
}

function defineMetadata(key: unknown, value: unknown, target: Target): void {
  tableOf(target).set(key, value);
}

if (!('getMetadata' in Reflect))
  Object.assign(Reflect, {
    getMetadata,
    getOwnMetadata,
    defineMetadata,
    hasMetadata: (key: unknown, target: Target) => getMetadata(key, target) !== undefined,
    hasOwnMetadata: (key: unknown, target: Target) => tables.get(target)?.has(key) ?? false,
    metadata: (key: unknown, value: unknown) => (target: Target) => defineMetadata(key, value, target),
  });
