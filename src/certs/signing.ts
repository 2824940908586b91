import type { Buffer } from 'node:buffer';
import { createHash, createPublicKey, generateKeyPair, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { bits, nothing, oid, sequence } from './der.ts';
import { elementsOf } from './der-reader.ts';

/** What a certificate's key is: `ecdsa` on P-256, or `rsa` of 2048 bits for clients that know nothing else. */
export type KeyType = 'ecdsa' | 'rsa';

/** A new private key. */
export async function makeKey(type: KeyType): Promise<KeyObject> {
  const make = promisify(generateKeyPair);
  const { privateKey } = await (type === 'ecdsa' ? make('ec', { namedCurve: 'P-256' }) : make('rsa', { modulusLength: 2048 }));
  return privateKey;
}

/** Can certificates be signed with such a key here? */
export function canSign({ asymmetricKeyType }: KeyObject): boolean {
  return asymmetricKeyType === 'ec' || asymmetricKeyType === 'rsa';
}

/** How `signed()` signs with this key, as certificates say it (RFC 5758 3.2, RFC 8017 A.2.4). */
export function signatureAlgorithm({ asymmetricKeyType }: KeyObject): Buffer {
  return asymmetricKeyType === 'ec' ? sequence(oid('1.2.840.10045.4.3.2')) : sequence(oid('1.2.840.113549.1.1.11'), nothing());
}

/** A body with its signature: the form of certificates and of requests for them. */
export function signed(body: Buffer, key: KeyObject): Buffer {
  return sequence(body, signatureAlgorithm(key), bits(sign('sha256', body, key)));
}

/** The public half of a key, or a public key itself, as a SubjectPublicKeyInfo. */
export function publicInfo(key: KeyObject): Buffer {
  return (key.type === 'public' ? key : createPublicKey(key)).export({ type: 'spki', format: 'der' });
}

/** Names a public key within certificates (RFC 5280 4.2.1.2, method 1). */
export function keyIdOf(info: Buffer): Buffer {
  const [, key] = elementsOf(elementsOf(info)[0]!.value);
  return createHash('sha1').update(key!.value.subarray(1)).digest();
}

/** PEM of DER. */
export function pemOf(label: string, der: Buffer): string {
  return `-----BEGIN ${label}-----\n${der.toString('base64').replaceAll(/.{64}(?=.)/g, '$&\n')}\n-----END ${label}-----\n`;
}
