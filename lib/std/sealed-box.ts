/**
 * Words for one reader: X25519 with a key made for this one message, HKDF-SHA256, AES-256-GCM. Who seals is not proven: anybody may who
 * knows the public key. The context is not part of the message; opened with another one it does not open.
 */
import {
  createCipheriv,
  createDecipheriv,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';

const cipher = 'aes-256-gcm';
const keyBytes = 32;
const ivBytes = 12;
const tagBytes = 16;

export interface Opener {
  /** 32 bytes in base64url. */
  readonly publicKey: string;
  /** Throws for what was not sealed for this key in this context, or was changed. */
  open(sealed: string, context: string): string;
}

/** The private key stays in this process. */
export function createOpener(): Opener {
  const { privateKey, publicKey: own } = generateKeyPairSync('x25519');
  const publicKey = rawKey(own);
  return {
    publicKey,
    open(sealed, context) {
      const bytes = Buffer.from(sealed, 'base64');
      if (bytes.length < keyBytes + tagBytes) throw new Error('Cannot open what was sealed: it is too short');
      const sender = bytes.subarray(0, keyBytes).toString('base64url');
      const { key, iv } = derive(privateKey, sender, sender, publicKey);
      const decipher = createDecipheriv(cipher, key, iv, { authTagLength: tagBytes });
      decipher.setAAD(Buffer.from(context));
      decipher.setAuthTag(bytes.subarray(-tagBytes));
      try {
        return Buffer.concat([decipher.update(bytes.subarray(keyBytes, -tagBytes)), decipher.final()]).toString();
      } catch (cause) {
        throw new Error('Cannot open what was sealed: it is for another key or context, or was changed', { cause });
      }
    },
  };
}

/** Base64 that only the holder of the key opens, and only in the same context. Throws if the key is none. */
export function seal(text: string, publicKey: string, context: string): string {
  const once = generateKeyPairSync('x25519');
  const sender = rawKey(once.publicKey);
  const { key, iv } = derive(once.privateKey, publicKey, sender, publicKey);
  const encryption = createCipheriv(cipher, key, iv, { authTagLength: tagBytes });
  encryption.setAAD(Buffer.from(context));
  const sealed = [encryption.update(text, 'utf8'), encryption.final(), encryption.getAuthTag()];
  return Buffer.concat([Buffer.from(sender, 'base64url'), ...sealed]).toString('base64');
}

/** The sender's key is used once, so key and iv are, too. */
function derive(own: KeyObject, other: string, sender: string, reader: string): { key: Buffer; iv: Buffer } {
  const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: other }, format: 'jwk' });
  const secret = diffieHellman({ privateKey: own, publicKey });
  const both = Buffer.from(`${sender}.${reader}`);
  const bytes = Buffer.from(hkdfSync('sha256', secret, both, 'sealed-box 1', keyBytes + ivBytes));
  return { key: bytes.subarray(0, keyBytes), iv: bytes.subarray(keyBytes) };
}

function rawKey(key: KeyObject): string {
  return key.export({ format: 'jwk' }).x!;
}
