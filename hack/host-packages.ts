/** Prints the folders of the packages that an executor runs on, one a line: those that its sources name, and what those depend on. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Package {
  readonly dev?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
}

const root = join(import.meta.dirname, '..');
const sources = process.argv.slice(2);
const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
  readonly packages: Readonly<Record<string, Package>>;
};

const imports = /(?:^(?:import|export|\}) .*from |^import |import\()'((?:@[\w-]+\/)?\w[\w.-]*)(?:\/[^']*)?'/gm;

function namedBy(file: string): readonly string[] {
  return [...readFileSync(join(root, file), 'utf8').matchAll(imports)].map(([, name]) => name!);
}

/** The nearest, as Node looks for it: within the package that asks, then around it. */
function folderOf(name: string, asker: string): string {
  for (let place = asker; ; place = place.slice(0, Math.max(0, place.lastIndexOf('node_modules/') - 1))) {
    const folder = join(place, 'node_modules', name);
    if (folder in packages) return folder;
    if (place === '') throw new Error(`The lock file has no ${name} for ${asker || 'the project'}`);
  }
}

const found = new Set<string>();
function add(name: string, asker: string): void {
  const folder = folderOf(name, asker);
  // A tool of developers: what asks for it is no part of a host.
  if (found.has(folder) || packages[folder]!.dev === true) return;
  found.add(folder);
  for (const dependency of Object.keys(packages[folder]!.dependencies ?? {})) add(dependency, folder);
}

const files = sources.flatMap((folder) => globSync(`${folder}/**/*.ts`, { cwd: root }));
for (const file of files.filter((name) => !name.endsWith('.test.ts'))) for (const name of namedBy(file)) add(name, '');
process.stdout.write(`${[...found].sort().join('\n')}\n`);
