/** Certificates, tokens and kubeconfigs of a local cluster: made once, with TLS and authentication on from the first minute. */
import { generateKeyPairSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { clusterServerUser, programGroups } from '#lib/api/names.ts';
import { writeFileAtomic } from '#lib/std/files.ts';
import type { Random } from '#lib/std/random.ts';
import { createAuthority, issue } from '#lib/tls/authority.ts';
import { type LocalSettings, localPaths } from './settings.ts';

const days = 365;

/** Who talks to the API server: the user at the keyboard and our own programs, each with a token of its own. */
const users = [
  { name: 'admin', user: 'admin', groups: ['system:masters'] },
  { name: 'controllers', user: programGroups.controllers, groups: [programGroups.controllers] },
  { name: 'cluster-server', user: clusterServerUser('local'), groups: [programGroups.clusterServer] },
] as const;

/** Safe to repeat: the kubeconfig for the user is written last, and once it is there nothing is made again. */
export async function makeCredentials(settings: LocalSettings, random: Random): Promise<void> {
  const { dir, port } = settings.options;
  const paths = localPaths(dir);
  const at = (file: string) => join(paths.credentials, file);
  if (!existsSync(at('service-account.key'))) writeFileAtomic(at('service-account.key'), signingKey(), 0o600);
  if (existsSync(paths.kubeconfig)) return;
  const authority = await createAuthority('compute-factory-local');
  const server = await issue(authority, {
    commonName: 'factory-apiserver',
    dnsNames: ['localhost'],
    ips: ['127.0.0.1'],
    usage: 'server',
    days,
  });
  writeFileAtomic(at('ca.crt'), authority.certificate);
  writeFileAtomic(at('apiserver.crt'), server.certificate);
  writeFileAtomic(at('apiserver.key'), server.key, 0o600);
  // A version 4 UUID holds 122 random bits from the system's secure source: enough for a token, two make it plain.
  const tokens = users.map((entry) => ({ ...entry, token: `${random.uuid()}${random.uuid()}`.replaceAll('-', '') }));
  const rows = tokens.map(({ token, user, groups }) => `${token},${user},${user},"${groups.join(',')}"`);
  writeFileAtomic(at('tokens.csv'), `${rows.join('\n')}\n`, 0o600);
  const ca = Buffer.from(authority.certificate).toString('base64');
  for (const { name, token } of tokens) {
    const text = kubeconfig(`https://127.0.0.1:${port}`, ca, name, token);
    if (name !== 'admin') writeFileAtomic(at(`${name}.kubeconfig`), text, 0o600);
    else writeFileAtomic(paths.kubeconfig, text, 0o600);
  }
}

/** The API server signs the tokens of ServiceAccounts with it. */
function signingKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

function kubeconfig(server: string, ca: string, user: string, token: string): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'compute-factory', cluster: { server, 'certificate-authority-data': ca } }],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: 'compute-factory', context: { cluster: 'compute-factory', user } }],
    'current-context': 'compute-factory',
  });
}
