/** Checks who imports whom: one table, one regular expression over import lines. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const root = join(import.meta.dirname, '..');

/** Folder -> folders it may import, besides itself. The longest folder that matches a file decides. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  'lib/std': [],
  'lib/tls': ['lib/std'],
  'lib/api': ['lib/std'],
  'lib/client': ['lib/api', 'lib/std'],
  apiserver: ['lib/api', 'lib/std', 'lib/tls'],
  'controllers/runtime': ['lib'],
  controllers: ['lib', 'controllers'],
  'controllers/scheduler': ['controllers/runtime', 'mesos', 'lib'],
  mesos: ['lib/std', 'lib/tls'],
  executor: ['mesos', 'lib/api', 'lib/std', 'lib/tls'],
  // `factoryctl plan` makes the controller's own plan.
  cli: ['lib', 'controllers/computefactory'],
};
/** Packages that only these files or folders may import, so that each has one place that adapts it. */
const onlyIn: Readonly<Record<string, readonly string[]>> = {
  etcd3: ['apiserver/store', 'test', 'hack'],
  '@grpc/grpc-js': ['apiserver/store'],
  '@kubernetes/client-node': ['lib/client', 'test'],
  jose: ['apiserver/auth/jwt.ts'],
  '@marcbachmann/cel-js': ['apiserver/cel/syntax.ts'],
  ajv: ['apiserver/schema/accept.ts'],
  pino: ['lib/std/log.ts'],
  '@peculiar/x509': ['lib/tls'],
  re2js: ['lib/std/pattern.ts'],
  'fast-check': ['test/properties.ts'],
  undici: ['lib/client', 'mesos', 'executor', 'test'],
};

function folderOf(file: string, folders: readonly string[]): string | undefined {
  return folders
    .filter((folder) => file === folder || file.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length)[0];
}

/** One folder per kind: controllers meet only through objects. */
function kindFolders(): string[] {
  return readdirSync(join(root, 'controllers'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'runtime' && entry.name !== 'scheduler')
    .map((entry) => `controllers/${entry.name}`);
}

const table: Record<string, readonly string[]> = { ...mayImport };
for (const folder of kindFolders()) table[folder] = ['controllers/runtime', 'lib'];

function files(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
    .map((name) => join(folder, name));
}

const problems: string[] = [];
for (const file of ['lib', 'apiserver', 'controllers', 'mesos', 'executor', 'cli', 'test', 'hack'].flatMap(files)) {
  if (/^(test|hack)\//.test(file)) continue; // may import anything; nobody imports them
  const own = folderOf(file, Object.keys(table));
  const isTest = /\.(test|suite)\.ts$|\/testing\//.test(file);
  for (const [, specifier] of readFileSync(join(root, file), 'utf8').matchAll(/(?:from|import\()\s*'([^']+)'/g)) {
    const name = specifier!;
    const target = name.startsWith('#')
      ? name.slice(1)
      : name.startsWith('.')
        ? relative(root, resolve(root, dirname(file), name))
        : undefined;
    if (target === undefined) {
      const homes = onlyIn[name];
      if (homes && !homes.some((home) => file === home || file.startsWith(`${home}/`)))
        problems.push(`${file}: ${name} is imported only in ${homes.join(', ')}`);
      continue;
    }
    if (isTest && target.startsWith('test/')) continue;
    const allowed = own === undefined ? [] : table[own]!;
    const inside = own !== undefined && folderOf(target, Object.keys(table)) === own;
    if (!inside && !allowed.some((folder) => target.startsWith(`${folder}/`)))
      problems.push(`${file}: may not import ${target}`);
  }
}
if (problems.length > 0) {
  console.error(`${problems.join('\n')}\nThe table is in hack/check-layers.ts.`);
  process.exit(1);
}
