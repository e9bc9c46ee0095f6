/** What the documentation says is true of the code: its objects are accepted, its paths exist, its commands parse. */
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { runCommandLine, verbs } from '#cli/main.ts';
import type { Output } from '#cli/output.ts';
import { discover, pathOf, resolveKind } from '#cli/resources.ts';
import { checksOf } from '#executor/check/checks.ts';
import { packageOf } from '#executor/check/programs.ts';
import { known, parseConfig } from '#executor/config.ts';
import { defaultSettings, parseSettings } from '#executor/monitor/config.ts';
import { flagsOf } from '#executor/monitor/flags.ts';
import { factoryKinds } from '#lib/api/generated/index.ts';
import { defaultTransportOptions, httpTransport } from '#lib/client/http-transport.ts';
import { type ApiWorld, apiWorld } from './api-world.ts';

const root = join(import.meta.dirname, '..');
const pages = ['README.md', ...globSync('docs/*.md', { cwd: root })].map((name) => ({ name, text: read(name) }));

function read(name: string): string {
  return readFileSync(join(root, name), 'utf8');
}

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name?: string; readonly namespace?: string };
}

function manifestsIn(text: string): readonly Manifest[] {
  return parseAllDocuments(text).map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS() as Manifest;
  });
}

const examples = [
  ...pages.flatMap(({ name, text }) =>
    [...text.matchAll(/^```yaml\n(.*?)^```/gms)].flatMap(([, yaml]) =>
      manifestsIn(yaml!).map((object) => ({ name, object })),
    ),
  ),
  ...globSync('manifests/**/*.yaml', { cwd: root }).flatMap((name) =>
    manifestsIn(read(name)).map((object) => ({ name, object })),
  ),
].map(({ name, object }) => ({ name, object, title: `${object.kind} ${object.metadata.name ?? ''} of ${name}` }));

/** What stands between backticks, and the lines of code blocks that are not YAML. */
function codeOf(text: string): readonly string[] {
  const prose = text.replace(/^```.*?^```/gms, '');
  return [
    ...[...prose.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code!),
    ...[...prose.matchAll(/^ {4}(\S.*)$/gm)].map(([, code]) => code!),
  ];
}

const code = pages.flatMap(({ name, text }) => codeOf(text).map((line) => ({ name, line })));

describe('objects in the documentation and in manifests/', () => {
  let world: ApiWorld;
  beforeAll(async () => {
    world = await apiWorld();
  });
  afterAll(async () => {
    await world?.[Symbol.asyncDispose]();
  });

  test.each(examples)('$title is accepted by the API server', async ({ object }) => {
    const transport = httpTransport(world.endpoint, defaultTransportOptions);
    const request = <T>(method: 'GET' | 'POST', path: string, body?: object) =>
      transport.call({ method, path, ...(body && { body }) }) as Promise<T>;
    const resource = resolveKind(await discover({ request } as never), object.apiVersion, object.kind);
    expect(resource, `${object.kind} of ${object.apiVersion} is served`).toBeDefined();
    const { namespace } = object.metadata;
    if (namespace)
      await request('POST', '/api/v1/namespaces', {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: namespace },
      }).catch((error) => expect(error).toMatchObject({ code: 'AlreadyExists' }));
    const path = `${pathOf(resource!, namespace)}?dryRun=All&fieldValidation=Strict`;
    // A namespace is there already, made for the objects in it.
    const draft = object.kind === 'Namespace' ? { ...object, metadata: { name: `${object.metadata.name}-2` } } : object;
    expect(await request('POST', path, draft)).toMatchObject({ kind: object.kind });
  });
});

test('every path that is named exists', () => {
  const folders = readdirSync(root, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [entry.name] : [],
  );
  const named = code.filter(({ line }) => /^[\w.-]+\/[\w./-]*$/.test(line) && folders.includes(line.split('/')[0]!));
  expect(named.length).toBeGreaterThan(10);
  // What a cluster makes at run time is not in the repository.
  const missing = named.filter(({ line }) => !line.startsWith('.factory') && !existsSync(join(root, line)));
  expect(missing).toEqual([]);
});

test('every target of make exists', () => {
  const targets = [...read('Makefile').matchAll(/^([a-z-]+):/gm)].map(([, name]) => name!);
  const named = code.flatMap(({ line }) => [...line.matchAll(/(?:^|\s)make ([a-z]\S*)/g)].map(([, target]) => target!));
  expect(named.length).toBeGreaterThan(2);
  for (const target of named) expect(targets).toContain(target);
});

describe('every factoryctl command line', () => {
  const commands = code.flatMap(({ line }) => {
    const words = /^(?:bin\/)?factoryctl\s+(.*)$/.exec(line.split(/\s#|\s{2,}/)[0]!)?.[1]?.split(/\s+/);
    return words ? [{ line, words }] : [];
  });

  test.each(commands)('$line', async ({ words: [name, ...words] }) => {
    const verb = verbs.find((candidate) => candidate.name === name);
    expect(verb, `factoryctl has a verb ${name}`).toBeDefined();
    for (const flag of words.filter((word) => word.startsWith('-')))
      expect(verb!.help).toMatch(new RegExp(`(?<![\\w-])${flag.split('=')[0]}(?![\\w-])`));
    // A local cluster is not started to see whether its flags parse.
    if (name === 'local') expect(['up', 'down', 'status']).toContain(words[0]);
    else expect(await complaint([name!, ...words])).not.toMatch(/Unknown option|--help"/);
  });
});

describe('docs/monitor.md', () => {
  test('every factory-monitor command line has flags that there are', () => {
    const lines = code.map(({ line }) => line).filter((line) => /^(bin\/)?factory-monitor /.test(line));
    expect(lines.length).toBeGreaterThan(2);
    for (const line of lines) expect(flagsOf(line.split(/\s+/).slice(1)).masters).not.toEqual([]);
  });

  test('its configuration is the one of the code', () => {
    const [, json] = /^```json\n(.*?)^```/ms.exec(read('docs/monitor.md'))!;
    expect(JSON.parse(json!)).toEqual(defaultSettings);
    expect(parseSettings(JSON.parse(json!))).toEqual(defaultSettings);
  });
});

describe('docs/hosts.md', () => {
  const page = read('docs/hosts.md');
  /** What stands between backticks in the first column of the table with this head. */
  const firstColumn = (head: string) => {
    const [, ...rows] = page
      .slice(page.indexOf(`| ${head} `))
      .split('\n\n')[0]!
      .split('\n')
      .slice(1);
    return rows.flatMap((row) => [...row.split('|')[1]!.matchAll(/`([^`]+)`/g)].map(([, word]) => word!));
  };
  const packages = [...page.matchAll(/^ {4}apt-get install .*--no-install-recommends (.*)$/gm)].flatMap(([, names]) =>
    names!.split(' '),
  );

  test('its configuration is one that the executor takes, and its table has every field', () => {
    const [, json] = /^```json\n(.*?)^```/ms.exec(page)!;
    expect(parseConfig(JSON.parse(json!))).toMatchObject(JSON.parse(json!));
    expect(firstColumn('field').sort()).toEqual([...known].sort());
  });

  test('its packages have every program that a host needs', () => {
    expect(packages).toEqual(expect.arrayContaining(Object.values(packageOf)));
  });

  test('it says of every line of --check what to do, in their order', () => {
    const config = parseConfig({ hypervisor: 'libvirt', root: '/r', imageStore: '/i', importDir: '/m' });
    expect(firstColumn('line')).toEqual(checksOf(config).map(({ name }) => name));
  });

  test('its conditions are those of a Host, and its messages are said by our programs', () => {
    const sources = globSync(['controllers/**/*.ts', 'executor/**/*.ts'], { cwd: root })
      .filter((name) => !name.endsWith('.test.ts'))
      .map(read)
      .join('\n');
    for (const type of firstColumn('condition')) expect(sources).toContain(`'${type}'`);
    const messages = firstColumn('what is seen').filter((text) => text.includes(' ') && !text.startsWith('get '));
    expect(messages.length).toBeGreaterThan(6);
    expect(messages.filter((text) => !sources.includes(text))).toEqual([]);
  });

  test('the flags of its agent are explained', () => {
    const unit = /^ExecStart=.*?\n(?![ ])/ms.exec(page)![0];
    expect(firstColumn('flag')).toEqual([...unit.matchAll(/--[a-z_]+/g)].map(([flag]) => flag));
  });
});

/** What a verb says that finds no cluster: everything that can be wrong with the words comes before that. */
async function complaint(words: readonly string[]): Promise<string> {
  const said: string[] = [];
  const out: Output = {
    line: (text) => said.push(text),
    error: (text) => said.push(text),
    progress: () => {},
    isTerminal: false,
  };
  await runCommandLine([...words, '--kubeconfig', join(root, 'there-is-no-such-file')], out);
  return said.join('\n');
}

describe('docs/kinds.md', () => {
  const sections = new Map(
    read('docs/kinds.md')
      .split(/^## /m)
      .slice(1)
      .map((section) => [section.split('\n')[0]!, section]),
  );
  const sources = globSync(['controllers/**/*.ts', 'lib/api/*.ts'], { cwd: root })
    .filter((name) => !name.endsWith('.test.ts'))
    .map(read)
    .join('\n');

  test('has one section for every kind', () => {
    expect([...sections.keys()].sort()).toEqual(factoryKinds.map(({ kind }) => kind).sort());
  });

  test.each(factoryKinds)('$kind: columns are those of the CRD', ({ kind, plural }) => {
    interface Column {
      readonly name: string;
      readonly priority?: number;
    }
    const crd = parseAllDocuments(read(`crds/${plural}.yaml`))[0]!.toJS() as {
      spec: { versions: { additionalPrinterColumns: readonly Column[] }[] };
    };
    const columns = crd.spec.versions[0]!.additionalPrinterColumns;
    const names = (wide: boolean) =>
      columns.filter(({ priority }) => Boolean(priority) === wide).map(({ name }) => name.toUpperCase());
    const [, shown, wide] = /Columns: ([^.;]+)(?:; wide: ([^.]+))?\./.exec(sections.get(kind)!)!;
    expect(shown!.split(', ')).toEqual(names(false));
    expect(wide?.split(', ') ?? []).toEqual(names(true));
  });

  test.each([...sections])('%s: every condition and reason is one of the code', (_kind, section) => {
    const table = section.slice(section.indexOf('| condition ')).split('\n\n')[0]!;
    if (!table.startsWith('| condition ')) return;
    const words = [...table.matchAll(/`([A-Z][A-Za-z]+)`/g)].map(([, word]) => word!);
    expect(words.filter((word) => !sources.includes(`'${word}'`))).toEqual([]);
  });
});
