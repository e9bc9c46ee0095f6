/** Certificates of an installation: one authority, and the certificates it signs for servers and clients. */
import './reflect-metadata.ts';
import { createPrivateKey, X509Certificate as NodeCertificate, randomBytes, type webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

/** PEM texts. The key is PKCS #8 and a secret. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate that may sign others. */
export interface Authority extends Certificate {
  readonly name: string;
}

export interface IssueOptions {
  /** CN. Of a client certificate it is the user's name. */
  readonly commonName: string;
  /** O. Of a client certificate they are the user's groups. */
  readonly organizations?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly ips?: readonly string[];
  /** `peer`: a server that is a client of its like, as Mesos' masters and agents are. */
  readonly usage: 'server' | 'client' | 'peer';
  /** How long it is valid; 365 unless told. */
  readonly days?: number;
}

const ecdsa = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const signingAlgorithm = { name: 'ECDSA', hash: 'SHA-256' } as const;
const dayMs = 86_400_000;
/** Clocks of two machines differ: a certificate made now must be accepted by one that is a little behind. */
const backdateMs = 5 * 60_000;

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(ecdsa, true, ['sign', 'verify']);
}

async function keyPem(key: webcrypto.CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

function validity(days: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - backdateMs), notAfter: new Date(now + days * dayMs) };
}

/** RFC 5280 allows 20 bytes, positive: 16 with the first bit off. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}

/** A new authority with a key of its own (ECDSA P-256), valid for ten years. */
export async function createAuthority(name: string): Promise<Authority> {
  const keys = await generateKeys();
  const { KeyUsageFlags } = x509;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [name] }],
    keys,
    serialNumber: serialNumber(),
    signingAlgorithm,
    ...validity(3650),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { name, certificate: `${certificate.toString('pem')}\n`, key: await keyPem(keys.privateKey) };
}

function subjectOf(options: IssueOptions): x509.JsonName {
  const organizations: x509.JsonName = (options.organizations ?? []).map((name) => ({ O: [name] }));
  return [...organizations, { CN: [options.commonName] }];
}

function alternativeNames(options: IssueOptions): x509.JsonGeneralNames {
  return [
    ...(options.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value })),
    ...(options.ips ?? []).map((value) => ({ type: 'ip' as const, value })),
  ];
}

/**
 * A certificate with a new key, signed by the authority. Clients today look at dnsNames and ips only, never at the commonName, so a
 * server certificate without any is refused here: RangeError.
 */
export async function issue(authority: Authority, options: IssueOptions): Promise<Certificate> {
  const names = alternativeNames(options);
  if (options.usage !== 'client' && names.length === 0)
    throw new RangeError(`Cannot issue a server certificate for "${options.commonName}": it needs dnsNames or ips`);
  const keys = await generateKeys();
  const issuer = new x509.X509Certificate(authority.certificate);
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  const purposes = { server: [serverAuth], client: [clientAuth], peer: [serverAuth, clientAuth] }[options.usage];
  const certificate = await x509.X509CertificateGenerator.create({
    subject: subjectOf(options),
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.key),
    serialNumber: serialNumber(),
    signingAlgorithm,
    ...validity(options.days ?? 365),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(purposes),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: await keyPem(keys.privateKey) };
}

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const pkcs8 = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  return crypto.subtle.importKey('pkcs8', new Uint8Array(pkcs8), ecdsa, false, ['sign']);
}

/** SHA-256 of a PEM certificate as lower-case hex, for peers that pin it instead of trusting an authority. */
export function fingerprint(certificate: string): string {
  return new NodeCertificate(certificate).fingerprint256.replaceAll(':', '').toLowerCase();
}
