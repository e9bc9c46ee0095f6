/** A server for one kubectl, with the garbage collector and the namespace controller running, and rows carried out against it. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { stringify } from 'yaml';
import { readSigningKey } from '#apiserver/auth/jwt.ts';
import { createKubectl, type Kubectl, type Output } from '#apiserver/testing/kubectl.ts';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';
import { namespaceController } from '#controllers/gc/namespace.ts';
import { runControllers } from '#controllers/main.ts';
import { httpClient } from '#lib/client/http-client.ts';
import { silentLog } from '#lib/std/log.ts';
import type { Change, Manifest, Row, Step, Target } from './row.ts';

const within = { timeout: 20_000, interval: 50 };
const mergePatch = { 'content-type': 'application/merge-patch+json' };

const vera = 'token-of-vera';

function signingKeys() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signingKey = readSigningKey(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
  return { issuer: 'https://tokens.example', signingKey, olderKeys: [] };
}

export class World implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;
  readonly #started: TestServer;
  readonly #kubectl: Kubectl;
  #rows = 0;

  private constructor(stack: AsyncDisposableStack, started: TestServer, kubectl: Kubectl) {
    this.#stack = stack;
    this.#started = started;
    this.#kubectl = kubectl;
  }

  static async start(file: string): Promise<World> {
    await using stack = new AsyncDisposableStack();
    const started = stack.use(
      await startTestServer({ tokens: `${vera},vera,7,"film,sound"\n`, serviceAccounts: signingKeys() }),
    );
    const { server, authority, token } = started;
    const authorization = async () => `Bearer ${token}`;
    const client = stack.use(httpClient({ server: server.url, ca: authority.certificate, authorization }));
    const stop = new AbortController();
    const options = { client, log: silentLog, identity: 'one', factories: [namespaceController] };
    const ended = runControllers(options, stop.signal);
    stack.defer(async () => {
      stop.abort(new Error('The test is over'));
      await ended;
    });
    const kubectl = createKubectl(started, file);
    // What is served is asked for once, and kept in its home.
    await kubectl(['get', 'namespaces']);
    return new World(stack.move(), started, kubectl);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  /** In a namespace of its own, so that others can go on at the same time. */
  async carryOut({ given = [], files = {}, steps }: Row): Promise<void> {
    const namespace = `row-${++this.#rows}`;
    await this.#create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }, namespace);
    const folder = join(this.#started.folder, namespace);
    mkdirSync(folder);
    for (const [name, text] of Object.entries(files))
      writeFileSync(join(folder, name), text.replaceAll('$ns', namespace));
    const there = new Map<Target, string>();
    for (const manifest of given) await this.#create(manifest, namespace, there);
    const row: Filling = { $ns: namespace, $dir: folder, $vera: vera };
    for (const step of steps)
      if (step.again) await vi.waitFor(() => this.#step(step, row), within);
      else await this.#step(step, row);
  }

  async #step(step: Step, row: Filling): Promise<void> {
    const [verb = '', ...words] = wordsOf(step.run).map((word) => fill(word, row));
    const { output, changes, left } = await this.#run(step, [verb, '-n', row.$ns!, ...words], row);
    await Promise.all(changes);
    const said = `kubectl ${verb} ${words.join(' ')}\n${output.stdout}${output.stderr}`;
    expect(left, said).toEqual([]);
    judge(output, step, row, said);
    if (step.keeps) row[step.keeps] = output.stdout.trim();
    for (const [target, expected] of Object.entries(step.leaves ?? {}))
      await this.#becomes(fill(target, row), expected, row.$ns!, said);
  }

  async #run(step: Step, words: readonly string[], row: Filling) {
    const left = [...(step.when ?? [])];
    const changes: Promise<void>[] = [];
    const output = await this.#kubectl(words, {
      input: fill(inputOf(step), row),
      ...(step.edit ? { editor: `sed -i ${step.edit}` } : {}),
      heard: (text, stop) => {
        while (left[0]?.[0].test(text)) changes.push(this.#change(left.shift()![1], row.$ns!));
        if (left.length === 0 && step.until?.test(text)) stop();
      },
    });
    return { output, changes, left };
  }

  async #becomes(target: Target, expected: object | null, namespace: string, said: string): Promise<void> {
    const path = pathOf(target, namespace);
    await vi.waitFor(async () => {
      const reply = await this.#started.request(path);
      if (expected === null) expect(reply.status, `${said}${target}`).toBe(404);
      else expect(reply.json(), `${said}${target}`).toMatchObject(expected);
    }, within);
  }

  /** An owner is named in `ownerReferences` by kind and name; its uid is filled in. */
  async #create(manifest: Manifest, namespace: string, there = new Map<Target, string>()): Promise<void> {
    const { ownerReferences, ...metadata } = manifest.metadata;
    const owners = ((ownerReferences ?? []) as { kind: string; name: string }[]).map((owner) => ({
      ...owner,
      uid: there.get(`${owner.kind}/${owner.name}`),
    }));
    const own = metadata.namespace ? { ...metadata, namespace } : metadata;
    const body = { ...manifest, metadata: { ...own, ownerReferences: owners } };
    const path = pathOf(`${manifest.kind}/`, namespace).slice(0, -1);
    const reply = await this.#started.request(path, { method: 'POST', body });
    expect(reply.status, reply.text).toBe(201);
    const { name, uid } = reply.json().metadata as { name: string; uid: string };
    there.set(`${manifest.kind}/${name}`, uid);
    const { status } = manifest;
    if (status) await this.#change({ target: `${manifest.kind}/${name}/status`, patch: { status } }, namespace);
  }

  async #change({ target, patch }: Change, namespace: string): Promise<void> {
    const options = { method: 'PATCH', headers: mergePatch, body: patch };
    const reply = await this.#started.request(pathOf(target, namespace), options);
    expect(reply.status, reply.text).toBe(200);
  }
}

/** What words with a dollar stand for. */
type Filling = Record<string, string>;

function fill(text: string, row: Filling): string {
  return Object.entries(row).reduce((filled, [word, value]) => filled.replaceAll(word, value), text);
}

function inputOf({ input = '' }: Step): string {
  return typeof input === 'string' ? input : input.map((object) => stringify(object)).join('---\n');
}

function judge({ code, stdout, stderr }: Output, step: Step, row: Filling, said: string): void {
  expect(code, said).toBe(step.code ?? 0);
  if (typeof step.out === 'string') expect(stdout.trim(), said).toBe(fill(step.out, row));
  else for (const pattern of [step.out ?? []].flat()) expect(stdout, said).toMatch(pattern);
  if (step.err) expect(stderr, said).toMatch(step.err);
}

function wordsOf(line: string): string[] {
  return [...line.matchAll(/(?:'[^']*'|[^\s'])+/g)].map(([word]) => word.replaceAll("'", ''));
}

const collections: readonly (readonly [names: readonly string[], prefix: string, plural: string])[] = [
  [['cm', 'ConfigMap'], '/api/v1', 'configmaps'],
  [['sa', 'ServiceAccount'], '/api/v1', 'serviceaccounts'],
  [['secret', 'Secret'], '/api/v1', 'secrets'],
  [['event', 'Event'], '/api/v1', 'events'],
  [['vmp', 'VMPool'], '/apis/computefactory.io/v1alpha1', 'vmpools'],
  [['role', 'Role'], '/apis/rbac.authorization.k8s.io/v1', 'roles'],
  [['rolebinding', 'RoleBinding'], '/apis/rbac.authorization.k8s.io/v1', 'rolebindings'],
];

function pathOf(target: Target, namespace: string): string {
  const [kind = '', ...rest] = target.split('/');
  if (kind === 'ns' || kind === 'Namespace') return `/api/v1/namespaces/${rest.join('/')}`;
  const found = collections.find(([names]) => names.includes(kind));
  if (!found) throw new Error(`No row may speak of ${kind} yet: name its path here`);
  const [, prefix, plural] = found;
  return `${prefix}/namespaces/${namespace}/${plural}/${rest.join('/')}`;
}
