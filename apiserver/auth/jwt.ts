/** JSON Web Tokens: the one place that knows the library that signs and verifies them. */
import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { createLocalJWKSet, decodeJwt, errors, type JSONWebKeySet, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import { messageOf } from '#lib/std/errors.ts';

export type Claims = JWTPayload;

export interface Key {
  /** `kid` in tokens: Kubernetes' digest of the public key. */
  readonly id: string;
  readonly algorithm: string;
  readonly key: KeyObject;
}

/** Finds the key of a token by its header. */
export type Keys = Parameters<typeof jwtVerify>[1] & ((...header: never[]) => unknown);

/** No key answers to the token's `kid`: perhaps the issuer has new ones. */
export class UnknownKeyError extends Error {}

/** Throws for text that is no private key, or of a kind that Kubernetes signs no tokens with. */
export function readSigningKey(pem: string): Key {
  return describe(createPrivateKey(pem));
}

/** Public keys, or private ones whose public half is meant. */
export function readVerifyingKey(pem: string): Key {
  return describe(createPublicKey(pem));
}

export function publicHalf({ key, ...rest }: Key): Key {
  return { ...rest, key: createPublicKey(key) };
}

function describe(key: KeyObject): Key {
  const spki = (key.type === 'private' ? createPublicKey(key) : key).export({ type: 'spki', format: 'der' });
  return { id: createHash('sha256').update(spki).digest('base64url'), algorithm: algorithmOf(key), key };
}

const curves: Readonly<Record<string, string>> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' };

function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string {
  if (asymmetricKeyType === 'rsa') return 'RS256';
  const algorithm = asymmetricKeyType === 'ec' ? curves[asymmetricKeyDetails?.namedCurve ?? ''] : undefined;
  if (algorithm) return algorithm;
  throw new Error(`Cannot use a key of type ${asymmetricKeyType ?? 'unknown'} for tokens: give an RSA or ECDSA key`);
}

export function signJwt(claims: Claims, { id, algorithm, key }: Key): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: algorithm, kid: id }).sign(key);
}

/** Who says to have issued the token, believed by nobody yet; undefined for text that is no JWT. */
export function issuerOf(token: string): string | undefined {
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}

export function keySet(keys: readonly Key[]): Keys {
  const set = keys.map(({ id, algorithm, key }) => ({ ...key.export({ format: 'jwk' }), kid: id, alg: algorithm }));
  return createLocalJWKSet({ keys: set } as JSONWebKeySet) as unknown as Keys;
}

/** TypeError for a document that is no key set. */
export function readKeySet(document: unknown): Keys {
  return createLocalJWKSet(document as JSONWebKeySet) as unknown as Keys;
}

export interface Expected {
  readonly issuer: string;
  readonly algorithms: readonly string[];
  readonly nowMs: number;
}

/** Throws, with a message that names no secret, for a signature, issuer or time that is not right; UnknownKeyError as it says. */
export async function verifyJwt(token: string, keys: Keys, { issuer, algorithms, nowMs }: Expected): Promise<Claims> {
  try {
    const options = { issuer, algorithms: [...algorithms], currentDate: new Date(nowMs), requiredClaims: ['exp'] };
    return (await jwtVerify(token, keys as never, options)).payload;
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) throw new UnknownKeyError('no key of the issuer has signed it');
    // Only its words: the library hangs the claims on its errors, and what is thrown here is logged.
    throw new Error(messageOf(error));
  }
}
