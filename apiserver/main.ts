import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '#lib/std/clock.ts';
import { jsonLog } from '#lib/std/log.ts';
import { aborted, runMain, UsageError } from '#lib/std/main.ts';
import { systemRandom } from '#lib/std/random.ts';
import { readTokenFlags, tokenFlags, tokenUsage } from './auth/flags.ts';
import { waitForStore } from './bootstrap.ts';
import { readServingFlags, servingFlags, servingUsage } from './flags.ts';
import { readCrds } from './resources/crd.ts';
import { startServer } from './server.ts';
import { type EtcdTlsTexts, openStore } from './store/open.ts';

const usage = `Serves the kinds that CustomResourceDefinitions define and some of Kubernetes' own, in the way of a Kubernetes API server.

Usage: factory-apiserver [options]

  --listen HOST:PORT   where to listen; port 0 lets the system choose (default 127.0.0.1:6443)
  --store ADDRESS      sqlite:FILE, etcd://HOST:PORT[,HOST:PORT…] or, encrypted, etcds://HOST:PORT[,HOST:PORT…]
  --etcd-cafile FILE   who signed the certificates of etcd, PEM
  --etcd-certfile FILE our own certificate for etcd, PEM
  --etcd-keyfile FILE  its key, PEM
  --etcd-min-revision N   after a restore: lead the revisions of etcd beyond N, the newest that clients may hold
  --tls-cert FILE      certificate of the server, PEM
  --tls-key FILE       its key, PEM
  --client-ca FILE     client certificates signed by this authority are believed: CN is the user, O the groups
  --token-file FILE    bearer tokens: lines of token,user,uid,"group1,group2"
${tokenUsage}  --crds DIR           CustomResourceDefinitions to install at the start (default: those of this project)
${servingUsage}  --help               show this
`;

const storeDeadlineMs = 60_000;

const options = {
  listen: { type: 'string', default: '127.0.0.1:6443' },
  store: { type: 'string' },
  'etcd-cafile': { type: 'string' },
  'etcd-certfile': { type: 'string' },
  'etcd-keyfile': { type: 'string' },
  'etcd-min-revision': { type: 'string' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  'client-ca': { type: 'string' },
  'token-file': { type: 'string' },
  ...tokenFlags,
  crds: { type: 'string', default: join(import.meta.dirname, '../crds') },
  ...servingFlags,
  help: { type: 'boolean', default: false },
} as const;

type EtcdName = 'etcd-cafile' | 'etcd-certfile' | 'etcd-keyfile';
type Name = EtcdName | 'store' | 'tls-cert' | 'tls-key' | 'client-ca' | 'token-file';

function parse() {
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\nSee factory-apiserver --help.`);
  }
}

function required(values: Readonly<Partial<Record<Name, string>>>, name: Name): string {
  const value = values[name];
  if (!value) throw new UsageError(`--${name} is missing. See factory-apiserver --help.`);
  return value;
}

function readRequired(values: Readonly<Partial<Record<Name, string>>>, name: Name): string {
  return readFile(name, required(values, name));
}

function readFile(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`Cannot read --${name} ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function readEtcdTls(values: Readonly<Partial<Record<EtcdName, string>>>): EtcdTlsTexts {
  const read = (name: EtcdName) => (values[name] ? readFile(name, values[name]) : undefined);
  return { ca: read('etcd-cafile'), certificate: read('etcd-certfile'), key: read('etcd-keyfile') };
}

function readMinRevision(text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,18}$/.test(text)) throw new UsageError(`--etcd-min-revision is "${text}": write a resourceVersion`);
  return BigInt(text);
}

function readListen(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  if (!match || Number(match[3]) > 65_535) throw new UsageError(`Cannot listen on "${text}": write HOST:PORT`);
  return { host: match[1] ?? match[2]!, port: Number(match[3]) };
}

const log = jsonLog('factory-apiserver');

await runMain(log, async (stack, signal) => {
  const values = parse();
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const address = required(values, 'store');
  const patience = { clock: systemClock, random: systemRandom, log, deadlineMs: storeDeadlineMs, signal };
  const etcdMinRevision = readMinRevision(values['etcd-min-revision']);
  const opening = { clock: systemClock, log, etcdTls: readEtcdTls(values), etcdMinRevision };
  const store = stack.use(await waitForStore(() => openStore(address, opening), patience));
  stack.use(
    await startServer({
      store,
      listen: readListen(values.listen),
      tls: {
        certificate: readRequired(values, 'tls-cert'),
        key: readRequired(values, 'tls-key'),
        clientCa: readRequired(values, 'client-ca'),
      },
      tokens: readRequired(values, 'token-file'),
      ...readTokenFlags(values, readFile),
      crds: readCrds(values.crds),
      ...readServingFlags(values, readFile),
      log,
      signal,
    }),
  );
  await aborted(signal);
});
