/** The flags about tokens, under the names of kube-apiserver. */

import { messageOf } from '#lib/std/errors.ts';
import { UsageError } from '#lib/std/main.ts';
import { type Key, readSigningKey, readVerifyingKey } from './jwt.ts';
import type { OidcOptions } from './oidc.ts';
import type { ServiceAccountKeys } from './service-account-tokens.ts';

export const tokenUsage = `\
  --service-account-signing-key-file FILE   private key for the tokens of ServiceAccounts, RSA or ECDSA, PEM
  --service-account-key-file FILE           another key whose tokens are believed; may be given several times
  --service-account-issuer URL              who issues them (default https://kubernetes.default.svc)
  --oidc-issuer-url URL       ID tokens of this OpenID Connect issuer are believed
  --oidc-client-id ID         if they are meant for this client
  --oidc-username-claim NAME  claim with the user's name (default sub)
  --oidc-username-prefix P    before the name; - for none (default the issuer and #, none for email)
  --oidc-groups-claim NAME    claim with the user's groups
  --oidc-groups-prefix P      before each of them
  --oidc-ca-file FILE         who signed the issuer's certificate, PEM (default: the authorities of the system)
  --oidc-signing-algs LIST    algorithms that are accepted (default RS256)
`;

const string = { type: 'string' } as const;

export const tokenFlags = {
  'service-account-signing-key-file': string,
  'service-account-key-file': { type: 'string', multiple: true },
  'service-account-issuer': { type: 'string', default: 'https://kubernetes.default.svc' },
  'oidc-issuer-url': string,
  'oidc-client-id': string,
  'oidc-username-claim': { type: 'string', default: 'sub' },
  'oidc-username-prefix': string,
  'oidc-groups-claim': string,
  'oidc-groups-prefix': { type: 'string', default: '' },
  'oidc-ca-file': string,
  'oidc-signing-algs': { type: 'string', default: 'RS256' },
} as const;

export interface TokenFlags {
  readonly 'service-account-signing-key-file'?: string;
  readonly 'service-account-key-file'?: readonly string[];
  readonly 'service-account-issuer': string;
  readonly 'oidc-issuer-url'?: string;
  readonly 'oidc-client-id'?: string;
  readonly 'oidc-username-claim': string;
  readonly 'oidc-username-prefix'?: string;
  readonly 'oidc-groups-claim'?: string;
  readonly 'oidc-groups-prefix': string;
  readonly 'oidc-ca-file'?: string;
  readonly 'oidc-signing-algs': string;
}

export interface TokenOptions {
  readonly serviceAccounts?: ServiceAccountKeys;
  readonly oidc?: OidcOptions;
}

/** `read` gives the text of a file that a flag names. UsageError for flags that do not go together, and for keys that are none. */
export function readTokenFlags(flags: TokenFlags, read: (flag: string, file: string) => string): TokenOptions {
  return { ...serviceAccountOptions(flags, read), ...oidcOptions(flags, read) };
}

function serviceAccountOptions(flags: TokenFlags, read: (flag: string, file: string) => string): TokenOptions {
  const file = flags['service-account-signing-key-file'];
  const older = flags['service-account-key-file'] ?? [];
  if (!file && older.length > 0)
    throw new UsageError('--service-account-key-file needs --service-account-signing-key-file beside it');
  if (!file) return {};
  const key = (flag: string, name: string, parse: (pem: string) => Key) => {
    try {
      return parse(read(flag, name));
    } catch (error) {
      throw error instanceof UsageError ? error : new UsageError(`Cannot use --${flag} ${name}: ${messageOf(error)}`);
    }
  };
  return {
    serviceAccounts: {
      issuer: flags['service-account-issuer'],
      signingKey: key('service-account-signing-key-file', file, readSigningKey),
      olderKeys: older.map((name) => key('service-account-key-file', name, readVerifyingKey)),
    },
  };
}

function oidcOptions(flags: TokenFlags, read: (flag: string, file: string) => string): TokenOptions {
  const { 'oidc-issuer-url': issuerUrl, 'oidc-client-id': clientId, 'oidc-ca-file': caFile } = flags;
  if (!issuerUrl && !clientId) return {};
  if (!issuerUrl || !clientId) throw new UsageError('--oidc-issuer-url and --oidc-client-id go together');
  if (!issuerUrl.startsWith('https://'))
    throw new UsageError(`--oidc-issuer-url is "${issuerUrl}": it must begin with https://`);
  return {
    oidc: {
      issuerUrl,
      clientId,
      usernameClaim: flags['oidc-username-claim'],
      usernamePrefix: flags['oidc-username-prefix'],
      groupsClaim: flags['oidc-groups-claim'],
      groupsPrefix: flags['oidc-groups-prefix'],
      ca: caFile ? read('oidc-ca-file', caFile) : undefined,
      algorithms: asymmetric(flags['oidc-signing-algs']),
    },
  };
}

/** Algorithms that need the issuer's secret would make everybody who knows the public key an issuer. */
function asymmetric(text: string): string[] {
  const list = text.split(',').map((name) => name.trim());
  const wrong = list.find((name) => !/^(?:RS|ES|PS)(?:256|384|512)$/.test(name));
  if (wrong !== undefined) throw new UsageError(`--oidc-signing-algs names "${wrong}": use RS256, ES256 and the like`);
  return list;
}
