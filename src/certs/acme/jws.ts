import { Buffer } from 'node:buffer';
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, FlattenedSign, type JWK } from 'jose';

/** What stands in the protected header beside the algorithm (RFC 8555 6.2). */
export interface JwsHeader {
  readonly url: string;
  readonly nonce: string;
  /** The account's URL; null = it has none yet, and the key itself is sent. */
  readonly kid: string | null;
}

/** An account that somebody has with the authority elsewhere (RFC 8555 7.3.4). */
export interface ExternalAccount {
  readonly kid: string;
  /** base64url, as authorities hand it out. */
  readonly hmacKey: string;
}

/** A signed request body: JSON in the flattened form. `payload`: null = there is none, which asks for what is at the URL. */
export async function signRequest(payload: unknown, { url, nonce, kid }: JwsHeader, key: KeyObject): Promise<string> {
  const who = kid === null ? { jwk: publicJwk(key) } : { kid };
  const text = payload === null ? '' : JSON.stringify(payload);
  return JSON.stringify(await new FlattenedSign(Buffer.from(text)).setProtectedHeader({ alg: 'ES256', nonce, url, ...who }).sign(key));
}

/** Proof for newAccount that the external account is ours. */
export async function bindExternalAccount({ kid, hmacKey }: ExternalAccount, url: string, key: KeyObject): Promise<object> {
  return new FlattenedSign(Buffer.from(JSON.stringify(publicJwk(key))))
    .setProtectedHeader({ alg: 'HS256', kid, url })
    .sign(Buffer.from(hmacKey, 'base64url'));
}

/** What proves that whoever shows it is in league with the account's key (RFC 8555 8.1). */
export async function keyAuthorization(token: string, key: KeyObject): Promise<string> {
  return `${token}.${await calculateJwkThumbprint(publicJwk(key), 'sha256')}`;
}

/** The text of the TXT record that proves a name over DNS (RFC 8555 8.4). */
export function dnsProof(authorization: string): string {
  return createHash('sha256').update(authorization).digest('base64url');
}

function publicJwk(key: KeyObject): JWK {
  return createPublicKey(key).export({ format: 'jwk' }) as JWK;
}
